//! One value as a person reads it: amounts with their separators, moments by the clock on the wall, and a dash for what nobody
//! has said. What comes from the provider cannot steer the terminal.

use gizad::contract::{Field, Kind};
use jiff::tz::TimeZone;
use serde_json::Value as Json;
use unicode_width::UnicodeWidthStr as _;

/// What stands for what is not known.
pub(super) const UNKNOWN: &str = "-";

/// How exactly a moment is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moments {
    /// To the minute, for a table.
    Short,
    /// To the second, with the zone.
    Whole,
}

/// Whether a field is shown in a cell: what has parts is not, nor is what is drawn.
pub(super) fn has_cell(field: &Field) -> bool {
    !matches!(field.kind, Kind::Message(_) | Kind::Struct | Kind::Any) && field.vietqr.is_none()
}

/// A value of a field that is no message.
pub(super) fn cell(field: &Field, json: &Json, moments: Moments) -> String {
    let shown = match json {
        Json::Null => String::new(),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| cell(field, item, moments)).collect();
            items.join(", ")
        }
        Json::Object(members) => {
            let money = matches!(field.kind, Kind::Amounts);
            let members = members.iter().map(|(name, json)| {
                let value = if money { json.as_i64().map(amount) } else { None };
                format!("{} {}", plain(name), value.unwrap_or_else(|| bare(json)))
            });
            members.collect::<Vec<_>>().join(", ")
        }
        Json::Number(number) if field.is_money() => {
            number.as_i64().map_or_else(|| number.to_string(), amount)
        }
        Json::String(text) => match &field.kind {
            Kind::Timestamp => moment(text, moments),
            // The first state is that nothing was said.
            Kind::Enum(states) if states.values.first().is_some_and(|none| none.name == *text) => {
                String::new()
            }
            _ => plain(text),
        },
        Json::Bool(true) => "yes".to_owned(),
        Json::Bool(false) => "no".to_owned(),
        Json::Number(number) => number.to_string(),
    };
    if shown.is_empty() { UNKNOWN.to_owned() } else { shown }
}

/// Anything, on one line.
pub(super) fn bare(json: &Json) -> String {
    match json {
        Json::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}

/// Whole đồng.
pub(super) fn amount(vnd: i64) -> String {
    let digits = vnd.unsigned_abs().to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('.');
        }
        grouped.push(digit);
    }
    format!("{}{grouped} ₫", if vnd < 0 { "-" } else { "" })
}

/// A moment by this machine's clock.
fn moment(text: &str, moments: Moments) -> String {
    let Ok(time) = text.parse::<jiff::Timestamp>() else { return plain(text) };
    let here = time.to_zoned(TimeZone::system());
    match moments {
        Moments::Short => here.strftime("%Y-%m-%d %H:%M").to_string(),
        Moments::Whole => here.strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
    }
}

/// Text without what a terminal would obey. Lines stay.
pub(super) fn plain(text: &str) -> String {
    let unfit = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    text.chars().map(|c| if unfit(c) { ' ' } else { c }).collect()
}

/// How many columns of a terminal a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// A text with spaces behind it, or before it, up to a width.
pub(super) fn padded(text: &str, to: usize, right: bool) -> String {
    let gap = " ".repeat(to.saturating_sub(width(text)));
    if right { format!("{gap}{text}") } else { format!("{text}{gap}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_at_a_glance() {
        for (vnd, shown) in [
            (0, "0 ₫"),
            (999, "999 ₫"),
            (149_000, "149.000 ₫"),
            (-1_234_567, "-1.234.567 ₫"),
            (i64::MIN, "-9.223.372.036.854.775.808 ₫"),
        ] {
            assert_eq!(amount(vnd), shown);
        }
    }

    #[test]
    fn vietnamese_is_as_wide_as_it_looks() {
        // Composed, and with its accents as characters of their own.
        assert_eq!(width("Đã đổi"), 6);
        assert_eq!(width("Đa\u{303} đo\u{302}\u{309}i"), 6);
        assert_eq!(padded("gói", 6, false), "gói   ");
        assert_eq!(padded("7", 3, true), "  7");
    }

    #[test]
    fn a_terminal_obeys_nobody_else() {
        assert_eq!(plain("a\u{1b}[2Jb\u{202e}c\td\ne"), "a [2Jb c d\ne");
    }
}
