//! Answers that are no tree, or whose status alone decides: pages of the edge, of the web server, of nobody.
//! Which of them prove that the request was not processed is a column of the table.

use super::super::lanes::Received;
use super::super::reading::{Page, Reading};
use super::message::bare;
use crate::fault::{Reason, Sent};

/// What was found.
pub(super) struct Found {
    pub(super) rule: &'static str,
    pub(super) reason: Reason,
    pub(super) sent: Sent,
    pub(super) detail: String,
}

/// What a row looks at.
struct Seen<'a> {
    status: u16,
    /// What the answer says it was served by.
    server: &'a str,
    /// The title of a page, without accents.
    title: String,
    reading: &'a Reading,
    /// The text of a page or of no notation, without accents.
    text: String,
}

impl Seen<'_> {
    fn says(&self, any: &[&str]) -> bool {
        any.iter().any(|words| self.text.contains(words))
    }

    /// Whether Cloudflare itself says that it speaks. A page alone can say anything.
    fn by_cloudflare(&self) -> bool {
        self.server.eq_ignore_ascii_case("cloudflare")
    }

    fn is_page(&self) -> bool {
        matches!(self.reading, Reading::Page(_))
    }

    fn is_tree(&self) -> bool {
        matches!(self.reading, Reading::Tree { .. })
    }

    fn is_empty(&self) -> bool {
        matches!(self.reading, Reading::Empty)
    }
}

type Row = (&'static str, fn(&Seen<'_>) -> bool, Reason, Sent);

/// The rows, in the order they are asked. `Never` stands only where the edge itself says that it did not pass
/// the request on.
const ROWS: &[Row] = &[
    ("redirect", |s| (300..400).contains(&s.status), Reason::UpstreamRedirected, Sent::Maybe),
    // SolusVM's word for wrong credentials.
    ("http_405", |s| !s.is_tree() && s.status == 405, Reason::UpstreamAuthFailed, Sent::Answered),
    (
        "cloudflare_1015",
        |s| s.by_cloudflare() && matches!(s.status, 403 | 429) && s.text.starts_with("error code: 1015"),
        Reason::UpstreamRateLimited,
        Sent::Never,
    ),
    (
        "cloudflare_blocked",
        |s| s.by_cloudflare() && s.status == 403 && s.title.starts_with("attention required"),
        Reason::UpstreamBlocked,
        Sent::Never,
    ),
    (
        "cloudflare_challenge",
        |s| s.by_cloudflare() && matches!(s.status, 403 | 503) && s.title.starts_with("just a moment"),
        Reason::UpstreamBlocked,
        Sent::Never,
    ),
    (
        "cloudflare_no_origin",
        |s| s.by_cloudflare() && !s.is_tree() && matches!(s.status, 521 | 523 | 525 | 526),
        Reason::UpstreamUnreachable,
        Sent::Never,
    ),
    (
        "cloudflare_origin_lost",
        |s| matches!(s.status, 520 | 522 | 524 | 527),
        Reason::UpstreamFailed,
        Sent::Maybe,
    ),
    ("http_429", |s| s.status == 429, Reason::UpstreamRateLimited, Sent::Maybe),
    ("http_408", |s| s.status == 408, Reason::UpstreamTimeout, Sent::Maybe),
    ("http_425", |s| s.status == 425, Reason::UpstreamFailed, Sent::Maybe),
    (
        "page_maintenance",
        |s| !s.is_tree() && s.says(&["bao tri", "maintenance", "nang cap he thong"]),
        Reason::UpstreamMaintenance,
        Sent::Maybe,
    ),
    (
        "page_suspended",
        |s| s.is_page() && s.says(&["account suspended", "has been suspended", "tam khoa"]),
        Reason::UpstreamFailed,
        Sent::Maybe,
    ),
    ("gateway_timeout", |s| !s.is_tree() && s.status == 504, Reason::UpstreamTimeout, Sent::Maybe),
    ("server_error", |s| !s.is_tree() && s.status >= 500, Reason::UpstreamFailed, Sent::Maybe),
    ("http_401", |s| !s.is_tree() && s.status == 401, Reason::UpstreamAuthFailed, Sent::Maybe),
    (
        "page_login",
        |s| s.is_page() && s.says(&["type=\"password\"", "type='password'", "type=password"]),
        Reason::UpstreamAuthFailed,
        Sent::Maybe,
    ),
    ("page_forbidden", |s| s.is_page() && s.status == 403, Reason::UpstreamBlocked, Sent::Maybe),
    ("page", |s| s.is_page(), Reason::UpstreamFailed, Sent::Maybe),
    ("empty", |s| s.is_empty(), Reason::UpstreamFailed, Sent::Maybe),
    (
        "two_values",
        |s| matches!(s.reading, Reading::Unreadable("two_values")),
        Reason::UpstreamShapeUnknown,
        Sent::Maybe,
    ),
    (
        "compressed",
        |s| matches!(s.reading, Reading::Unreadable(_)),
        Reason::UpstreamShapeUnknown,
        Sent::Maybe,
    ),
    ("text", |s| matches!(s.reading, Reading::Text(_)), Reason::UpstreamShapeUnknown, Sent::Maybe),
];

/// The row that fits, if the answer is one of these at all.
pub(super) fn judge(
    received: &Received,
    reading: &Reading,
    scrub: &impl Fn(&str) -> String,
) -> Option<Found> {
    let (title, text) = match reading {
        Reading::Page(Page { title, lower }) => (bare(title), bare(lower)),
        Reading::Text(text) => (String::new(), bare(text)),
        Reading::Tree { .. } | Reading::Empty | Reading::Unreadable(_) => Default::default(),
    };
    let server = received.server.as_deref().unwrap_or_default();
    let seen = Seen { status: received.status, server, title, reading, text };
    let (rule, _, reason, sent) = ROWS.iter().find(|(_, fits, _, _)| fits(&seen))?;
    Some(Found { rule, reason: *reason, sent: *sent, detail: detail(received, reading, scrub) })
}

/// What came, in words: its status, and the title of a page or the target of a redirect.
fn detail(received: &Received, reading: &Reading, scrub: &impl Fn(&str) -> String) -> String {
    let status = received.status;
    match (reading, &received.location) {
        (_, Some(location)) if (300..400).contains(&status) => {
            // Never the query: it may carry a copy of what was sent.
            let bare = location.split(['?', '#']).next().unwrap_or_default();
            format!("the provider answered HTTP {status} and points to {}", short(&scrub(bare)))
        }
        (Reading::Page(page), _) if page.title.is_empty() => {
            format!("the provider answered HTTP {status} with a page without a title")
        }
        (Reading::Page(page), _) => {
            format!("the provider answered HTTP {status} with a page titled {:?}", short(&scrub(&page.title)))
        }
        (Reading::Empty, _) => format!("the provider answered HTTP {status} with nothing"),
        (Reading::Text(text), _) => {
            format!("the provider answered HTTP {status} with the text {:?}", short(&scrub(text)))
        }
        (Reading::Unreadable(what), _) => {
            format!("the provider answered HTTP {status} with a body that cannot be read ({what})")
        }
        (Reading::Tree { .. }, _) => format!("the provider answered HTTP {status}"),
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}
