//! Why a purchase is not begun.

use std::time::Duration;

use crate::fault::{Fault, Reason, Sent};
use crate::ledger::Trouble;
use crate::purchase::{Record, State};

/// When a ledger that failed may be tried again.
const SOON: Duration = Duration::from_secs(5);

/// The ledger cannot say what is known of a key.
pub(super) fn unread(trouble: &Trouble) -> Fault {
    let detail = "the record of purchases cannot be read: this call sent nothing, but one before it may have; call again, \
                  with the same key";
    let fault = Fault { retry_after: Some(SOON), ..Fault::new(Reason::LedgerUnavailable, detail) };
    fault.sent(Sent::Maybe).with_private(trouble.to_string())
}

pub(super) fn unwritten(trouble: &Trouble) -> Fault {
    let detail = match trouble {
        Trouble::Full(_) => "there is no room to write the purchase down, so it was not sent",
        Trouble::Taken | Trouble::Unfit(_) | Trouble::Failed(_) => {
            "the record of purchases cannot be written, so nothing was sent"
        }
    };
    let fault = Fault { retry_after: Some(SOON), ..Fault::new(Reason::LedgerUnavailable, detail) };
    fault.with_private(trouble.to_string())
}

/// Its turn was lost with a connection, and another purchase came between the look at the account and this.
pub(super) fn outrun() -> Fault {
    let detail = "the connection to the record of purchases was lost while the account was looked at, and another purchase came \
                  first; nothing was sent";
    Fault { retry_after: Some(SOON), ..Fault::new(Reason::LedgerUnavailable, detail) }
}

pub(super) fn impossible(state: State) -> Fault {
    Fault::new(Reason::Internal, format!("an operation cannot be begun in {}", state.as_str()))
}

pub(super) fn key_reused(record: &Record) -> Fault {
    let detail = format!("this key belongs to another request, which is {}", record.id);
    Fault { operation: Some(record.id.as_str().into()), ..Fault::new(Reason::KeyReused, detail) }
}

/// Another caller's operation is not named: that it exists is not for everyone to know more of.
pub(super) fn twin_in_doubt(twin: &Record, caller: &str) -> Fault {
    let own = twin.caller == caller;
    let who = if own { twin.id.as_str() } else { "an operation of another caller" };
    let detail = format!(
        "{who} asks for the same and may have been carried out; find out what became of it before asking again"
    );
    let operation = own.then(|| twin.id.as_str().into());
    Fault { operation, ..Fault::new(Reason::TwinInDoubt, detail) }
}
