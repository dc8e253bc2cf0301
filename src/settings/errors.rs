//! The setting of what an error leads to.

use http::Uri;
use http::uri::Scheme;

use super::check::Check;

/// Where gizad has those pages itself.
const OWN: &str = "/errors/";

impl Check<'_> {
    /// What the `type` of an error begins with: a path of gizad's own, or a place that can be opened from anywhere.
    pub(super) fn pages(&mut self) -> String {
        const PAGES: &str = "errors.pages";
        let pages = self.text(PAGES);
        if pages != OWN && !is_place(&pages) {
            self.wrong(
                PAGES,
                "/errors/, or a URL to which the reason is added, such as https://wiki.example.vn/gizad/",
            );
        }
        pages
    }
}

fn is_place(pages: &str) -> bool {
    // What leads to an anchor of one page ends with the sign for it.
    let page = pages.strip_suffix('#').unwrap_or(pages);
    !page.contains('#')
        && page.parse::<Uri>().is_ok_and(|uri| {
            let is_web = [Scheme::HTTP, Scheme::HTTPS].iter().any(|scheme| uri.scheme() == Some(scheme));
            let has_user = uri.authority().is_none_or(|authority| authority.as_str().contains('@'));
            is_web && !has_user && uri.host().is_some_and(|host| !host.is_empty())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_on_the_web_and_names_nobody() {
        for place in
            ["https://wiki.example.vn/gizad/", "http://10.1.2.3:80/?reason=", "https://x.vn/errors.md#"]
        {
            assert!(is_place(place), "{place}");
        }
        for other in [
            "",
            "/",
            "errors/",
            "ftp://x.vn/",
            "https://",
            "https://a:b@x.vn/",
            "https://x.vn/a b",
            "https://x.vn/#a#",
        ] {
            assert!(!is_place(other), "{other}");
        }
    }
}
