//! The command line.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the program that talks to a person")]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use gizad::boot;
use gizad::call::{Scope, Token};
use gizad::contract::Contract;
use gizad::ledger::Filter;
use gizad::purchase::State;
use gizad::records::{self, Format, Question};
use gizad::settings::{self, Flags, Mistake, Settings};
use gizad::telemetry;

/// A wrong command line or a wrong setting (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;

/// A local gateway to the GizaData hosting API: REST and gRPC instead of one awkward endpoint.
#[derive(Parser)]
#[command(name = "gizad", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
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
    /// Makes tokens for callers.
    Token {
        #[command(subcommand)]
        wanted: Wanted,
    },
    /// Prints every operation: method, path, RPC, action and effect.
    Routes,
}

#[derive(Subcommand)]
enum Wanted {
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
enum Audited {
    /// Checks that no line was changed or taken away, and names the first that was. Ends with 0 if all is sound, and with 1 if
    /// it is not.
    Verify {
        /// The file; several that follow each other, the oldest first.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Subcommand)]
enum Asked {
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
struct Given {
    /// A file of settings; deploy/gizad.toml lists all.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    telemetry::hush_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _printed = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        Command::Serve { secret: Some(_), .. } => {
            eprintln!(
                "gizad: the secret is not taken from the command line, where every user of the machine can read it.\n\
                 Give it as GIZAD_CREDENTIALS_SECRET, or as a file in credentials.secret_file. And consider this \
                 one known: have it replaced."
            );
            ExitCode::from(USAGE)
        }
        Command::Serve { given, sandbox, listen, socket, admin_listen, secret: None } => {
            let addresses =
                vec![("listen.api", listen), ("listen.socket", socket), ("listen.admin", admin_listen)];
            let flags = flags(given, sandbox, addresses);
            let environment = match boot::conceal().and_then(|()| own_environment()) {
                Ok(environment) => environment,
                Err(why) => return unable(&why),
            };
            let load = || Settings::load(&flags, &environment);
            match load() {
                Ok(settings) => run(&settings.log.clone(), boot::serve(settings, load)),
                Err(mistakes) => wrong(&mistakes),
            }
        }
        Command::Sandbox { given, listen, control } => {
            let addresses = vec![("sandbox.listen", listen), ("sandbox.control", control)];
            let environment = match own_environment() {
                Ok(environment) => environment,
                Err(why) => return unable(&why),
            };
            match Settings::load_sandbox(&flags(given, true, addresses), &environment) {
                Ok((options, log)) => run(&log, boot::sandbox(options)),
                Err(mistakes) => wrong(&mistakes),
            }
        }
        Command::Check { given, sandbox } => {
            let (flags, environment) = (flags(given, sandbox, Vec::new()), settings::variables());
            print!("{}", Settings::shown(&flags, &environment));
            match Settings::load(&flags, &environment) {
                Ok(_) => ExitCode::SUCCESS,
                Err(mistakes) => wrong(&mistakes),
            }
        }
        Command::Ledger { given, sandbox, question } => {
            match Settings::load(&flags(given, sandbox, Vec::new()), &settings::variables()) {
                Ok(settings) => ask(&settings, question),
                Err(mistakes) => wrong(&mistakes),
            }
        }
        Command::Audit { given, sandbox, wanted: Audited::Verify { files } } => {
            match Settings::load(&flags(given, sandbox, Vec::new()), &settings::variables()) {
                Ok(settings) => {
                    let found = boot::verify_audit(&settings, &files);
                    told(found.map(|verdict| (verdict.text, verdict.sound)))
                }
                Err(mistakes) => wrong(&mistakes),
            }
        }
        Command::Token { wanted: Wanted::New { name, scopes } } => token(&name, &scopes),
        Command::Routes => match Contract::embedded() {
            Ok(contract) => {
                print!("{}", contract.table());
                ExitCode::SUCCESS
            }
            Err(defects) => {
                defects.iter().for_each(|defect| eprintln!("gizad: {defect}"));
                ExitCode::FAILURE
            }
        },
    }
}

/// The settings in the environment of a program that runs for long: what is secret is not left there.
fn own_environment() -> Result<Vec<(String, String)>, String> {
    settings::take_secrets_out()?;
    settings::environment().map_err(|error| format!("what was handed over cannot be read: {error}"))
}

fn unable(why: &str) -> ExitCode {
    eprintln!("gizad: {why}");
    ExitCode::FAILURE
}

fn flags(given: Given, sandbox: bool, addresses: Vec<(&'static str, Option<String>)>) -> Flags {
    let set = addresses.into_iter().filter_map(|(path, address)| Some((path, address?)));
    Flags { config: given.config, set: set.collect(), sandbox }
}

fn name(text: &str) -> Result<String, String> {
    let expected = "up to 32 letters, digits, - and _, and none of anonymous, gizad and owner";
    if Token::is_name(text) { Ok(text.to_owned()) } else { Err(expected.to_owned()) }
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::named(text).ok_or_else(|| format!("one of {}", Scope::ALL.map(Scope::as_str).join(", ")))
}

fn token(name: &str, scopes: &[Scope]) -> ExitCode {
    let Some((token, text)) = Token::new(name) else {
        return unable("the system has no randomness for a token");
    };
    println!("{text}\n");
    println!(
        "# The token above is shown this once: give it to {name}. The lines below are for the settings."
    );
    print!("{}", settings::caller(name, &token, scopes));
    ExitCode::SUCCESS
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

fn ask(settings: &Settings, asked: Asked) -> ExitCode {
    let question = match asked {
        Asked::List { state: states, caller, since: from_ms, key, json } => {
            Question::List(Filter { states, caller, from_ms, key, ..Filter::default() }, json)
        }
        Asked::Show { id } => Question::Show(id),
        Asked::Verify => Question::Verify,
        Asked::Export { format } => Question::Export(format),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let work = async {
        let ledger = boot::read_ledger(settings).await?;
        records::answer(&ledger, &question).await.map_err(boot::Failure::Build)
    };
    let answered = runtime.map_err(boot::Failure::from).and_then(|runtime| runtime.block_on(work));
    told(answered.map(|answer| (answer.text, answer.sound)))
}

/// Prints what was found, and ends with whether all is well.
fn told(found: Result<(String, bool), boot::Failure>) -> ExitCode {
    match found {
        Ok((text, sound)) => {
            // Whoever reads only the beginning has read what was wanted.
            let _read = std::io::stdout().write_all(text.as_bytes());
            if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => unable(&failure.to_string()),
    }
}

fn wrong(mistakes: &[Mistake]) -> ExitCode {
    let s = if mistakes.len() == 1 { "" } else { "s" };
    eprintln!("gizad: {} mistake{s} in the settings", mistakes.len());
    mistakes.iter().for_each(|mistake| eprintln!("  {mistake}"));
    ExitCode::from(USAGE)
}

fn run(log: &telemetry::Options, work: impl Future<Output = Result<(), boot::Failure>>) -> ExitCode {
    if let Err(error) = telemetry::start(log) {
        return unable(&error.to_string());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(boot::Failure::from).and_then(|runtime| runtime.block_on(work));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!(%failure, "cannot start");
            ExitCode::FAILURE
        }
    }
}
