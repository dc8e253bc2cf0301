//! What must be found nowhere: what a test knows to be secret, in every spelling, and the places to look into.
//!
//! Whatever a gateway of any test leaves behind is looked through when it is gone, at the level that `TEST_LOG_LEVEL` says, if it
//! does and the test is not about levels: `TEST_LOG_LEVEL=trace tests/postgres run cargo nextest run --locked` asks it of the whole
//! suite.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

/// What every test has in common.
const COMMON: [&str; 3] = ["SECRET-canary-42", "IDENTIFIER-canary-41", "sandbox-secret"];
/// What else this one knows.
static KNOWN: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// What is shorter is found by chance.
const SHORTEST: usize = 8;

/// Makes a secret known to this test.
pub fn know(secret: &str) {
    if secret.len() >= SHORTEST {
        KNOWN.lock().unwrap().push(secret.to_owned());
    }
}

/// Makes known what is secret in what was asked or answered: passwords and consoles.
pub fn know_of(said: &Value, is_revealed: bool) {
    let names = if is_revealed { &["password", "url"][..] } else { &["password"] };
    names.iter().filter_map(|name| said[*name].as_str()).for_each(know);
}

/// Everything that is known.
pub fn known() -> Vec<String> {
    let mut all: Vec<String> = COMMON.map(str::to_owned).into();
    all.extend(KNOWN.lock().unwrap().iter().cloned());
    all.sort_unstable();
    all.dedup();
    all
}

/// The spellings in which a secret could slip through.
pub fn spellings(secret: &str) -> Vec<String> {
    let bytes = || secret.bytes();
    let hex = bytes().map(|b| format!("{b:02x}")).collect::<String>();
    let url = bytes().map(|b| format!("%{b:02X}")).collect::<String>();
    let escaped = secret.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect::<String>();
    let form = form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>();
    let json = json!(secret).to_string().trim_matches('"').to_owned();
    let mut all = vec![secret.to_owned(), hex.to_uppercase(), hex, url, escaped, form, json];
    // Wherever it stands in what is encoded; its first and last letter there are also its neighbours'.
    all.extend((0..3).map(|before| {
        let shifted = [&[0; 2][..before], secret.as_bytes()].concat();
        let own = (before * 8).div_ceil(6)..shifted.len() * 8 / 6;
        base64(&shifted)[own].to_owned()
    }));
    all
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let joined = chunk.iter().fold(0_u32, |all, b| all << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(LETTERS[(joined >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}

#[test]
fn every_spelling_is_found() {
    let found = |text: &str| spellings("k3y/se+cret").iter().any(|spelling| text.contains(spelling));
    for text in [
        "k3y/se+cret",
        "6B33792F73652B63726574",
        "6b33792f73652b63726574",
        "k3y%2Fse%2Bcret",
        &base64(b"k3y/se+cret!"),
        &base64(b"ak3y/se+cret!!"),
        &base64(b"abk3y/se+cret"),
    ] {
        assert!(found(text), "{text}");
    }
    assert!(!found("k3y/se+cre") && !found(&base64(b"abk3y/se+cre")));
}

/// Everything that must be found nowhere, and the places that were looked into.
pub struct Search {
    pub canaries: Vec<String>,
    pub places: Vec<(String, String)>,
}

impl Search {
    pub fn of(canaries: Vec<String>) -> Self {
        Self { canaries, places: Vec::new() }
    }

    pub fn look_into(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        // What is no text beside a canary does not hide it.
        self.places.push((name.to_owned(), String::from_utf8_lossy(bytes.as_ref()).into_owned()));
    }

    /// Every file below a folder.
    pub fn look_below(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                self.look_below(&path);
            } else {
                self.look_into(&path.display().to_string(), fs::read(&path).expect("a file"));
            }
        }
    }

    pub fn hits(&self) -> Vec<String> {
        let mut hits = Vec::new();
        for canary in &self.canaries {
            for spelling in spellings(canary) {
                let there = self.places.iter().filter(|(_, text)| text.contains(&spelling));
                hits.extend(there.map(|(name, _)| format!("{canary} as {spelling} in {name}")));
            }
        }
        hits
    }
}
