//! What of an exchange is written down: kinds, states, amounts, moments and identifiers as they are; everything that may be
//! somebody's as a mark that is the same wherever the same stood, and means nothing to anybody.
//!
//! A text is masked unless there is a reason to keep it, and not the other way round.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value as Json};

use super::super::judge::{self, Words};
use super::super::{decode, shape};
use crate::ambient;
use crate::contract::{Effect, Field, Kind, Message, Operation, fold};

/// What every mark begins with. Whoever plays a recording knows by it that anything may stand there.
const MARK: char = '~';
/// From how many digits on a number may be a telephone's or an account's.
const LONG: usize = 9;
/// From how many on it may be a code, where nobody knows what it is.
const SHORT: usize = 4;
/// Seconds since 1970 that are moments of this century.
const MOMENTS: std::ops::Range<i64> = 946_684_800..4_102_444_800;
/// The fields whose texts are nobody's.
const OPEN: [&str; 5] = ["billing_cycle", "currency", "kind", "operating_systems", "plan_name"];
/// Parts of names that hold secrets, whatever the contract says of them, folded.
const SECRET: [&str; 14] = [
    "pass",
    "token",
    "secret",
    "licen",
    "serial",
    "otp",
    "cookie",
    "session",
    "vnc",
    "apikey",
    "privatekey",
    "authcode",
    "matkhau",
    "login",
];
/// Whole names of them.
const SECRETS: [&str; 3] = ["pin", "pw", "pwd"];
/// Names of what says whether it worked, folded.
const VERDICTS: [&str; 6] = ["code", "ok", "result", "state", "status", "success"];
/// Words of answers and pages that are nobody's, folded; beside those that name reasons.
const COMMON: [&str; 26] = [
    "ok", "vps", "ticket", "order", "payment", "invoice", "action", "server", "error", "success", "done",
    "website", "warning", "notice", "doctype", "html", "json", "đã", "số", "lỗi", "không", "máy", "hệ",
    "dịch", "mật", "nginx",
];

/// Makes marks, in a way of its own for each recording.
pub(super) struct Mask {
    key: [u8; 32],
}

/// What is known of the exchange that is masked.
#[derive(Clone)]
pub(super) struct View<'a> {
    words: &'a Words,
    /// Whether it is everybody's.
    public: bool,
    /// Whether all of it is a credential.
    secret: bool,
    /// Whether nobody knows what its parameters are.
    unnamed: bool,
    /// Names of secrets, states, amounts, what is open, and of anything that the contract knows; folded.
    secrets: BTreeSet<String>,
    states: BTreeSet<String>,
    amounts: BTreeSet<String>,
    open: BTreeSet<String>,
    known: BTreeSet<String>,
}

impl<'a> View<'a> {
    pub(super) fn of(operation: &Operation, effect: Effect, words: &'a Words) -> Self {
        let mut view = Self {
            words,
            public: effect == Effect::Public,
            secret: effect == Effect::Secret,
            unnamed: operation.upstream.name_from.is_some(),
            secrets: BTreeSet::new(),
            states: BTreeSet::new(),
            amounts: BTreeSet::new(),
            open: BTreeSet::new(),
            known: operation.answer.wrappers.iter().cloned().collect(),
        };
        view.gather(operation.told());
        for field in &operation.input.fields {
            let names: Vec<String> = field.sent_as.iter().map(|name| fold(name)).collect();
            view.note(field, &names);
        }
        view
    }

    fn gather(&mut self, message: &Message) {
        for field in &message.fields {
            self.note(field, &field.read_as);
            if let Kind::Message(inner) = &field.kind {
                self.gather(inner);
            }
        }
    }

    fn note(&mut self, field: &Field, names: &[String]) {
        let options = field.descriptor.options();
        let hidden =
            options.get_field_by_name("debug_redact").and_then(|flag| flag.as_bool()).unwrap_or_default();
        let kinds = [
            (hidden && !field.is_extra(), &mut self.secrets),
            (matches!(field.kind, Kind::Enum(_)), &mut self.states),
            (field.is_money(), &mut self.amounts),
            (OPEN.contains(&field.name.as_str()), &mut self.open),
            (true, &mut self.known),
        ];
        for (_, set) in kinds.into_iter().filter(|(is, _)| *is) {
            set.extend(names.iter().cloned());
        }
    }

    fn is_secret(&self, key: &str) -> bool {
        self.secret
            || self.secrets.contains(key)
            || SECRETS.contains(&key)
            || SECRET.iter().any(|part| key.contains(part))
    }

    /// From how many digits on a number under a name is somebody's.
    fn longest(&self, key: &str) -> usize {
        if self.is_known(key) { LONG } else { SHORT }
    }

