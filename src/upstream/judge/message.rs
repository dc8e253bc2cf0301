//! The provider's own words: where they stand, and which reason they name. Words only ever name the reason of
//! an answer that is a refusal already; they never make one a success.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::super::value;
use crate::contract::fold;
use crate::fault::Reason;

/// Members that hold words for a person, in order of preference.
pub(super) const NAMES: [&str; 13] = [
    "message",
    "msg",
    "errormessage",
    "errormsg",
    "error",
    "errors",
    "err",
    "warning",
    "statusmsg",
    "donemsg",
    "messages",
    "detail",
    "reason",
];

/// The words that name a reason, without accents. The first row that fits decides.
const WORDS: &[(Reason, &[&str])] = &[
    (
        Reason::InsufficientBalance,
        &[
            "so du khong du",
            "khong du so du",
            "khong du tien",
            "insufficient balance",
            "insufficient funds",
            "insufficient credit",
            "insufficient point",
            "not enough",
        ],
    ),
    (
        Reason::UpstreamAuthFailed,
        &[
            "authentication failed",
            "authorize failed",
            "invalid key",
            "invalid api key",
            "invalid secret",
            "invalid api secret",
            "invalid identifier",
            "invalid token",
            "invalid credential",
            "sai thong tin xac thuc",
            "key khong hop le",
            "unauthorized",
        ],
    ),
    (Reason::UpstreamIpNotAllowed, &["invalid ip", "forbidden ip", "ip not allowed", "ip khong duoc phep"]),
    (
        Reason::NotFound,
        &["not found", "khong tim thay", "khong ton tai", "does not exist", "incorrect order id"],
    ),
    (Reason::NotOwned, &["not owned", "khong thuoc", "khong co quyen"]),
    (Reason::InvalidArgument, &["thieu", "bat buoc", "khong hop le", "invalid", "required", "must be"]),
    // Not "trung" alone: a "trung tâm" is a data centre.
    (Reason::AlreadyExists, &["da ton tai", "already exists", "bi trung", "trung lap", "trung ten"]),
    (Reason::OutOfStock, &["het hang", "het ip", "out of stock", "could not allocate"]),
    (Reason::Busy, &["dang xu ly", "dang thuc hien", "locked", "another action", "in progress"]),
    (Reason::ServiceExpired, &["het han", "expired", "suspended", "tam khoa"]),
    (Reason::UpstreamRateLimited, &["too many requests", "qua nhieu", "thu lai sau", "rate limit", "1015"]),
    (Reason::UpstreamMaintenance, &["bao tri", "maintenance", "nang cap he thong"]),
];

/// The table of words, with the operator's own rows before it.
#[derive(Clone, Debug, Default)]
pub struct Words {
    added: Vec<(Reason, Vec<String>)>,
}

impl Words {
    /// Adds rows: words under the reason they name.
    ///
    /// # Errors
    /// The names that are no reason a provider can have.
    pub fn with(rows: &BTreeMap<String, Vec<String>>) -> Result<Self, Vec<String>> {
        let mut added = Vec::new();
        let mut unknown = Vec::new();
        for (name, words) in rows {
            match WORDS.iter().find(|(reason, _)| reason.as_str() == name) {
                Some((reason, _)) => added.push((*reason, words.iter().map(|word| bare(word)).collect())),
                None => unknown.push(name.clone()),
            }
        }
        if unknown.is_empty() { Ok(Self { added }) } else { Err(unknown) }
    }

    /// The reasons that words can name.
    pub fn reasons() -> impl Iterator<Item = &'static str> {
        WORDS.iter().map(|(reason, _)| reason.as_str())
    }

    /// Whether a word is one of those that name reasons.
    pub(in super::super) fn has(&self, word: &str) -> bool {
        let word = bare(word);
        let is = |phrase: &str| phrase.split(' ').any(|part| part == word);
        self.added.iter().any(|(_, words)| words.iter().any(|phrase| is(phrase)))
            || WORDS.iter().any(|(_, words)| words.iter().any(|phrase| is(phrase)))
    }

    /// The reason a message names.
    pub(super) fn reason(&self, message: &str) -> Reason {
        let text = bare(message);
        let own = self.added.iter().find(|(_, words)| words.iter().any(|word| says(&text, word)));
        let usual = || WORDS.iter().find(|(_, words)| words.iter().any(|word| says(&text, word)));
        own.map(|(reason, _)| *reason)
            .or_else(|| usual().map(|(reason, _)| *reason))
            .unwrap_or(Reason::UpstreamRefused)
    }
}

