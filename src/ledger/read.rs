//! What the rows of the ledger's tables mean.

use super::store::{Entry, Kept, Row};
use crate::database::{Cells, Trouble, unexpected};

/// A place and the MAC there.
pub(super) fn place(mut cells: Cells) -> Result<(i64, [u8; 32]), Trouble> {
    Ok((cells.number()?, mac(&mut cells)?))
}

pub(super) fn entry(mut cells: Cells) -> Result<Entry, Trouble> {
    Ok(Entry {
        seq: cells.number()?,
        at_ms: cells.number()?,
        id: cells.text()?,
        body: cells.bytes()?,
        mac: mac(&mut cells)?,
    })
}

pub(super) fn kept(mut cells: Cells) -> Result<Kept, Trouble> {
    let row = Row {
        id: cells.text()?,
        caller: cells.text()?,
        key: cells.maybe_text()?,
        operation: cells.text()?,
        state: cells.text()?,
        open: cells.number()? != 0,
        sending: cells.number()? != 0,
        owner: cells.text()?,
        held_vnd: cells.number()?,
        posted_vnd: cells.number()?,
        day: cells.number()?,
        month: cells.number()?,
        created_ms: cells.number()?,
        changed_ms: cells.number()?,
    };
    Ok(Kept { row, seq: cells.number()?, body: cells.bytes()? })
}

fn mac(cells: &mut Cells) -> Result<[u8; 32], Trouble> {
    cells.bytes()?.try_into().map_err(|_| unexpected("32 bytes"))
}
