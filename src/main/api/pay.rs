//! Something that is paid by a transfer, from its order to its money: what has to be transferred is shown, with a code for a banking
//! app, and then it is waited for. It goes on without this program, which says how to come back to it.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Arg;
use gizad::ambient;
use gizad::client::{Broken, Request};
use gizad::contract::{Comments, Field, Goal, Operation};
use gizad::settings;
use gizad::vietqr::{Picture, Transfer, payload};
use serde_json::{Map, Value as Json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use super::cells::{Moments, UNKNOWN, cell, has_cell, padded, width};
use super::names::Named;
use super::send::{KEY, Sending, print};
use super::watch::End;
use super::{FAILED, UNFINISHED, arguments, shown};

/// How long the money is waited for if nothing is said.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How long it takes until a gizad that is gone is looked for again.
const AGAIN: Duration = Duration::from_secs(1);
/// What a shell says of a program that somebody has ended with Ctrl-C.
const INTERRUPTED: u8 = 130;
/// Light parts in white on a ground that is black, whatever the colours of the terminal are; and the end of that.
const COLOURS: (&str, &str) = ("\u{1b}[38;5;231;48;5;16m", "\u{1b}[0m");

/// What a group needs for that.
pub(super) struct Payment<'a> {
    /// What orders it.
    pub(super) create: &'a Operation,
    /// What tells how it stands, until nothing changes any more.
    watch: &'a Operation,
    /// How much is paid, in the request.
    amount: &'a Field,
    /// What it leads to if it is paid.
    goal: &'a Goal,
    /// The code, in the answer.
    code: &'a Field,
}

impl<'a> Payment<'a> {
    /// That of a group, if there is something to pay in it.
    pub(super) fn of(rows: &[(Named, &'a Operation)]) -> Option<Self> {
        let create = rows.iter().map(|(_, row)| *row).find(|row| row.creates())?;
        let code = create.output.fields.iter().find(|field| field.vietqr.is_some())?;
        let amount = create.input.fields.iter().find(|field| field.is_money())?;
        let same =
            |row: &&Operation| row.watch.is_some() && row.output.descriptor == create.output.descriptor;
        let watch = rows.iter().map(|(_, row)| *row).find(same)?;
        let of = &watch.watch.as_ref()?.of;
        let goal = rows.iter().flat_map(|(_, row)| &row.goals).find(|goal| goal.of == *of)?;
        Some(Self { create, watch, amount, goal, code })
    }

    /// Its arguments: the amount by its place.
    pub(super) fn arguments(&self, comments: &Comments) -> Vec<Arg> {
        let id = arguments::id(self.amount);
        let own = |argument: Arg| {
            if *argument.get_id() == id.as_str() {
                let help = "How much, such as 500000 or 500.000: what has to be transferred is shown with a VietQR code, and then \
                            the money is waited for, for 15 minutes or `--timeout`";
                return Arg::new(id.clone()).index(1).value_name("ĐỒNG").value_parser(amount).help(help);
            }
            argument
        };
        let all = arguments::of(self.create, comments).into_iter();
        all.filter(|argument| *argument.get_id() != arguments::DATA).map(own).collect()
    }

    /// The state of what is paid.
    fn state<'b>(&self, answer: &'b Json) -> &'b str {
        answer.get(&self.goal.field).and_then(Json::as_str).unwrap_or(UNKNOWN)
    }

    fn is_paid(&self, answer: &Json) -> bool {
        let reached = self.goal.states.by_number(self.goal.reached);
        reached.is_some_and(|reached| reached.name == self.state(answer))
    }
}

/// How much, with or without dots between the thousands.
fn amount(text: &str) -> Result<i64, String> {
    let wrong = || "expected đồng such as 500000 or 500.000, or a command (see --help)".to_owned();
    let mark = text.chars().find(|c| !c.is_ascii_digit());
    let groups: Vec<&str> = match mark {
        None => vec![text],
        Some(mark @ ('.' | ',' | '_')) => text.split(mark).collect(),
        Some(_) => return Err(wrong()),
    };
    let is_grouped = match groups.split_first() {
        Some((first, rest)) if !rest.is_empty() => {
            (1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3)
        }
        Some(_) | None => true,
    };
    let amount = groups.concat().parse::<i64>().ok().filter(|amount| is_grouped && *amount > 0);
    amount.ok_or_else(wrong)
}

