//! Whether a call may begin, given what the ledger knows: a key that was used before, a twin that is in doubt.

use super::planted;
use super::record::{Record, State};

/// What a call asks for.
#[derive(Clone, Debug)]
pub struct Want<'a> {
    /// The digest of the operation and its parameters.
    pub fingerprint: &'a [u8],
    /// What the evidence of it would be about.
    pub identity: &'a [u8],
    /// Whether it takes money.
    pub spends: bool,
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Admission {
    /// It is new.
    Begin,
    /// It was proven that the attempt before it was not sent, so there may be another.
    Again(Box<Record>),
    /// It is, or was, this operation.
    Same(Box<Record>),
    /// The key was used for something else.
    KeyReused(Box<Record>),
    /// This operation asks for the same and may have been carried out.
    TwinInDoubt(Box<Record>),
}

/// Decides, given the record that has the caller's key, if there is one, and the operations that have not ended.
#[must_use]
pub fn admit(want: &Want<'_>, same_key: Option<&Record>, open: &[Record]) -> Admission {
    let other = |record: &Record| record.fingerprint != want.fingerprint && !planted!(BodyNotInFingerprint);
    let boxed = |record: &Record| Box::new(record.clone());
    match same_key {
        Some(record) if sends_again(record) => return Admission::Again(boxed(record)),
        Some(record) if other(record) => return Admission::KeyReused(boxed(record)),
        Some(record) if record.state() == State::NotSent => {
            // Between the attempts somebody else may have asked for the same.
            return match twin(want, &record.id, open) {
                Some(twin) => Admission::TwinInDoubt(boxed(twin)),
                None => Admission::Again(boxed(record)),
            };
        }
        Some(record) => return Admission::Same(boxed(record)),
        None => {}
    }
    match twin(want, "", open) {
        Some(twin) => Admission::TwinInDoubt(boxed(twin)),
        None => Admission::Begin,
    }
}

/// Never, unless that mistake was planted.
pub(super) fn sends_again(record: &Record) -> bool {
    let state = record.state();
    (state.is_last() && planted!(KeyForgotten))
        || (state == State::Sending && planted!(LockExpires))
        || (state == State::Absent && planted!(AbsentSendsAgain))
}

/// An operation in doubt that asks for the same, or for what would look the same. Whoever calls: it is one account.
fn twin<'a>(want: &Want<'_>, own: &str, open: &'a [Record]) -> Option<&'a Record> {
    if !want.spends || planted!(NoTwinGuard) {
        return None;
    }
    open.iter().find(|other| {
        let alike = other.fingerprint == want.fingerprint || other.identity == want.identity;
        other.id != own && other.spends && other.state().is_doubtful() && alike
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(state: State) -> Record {
        Record {
            id: "op".into(),
            fingerprint: vec![1],
            identity: vec![2],
            spends: true,
            state: state.into(),
            ..Record::default()
        }
    }

    fn admitted(fingerprint: u8, identity: u8, same_key: Option<&Record>, open: &[Record]) -> Admission {
        let (fingerprint, identity) = ([fingerprint], [identity]);
        admit(&Want { fingerprint: &fingerprint, identity: &identity, spends: true }, same_key, open)
    }

    #[test]
    fn a_key_stands_for_one_request() {
        for state in State::ALL {
            let record = record(state);
            let same = admitted(1, 2, Some(&record), &[]);
            match state {
                State::NotSent => assert!(matches!(same, Admission::Again(_))),
                _ => assert!(matches!(same, Admission::Same(_)), "{state:?}"),
            }
            assert!(matches!(admitted(9, 2, Some(&record), &[]), Admission::KeyReused(_)), "{state:?}");
        }
    }

    #[test]
    fn a_new_key_does_not_help_while_the_same_is_in_doubt() {
        for state in State::ALL {
            let open = [record(state)];
            for (fingerprint, identity) in [(1, 2), (1, 9), (9, 2)] {
                let twin = matches!(admitted(fingerprint, identity, None, &open), Admission::TwinInDoubt(_));
                assert_eq!(twin, state.is_doubtful(), "{state:?}");
            }
            assert_eq!(admitted(9, 9, None, &open), Admission::Begin);
        }
    }

    #[test]
    fn another_attempt_is_looked_at_like_a_new_call() {
        let mine = record(State::NotSent);
        let open = [mine.clone(), Record { id: "other".into(), ..record(State::InDoubt) }];
        assert!(matches!(admitted(1, 2, Some(&mine), &open), Admission::TwinInDoubt(_)));
    }
}
