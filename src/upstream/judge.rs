//! Did it work? The rules by which an answer is judged, in the order they are asked; the first that fits
//! decides and is named.
//!
//! Refusal is looked for before success, and what fits no rule is never a success. A new habit of the provider
//! is a row in one of the tables of this room.

mod message;
mod pages;
#[cfg(test)]
mod properties;
mod signals;

use serde_json::Value as Json;

use super::lanes::Received;
use super::reading::{Reading, read};
use crate::contract::{Effect, Kind, Operation, Shape, fold};
use crate::fault::{Fault, Judged, ProviderMessage, Reason, Sent};

pub use message::Words;
use signals::Signals;

/// Whether a folded name belongs to the envelope and not to the thing asked for.
pub(super) fn is_envelope(name: &str) -> bool {
    Signals::is_envelope(name)
}

/// Whether a member, under its folded name, has said all it has to say once the answer was judged.
pub(super) fn is_spent(name: &str, json: &Json) -> bool {
    Signals::is_spent(name, json)
}

/// Whether a folded name holds words for a person.
pub(super) fn is_message(name: &str) -> bool {
    message::NAMES.contains(&name)
}

/// An answer that was judged a success.
#[derive(Clone, Debug)]
pub(super) struct Success {
    /// What it says.
    pub(super) tree: Json,
    /// The rule that decided.
    pub(super) rule: &'static str,
    /// Whether the provider has not finished.
    pub(super) pending: bool,
    /// Whether the answer says outright that it worked. A bare object only might.
    pub(super) explicit: bool,
    /// Whether something stood around the answer that does not belong there.
    pub(super) noisy: bool,
    /// The provider's own words.
    pub(super) message: Option<ProviderMessage>,
}

/// From how many characters on a folded word of a state is a phrase.
const PHRASE: usize = 11;

/// What a judgement depends on besides the answer.
pub(super) struct Judge<'a> {
    /// What was asked.
    pub(super) operation: &'a Operation,
    /// What a call of it does to the world.
    pub(super) effect: Effect,
    /// The words that name reasons.
    pub(super) words: &'a Words,
}

