//! The command line.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the program that talks to a person")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use gizad::boot;
use gizad::contract::Contract;
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
    /// Prints every operation: method, path, RPC, action and effect.
    Routes,
}

#[derive(Args)]
struct Given {
    /// A file of settings; deploy/gizad.toml lists all.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
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
        Command::Serve { given, sandbox, listen, admin_listen, secret: None } => {
            let addresses = vec![("listen.api", listen), ("listen.admin", admin_listen)];
            let flags = flags(given, sandbox, addresses);
            let load = || Settings::load(&flags, &settings::environment());
            match load() {
                Ok(settings) => run(&settings.log.clone(), boot::serve(settings, load)),
                Err(mistakes) => wrong(&mistakes),
            }
        }
        Command::Sandbox { given, listen, control } => {
            let addresses = vec![("sandbox.listen", listen), ("sandbox.control", control)];
            match Settings::load_sandbox(&flags(given, true, addresses), &settings::environment()) {
                Ok((options, log)) => run(&log, boot::sandbox(options)),
                Err(mistakes) => wrong(&mistakes),
            }
        }
        Command::Check { given, sandbox } => {
            let (flags, environment) = (flags(given, sandbox, Vec::new()), settings::environment());
            print!("{}", Settings::shown(&flags, &environment));
            match Settings::load(&flags, &environment) {
                Ok(_) => ExitCode::SUCCESS,
                Err(mistakes) => wrong(&mistakes),
            }
        }
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

fn flags(given: Given, sandbox: bool, addresses: Vec<(&'static str, Option<String>)>) -> Flags {
    let set = addresses.into_iter().filter_map(|(path, address)| Some((path, address?)));
    Flags { config: given.config, set: set.collect(), sandbox }
}

fn wrong(mistakes: &[Mistake]) -> ExitCode {
    let s = if mistakes.len() == 1 { "" } else { "s" };
    eprintln!("gizad: {} mistake{s} in the settings", mistakes.len());
    mistakes.iter().for_each(|mistake| eprintln!("  {mistake}"));
    ExitCode::from(USAGE)
}

fn run(log: &telemetry::Options, work: impl Future<Output = Result<(), boot::Failure>>) -> ExitCode {
    if let Err(error) = telemetry::start(log) {
        eprintln!("gizad: {error}");
        return ExitCode::FAILURE;
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