/// Whether a text has a word at the beginning of a word of its own: "invalid ip" is not in "invalid iphone"…
/// but "insufficient point" is in "insufficient points".
fn says(text: &str, word: &str) -> bool {
    let starts =
        |at: usize| at == 0 || text.as_bytes().get(at - 1).is_some_and(|b| !b.is_ascii_alphanumeric());
    let ends = |at: usize| match text.as_bytes().get(at) {
        None => true,
        Some(b's') => text.as_bytes().get(at + 1).is_none_or(|b| !b.is_ascii_alphanumeric()),
        Some(b) => !b.is_ascii_alphanumeric(),
    };
    text.match_indices(word).any(|(at, _)| starts(at) && ends(at + word.len()))
}

/// Lower case, without accents, one space between words.
pub(in super::super) fn bare(text: &str) -> String {
    let letters = text.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
    let plain: String = letters.map(|c| if c == 'đ' { 'd' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words for a person in an answer, also one level down.
pub(super) fn of(members: &Map<String, Json>) -> Option<String> {
    let here = NAMES.iter().find_map(|wanted| {
        let named = members.iter().filter(|(name, _)| fold(name) == *wanted);
        named.filter_map(|(_, json)| words(json)).next()
    });
    here.or_else(|| match members.get("data") {
        Some(Json::Object(inner)) => inner
            .iter()
            .find(|(name, _)| matches!(fold(name).as_str(), "message" | "msg"))
            .and_then(|(_, json)| words(json)),
        _ => None,
    })
}

/// The words in a member: a text, or the texts in a list or an object.
fn words(json: &Json) -> Option<String> {
    let joined = |items: Vec<String>| (!items.is_empty()).then(|| items.join("; "));
    match json {
        Json::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Json::Number(_) => value::text(json).filter(|text| text != "0"),
        Json::Array(items) => joined(items.iter().filter_map(words).collect()),
        Json::Object(members) => match members.get("message") {
            Some(message) => words(message),
            None => joined(members.values().filter_map(words).collect()),
        },
        Json::String(_) | Json::Null | Json::Bool(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_reasons_in_both_languages_and_any_composition() {
        let words = Words::default();
        for (message, reason) in [
            ("Không đủ số dư", Reason::InsufficientBalance),
            ("So\u{302}\u{301} du\u{31b} kho\u{302}ng đu\u{309}", Reason::InsufficientBalance),
            ("Insufficient Points", Reason::InsufficientBalance),
            ("Invalid API key", Reason::UpstreamAuthFailed),
            ("Invalid IP 203.0.113.9", Reason::UpstreamIpNotAllowed),
            ("Client ID Not Found", Reason::NotFound),
            ("Dịch vụ không thuộc tài khoản này", Reason::NotOwned),
            ("Thiếu tham số planid", Reason::InvalidArgument),
            ("Hostname đã tồn tại", Reason::AlreadyExists),
            ("Tên máy bị trùng", Reason::AlreadyExists),
            ("Trung tâm dữ liệu từ chối", Reason::UpstreamRefused),
            ("Hết hàng", Reason::OutOfStock),
            ("Đang xử lý", Reason::Busy),
            ("Dịch vụ đã hết hạn", Reason::ServiceExpired),
            ("Quá nhiều yêu cầu", Reason::UpstreamRateLimited),
            ("Hệ thống đang bảo trì", Reason::UpstreamMaintenance),
            ("Database error: SQLSTATE…", Reason::UpstreamRefused),
        ] {
            assert_eq!(words.reason(message), reason, "{message}");
        }
    }

    #[test]
    fn an_operators_words_come_first() {
        let rows = BTreeMap::from([("OUT_OF_STOCK".to_owned(), vec!["Không tìm thấy node".to_owned()])]);
        let words = Words::with(&rows).expect("a known reason");
        assert_eq!(words.reason("Không tìm thấy NODE trống"), Reason::OutOfStock);
        assert_eq!(Words::default().reason("Không tìm thấy NODE trống"), Reason::NotFound);
        let wrong = BTreeMap::from([("INTERNAL".to_owned(), vec![])]);
        assert_eq!(Words::with(&wrong).err(), Some(vec!["INTERNAL".to_owned()]));
    }
}
