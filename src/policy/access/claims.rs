//! Callers that are known by their connection instead of a token: by the user of a process, by a certificate.
//!
//! Absent here: how such a thing is proven.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Grant;
use crate::call::{Peer, Process};

/// What a caller is known by. No two callers claim the same.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// Users of this machine.
    pub uids: Vec<u32>,
    /// Primary groups of such users.
    pub gids: Vec<u32>,
    /// SPIFFE IDs of certificates.
    pub spiffe: Vec<String>,
    /// Subjects of certificates, as RFC 4514 writes them.
    pub subjects: Vec<String>,
}

type Callers = BTreeMap<Arc<str>, Grant>;

/// The caller at the other end, by what says most about it: a user before a group, an ID before a subject. Nobody's group
/// makes somebody else of the user that gizad runs as.
pub(super) fn claimant<'a>(callers: &'a Callers, peer: &Peer) -> Option<(&'a Arc<str>, &'a Grant)> {
    let by = |claims: &dyn Fn(&Claims) -> bool| callers.iter().find(|(_, grant)| claims(&grant.claims));
    match peer {
        Peer::Unproven => None,
        Peer::Process(Process { uid, gid, is_own }) => by(&|claims| claims.uids.contains(uid))
            .or_else(|| by(&|claims| claims.gids.contains(gid)).filter(|_| !is_own)),
        Peer::Certificate(certificate) => {
            let spiffe = certificate.spiffe.as_ref();
            spiffe
                .and_then(|id| by(&|claims| claims.spiffe.contains(id)))
                .or_else(|| by(&|claims| claims.subjects.contains(&certificate.subject)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Certificate;

    fn callers() -> Callers {
        let ids = |ids: &[u32]| ids.to_vec();
        let names = |name: &str| vec![name.to_owned()];
        let claims = [
            ("user", Claims { uids: ids(&[1000, 1001]), ..Claims::default() }),
            ("group", Claims { gids: ids(&[50]), ..Claims::default() }),
            ("svid", Claims { spiffe: names("spiffe://a.b/ci"), ..Claims::default() }),
            ("subject", Claims { subjects: names("CN=ci"), ..Claims::default() }),
        ];
        let grant = |claims| Grant { claims, ..Grant::default() };
        claims.into_iter().map(|(name, claims)| (name.into(), grant(claims))).collect()
    }

    fn found(peer: &Peer) -> Option<String> {
        claimant(&callers(), peer).map(|(name, _)| name.to_string())
    }

    #[test]
    fn a_process_is_known_by_its_user_and_then_by_its_group() {
        let process = |uid, gid, is_own| found(&Peer::Process(Process { uid, gid, is_own }));
        for (uid, gid, is_own, caller) in [
            (1000, 1, false, Some("user")),
            (1001, 50, false, Some("user")),
            (1000, 50, true, Some("user")),
            (7, 50, false, Some("group")),
            (7, 50, true, None),
            (7, 1000, false, None),
            (50, 7, false, None),
            (0, 0, false, None),
        ] {
            assert_eq!(process(uid, gid, is_own).as_deref(), caller, "{uid} {gid}");
        }
        assert_eq!(found(&Peer::Unproven), None);
    }

    #[test]
    fn a_certificate_is_known_by_its_id_and_then_by_its_subject() {
        for (spiffe, subject, caller) in [
            (Some("spiffe://a.b/ci"), "CN=ci", Some("svid")),
            (Some("spiffe://a.b/other"), "CN=ci", Some("subject")),
            (None, "CN=ci", Some("subject")),
            (None, "CN=ci,O=x", None),
            (None, "spiffe://a.b/ci", None),
            (Some("CN=ci"), "", None),
        ] {
            let certificate = Certificate { spiffe: spiffe.map(str::to_owned), subject: subject.to_owned() };
            assert_eq!(found(&Peer::Certificate(Arc::new(certificate))).as_deref(), caller, "{subject}");
        }
    }
}
