//! Who somebody means to be, and who is at the other end of the connection, as far as that is proven.
//!
//! Absent here: whether anybody knows them.

use std::fmt;
use std::sync::Arc;

use super::Token;

/// What comes with a call, before anybody has looked at it.
#[derive(Clone, Debug, Default)]
pub struct Presented {
    /// The token that was sent with it.
    pub token: Option<Token>,
    /// What its connection proves.
    pub peer: Peer,
}

/// The other end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Peer {
    /// Anybody: an address proves nothing, not even that of this machine.
    #[default]
    Unproven,
    /// A process of this machine.
    Process(Process),
    /// Whoever has the key of a certificate that was verified.
    Certificate(Arc<Certificate>),
}

/// A process, as the kernel saw it when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its user.
    pub uid: u32,
    /// Its primary group; the kernel tells no other.
    pub gid: u32,
    /// Whether gizad runs as that user, too.
    pub is_own: bool,
}

/// Whom a certificate names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its SPIFFE ID, if it is an X.509-SVID.
    pub spiffe: Option<String>,
    /// Its subject, as RFC 4514 writes it.
    pub subject: String,
}

impl Presented {
    /// Whether nothing at all says who it is.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.token.is_none() && self.peer == Peer::Unproven
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the user with the uid {} and the gid {}", self.uid, self.gid)
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.spiffe {
            Some(id) => write!(f, "the certificate of {id}"),
            None => write!(f, "the certificate of \"{}\"", self.subject),
        }
    }
}
