//! The program: what was asked for on the command line is done.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the program that talks to a person")]

#[path = "main/api.rs"]
mod api;
#[path = "main/cli.rs"]
mod cli;
#[path = "main/doctor.rs"]
mod doctor;

use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser as _};
use gizad::boot::{self, Handed, Logged, Probe, Signals};
use gizad::call::{Scope, Token};
use gizad::contract::Contract;
use gizad::ledger::Filter;
use gizad::records::{self, Question};
use gizad::settings::{self, Flags, Mistake, Settings, Source};
use gizad::telemetry;

use cli::{Asked, Audited, Cli, Command, Given, Wanted};

/// A wrong command line or a wrong setting (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;
/// How long a running gizad is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    telemetry::hush_panics();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // The commands of the API are only built where one may be meant: a daemon starts without them.
    let own = arguments.get(1).and_then(|word| word.to_str());
    let own = own.is_some_and(|word| Cli::command().find_subcommand(word).is_some());
    if own {
        return match Cli::try_parse_from(arguments) {
            Ok(cli) => carry_out(cli.command),
            Err(error) => misread(&error),
        };
    }
    with_contract(|contract| match whole(contract).try_get_matches_from(arguments) {
        Ok(matches) => match matches.subcommand() {
            Some((group, inner)) if api::is_group(contract, group) => api::run(contract, group, inner),
            _ => match Cli::from_arg_matches(&matches) {
                Ok(cli) => carry_out(cli.command),
                Err(error) => misread(&error),
            },
        },
        Err(error) => misread(&error),
    })
}

/// All commands, with those of the API.
fn whole(contract: &Contract) -> clap::Command {
    Cli::command().subcommands(api::commands(contract))
}

fn misread(error: &clap::Error) -> ExitCode {
    let _printed = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

fn carry_out(command: Command) -> ExitCode {
    match command {
        Command::Serve { secret: Some(_), .. } => {
            eprintln!(
                "gizad: the secret is not taken from the command line, where every user of the machine can read it.\n\
                 Give it as GIZAD_CREDENTIALS_SECRET, or as a file in credentials.secret_file. And consider this \
                 one known: have it replaced."
            );
            ExitCode::from(USAGE)
        }
        Command::Serve { given, sandbox, listen, socket, admin_listen, record, replay, secret: None } => {
            let addresses = vec![
                ("listen.api", listen),
                ("listen.socket", socket),
                ("listen.admin", admin_listen),
                ("upstream.record", record),
                ("sandbox.replay", replay),
            ];
            let flags = flags(given, sandbox, addresses);
            let environment = match boot::conceal().and_then(|()| own_environment()) {
                Ok(environment) => environment,
                Err(why) => return unable(&why),
            };
            let handed = Handed::take(settings::manager());
            serve(Source { flags, environment }, handed)
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
        Command::Health { given, live, timeout, admin_listen } => {
            let flags = flags(given, false, vec![("listen.admin", admin_listen)]);
            match Settings::load_admin(&flags, &settings::variables()) {
                Ok(address) => health(address, if live { Probe::Live } else { Probe::Ready }, timeout),
                Err(mistakes) => wrong(&mistakes),
            }
        }
        Command::LogLevel { given, filter, time, reset, admin_listen } => {
            let flags = flags(given, false, vec![("listen.admin", admin_listen)]);
            let wanted = filter.map(|filter| Logged::Filter(filter, time));
            let wanted = wanted.unwrap_or(if reset { Logged::Usual } else { Logged::Shown });
            match Settings::load_admin(&flags, &settings::variables()) {
                Ok(address) => log_level(address, wanted),
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
        Command::Doctor { given, sandbox, calibrate, shapes, json } => {
            let flags = flags(given, sandbox, Vec::new());
            let asked = doctor::Asked { calibrate, shapes, json };
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(doctor::run(&flags, &settings::variables(), asked)),
                Err(error) => unable(&error.to_string()),
            }
        }
        Command::Token { wanted: Wanted::New { name, scopes } } => token(&name, &scopes),
        Command::Routes => with_contract(|contract| {
            print!("{}", contract.table());
            ExitCode::SUCCESS
        }),
        Command::Completions { shell } => with_contract(|contract| {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut whole(contract), "gizad", &mut text);
            told(Ok((String::from_utf8_lossy(&text).into_owned(), true)))
        }),
        Command::Man { folder } => with_contract(|contract| {
            let made = std::fs::create_dir_all(&folder);
            match made.and_then(|()| clap_mangen::generate_to(whole(contract), &folder)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => unable(&format!("{}: {error}", folder.display())),
            }
        }),
    }
}

fn with_contract(work: impl FnOnce(&'static Contract) -> ExitCode) -> ExitCode {
    match Contract::embedded() {
        Ok(contract) => work(contract),
        Err(defects) => {
            defects.iter().for_each(|defect| eprintln!("gizad: {defect}"));
            ExitCode::FAILURE
        }
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

fn health(address: SocketAddr, probe: Probe, time: Duration) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map(|runtime| runtime.block_on(boot::health(address, probe, time))) {
        Ok(Ok(what)) => {
            // On standard error, too, where whoever looks at a probe looks.
            eprintln!("gizad: {what}");
            ExitCode::SUCCESS
        }
        Ok(Err(unwell)) => unable(&unwell.to_string()),
        Err(error) => unable(&error.to_string()),
    }
}

fn log_level(address: SocketAddr, wanted: Logged) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map(|runtime| runtime.block_on(boot::log_level(address, wanted, PATIENCE))) {
        Ok(Ok(what)) => {
            println!("{what}");
            ExitCode::SUCCESS
        }
        Ok(Err(unwell)) => unable(&unwell.to_string()),
        Err(error) => unable(&error.to_string()),
    }
}

fn wrong(mistakes: &[Mistake]) -> ExitCode {
    let s = if mistakes.len() == 1 { "" } else { "s" };
    eprintln!("gizad: {} mistake{s} in the settings", mistakes.len());
    mistakes.iter().for_each(|mistake| eprintln!("  {mistake}"));
    ExitCode::from(USAGE)
}

/// How long what runs on a thread of its own may take when everything else has ended.
const LAST: Duration = Duration::from_secs(1);

fn serve(source: Source, handed: Handed) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return unable(&error.to_string()),
    };
    let code = runtime.block_on(serving(source, handed));
    runtime.shutdown_timeout(LAST);
    code
}

async fn serving(source: Source, handed: Handed) -> ExitCode {
    // Before anything that takes time: a signal that nobody listens to ends the process.
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return unable(&error.to_string()),
    };
    let (settings, origin) = match signals.unless_asked(boot::load(source)).await {
        None => return ExitCode::SUCCESS,
        Some(Err(mistakes)) => return wrong(&mistakes),
        Some(Ok(loaded)) => loaded,
    };
    if let Err(error) = telemetry::start(&settings.log) {
        return unable(&error.to_string());
    }
    match boot::serve(settings, origin, signals, handed).await {
        Ok(end) => ExitCode::from(end.code()),
        Err(failure) => {
            tracing::error!(%failure, "cannot start");
            ExitCode::FAILURE
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_commands_fit_together() {
        // Two options of one name, or a command that is one of the daemon's, would be found here.
        let whole = whole(Contract::embedded().expect("sound"));
        let mut names: Vec<String> =
            whole.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
        whole.debug_assert();
    }
}
