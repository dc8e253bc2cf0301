//! Who streams may lose the right to it meanwhile: it is looked at again before each part.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::timeout;

use super::{Register, objection};
use crate::call::{Call, Coming, Item, Reply};
use crate::fault::{Fault, Reason};
use crate::policy::Answering;

/// How often it is looked at while nothing comes.
const AGAIN: Duration = Duration::from_secs(15);

/// The answer to a call that streams, for as long as its caller may have it.
pub(super) fn allowed(register: Arc<Register>, asked: Call, answering: Answering) -> Answering {
    Box::pin(async move {
        let reply = answering.await?;
        let news = reply.news.as_ref().map(|news| news.map(|coming| parts(register, asked, coming)));
        Ok(Reply { news, ..reply })
    })
}

fn parts(
    register: Arc<Register>,
    asked: Call,
    coming: Coming,
) -> impl Stream<Item = Result<Item, Fault>> + Send {
    let first = register.known().name(asked.clone());
    let begun = (first.caller, first.scopes);
    stream::unfold(Some((register, asked, begun, coming)), |held| async move {
        let (register, asked, begun, mut coming) = held?;
        loop {
            // Also while nothing comes: what is not told is looked at all the same, for whoever may have it.
            let next = timeout(AGAIN, coming.next()).await;
            let now = register.known().name(asked.clone());
            if let Some(fault) = objection(&now) {
                return Some((Err(fault), None));
            }
            // What is told was chosen by who it was, and what that might have, when it began.
            if (now.caller, now.scopes) != begun {
                let detail = "who calls, or what that caller may do, is not what it was when the stream began: open it again";
                return Some((Err(Fault::new(Reason::ScopeMissing, detail)), None));
            }
            match next {
                Ok(next) => return Some((next?, Some((register, asked, begun, coming)))),
                Err(_nothing_yet) => {}
            }
        }
    })
}
