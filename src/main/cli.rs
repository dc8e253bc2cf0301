//! What can be written on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use gizad::call::{Scope, Token};
use gizad::purchase::State;
use gizad::records::{self, Format};
use gizad::settings;

/// A local gateway to the GizaData hosting API: REST and gRPC instead of one awkward endpoint.
#[derive(Parser)]
#[command(name = "gizad", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Runs the gateway.
    Serve {
        #[command(flatten)]
        given: Given,
        /// Uses a stand-in for the provider, inside this process, where nothing is real.
        #[arg(long)]
        sandbox: bool,
        /// Where REST and gRPC are served [default: 127.0.0.1:7070].
        #[arg(long, value_name = "ADDR")]
        listen: Option<String>,
        /// A Unix socket where REST and gRPC are served, too.
        #[arg(long, value_name = "PATH")]
        socket: Option<String>,
        /// Where health is served [default: 127.0.0.1:7071].
        #[arg(long, value_name = "ADDR")]
        admin_listen: Option<String>,
        /// A folder for a recording of what is said to the provider and by it, without anything private.
        #[arg(long, value_name = "DIR")]
        record: Option<String>,
        /// A recording that the sandbox answers from.
        #[arg(long, value_name = "FILE", requires = "sandbox")]
        replay: Option<String>,
        /// Refused: the command line can be read by every user of the machine.
        #[arg(long, hide = true, value_name = "SECRET")]
        secret: Option<String>,
    },
    /// Runs the stand-in for the provider alone.
    Sandbox {
        #[command(flatten)]
        given: Given,
        /// Where it answers like the provider.
        #[arg(long, value_name = "ADDR")]
        listen: Option<String>,
        /// Where it takes orders to change its ways.
        #[arg(long, value_name = "ADDR")]
        control: Option<String>,
    },
    /// Asks a running gizad whether it is ready, for probes that run a command. Ends with 0 if it is, with 1 if not.
    Health {
        #[command(flatten)]
        given: Given,
        /// Asks whether it lives instead.
        #[arg(long)]
        live: bool,
        /// How long to wait for an answer.
        #[arg(long, value_name = "TIME", default_value = "1s", value_parser = settings::duration)]
        timeout: Duration,
        /// Where health is served [default: 127.0.0.1:7071].
        #[arg(long, value_name = "ADDR")]
        admin_listen: Option<String>,
    },
    /// Shows how much a running gizad logs, or has it log more or less.
    LogLevel {
        #[command(flatten)]
        given: Given,
        /// A level (off, error, warn, info, debug, trace), also by part: info,gizad::policy=debug.
        filter: Option<String>,
        /// For how long, such as 10m; then the settings count again.
        #[arg(long = "for", value_name = "TIME", requires = "filter")]
        time: Option<String>,
        /// Goes back to what the settings say.
        #[arg(long, conflicts_with = "filter")]
        reset: bool,
        /// Where health is served [default: 127.0.0.1:7071].
        #[arg(long, value_name = "ADDR")]
        admin_listen: Option<String>,
    },
    /// Checks the settings and prints them as they are used, with secrets masked.
    Check {
        #[command(flatten)]
        given: Given,
        /// Checks what `serve --sandbox` would use.
        #[arg(long)]
        sandbox: bool,
    },
    /// Reads the ledger, also while a daemon writes it: with the same settings as `serve`.
    Ledger {
        #[command(flatten)]
        given: Given,
        /// Reads the ledger of `serve --sandbox`.
        #[arg(long, global = true)]
        sandbox: bool,
        #[command(subcommand)]
        question: Asked,
    },
    /// Checks the audit log: with the same settings as `serve`.
    Audit {
        #[command(flatten)]
        given: Given,
        /// Checks that of `serve --sandbox`.
        #[arg(long, global = true)]
        sandbox: bool,
        #[command(subcommand)]
        wanted: Audited,
    },
    /// Looks at everything that has to be right for gizad to work, and says what to do: with the same settings as `serve`. Ends
    /// with 0 if nothing is wrong, with 1 if something is, and with 6 if the provider's answers look different from the last time.
    Doctor {
        #[command(flatten)]
        given: Given,
        /// Looks at what `serve --sandbox` would use.
        #[arg(long)]
        sandbox: bool,
        /// Asks the provider every harmless question once, shows which fields its answers have, and keeps their shape: names and
        /// kinds, never values.
        #[arg(long)]
        calibrate: bool,
        /// Where the shapes are kept instead of in the state folder.
        #[arg(long, value_name = "FILE", requires = "calibrate")]
        shapes: Option<PathBuf>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Makes tokens for callers.
    Token {
        #[command(subcommand)]
        wanted: Wanted,
    },
    /// Prints every operation: method, path, RPC, action and effect.
    Routes,
    /// Prints what a shell needs to complete these commands.
    Completions {
        /// The shell.
        #[arg(value_parser = clap::value_parser!(clap_complete::Shell))]
        shell: clap_complete::Shell,
    },
    /// Writes a man page for each command.
    Man {
        /// The folder for them.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum Wanted {
    /// Makes a token, shows it once, and prints the lines for the settings.
    New {
        /// The caller it is for.
        #[arg(value_parser = name)]
        name: String,
        /// What the caller may do: some of read, sensitive, write, spend and admin.
        #[arg(long, value_delimiter = ',', default_value = "read", value_parser = scope)]
        scopes: Vec<Scope>,
    },
}

#[derive(Subcommand)]
pub(crate) enum Audited {
    /// Checks that no line was changed or taken away, and names the first that was. Ends with 0 if all is sound, and with 1 if
    /// it is not.
    Verify {
        /// The file; several that follow each other, the oldest first.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Subcommand)]
pub(crate) enum Asked {
    /// Lists operations, the newest first.
    List {
        /// Only those in this state, such as IN_DOUBT; may be given several times.
        #[arg(long, value_name = "STATE", value_parser = state)]
        state: Vec<String>,
        /// Only those of this caller.
        #[arg(long, value_name = "NAME")]
        caller: Option<String>,
        /// Only those that came in since then: RFC 3339, or how long ago (90m, 24h, 7d).
        #[arg(long, value_name = "TIME", value_parser = records::since)]
        since: Option<i64>,
        /// Only those with this idempotency key.
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows all about one operation, with its history and its evidence.
    Show {
        /// The operation.
        id: String,
    },
    /// Checks that nothing was changed or taken away. Ends with 0 if all is sound, and with 1 if it is not.
    Verify,
    /// Prints every operation, the oldest first.
    Export {
        /// How: csv or json.
        #[arg(long, value_parser = format)]
        format: Format,
    },
}

#[derive(Args)]
pub(crate) struct Given {
    /// A file of settings; deploy/gizad.toml lists all.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
}

fn name(text: &str) -> Result<String, String> {
    let expected = "up to 32 letters, digits, - and _, and none of anonymous, gizad and owner";
    if Token::is_name(text) { Ok(text.to_owned()) } else { Err(expected.to_owned()) }
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::named(text).ok_or_else(|| format!("one of {}", Scope::ALL.map(Scope::as_str).join(", ")))
}

/// A state by its name, however it is written.
fn state(text: &str) -> Result<String, String> {
    let named = State::ALL.into_iter().find(|state| state.as_str().eq_ignore_ascii_case(text));
    named
        .map(|state| state.as_str().to_owned())
        .ok_or_else(|| format!("one of {}", State::ALL.map(State::as_str).join(", ")))
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "csv" => Ok(Format::Csv),
        "json" => Ok(Format::Json),
        _ => Err("csv or json".to_owned()),
    }
}
