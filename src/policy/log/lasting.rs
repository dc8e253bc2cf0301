//! The line of a stream, which is written when it ends, whoever ends it.

use futures_util::{Stream, StreamExt as _, stream};

use super::Line;
use crate::call::{Coming, Item, Reply};
use crate::fault::Fault;

/// The same stream, with the line of its call written at its end, and with what it began with if that ends well.
pub(super) fn until_its_end(
    coming: Coming,
    line: Line,
    begun: Result<Reply, Fault>,
) -> impl Stream<Item = Result<Item, Fault>> + Send {
    stream::unfold((coming, line, begun), |(mut coming, mut line, begun)| async move {
        match coming.next().await {
            Some(Ok(item)) => Some((Ok(item), (coming, line, begun))),
            Some(Err(fault)) => {
                line.finish(&Err(fault.clone()));
                Some((Err(fault), (coming, line, begun)))
            }
            None => {
                if !line.finished {
                    line.finish(&begun);
                }
                None
            }
        }
    })
}
