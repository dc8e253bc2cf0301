//! One call from the command line: its key said before it is sent, the question before what spends, and an end whose code says
//! what is known.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use gizad::ambient;
use gizad::client::{Answer, Broken, Client, Request};
use gizad::contract::{Contract, Operation, Term};
use gizad::edge::columns;
use gizad::fault::Reason;
use gizad::purchase::State;
use serde_json::{Map, Value as Json};
use tokio::time::sleep;

use super::cells::{amount, plain};
use super::names::Named;
use super::{FAILED, UNFINISHED, UNKNOWN, UNREACHABLE, Ways, ask, shown};

/// The end of a call that was carried out.
const DONE: u8 = 0;
/// The header that carries a key.
pub(super) const KEY: &str = "idempotency-key";
/// The header that carries how long a call may take.
const TIMEOUT: &str = "request-timeout";
/// How long a call takes before it is said that it is waited for.
const QUIET: Duration = Duration::from_secs(1);
/// How long one look at an operation waits, and how many there are.
const LOOK: (&str, u32) = ("30s", 10);

/// A call with all it needs.
pub(super) struct Sending<'a> {
    pub(super) contract: &'a Contract,
    pub(super) operation: &'a Operation,
    pub(super) client: &'a Client,
    pub(super) ways: &'a Ways,
    pub(super) place: String,
}

