//! The operations of the contract as commands: one group a resource, one command an operation, each field an argument. All of it
//! is read from the rows, so what the API has the command line has.

#[path = "api/arguments.rs"]
mod arguments;
#[path = "api/ask.rs"]
mod ask;
#[path = "api/cells.rs"]
mod cells;
#[path = "api/names.rs"]
mod names;
#[path = "api/pay.rs"]
mod pay;
#[path = "api/send.rs"]
mod send;
#[path = "api/shown.rs"]
mod shown;
#[path = "api/watch.rs"]
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use gizad::client::Client;
use gizad::contract::{Comments, Contract, Operation};
use gizad::settings::{self, Flags, Mistake, Reach};

use names::Named;
use pay::Payment;

/// The call was refused or failed, and what became of it is known.
pub(super) const FAILED: u8 = 1;
/// It may have been carried out.
pub(super) const UNKNOWN: u8 = 3;
/// No gizad could be reached.
pub(super) const UNREACHABLE: u8 = 4;
/// It was taken and has not ended yet.
pub(super) const UNFINISHED: u8 = 5;

/// The heading of what every call takes.
const EVERY: &str = "Options of every call";

/// What was asked for beside the fields of the request.
struct Ways {
    json: bool,
    wide: bool,
    quiet: bool,
    yes: bool,
    follow: bool,
    timeout: Option<String>,
}

/// One group of commands.
struct Group<'a> {
    name: String,
    about: String,
    rows: Vec<(Named, &'a Operation)>,
}

impl<'a> Group<'a> {
    /// What the group does when nothing more is said: its one thing, or its list.
    fn usual(&self) -> Option<&(Named, &'a Operation)> {
        let free = |(_, operation): &&(Named, &Operation)| {
            operation.effect.is_read() && operation.path.variables().is_empty() && operation.watch.is_none()
        };
        let named = |word: &str| self.rows.iter().filter(free).find(|(named, _)| named.word == word);
        named("get").or_else(|| named("list"))
    }
}

/// The groups, in the order of the contract.
fn groups<'a>(contract: &'a Contract, comments: &Comments) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for operation in contract.all() {
        let named = Named::of(operation, contract);
        match groups.iter_mut().find(|group| group.name == named.group) {
            Some(group) => group.rows.push((named, operation)),
            None => {
                // A resource with a service of its own is described by the service, another by itself.
                let by = if named.has_service {
                    operation.service.as_str()
                } else {
                    operation.output.descriptor.full_name()
                };
                let about = first(comments.of(by)).to_owned();
                groups.push(Group { name: named.group.clone(), about, rows: vec![(named, operation)] });
            }
        }
    }
    groups
}

/// The first paragraph of a comment.
fn first(comment: &str) -> &str {
    comment.split("\n\n").next().unwrap_or_default()
}

/// All of them as commands.
pub(super) fn commands(contract: &Contract) -> Vec<Command> {
    let comments = Comments::embedded();
    // Behind those of the daemon.
    let mut order = 100;
    let mut commands = Vec::new();
    for group in groups(contract, &comments) {
        let mut command = Command::new(group.name.clone())
            .about(group.about.trim_end_matches('.').to_owned())
            .args(common());
        command = match group.usual() {
            // By itself the group is that command, with its options; what stands before another command would be lost.
            Some((named, operation)) => command
                .after_help(format!("Without a command: {}.", named.word))
                .args(arguments::of(operation, &comments))
                .args_conflicts_with_subcommands(true),
            // By itself it is paid: `deposit 500000`.
            None => match Payment::of(&group.rows) {
                Some(payment) => command
                    .args(payment.arguments(&comments))
                    .args_conflicts_with_subcommands(true)
                    .arg_required_else_help(true),
                None => command.subcommand_required(true).arg_required_else_help(true),
            },
        };
        order += 1;
        command = command.display_order(order);
        for (named, operation) in &group.rows {
            let told = comments.of(&operation.grpc_path.trim_start_matches('/').replace('/', ".")).to_owned();
            let mut one = Command::new(named.word.clone())
                .about(first(&told).trim_end_matches('.').to_owned())
                .long_about(told.clone())
                .after_help(format!(
                    "{} {} ({}, {})",
                    operation.verb,
                    operation.path.template(),
                    operation.name,
                    operation.effect
                ))
                .args(arguments::of(operation, &comments));
            if let Some(other) = &named.other {
                one = one.visible_alias(other.clone());
            }
            command = command.subcommand(one);
        }
        commands.push(command);
    }
    commands
}