    fn is_known(&self, name: &str) -> bool {
        let folded = fold(name);
        self.known.contains(&folded)
            || judge::is_envelope(&folded)
            || judge::is_message(&folded)
            || decode::is_wrapper(&folded)
    }
}

impl Mask {
    /// Nothing, if the system has no randomness.
    pub(super) fn new() -> Option<Self> {
        Some(Self { key: ambient::secret()? })
    }

    /// A mark for a text.
    fn mark(&self, text: &str) -> String {
        let mut keyed = self.key.to_vec();
        keyed.extend_from_slice(text.as_bytes());
        let digest = digest(&SHA256, &keyed);
        let hex = digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}"));
        std::iter::once(MARK.to_string()).chain(hex).collect()
    }

    /// A parameter of a request.
    pub(super) fn parameter(&self, name: &str, json: &Json, view: &View<'_>) -> Json {
        let key = fold(name);
        if view.unnamed && !json.is_number() && !json.is_boolean() {
            return Json::String(self.mark(&json.to_string()));
        }
        // What a caller has to say of the catalog is everybody's; a read of credentials is asked for openly.
        let open = View { secret: false, ..view.clone() };
        self.walk(json, &key, &open, &|text| text.to_owned())
    }

    /// The tree of an answer.
    pub(super) fn tree(&self, json: &Json, view: &View<'_>, scrub: &impl Fn(&str) -> String) -> Json {
        self.walk(json, "", view, scrub)
    }

    fn walk(&self, json: &Json, key: &str, view: &View<'_>, scrub: &impl Fn(&str) -> String) -> Json {
        match json {
            Json::Object(members) => {
                let mut masked = Map::new();
                for (name, json) in members {
                    let kept = view.public
                        || view.is_known(name)
                        || shape::name(name, &|_| false) == name
                        || is_short(name);
                    let shown = if kept { name.clone() } else { self.mark(name) };
                    masked.insert(shown, self.walk(json, &fold(name), view, scrub));
                }
                Json::Object(masked)
            }
            Json::Array(items) => {
                Json::Array(items.iter().map(|item| self.walk(item, key, view, scrub)).collect())
            }
            Json::String(text) => Json::String(self.text(&scrub(text), key, view)),
            Json::Number(number) => {
                let whole = number.as_i64();
                let digits = number.to_string().bytes().filter(u8::is_ascii_digit).count();
                let kept = view.public
                    || (!view.is_secret(key)
                        && (digits < view.longest(key)
                            || view.amounts.contains(key)
                            || whole.is_some_and(|whole| MOMENTS.contains(&whole))));
                if kept { json.clone() } else { Json::from(0) }
            }
            Json::Null | Json::Bool(_) => json.clone(),
        }
    }

    fn text(&self, text: &str, key: &str, view: &View<'_>) -> String {
        let plain = text.trim();
        if plain.is_empty() || view.public {
            return text.to_owned();
        }
        if view.is_secret(key) {
            return self.mark(plain);
        }
        if judge::is_message(key) {
            return self.sentence(text, view);
        }
        let digits = plain.bytes().filter(u8::is_ascii_digit).count();
        let unsigned = plain.strip_prefix(['-', '+']).unwrap_or(plain);
        if unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',')) {
            return match plain.parse::<IpAddr>() {
                Ok(address) => self.address(address),
                Err(_) if digits < view.longest(key) || view.amounts.contains(key) => text.to_owned(),
                Err(_) => self.mark(plain),
            };
        }
        if is_moment(plain) {
            return text.to_owned();
        }
        if let Ok(address) = plain.parse::<IpAddr>() {
            return self.address(address);
        }
        let vocabulary = view.states.contains(key) || view.open.contains(key) || VERDICTS.contains(&key);
        if vocabulary && plain.chars().count() <= 32 && !plain.contains('@') && digits < LONG {
            return text.to_owned();
        }
        let mark = self.mark(plain);
        if plain.contains("://") {
            format!("https://example.invalid/{mark}")
        } else if plain.contains('@') {
            format!("{mark}@example.invalid")
        } else {
            mark
        }
    }

    /// An address of those that are kept for documents (RFC 5737, RFC 3849).
    fn address(&self, address: IpAddr) -> String {
        let mark = self.mark(&address.to_string());
        let number = u8::from_str_radix(mark.get(1..3).unwrap_or("01"), 16).unwrap_or(1).max(1);
        match address {
            IpAddr::V4(_) => format!("203.0.113.{number}"),
            IpAddr::V6(_) => format!("2001:db8::{number:x}"),
        }
    }

    /// Words of the provider to a person, or a page: what names reasons, and plain words; nothing that is somebody's.
    pub(super) fn sentence(&self, text: &str, view: &View<'_>) -> String {
        let apart = |c: char| c.is_whitespace() || "<>\"'()[]{},;!?=|&".contains(c);
        let mut out = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(apart).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            out.push_str(&self.word(word, view));
            let gap = behind.find(|c| !apart(c)).unwrap_or(behind.len());
            let (gap, more) = behind.split_at(gap);
            out.push_str(gap);
            rest = more;
        }
        out
    }

    fn word(&self, word: &str, view: &View<'_>) -> String {
        let core = word.trim_end_matches(['.', ':']);
        let behind = word.get(core.len()..).unwrap_or_default();
        let folded = fold(core);
        let digits = core.bytes().filter(u8::is_ascii_digit).count();
        let letters = core.chars().filter(|c| c.is_alphabetic()).count();
        let lower = core.chars().all(|c| c.is_lowercase() || matches!(c, '/' | '-' | '_' | '.' | ':'));
        let dotted = core.trim_matches('.').contains('.') && letters > 0;
        // A word of a dozen letters that nobody knows may be a password, and so may four digits.
        let plain = (letters == 0 && digits < SHORT)
            || (digits == 0 && lower && !dotted && core.chars().count() <= 7)
            || COMMON.contains(&folded.as_str())
            // Without accents, so that no name is taken for a word.
            || (digits == 0 && core.is_ascii() && view.words.has(core))
            || core == super::super::REDACTED.trim_matches(['[', ']']);
        if plain { word.to_owned() } else { format!("{}{behind}", self.mark(core)) }
    }
}

