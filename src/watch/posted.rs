//! What one replica has seen, as it is written down for the others.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use prost_reflect::DynamicMessage;

use super::look::{Sight, What, name};
use crate::ambient;
use crate::call::Content;
use crate::contract::Operation;
use crate::fault::{Fault, Judged, ProviderMessage, Reason, Sent};
use crate::shared::Reading;

/// All of it: one sight or two that were seen in a row, and why nothing could be seen the last time.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Posted {
    #[prost(message, repeated, tag = "1")]
    pub(super) sights: Vec<Look>,
    #[prost(message, optional, tag = "2")]
    trouble: Option<Refusal>,
}

/// One sight.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Look {
    /// What tells it from all others.
    #[prost(fixed64, tag = "1")]
    pub(super) id: u64,
    /// When it was asked for, by the server's clock.
    #[prost(int64, tag = "2")]
    pub(super) asked_ms: i64,
    #[prost(oneof = "Shown", tags = "3, 4")]
    shown: Option<Shown>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Shown {
    /// The message, as protobuf.
    #[prost(bytes, tag = "3")]
    There(Vec<u8>),
    #[prost(message, tag = "4")]
    Gone(Refusal),
}

/// A fault, as far as others are concerned.
#[derive(Clone, PartialEq, Message)]
struct Refusal {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    detail: String,
    #[prost(string, tag = "3")]
    rule: String,
    #[prost(string, tag = "4")]
    words: String,
    #[prost(uint32, tag = "5")]
    status: u32,
}

impl Refusal {
    fn of(fault: &Fault) -> Self {
        let answer = fault.answer.as_ref();
        let words = answer.and_then(|answer| answer.message.as_ref()).map(ProviderMessage::as_str);
        Self {
            reason: fault.reason.as_str().to_owned(),
            detail: fault.detail.clone(),
            rule: answer.map(|answer| answer.rule.to_owned()).unwrap_or_default(),
            words: words.unwrap_or_default().to_owned(),
            status: answer.and_then(|answer| answer.status).map(u32::from).unwrap_or_default(),
        }
    }

    /// What it says. Of a reason that only a newer gizad knows nothing is known.
    fn fault(&self) -> Option<Fault> {
        let reason = Reason::named(&self.reason)?;
        let fault = Fault::new(reason, self.detail.clone());
        if self.rule.is_empty() {
            return Some(fault);
        }
        let answer = Judged {
            rule: Judged::known(&self.rule),
            status: u16::try_from(self.status).ok().filter(|status| *status > 0),
            message: ProviderMessage::clean(&self.words),
        };
        Some(Fault { answer: Some(answer), ..fault }.sent(Sent::Answered))
    }
}

impl Look {
    fn of(sight: &Sight, asked_ms: i64) -> Self {
        let [id, _] = bytes(ambient::random());
        let shown = match &sight.what {
            What::There(content, _) => Shown::There(content.message().encode_to_vec()),
            What::Gone(fault) => Shown::Gone(Refusal::of(fault)),
        };
        Self { id, asked_ms, shown: Some(shown) }
    }

    /// What was seen, on this replica's own clock; nothing if it was seen before this moment's `longest`, or cannot be read.
    pub(super) fn sight(
        &self,
        operation: &'static Operation,
        reading: &Reading,
        longest: Duration,
    ) -> Option<Sight> {
        let asked = reading.here(self.asked_ms)?;
        let age = asked.elapsed();
        if age > longest {
            return None;
        }
        let what = match self.shown.as_ref()? {
            Shown::There(bytes) => {
                let message =
                    DynamicMessage::decode(operation.output.descriptor.clone(), bytes.as_slice()).ok()?;
                let name = name(&message);
                What::There(Arc::new(Content::new(message)), name)
            }
            Shown::Gone(refusal) => What::Gone(refusal.fault()?),
        };
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        Some(Sight { asked, at_ms: ambient::unix_millis().saturating_sub(age_ms), what })
    }
}

/// Two numbers of sixteen bytes.
fn bytes(random: [u8; 16]) -> [u64; 2] {
    let both = u128::from_ne_bytes(random);
    [both, both >> 64].map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or_default())
}

impl Posted {
    /// Adds what a look has brought that was begun at this time of the server's.
    pub(super) fn add(&mut self, looked: &Result<Sight, Fault>, asked_ms: i64) {
        match looked {
            Ok(sight) => {
                let last = self.sights.pop();
                self.sights = last.into_iter().chain([Look::of(sight, asked_ms)]).collect();
                self.trouble = None;
            }
            Err(fault) => self.trouble = Some(Refusal::of(fault)),
        }
    }

    /// Why nothing could be seen the last time.
    pub(super) fn trouble(&self) -> Option<Fault> {
        self.trouble.as_ref().and_then(Refusal::fault)
    }

    /// When the last of it was asked for.
    pub(super) fn asked_ms(&self) -> i64 {
        self.sights.last().map_or(0, |look| look.asked_ms)
    }
}