impl Judge<'_> {
    /// Judges an answer. `scrub` takes the credentials out of whatever is shown.
    pub(super) fn judge(
        &self,
        received: &Received,
        scrub: impl Fn(&str) -> String,
        scrub_tree: impl Fn(&mut Json),
    ) -> Result<Success, Fault> {
        let reading = read(&received.body);
        if let Some(found) = pages::judge(received, &reading, &scrub) {
            let words = match &reading {
                Reading::Tree { json: Json::Object(members), .. } => message::of(members),
                _ => None,
            };
            let words = words.and_then(|words| ProviderMessage::clean(&scrub(&words)));
            let fault = Fault { detail: found.detail, ..self.fault(found.reason, found.rule, received) };
            let fault = Fault { retry_after: received.retry_after, ..with_message(fault, words) };
            return Err(doubted(self.effect, fault.sent(found.sent)));
        }
        let Reading::Tree { mut json, noisy } = reading else {
            return Err(self.unrecognised(
                "not_an_answer",
                received,
                "the answer is no value".to_owned(),
                None,
            ));
        };
        scrub_tree(&mut json);
        let success = self.tree(received, json, &scrub)?;
        if noisy && !self.effect.is_read() {
            let what = "there was something around the answer, so it is not believed".to_owned();
            return Err(self.unrecognised("noisy_answer", received, what, success.message));
        }
        Ok(Success { noisy, ..success })
    }

    fn tree(
        &self,
        received: &Received,
        tree: Json,
        scrub: &impl Fn(&str) -> String,
    ) -> Result<Success, Fault> {
        let Json::Object(members) = &tree else { return self.bare(received, tree) };
        let signals = Signals::of(self.operation, members);
        let message = message::of(members).and_then(|text| ProviderMessage::clean(&scrub(&text)));
        let failed = received.status >= 400;

        if let Some(rule) = signals.contradiction() {
            return Err(self.unrecognised(
                rule,
                received,
                "the answer contradicts itself".to_owned(),
                message,
            ));
        }
        if failed && signals.says_success() {
            let what = format!("HTTP {} came with a success", received.status);
            return Err(self.unrecognised("status_contradiction", received, what, message));
        }
        let refusal = signals.refusal.or((400..500).contains(&received.status).then_some("http_4xx"));
        if let Some(rule) = refusal {
            if !failed && self.is_pending(members, message.as_ref()) {
                let (rule, noisy) = ("pending_state", false);
                return Ok(Success { tree, rule, pending: true, explicit: true, noisy, message });
            }
            return Err(self.refused(rule, received, message));
        }
        if failed {
            let fault = self.fault(Reason::UpstreamFailed, "http_5xx", received);
            return Err(doubted(self.effect, with_message(fault, message).sent(Sent::Maybe)));
        }
        let (rule, explicit) = match (signals.pending, signals.success) {
            (Some(rule), _) | (None, Some(rule)) => (rule, true),
            (None, None) => ("bare_object", false),
        };
        // Without a word of success, a word that nobody knows or that names a reason is one too many.
        let named =
            || message.as_ref().is_some_and(|m| self.words.reason(m.as_str()) != Reason::UpstreamRefused);
        if !explicit && !self.effect.is_repeatable() && (signals.unknown || named()) {
            let what = "the answer does not say that it worked".to_owned();
            return Err(self.unrecognised("no_success_signal", received, what, message));
        }
        Ok(Success { tree, rule, pending: signals.pending.is_some(), explicit, noisy: false, message })
    }

    /// A list or a scalar without anything around it.
    fn bare(&self, received: &Received, tree: Json) -> Result<Success, Fault> {
        let listed = matches!(self.operation.answer.shape, Shape::List | Shape::Item | Shape::Raw);
        if tree.is_array() && listed && received.status < 400 {
            return Ok(Success {
                tree,
                rule: "bare_list",
                pending: false,
                explicit: false,
                noisy: false,
                message: None,
            });
        }
        let what =
            if tree.is_array() { "a bare list came where none was asked for" } else { "a bare value came" };
        Err(self.unrecognised("bare_value", received, what.to_owned(), None))
    }

    /// Whether a failure only means "not yet": the operation has a state that does, and the answer is in it.
    fn is_pending(&self, members: &serde_json::Map<String, Json>, message: Option<&ProviderMessage>) -> bool {
        if !self.effect.is_read() {
            return false;
        }
        let states = self.operation.told().fields.iter().filter_map(|field| match &field.kind {
            Kind::Enum(states) => Some(states.values.iter().filter(|state| state.pending)),
            _ => None,
        });
        let words: Vec<&String> = states.flatten().flat_map(|state| &state.words).collect();
        let state = |name: &str| matches!(fold(name).as_str(), "status" | "state" | "paymentstatus");
        if let Some(Json::String(state)) = members.iter().find(|(name, _)| state(name)).map(|(_, json)| json)
        {
            return words.iter().any(|word| **word == fold(state));
        }
        // In a sentence only phrases count: "vui lòng chờ" says nothing of a payment.
        let phrase = |word: &&&String| word.chars().count() >= PHRASE;
        message.is_some_and(|message| {
            let text = fold(message.as_str());
            let unnamed = self.words.reason(message.as_str()) == Reason::UpstreamRefused;
            unnamed && words.iter().filter(phrase).any(|word| text.contains(word.as_str()))
        })
    }

    /// A refusal, with the reason its words or its status name.
    fn refused(&self, rule: &'static str, received: &Received, message: Option<ProviderMessage>) -> Fault {
        let named = message.as_ref().map_or(Reason::UpstreamRefused, |m| self.words.reason(m.as_str()));
        let reason = match (named, rule) {
            (Reason::UpstreamRefused, "uid_minus_one") => Reason::UpstreamAuthFailed,
            (Reason::UpstreamRefused, _) => by_status(received.status),
            (named, _) => named,
        };
        let silent = format!("the provider refused and did not say why (HTTP {})", received.status);
        let fault = with_message(Fault { detail: silent, ..self.fault(reason, rule, received) }, message);
        let fault = Fault { retry_after: received.retry_after, ..fault };
        // A server error may come after the work: for what must not run twice it proves nothing.
        if received.status >= 500 && !self.effect.is_repeatable() {
            return doubted(self.effect, fault.sent(Sent::Maybe));
        }
        fault.sent(Sent::Answered)
    }

    /// An answer that fits no rule.
    pub(super) fn unrecognised(
        &self,
        rule: &'static str,
        received: &Received,
        what: String,
        message: Option<ProviderMessage>,
    ) -> Fault {
        let fault = self.fault(Reason::UpstreamShapeUnknown, rule, received);
        let answer = fault.answer.map(|answer| Judged { message, ..answer });
        doubted(self.effect, Fault { detail: what, answer, ..fault }.sent(Sent::Maybe))
    }

    fn fault(&self, reason: Reason, rule: &'static str, received: &Received) -> Fault {
        let answer = Judged { rule, status: Some(received.status), message: None };
        let detail = format!("the provider answered HTTP {}", received.status);
        Fault { answer: Some(answer), ..Fault::new(reason, detail) }
    }
}

/// For what must not run twice, everything that is not certain is an unknown outcome and nothing else.
pub(super) fn doubted(effect: Effect, fault: Fault) -> Fault {
    if effect.is_repeatable() || fault.sent != Sent::Maybe {
        return fault;
    }
    let detail = format!(
        "the request was sent and its outcome is unknown ({}: {}); look before calling again",
        fault.reason.as_str(),
        fault.detail
    );
    // When to try again is for the account's pace to know; who reads an unknown outcome must not.
    let beneath = Some(fault.reason);
    Fault { reason: Reason::OutcomeUnknown, detail, beneath, ..fault }
}

/// The provider's own words are the detail of its refusal.
fn with_message(fault: Fault, message: Option<ProviderMessage>) -> Fault {
    let detail = match &message {
        Some(message) => format!("the provider says: {}", message.as_str()),
        None => fault.detail.clone(),
    };
    Fault { detail, answer: fault.answer.map(|answer| Judged { message, ..answer }), ..fault }
}

/// What a status means when nothing else names the reason of a refusal.
fn by_status(status: u16) -> Reason {
    match status {
        401 => Reason::UpstreamAuthFailed,
        402 => Reason::InsufficientBalance,
        403 => Reason::NotOwned,
        404 => Reason::NotFound,
        400 | 422 => Reason::InvalidArgument,
        _ => Reason::UpstreamRefused,
    }
}
