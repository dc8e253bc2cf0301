//! Who streams may lose the right to it meanwhile: it is looked at again before each part.

use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};

use super::{Register, objection};
use crate::call::{Call, Coming, Item, Reply};
use crate::fault::Fault;
use crate::policy::Answering;

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
    stream::unfold(Some((register, asked, coming)), |held| async move {
        let (register, asked, mut coming) = held?;
        let next = coming.next().await?;
        match objection(&register.known().name(asked.clone())) {
            Some(fault) => Some((Err(fault), None)),
            None => Some((next, Some((register, asked, coming)))),
        }
    })
}
