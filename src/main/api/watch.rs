//! Something watched: a line for what it is now, then one whenever it has changed, until nothing changes any more or somebody ends it.

use gizad::client::{Answer, Broken, Opened, Request};
use gizad::contract::Message;
use serde_json::{Map, Value as Json};

use super::cells::{Moments, cell, has_cell};
use super::send::{Sending, print};
use super::{FAILED, UNREACHABLE};

/// How many values of an item are shown.
const SHOWN: usize = 6;
/// The names of events that are no answer.
const PROBLEM: &str = "problem";
const END: &str = "end";

/// How a stream has ended.
pub(super) enum End {
    /// Nothing changes any more after this.
    Last(Json),
    /// It was refused.
    Refused(Answer),
    /// What came could not be told.
    Untold,
    /// gizad is gone, for now.
    Gone(Broken),
}

impl Sending<'_> {
    /// Watches to the end, or until gizad is gone.
    pub(super) async fn watch(&self, fields: Map<String, Json>) -> u8 {
        let request = match self.request(fields) {
            Ok(request) => request,
            Err(code) => return code,
        };
        match self.follow_stream(&request, |answer| print(&self.line(answer))).await {
            End::Last(_) => 0,
            End::Refused(answer) => self.refused(&answer),
            End::Untold => FAILED,
            End::Gone(broken) => self.gone(&broken),
        }
    }

    /// Reads a stream to its end, and tells each answer.
    pub(super) async fn follow_stream(&self, request: &Request, tell: impl Fn(&Json) -> bool) -> End {
        let mut last = Json::Null;
        let mut events = match self.client.open(request).await {
            Ok(Opened::Stream(events)) => events,
            Ok(Opened::Answer(answer)) if answer.is_success() => return End::Last(last),
            Ok(Opened::Answer(answer)) => return End::Refused(answer),
            Err(broken) => return End::Gone(broken),
        };
        loop {
            match events.next().await {
                Ok(Some(event)) if event.name == END => return End::Last(last),
                Ok(Some(event)) if event.name == PROBLEM => return End::Refused(event.problem()),
                Ok(Some(event)) if !tell(&event.data) => return End::Untold,
                Ok(Some(event)) => last = event.data,
                Ok(None) => return End::Gone(Broken::Off("the stream has ended".to_owned())),
                Err(broken) => return End::Gone(broken),
            }
        }
    }

    fn gone(&self, broken: &Broken) -> u8 {
        let (Broken::Unreachable(why) | Broken::Off(why)) = broken;
        eprintln!("gizad: {} is gone: {why}", self.place);
        UNREACHABLE
    }

    /// An answer in a line.
    fn line(&self, answer: &Json) -> String {
        if self.ways.json {
            return format!("{answer}\n");
        }
        let plan: &Message = &self.operation.output;
        let known = plan
            .fields
            .iter()
            .filter(|field| has_cell(field))
            .filter_map(|field| answer.get(&field.name).map(|json| cell(field, json, Moments::Short)));
        known.take(SHOWN).collect::<Vec<_>>().join("  ") + "\n"
    }
}
