//! The head of an answer, on both faces: its type, and what there is to say beside its body.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use super::{REQUEST_ID, memory, rate, standing};
use crate::call::{Content, Memory, Reply};

/// The head of a reply. The last one of a public answer is kept, because it is nearly always the next one too: to write it
/// anew costs more than all the rest of an answer from memory.
pub(super) fn head(reply: &Reply, kind: &'static str) -> HeaderMap {
    let plain = reply.limit.is_none() && reply.standing.is_none();
    match reply.memory.filter(|memory| plain && memory.public && memory.kept) {
        Some(memory) => {
            // No header shows more of its age.
            let age = Duration::from_secs(memory.age.as_secs());
            let (content, collapsed) = (reply.content.clone(), reply.collapsed);
            LAST.with(|last| {
                last.head(From { content, memory: Memory { age, ..memory }, kind, collapsed }, || {
                    write(reply, kind)
                })
            })
        }
        None => write(reply, kind),
    }
}

fn write(reply: &Reply, kind: &'static str) -> HeaderMap {
    // As many as there usually are.
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // A place for the name that each request has.
    headers.insert(REQUEST_ID, HeaderValue::from_static(""));
    memory::write(reply, &mut headers);
    if let Some(limit) = &reply.limit {
        rate::write(limit, &mut headers);
    }
    if let Some(of) = &reply.standing {
        standing::write(&of.operation, of.replayed, &mut headers);
    }
    headers
}

thread_local! {
    static LAST: Last = const { Last(RefCell::new(None)) };
}

/// All that the head of a public answer is written from.
struct From {
    content: Arc<Content>,
    memory: Memory,
    kind: &'static str,
    collapsed: bool,
}

impl PartialEq for From {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.content, &other.content)
            && (self.memory, self.kind, self.collapsed) == (other.memory, other.kind, other.collapsed)
    }
}

struct Last(RefCell<Option<(From, HeaderMap)>>);

impl Last {
    fn head(&self, from: From, write: impl FnOnce() -> HeaderMap) -> HeaderMap {
        let mut last = self.0.borrow_mut();
        match &*last {
            Some((known, head)) if *known == from => head.clone(),
            _ => last.insert((from, write())).1.clone(),
        }
    }
}
