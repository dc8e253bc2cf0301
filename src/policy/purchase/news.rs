//! Operations as a stream: those that have not ended, and then each whenever something has happened to it.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream;
use prost_reflect::DynamicMessage;
use tokio::time::timeout;

use super::desk::Desk;
use super::local::{LOOK_AGAIN, RECORDED, seen_by};
use super::refused::unwritten;
use super::shown;
use crate::call::{Call, Content, Item, News, Reply};
use crate::contract::Term;
use crate::fault::{Fault, Reason};
use crate::ledger::{Filter, Ledger};

/// A stream under way.
struct Following {
    desk: Arc<Desk>,
    ledger: Ledger,
    caller: Option<String>,
    /// Up to which place of the ledger everything was told; nothing before the first.
    after: Option<i64>,
    ready: VecDeque<Item>,
    ended: bool,
}

/// Answers with the stream that a call asks for.
pub(super) fn answer(desk: Arc<Desk>, ledger: Ledger, call: &Call) -> Reply {
    let had = call.operation.term(Term::After).map(|field| &field.descriptor);
    let had = had.filter(|field| call.request.has_field(field));
    let following = Following {
        caller: seen_by(call),
        after: had.and_then(|field| call.request.get_field(field).as_i64()),
        ready: VecDeque::new(),
        ended: false,
        desk,
        ledger,
    };
    let news = stream::unfold(following, |mut following| async move {
        if following.ended {
            return None;
        }
        let next = following.next().await;
        following.ended = next.is_err();
        Some((next, following))
    });
    let empty = DynamicMessage::new(call.operation.output.descriptor.clone());
    Reply { news: Some(News::new(news)), ..Reply::new(empty, RECORDED, false) }
}

impl Following {
    async fn next(&mut self) -> Result<Item, Fault> {
        let mut written = self.desk.announcements();
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(item);
            }
            written.mark_unchanged();
            // The place first: what happens between the two is told once more, and never missed.
            let head = self.ledger.head().await.map_err(|trouble| unwritten(&trouble))?;
            let filter = Filter {
                caller: self.caller.clone(),
                open: self.after.is_none().then_some(true),
                behind: self.after,
                ..Filter::default()
            };
            let records = self.ledger.list(&filter).await.map_err(|trouble| unwritten(&trouble))?;
            // The list has the newest first; a stream tells the oldest first.
            self.ready = records
                .iter()
                .rev()
                .map(|record| {
                    let message = shown::resource(self.desk.contract, &self.ledger, record);
                    Item { content: Arc::new(Content::new(message)), id: None }
                })
                .collect();
            // Whoever has the last of them has them all.
            if let Some(last) = self.ready.back_mut() {
                last.id = Some(head.place().to_string().into());
            }
            self.after = Some(head.place());
            if !self.ready.is_empty() {
                continue;
            }
            if self.desk.is_closing() {
                return Err(Fault::new(Reason::ShuttingDown, "gizad is stopping"));
            }
            let _either = timeout(LOOK_AGAIN, written.changed()).await;
        }
    }
}
