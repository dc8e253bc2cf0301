//! When two spellings count as the same name.

use unicode_normalization::UnicodeNormalization as _;

/// A name without what does not count: case, spaces, `_`, `-`, and how its accents are composed.
#[must_use]
pub fn fold(name: &str) -> String {
    let kept = |c: &char| !c.is_whitespace() && !matches!(c, '_' | '-');
    if name.is_ascii() {
        return name.chars().filter(kept).map(|c| c.to_ascii_lowercase()).collect();
    }
    name.nfc().filter(kept).flat_map(char::to_lowercase).collect()
}

/// The known name that somebody most likely meant, if one is near enough to be worth naming.
#[must_use]
pub fn nearest<'a>(meant: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(meant);
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&folded, &fold(name)), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_separators_and_composition_do_not_count() {
        assert_eq!(fold("VPS_Id"), fold("vps-id"));
        assert_eq!(fold("Hết hạn"), fold("he\u{302}\u{301}t ha\u{323}n"));
        assert_ne!(fold("vpsid"), fold("planid"));
    }

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["plan_id", "hostname", "password"];
        assert_eq!(nearest("planid", known), Some("plan_id"));
        assert_eq!(nearest("hostnmae", known), Some("hostname"));
        assert_eq!(nearest("zzz", known), None);
    }
}
