//! The ledger's own keys: one that chains its entries, one that seals what they carry, one that hides what they are
//! compared by.
//!
//! All come from one random key, which is kept in the ledger, sealed with a key that comes from the account's API secret.
//! So a new API secret seals it anew, and nothing that was written before is lost.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::hmac;

use super::{Ledger, Trouble};
use crate::ambient;

/// The note that holds the ledger's own key.
pub(super) const KEY: &str = "key";
/// The length of every key, in bytes.
const LENGTH: usize = 32;

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        LENGTH
    }
}

/// The key that the ledger's own key is sealed with.
pub struct Wrap(LessSafeKey);

impl std::fmt::Debug for Wrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wrap")
    }
}

impl Wrap {
    /// Comes from a secret.
    #[must_use]
    pub fn from_secret(secret: &[u8]) -> Option<Self> {
        let prk = Salt::new(HKDF_SHA256, b"gizad ledger").extract(secret);
        sealing(&prk, b"wrap").map(Self)
    }
}

/// The ledger's own keys.
pub(super) struct Keys {
    chain: hmac::Key,
    print: hmac::Key,
    seal: LessSafeKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// New keys, and what is to be kept of them.
    pub(super) fn new(wrap: &Wrap) -> Result<(Self, Vec<u8>), Trouble> {
        let own = ambient::secret().ok_or_else(unfit)?;
        let kept = shut(&wrap.0, b"ledger key", &own).ok_or_else(unfit)?;
        Ok((Self::of(&own)?, kept))
    }

    /// The keys that were kept; and, if the secret has changed, what is to be kept instead.
    pub(super) fn open(
        kept: &[u8],
        wrap: &Wrap,
        former: Option<&Wrap>,
    ) -> Result<(Self, Option<Vec<u8>>), Trouble> {
        if let Some(own) = unshut(&wrap.0, b"ledger key", kept) {
            return Ok((Self::of(&own)?, None));
        }
        let own = former.and_then(|former| unshut(&former.0, b"ledger key", kept)).ok_or_else(|| {
            Trouble::Unfit(
                "the ledger was sealed with another API secret: give that one as credentials.former_secret_file, \
                 once, and the ledger is sealed with the present one"
                    .to_owned(),
            )
        })?;
        Ok((Self::of(&own)?, Some(shut(&wrap.0, b"ledger key", &own).ok_or_else(unfit)?)))
    }

    fn of(own: &[u8]) -> Result<Self, Trouble> {
        let prk = Salt::new(HKDF_SHA256, b"gizad ledger").extract(own);
        let signing = |info| expand(&prk, info).map(|key| hmac::Key::new(hmac::HMAC_SHA256, &key));
        let keys = (signing(b"chain"), signing(b"print"), sealing(&prk, b"seal"));
        let (Some(chain), Some(print), Some(seal)) = keys else { return Err(unfit()) };
        Ok(Self { chain, print, seal })
    }

    /// The MAC of an entry.
    pub(super) fn mac(&self, before: &[u8; 32], seq: i64, at_ms: i64, id: &str, body: &[u8]) -> [u8; 32] {
        let mut signed = hmac::Context::with_key(&self.chain);
        signed.update(before);
        signed.update(&seq.to_be_bytes());
        signed.update(&at_ms.to_be_bytes());
        signed.update(&(id.len() as u64).to_be_bytes());
        signed.update(id.as_bytes());
        signed.update(body);
        let mut mac = [0; 32];
        mac.copy_from_slice(signed.sign().as_ref());
        mac
    }

    /// A digest that only this ledger can make, of what could be guessed from a plain one.
    pub(super) fn print(&self, what: &[u8]) -> [u8; 32] {
        let mut print = [0; 32];
        print.copy_from_slice(hmac::sign(&self.print, what).as_ref());
        print
    }

    /// Seals something for an operation. Nothing of nothing.
    pub(super) fn seal(&self, id: &str, open: &[u8]) -> Vec<u8> {
        shut(&self.seal, id.as_bytes(), open).unwrap_or_default()
    }

    /// Opens what was sealed for this operation.
    pub(super) fn unseal(&self, id: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        unshut(&self.seal, id.as_bytes(), sealed)
    }
}

impl Ledger {
    /// Seals its key with another secret, so that it is opened with that one from the next start on. Nothing changes for whoever
    /// uses it now. Another writer of the same account may have done so already.
    ///
    /// # Errors
    /// When it is sealed with neither of the two, or the store has trouble. It is then sealed as it was.
    pub async fn seal_anew(&self, wrap: &Wrap, former: &Wrap) -> Result<(), Trouble> {
        let kept = self.store().note(KEY).await?.unwrap_or_default();
        let (_, anew) = Keys::open(&kept, wrap, Some(former))?;
        match anew {
            Some(anew) => self.store().set_note(KEY, &anew, Some(&kept)).await,
            None => Ok(()),
        }
    }
}

fn unfit() -> Trouble {
    Trouble::Unfit("the ledger's keys cannot be made".to_owned())
}

fn expand(prk: &Prk, info: &[u8]) -> Option<[u8; LENGTH]> {
    let mut key = [0; LENGTH];
    prk.expand(&[info], Length).ok()?.fill(&mut key).ok()?;
    Some(key)
}

fn sealing(prk: &Prk, info: &[u8]) -> Option<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, &expand(prk, info)?).ok()?;
    Some(LessSafeKey::new(key))
}

/// The nonce, and the sealed bytes behind it. A random nonce of 96 bits is safe for four thousand million of them (NIST SP
/// 800-38D, section 8.3).
fn shut(key: &LessSafeKey, of: &[u8], open: &[u8]) -> Option<Vec<u8>> {
    let nonce: [u8; NONCE_LEN] = ambient::secret()?.get(..NONCE_LEN)?.try_into().ok()?;
    let mut sealed = open.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(of), &mut sealed).ok()?;
    Some([&nonce[..], &sealed].concat())
}

fn unshut(key: &LessSafeKey, of: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::assume_unique_for_key(nonce.try_into().ok()?);
    let mut open = sealed.to_vec();
    key.open_in_place(nonce, Aad::from(of), &mut open).ok().map(|open| open.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_its_own_key_for_its_own_operation() {
        let wrap = |secret: &[u8]| Wrap::from_secret(secret).expect("a key");
        let (keys, kept) = Keys::new(&wrap(b"one")).expect("keys");
        let sealed = keys.seal("op_1", b"hidden");
        assert!(!sealed.windows(6).any(|part| part == b"hidden"));
        assert_eq!(keys.unseal("op_1", &sealed).as_deref(), Some(&b"hidden"[..]));
        assert_eq!(keys.unseal("op_2", &sealed), None);

        let (again, anew) = Keys::open(&kept, &wrap(b"one"), None).expect("the same");
        assert!(anew.is_none());
        assert_eq!(again.unseal("op_1", &sealed).as_deref(), Some(&b"hidden"[..]));
        assert!(Keys::open(&kept, &wrap(b"two"), None).is_err());
        let (_, anew) = Keys::open(&kept, &wrap(b"two"), Some(&wrap(b"one"))).expect("by the former");
        let (moved, _) = Keys::open(&anew.expect("sealed anew"), &wrap(b"two"), None).expect("by the new");
        assert_eq!(moved.unseal("op_1", &sealed).as_deref(), Some(&b"hidden"[..]));
        assert_eq!(moved.print(b"x"), keys.print(b"x"));
    }
}