impl Sending<'_> {
    /// Orders it, shows it, and waits for the money.
    pub(super) async fn pay(&self, payment: &Payment<'_>, mut fields: Map<String, Json>) -> u8 {
        let key = self.key(&mut fields);
        let mut request = match Request::of(payment.create, fields) {
            Ok(request) => request,
            Err(unfit) => {
                eprintln!("gizad: {unfit}");
                return crate::USAGE;
            }
        };
        request.headers.extend(key.iter().map(|key| (KEY, key.clone())));
        let order = match self.call(&request).await {
            Ok(answer) if answer.is_success() => answer.body,
            Ok(answer) => return self.refused(&answer),
            Err(broken) => return self.broken(&broken, key.as_deref()),
        };
        if !self.shows(payment, &order) {
            return FAILED;
        }
        if !self.ways.follow {
            return 0;
        }
        self.arrives(payment, &order).await
    }

    /// Shows what has to be transferred. It was not shown if nobody could read it.
    fn shows(&self, payment: &Payment<'_>, order: &Json) -> bool {
        if self.ways.json {
            return print(&format!("{order}\n"));
        }
        let mut lines = Vec::new();
        for field in &payment.create.output.fields {
            if has_cell(field) {
                let told = cell(field, order.get(&field.name).unwrap_or(&Json::Null), Moments::Whole);
                lines.push((field.name.as_str(), told.split_whitespace().collect::<Vec<_>>().join(" ")));
            }
        }
        lines.retain(|(_, told)| told != UNKNOWN);
        let names = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let table: String =
            lines.iter().map(|(name, told)| format!("{}  {told}\n", padded(name, names, false))).collect();
        print(&table) && self.draws(payment, order)
    }

    /// Draws the code, or says why there is none.
    fn draws(&self, payment: &Payment<'_>, order: &Json) -> bool {
        let text = |name: &str| order.get(name).and_then(Json::as_str).unwrap_or_default();
        let drawn =
            Picture::Text.draw(text(&payment.code.name)).filter(|_| !text(&payment.code.name).is_empty());
        let Some(drawn) = drawn else {
            let unfit = payment.code.vietqr.as_ref().and_then(|of| {
                let amount_vnd = order.get(&of.amount).and_then(Json::as_i64);
                let (bank, account, note) = (text(&of.bank), text(&of.account), text(&of.note));
                payload(&Transfer { bank, account, amount_vnd, note }).err()
            });
            let why = unfit.map_or_else(
                || format!("it is {}, paid already, or its time is up", payment.state(order)),
                |unfit| unfit.to_string(),
            );
            eprintln!("gizad: there is no code to scan, because {why}");
            return true;
        };
        let drawn = String::from_utf8_lossy(&drawn).into_owned();
        let columns = drawn.lines().map(width).max().unwrap_or(0);
        if let Some(room) = shown::room().filter(|room| *room < columns) {
            eprintln!(
                "gizad: the code takes {columns} columns, and this terminal has {room}; over REST it is a picture, …/qr.png"
            );
            return true;
        }
        if !std::io::stdout().is_terminal() {
            return print(&drawn);
        }
        let coloured = drawn.lines().map(|line| format!("{}{line}{}\n", COLOURS.0, COLOURS.1));
        print(&coloured.collect::<String>())
    }

    /// Waits for the money.
    async fn arrives(&self, payment: &Payment<'_>, order: &Json) -> u8 {
        let variables = payment.watch.path.variables().iter();
        let fields = variables.map(|name| (name.clone(), order.get(name).cloned().unwrap_or_default()));
        let fields: Map<String, Json> = fields.collect();
        let named = Named::of(payment.watch, self.contract);
        let names: Vec<String> =
            fields.values().map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned)).collect();
        let names = super::cells::plain(&names.join(" "));
        let go_on = format!("go on with: gizad {} {} {names}", named.group, named.word);
        let request = match Request::of(payment.watch, fields) {
            Ok(request) => request,
            Err(unfit) => {
                eprintln!("gizad: it cannot be waited for: {unfit}");
                return FAILED;
            }
        };
        let time = self.ways.timeout.as_deref().and_then(|text| settings::duration(text).ok());
        // From before anything is said about it: whoever reads that may end it at once.
        let interrupts = signal(SignalKind::interrupt());
        let begun = ambient::instant();
        let until = begun + time.unwrap_or(PATIENCE);
        let ended = tokio::select! {
            ended = self.followed(&request) => Some(ended),
            () = self.tells(begun, until) => None,
            () = sleep_until(until) => None,
            () = interrupted(interrupts) => {
                self.clears();
                eprintln!("gizad: {names} stays as it is; {go_on}");
                return INTERRUPTED;
            }
        };
        self.clears();
        match ended {
            Some(Ok(last)) if payment.is_paid(&last) => {
                let amount = last.get(&payment.amount.name).unwrap_or(&Json::Null);
                let amount = cell(payment.amount, amount, Moments::Short);
                let line = format!("{}  {amount}  {names}\n", payment.state(&last));
                if self.ways.json || print(&line) { 0 } else { FAILED }
            }
            Some(Ok(last)) => {
                eprintln!("gizad: {names} is {}; nobody is to pay it any more", payment.state(&last));
                FAILED
            }
            Some(Err(code)) => code,
            None => {
                eprintln!("gizad: the money is not there yet, and may still come; {go_on}");
                UNFINISHED
            }
        }
    }

    /// How it stands at last. A gizad that is gone may come back.
    async fn followed(&self, request: &Request) -> Result<Json, u8> {
        let mut said = false;
        loop {
            let told = |answer: &Json| !self.ways.json || print(&format!("{answer}\n"));
            match self.follow_stream(request, told).await {
                End::Last(last) => return Ok(last),
                End::Refused(answer) => {
                    self.clears();
                    return Err(self.refused(&answer));
                }
                End::Untold => return Err(FAILED),
                End::Gone(Broken::Unreachable(why) | Broken::Off(why)) => {
                    if !said && !self.ways.quiet {
                        self.clears();
                        eprintln!("gizad: {} is gone, and is looked for again: {why}", self.place);
                    }
                    said = true;
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Says on a terminal again and again how long it has been waited for.
    async fn tells(&self, begun: Instant, until: Instant) {
        let time = until.saturating_duration_since(begun);
        loop {
            if self.is_watched() {
                let took = begun.elapsed();
                eprint!("\r\x1b[Kgizad: waiting for the money, {} of {}", clock(took), clock(time));
                let _shown = std::io::stderr().flush();
            }
            sleep(AGAIN).await;
        }
    }

    fn is_watched(&self) -> bool {
        !self.ways.quiet && std::io::stderr().is_terminal()
    }

    /// Takes that away again.
    fn clears(&self) {
        if self.is_watched() {
            eprint!("\r\x1b[K");
        }
    }
}

/// Waits for Ctrl-C.
async fn interrupted(interrupts: std::io::Result<Signal>) {
    match interrupts {
        Ok(mut interrupts) => drop(interrupts.recv().await),
        Err(_unheard) => std::future::pending().await,
    }
}

/// Minutes and seconds.
fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        for text in ["500000", "500.000", "500,000", "500_000"] {
            assert_eq!(amount(text), Ok(500_000), "{text}");
        }
        assert_eq!(amount("1.500.000"), Ok(1_500_000));
        for text in
            ["", "0", "-1", "creat", "500.00", "0.5", "1.5.000", "500.000,00", "500k", "5000.000", ".000"]
        {
            assert!(amount(text).is_err(), "{text}");
        }
    }
}
