//! Something watched: a line for what it is now, then one whenever it has changed, until nothing changes any more or somebody ends it.

use gizad::client::{Broken, Opened};
use gizad::contract::{Field, Kind, Message};
use serde_json::{Map, Value as Json};

use super::cells::{Moments, cell};
use super::send::{Sending, print};
use super::{FAILED, UNREACHABLE};

/// How many values of an item are shown.
const SHOWN: usize = 6;
/// The names of events that are no answer.
pub(super) const PROBLEM: &str = "problem";
pub(super) const END: &str = "end";

impl Sending<'_> {
    /// Watches to the end, or until gizad is gone.
    pub(super) async fn watch(&self, fields: Map<String, Json>) -> u8 {
        let request = match self.request(fields) {
            Ok(request) => request,
            Err(code) => return code,
        };
        let mut events = match self.client.open(&request).await {
            Ok(Opened::Stream(events)) => events,
            Ok(Opened::Answer(answer)) if answer.is_success() => return 0,
            Ok(Opened::Answer(answer)) => return self.refused(&answer),
            Err(broken) => return self.gone(&broken),
        };
        loop {
            let event = match events.next().await {
                Ok(Some(event)) => event,
                Ok(None) => return self.gone(&Broken::Off("the stream has ended".to_owned())),
                Err(broken) => return self.gone(&broken),
            };
            match event.name.as_str() {
                END => return 0,
                PROBLEM => return self.refused(&event.problem()),
                _ => {
                    if !print(&self.line(&event.data)) {
                        return FAILED;
                    }
                }
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
        let is_cell = |field: &&Field| {
            !matches!(field.kind, Kind::Message(_) | Kind::Struct | Kind::Any) && field.vietqr.is_none()
        };
        let known = plan
            .fields
            .iter()
            .filter(is_cell)
            .filter_map(|field| answer.get(&field.name).map(|json| cell(field, json, Moments::Short)));
        known.take(SHOWN).collect::<Vec<_>>().join("  ") + "\n"
    }
}