/// A name that is a short number: the key of an item in a list that is an object.
fn is_short(name: &str) -> bool {
    name.len() < LONG && name.bytes().all(|b| b.is_ascii_digit())
}

/// `2026-11-24 10:00:00`, `24/11/2026` and the like.
fn is_moment(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let separators = text.bytes().filter(|b| matches!(b, b'-' | b'/' | b':')).count();
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'/' | b':' | b'.' | b' ' | b'T' | b'Z' | b'+'));
    let year = text.get(..4).is_some_and(|year| matches!(year.parse::<u16>(), Ok(0 | 1990..=2100)))
        || text.get(6..10).is_some_and(|year| matches!(year.parse::<u16>(), Ok(1990..=2100)));
    plain && year && separators >= 2 && (8..=26).contains(&digits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::Contract;

    fn masked(operation: &str, answer: &Json) -> String {
        let operation = Contract::embedded().expect("sound").operation(operation).expect("a row");
        let words = Words::default();
        let view = View::of(operation, operation.effect, &words);
        Mask::new().expect("randomness").tree(answer, &view, &|text| text.to_owned()).to_string()
    }

    #[test]
    fn what_may_be_somebodys_is_not_kept() {
        let text = masked(
            "ProfileService.GetProfile",
            &json!({"success": true, "message": "Xin chào Nguyễn Văn An, số 0901234567, an@example.vn", "user": {
                "fullname": "Nguyễn Văn An", "email": "an@example.vn", "phone": "0901234567", "zalo": 84_901_234_567_i64,
                "address": "12 Lê Lợi", "an@example.vn": 1, "api_token": "s3cr3tcanary", "cookie_x": "xyzw"}}),
        );
        for private in
            ["Nguyễn", "Văn", "an@", "0901234567", "84901234567", "Lợi", "s3cr3t", "xyzw", "example.vn"]
        {
            assert!(!text.contains(private), "{private} in {text}");
        }
        assert!(
            text.contains("số") && text.contains(r#""success":true"#) && text.contains("@example.invalid"),
            "{text}"
        );
        let console = masked(
            "VpsService.OpenVpsConsole",
            &json!({"info": {"ip": "10.1.2.3", "port": 5901, "url": "https://x/?t=xyzw"}}),
        );
        assert!(
            !console.contains("10.1.2.3") && console.contains(r#""port":0"#) && !console.contains("xyzw"),
            "{console}"
        );
    }

    #[test]
    fn what_an_answer_is_understood_by_is_kept() {
        let text = masked(
            "VpsService.ListVps",
            &json!({"result": "success", "vps": {"1042": {"vpsid": "1042", "status": "Đang hoạt động", "price": "149.000",
                "expires_at": "2026-11-24 10:00:00", "billingcycle": "monthly", "ip": "10.1.2.3", "hostname": "web.canary.vn"}}}),
        );
        for kept in
            ["success", "1042", "Đang hoạt động", "149.000", "2026-11-24 10:00:00", "monthly", "203.0.113."]
        {
            assert!(text.contains(kept), "{kept} in {text}");
        }
        assert!(!text.contains("canary") && !text.contains("10.1.2.3"), "{text}");
        // What names a reason is still named.
        let refused = masked(
            "VpsService.ListVps",
            &json!({"success": false, "message": "Authentication Failed for Trần"}),
        );
        assert!(refused.contains("Authentication Failed for ~"), "{refused}");
    }
}
