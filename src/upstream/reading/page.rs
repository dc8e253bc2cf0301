//! HTML pages: never an answer, but their words say who is speaking.

/// A page, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Its title, as written.
    pub(crate) title: String,
    /// All of it, in lower case.
    pub(crate) lower: String,
}

/// How much of a page is kept to look for words in, in bytes.
const KEPT: usize = 64 * 1024;

impl Page {
    /// Takes text that is a page.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut end = text.len().min(KEPT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let lower = text.get(..end)?.to_lowercase();
        let page =
            ["<!doctype html", "<html", "<head", "<body", "<title"].iter().any(|mark| lower.contains(mark));
        page.then(|| Self { title: title(text).unwrap_or_default(), lower })
    }
}

fn title(text: &str) -> Option<String> {
    let at = text.to_ascii_lowercase().find("<title")?;
    let inner = text.get(at..)?.split_once('>')?.1;
    Some(inner.split('<').next()?.split_whitespace().collect::<Vec<_>>().join(" "))
}