/// What every call takes.
fn common() -> Vec<Arg> {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).action(ArgAction::SetTrue).global(true).help_heading(EVERY)
    };
    let given = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).global(true).help_heading(EVERY)
    };
    let file = |name, help| given(name, "FILE", help).value_parser(clap::value_parser!(PathBuf));
    vec![
        flag("json", "Prints the answer of the API as it came"),
        flag("wide", "Prints all columns of a table, whatever the width of the terminal"),
        flag("quiet", "Prints nothing but the answer and errors").short('q'),
        flag("yes", "Asks nothing before a call that spends, interrupts or destroys").short('y'),
        flag("no-follow", "Does not wait for the end of what was only begun"),
        given("timeout", "TIME", "How long the call may take, such as 30s").value_parser(arguments::time),
        given(
            "url",
            "URL",
            "Where gizad is, such as http://127.0.0.1:7070 or unix:/run/gizad/gizad.sock [env: GIZAD_URL] [default: its \
             socket if there is one, otherwise listen.api]",
        ),
        file(
            "token-file",
            "A file with the caller's token [env: GIZAD_TOKEN_FILE, or the token itself in GIZAD_TOKEN]",
        ),
        file(
            "ca-file",
            "A file with certificates to trust beside those of the browsers [env: GIZAD_CA_FILE]",
        ),
        file("config", "Settings that say where gizad listens"),
    ]
}

/// Whether a command is one of these.
pub(super) fn is_group(contract: &Contract, name: &str) -> bool {
    contract.operations().iter().any(|operation| Named::of(operation, contract).group == name)
}

/// Carries out what was asked for.
pub(super) fn run(contract: &Contract, group: &str, matches: &ArgMatches) -> ExitCode {
    let comments = Comments::embedded();
    let Some(group) = groups(contract, &comments).into_iter().find(|found| found.name == group) else {
        return super::unable("there is no such command");
    };
    let (word, inner) = matches.subcommand().map_or((None, matches), |(word, inner)| (Some(word), inner));
    let reach = Reach {
        url: inner.get_one::<String>("url").cloned(),
        token_file: inner.get_one::<PathBuf>("token-file").cloned(),
        ca_file: inner.get_one::<PathBuf>("ca-file").cloned(),
    };
    let flags = Flags { config: inner.get_one::<PathBuf>("config").cloned(), ..Flags::default() };
    let options = match reach.read(&flags, &settings::variables()) {
        Ok(options) => options,
        Err(mistakes) => return told(&mistakes),
    };
    let client = match Client::new(&options) {
        Ok(client) => client,
        Err(why) => return super::unable(&why),
    };
    let ways = Ways {
        json: inner.get_flag("json"),
        wide: inner.get_flag("wide"),
        quiet: inner.get_flag("quiet"),
        yes: inner.get_flag("yes"),
        follow: !inner.get_flag("no-follow"),
        timeout: inner.get_one::<String>("timeout").cloned(),
    };
    let payment = Payment::of(&group.rows).filter(|_| word.is_none());
    let row = match word {
        Some(word) => group.rows.iter().find(|(named, _)| named.word == word),
        None => group.usual(),
    };
    let row = row.map(|(_, operation)| *operation).or(payment.as_ref().map(|payment| payment.create));
    let Some(operation) = row else { return super::unable("there is no such command") };
    match arguments::read(operation, inner) {
        Ok(fields) => {
            let sending = send::Sending {
                contract,
                operation,
                client: &client,
                ways: &ways,
                place: options.place.to_string(),
            };
            match payment {
                Some(payment) => finish(sending.pay(&payment, fields)),
                None if operation.watch.is_some() => finish(sending.watch(fields)),
                None => finish(sending.run(fields)),
            }
        }
        Err(why) => {
            eprintln!("gizad: {why}");
            ExitCode::from(super::USAGE)
        }
    }
}

fn finish(work: impl Future<Output = u8>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // A question to the terminal that nobody answers must not keep the program.
            runtime.shutdown_timeout(Duration::ZERO);
            ExitCode::from(code)
        }
        Err(error) => super::unable(&error.to_string()),
    }
}

fn told(mistakes: &[Mistake]) -> ExitCode {
    mistakes.iter().for_each(|mistake| eprintln!("gizad: {mistake}"));
    ExitCode::from(super::USAGE)
}