impl Sending<'_> {
    /// Asks, sends and shows.
    pub(super) async fn run(&self, mut fields: Map<String, Json>) -> u8 {
        let checked = self.operation.term(Term::ValidateOnly);
        let only_checked = checked.is_some_and(|field| fields.get(&field.name) == Some(&Json::Bool(true)));
        if let Some(why) = ask::reason(self.operation).filter(|_| !only_checked && !self.ways.yes)
            && let Err(code) = self.ask(why, &mut fields).await
        {
            return code;
        }
        let key = (!only_checked).then(|| self.key(&mut fields)).flatten();
        let mut request = match self.request(fields) {
            Ok(request) => request,
            Err(code) => return code,
        };
        request.headers.extend(key.iter().map(|key| (KEY, key.clone())));
        match self.call(&request).await {
            Ok(answer) if answer.is_success() => self.succeeded(answer).await,
            Ok(answer) => self.refused(&answer),
            Err(broken) => self.broken(&broken, key.as_deref()),
        }
    }

    pub(super) fn request(&self, fields: Map<String, Json>) -> Result<Request, u8> {
        let mut request = Request::of(self.operation, fields).map_err(|unfit| {
            eprintln!("gizad: {unfit}");
            crate::USAGE
        })?;
        request.headers.extend(self.ways.timeout.iter().map(|time| (TIMEOUT, time.clone())));
        Ok(request)
    }

    /// The caller's key of what must not run twice; a new one, if none was given. It is said before anything is sent, so that
    /// whatever happens then the same can be asked again.
    pub(super) fn key(&self, fields: &mut Map<String, Json>) -> Option<String> {
        let field = self.operation.term(Term::Key).filter(|_| !self.operation.effect.is_read())?;
        if let Some(Json::String(key)) = fields.shift_remove(&field.name).filter(|key| key != "") {
            return Some(key);
        }
        let key: String = ambient::random().iter().map(|byte| format!("{byte:02x}")).collect();
        if !self.ways.quiet {
            eprintln!("gizad: the key of this call is {key}; with --key {key} it is never carried out twice");
        }
        Some(key)
    }

    /// Asks a person, with what a purchase comes to. A price that was seen is the most that is then paid.
    async fn ask(&self, why: &str, fields: &mut Map<String, Json>) -> Result<(), u8> {
        if !ask::is_attended() {
            eprintln!("gizad: {why} There is nobody to ask here; --yes says that it is meant.");
            return Err(crate::USAGE);
        }
        eprintln!("{why}");
        if let Some(checked) = self.operation.term(Term::ValidateOnly) {
            let mut asked = fields.clone();
            asked.insert(checked.name.clone(), Json::Bool(true));
            let answer = match self.call(&self.request(asked)?).await {
                Ok(answer) if answer.is_success() => answer,
                Ok(answer) => return Err(self.refused(&answer)),
                Err(broken) => return Err(self.unreached(&broken)),
            };
            let preview = answer.body.get("preview").cloned().unwrap_or_default();
            let vnd = |name: &str| preview.get(name).and_then(Json::as_i64);
            let shown = |name: &str| vnd(name).map_or_else(|| "not known".to_owned(), amount);
            eprintln!("Price: {}", shown("price_vnd"));
            eprintln!(
                "Wallet: {} now, {} afterwards",
                shown("balance_before_vnd"),
                shown("balance_after_vnd")
            );
            let objections = preview.get("objections").and_then(Json::as_array).cloned().unwrap_or_default();
            for objection in &objections {
                eprintln!("{}: {}", word(objection, "reason"), word(objection, "detail"));
            }
            if !objections.is_empty() {
                return Err(FAILED);
            }
            if let (Some(most), Some(price)) = (self.operation.term(Term::Most), vnd("price_vnd")) {
                fields.entry(most.name.clone()).or_insert_with(|| Json::from(price));
            }
        }
        if ask::agrees("Do it?") { Ok(()) } else { Err(FAILED) }
    }

    /// Sends, and says on a terminal that it is waited for.
    pub(super) async fn call(&self, request: &Request) -> Result<Answer, Broken> {
        let seen = !self.ways.quiet && std::io::stderr().is_terminal();
        let calling = self.client.call(request);
        tokio::pin!(calling);
        let (begun, mut said) = (ambient::instant(), false);
        let answer = loop {
            tokio::select! {
                answer = &mut calling => break answer,
                () = sleep(QUIET), if seen => {
                    said = true;
                    eprint!("\r\x1b[Kgizad: waiting for the answer, {} s", begun.elapsed().as_secs());
                    let _shown = std::io::stderr().flush();
                }
            }
        };
        if said {
            eprint!("\r\x1b[K");
        }
        answer
    }

    async fn succeeded(&self, answer: Answer) -> u8 {
        let state = self.recorded(&answer.body);
        let (answer, state) = match state {
            Some(State::Sending) if self.ways.follow => self.follow(answer).await,
            state => (answer, state),
        };
        let printed = if self.ways.json {
            print(&format!("{}\n", answer.body))
        } else {
            let room = if self.ways.wide { None } else { shown::room() };
            let (text, hidden) = shown::answer(self.operation, &answer.body, room);
            let printed = print(&text);
            if hidden > 0 && !self.ways.quiet {
                eprintln!("gizad: {hidden} more columns with --wide, everything with --json");
            }
            if let Some(next) =
                answer.body.get("next_page_token").and_then(Json::as_str).filter(|next| !next.is_empty())
                && !self.ways.quiet
            {
                eprintln!("gizad: there are more, with --page-token {next}");
            }
            printed
        };
        match state {
            _ if !printed => FAILED,
            Some(State::InDoubt | State::NeedsOperator) => UNKNOWN,
            Some(State::Sending | State::AwaitingApproval) => UNFINISHED,
            _ if self.is_outstanding(&answer.body) => UNFINISHED,
            _ => DONE,
        }
    }

    /// Whether it was waited for something that has not come about, which is said then.
    fn is_outstanding(&self, body: &Json) -> bool {
        let waited = body.get("waited").filter(|waited| waited.get("reached") == Some(&Json::Bool(false)));
        if let Some(waited) = waited.filter(|_| !self.ways.quiet) {
            eprintln!("gizad: it was carried out; {}", word(waited, "outstanding"));
        }
        waited.is_some()
    }

    /// Where what must not run twice stands, if that is what was asked for and this is its record.
    fn recorded(&self, body: &Json) -> Option<State> {
        let own = !self.operation.effect.is_read() && !self.operation.local;
        let named = own.then(|| body.get("state").and_then(Json::as_str)).flatten()?;
        body.get("operation_id").and_then(Json::as_str).filter(|id| !id.is_empty())?;
        State::ALL.into_iter().find(|state| state.as_str() == named)
    }

    /// Waits for the end of what is under way.
    async fn follow(&self, mut answer: Answer) -> (Answer, Option<State>) {
        let operation_id = answer.body.get("operation_id").cloned().unwrap_or_default();
        let own = &self.operation.output.descriptor;
        let looks = self
            .contract
            .operations()
            .iter()
            .find(|other| other.local && other.effect.is_read() && other.output.descriptor == *own);
        let Some(looks) = looks else { return (answer, Some(State::Sending)) };
        if !self.ways.quiet {
            eprintln!(
                "gizad: {} is under way; it goes on without this program",
                word(&answer.body, "operation_id")
            );
        }
        let mut state = Some(State::Sending);
        for _ in 0..LOOK.1 {
            let fields = looks.path.variables().iter().map(|name| (name.clone(), operation_id.clone()));
            let mut fields: Map<String, Json> = fields.collect();
            fields.insert("wait".to_owned(), Json::from(LOOK.0));
            let Ok(request) = Request::of(looks, fields) else { break };
            match self.call(&request).await {
                Ok(seen) if seen.is_success() => {
                    state = self.recorded(&seen.body);
                    answer = seen;
                }
                Ok(_) | Err(_) => break,
            }
            if state != Some(State::Sending) {
                break;
            }
        }
        (answer, state)
    }

    /// Says why a call was refused, and what to do.
    pub(super) fn refused(&self, answer: &Answer) -> u8 {
        let body = &answer.body;
        if self.ways.json {
            let _read = print(&format!("{body}\n"));
        }
        let Some(reason) = body.get("reason").and_then(Json::as_str) else {
            eprintln!(
                "gizad: {} answered HTTP {}, and not as gizad does: is it gizad?",
                self.place, answer.status
            );
            return FAILED;
        };
        eprintln!("gizad: {}: {}", plain(reason), word(body, "detail"));
        for violation in body.get("violations").and_then(Json::as_array).into_iter().flatten() {
            eprintln!("  {}: {}", word(violation, "field"), word(violation, "description"));
        }
        let known = Reason::named(reason);
        if let Some(known) = known {
            eprintln!("  what to do: {}", columns(known).advice);
        }
        if let Some(id) =
            body.get("operation").and_then(Json::as_str).and_then(|path| path.rsplit('/').next())
        {
            let look = self
                .contract
                .operations()
                .iter()
                .find(|row| row.local && row.effect.is_read() && !row.path.variables().is_empty());
            if let Some(named) = look.map(|row| Named::of(row, self.contract)) {
                eprintln!("  see it: gizad {} {} {} --wait 30s", named.group, named.word, plain(id));
            }
        }
        eprintln!("  request_id: {}", word(body, "request_id"));
        let maybe = body.get("sent").and_then(Json::as_str) == Some("maybe");
        let doubtful = matches!(known, Some(Reason::OutcomeUnknown)) || maybe;
        if doubtful && !self.operation.effect.is_repeatable() { UNKNOWN } else { FAILED }
    }

    pub(super) fn broken(&self, broken: &Broken, key: Option<&str>) -> u8 {
        let Broken::Off(why) = broken else { return self.unreached(broken) };
        if self.operation.effect.is_repeatable() {
            return self.unreached(broken);
        }
        eprintln!(
            "gizad: the connection to {} broke off, and the call may have been carried out: {why}",
            self.place
        );
        match key {
            Some(key) => {
                eprintln!("  what to do: the same again with --key {key}; it is not carried out twice")
            }
            None => eprintln!("  what to do: look at what exists before calling again"),
        }
        UNKNOWN
    }

    fn unreached(&self, broken: &Broken) -> u8 {
        let (Broken::Unreachable(why) | Broken::Off(why)) = broken;
        eprintln!("gizad: no gizad answers at {}: {why}", self.place);
        eprintln!("  what to do: start it (gizad serve), or say where it is with --url or GIZAD_URL");
        UNREACHABLE
    }
}

/// Prints an answer. It was not printed if nobody could read it, a full disk for example; whoever reads only the beginning has
/// read what was wanted.
pub(super) fn print(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => true,
        Err(error) => {
            eprintln!("gizad: the answer cannot be written: {error}");
            false
        }
    }
}

fn word(json: &Json, name: &str) -> String {
    plain(json.get(name).and_then(Json::as_str).unwrap_or("-"))
}
