//! Single values as the provider may write them: money, numbers, truth, dates, text. Each either is read
//! without doubt or not at all; what is not read stays where it was.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};
use serde_json::{Map, Value as Json};

use crate::contract::fold;

/// Asia/Ho_Chi_Minh, which has kept one offset since 1975. Dates without a zone are local there.
const LOCAL: Offset = Offset::constant(7);

/// What a JSON scalar says, as text.
pub(super) fn text(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// Whether a value is one of the many ways to say "none".
pub(super) fn is_absent(json: &Json) -> bool {
    match json {
        Json::Null => true,
        Json::String(text) => matches!(text.as_str(), "" | "0000-00-00" | "0000-00-00 00:00:00"),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => false,
    }
}

/// A whole number, from a number or from digits. `12.0` is whole where it is a number; in text a point may group.
pub(super) fn integer(json: &Json) -> Option<i64> {
    let text = text(json)?;
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if json.is_number() && fraction.bytes().all(|b| b == b'0') => whole,
        _ => text.trim(),
    };
    whole.parse().ok()
}

/// Several whole numbers: a list, one, or some joined by commas.
pub(super) fn integers(json: &Json) -> Option<Vec<i64>> {
    match json {
        Json::Array(items) => items.iter().map(integer).collect(),
        Json::String(text) if text.contains(',') => {
            text.split(',').map(|part| part.trim().parse().ok()).collect()
        }
        _ => integer(json).map(|number| vec![number]),
    }
}

/// An amount of đồng, which are whole: `1200000`, `"1.200.000 ₫"`, `"1,200,000"`, `"100000.00"`.
pub(super) fn money(json: &Json) -> Option<i64> {
    match json {
        Json::Number(number) => amount(&number.to_string(), false),
        Json::String(text) => {
            let lower = text.trim().to_lowercase();
            let bare = ["vnđ", "vnd", "đồng", "₫", "đ"]
                .iter()
                .find_map(|unit| lower.strip_suffix(unit).or_else(|| lower.strip_prefix(unit)))
                .unwrap_or(&lower);
            amount(bare.trim(), true)
        }
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// Digits with grouping and a fraction. In text a single separator followed by exactly three digits groups
/// (`1.200` is 1200); in a JSON number a point is always a point.
fn amount(text: &str, grouped: bool) -> Option<i64> {
    let (sign, digits) = match (text.strip_prefix('-'), text.strip_prefix('+')) {
        (Some(rest), _) => (-1, rest.trim_start()),
        (None, Some(rest)) => (1, rest.trim_start()),
        (None, None) => (1, text),
    };
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    if !digit(digits.chars().next()) || !digit(digits.chars().next_back()) {
        return None;
    }
    let (whole, fraction) = match digits.rsplit_once(|c: char| !c.is_ascii_digit()) {
        None => (digits, ""),
        Some((_, tail)) if grouped && tail.len() == 3 => (digits, ""),
        Some((head, tail)) => {
            let separator = digits.get(head.len()..)?.chars().next()?;
            // What groups cannot be the point as well: `1.200.00` is neither.
            if !matches!(separator, '.' | ',') || head.contains(separator) || (grouped && tail.len() > 2) {
                return None;
            }
            (head, tail)
        }
    };
    if fraction.bytes().any(|b| b != b'0') {
        return None;
    }
    let number: i64 = ungrouped(whole, grouped)?.parse().ok()?;
    Some(sign * number)
}

/// Digits without the separators between their groups of three, if those are all of one kind.
fn ungrouped(whole: &str, grouped: bool) -> Option<String> {
    let mut separators = whole.chars().filter(|c| !c.is_ascii_digit());
    let Some(first) = separators.next() else { return Some(whole.to_owned()) };
    let known = matches!(first, '.' | ',' | ' ' | '\u{a0}' | '\u{202f}') && separators.all(|c| c == first);
    let groups: Vec<&str> = whole.split(first).collect();
    let (head, rest) = groups.split_first()?;
    let regular = (1..=3).contains(&head.len()) && rest.iter().all(|group| group.len() == 3);
    (grouped && known && regular).then(|| groups.concat())
}

/// Amounts under names, if all of them are amounts.
pub(super) fn amounts(members: &Map<String, Json>) -> Option<Vec<(String, i64)>> {
    let read = members.iter().filter(|(_, json)| !is_absent(json));
    let read: Option<Vec<_>> = read.map(|(name, json)| Some((name.clone(), money(json)?))).collect();
    read.filter(|amounts| !amounts.is_empty())
}

/// A truth value in one of its many spellings.
pub(super) fn boolean(json: &Json) -> Option<bool> {
    match json {
        Json::Bool(flag) => Some(*flag),
        Json::Number(_) | Json::String(_) => match fold(&text(json)?).as_str() {
            "1" | "true" | "yes" | "on" | "active" | "online" => Some(true),
            "0" | "false" | "no" | "off" | "inactive" | "offline" => Some(false),
            _ => None,
        },
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// A moment: a date with or without time and zone, Unix seconds or milliseconds, or an object that carries
/// both a text and a number.
pub(super) fn moment(json: &Json) -> Option<Timestamp> {
    match json {
        Json::Number(number) => unix(&number.to_string()),
        Json::String(text) => {
            let text = text.trim();
            unix(text).or_else(|| text.parse().ok()).or_else(|| local(text))
        }
        Json::Object(members) => {
            let member = |name: &str| members.get(name).and_then(moment);
            member("int")
                .or_else(|| member("timestamp"))
                .or_else(|| member("string"))
                .or_else(|| member("date"))
        }
        Json::Null | Json::Bool(_) | Json::Array(_) => None,
    }
}

/// Unix seconds (10 digits) or milliseconds (13).
fn unix(text: &str) -> Option<Timestamp> {
    let number: i64 = text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))?;
    match text.len() {
        9 | 10 => Timestamp::from_second(number).ok(),
        13 => Timestamp::from_millisecond(number).ok(),
        _ => None,
    }
}

/// `2026-10-31`, `31/10/2026`, `31.10.2026`, `31-10-2026`, each alone or before `11:24` or `11:24:40`.
fn local(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
    let parts: Vec<&str> = date.split(['-', '/', '.']).collect();
    let [a, b, c] = parts.as_slice() else { return None };
    let (year, month, day) = if a.len() == 4 { (a, b, c) } else { (c, b, a) };
    if year.len() != 4 {
        return None;
    }
    let date = Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()?;
    let clock: Vec<i8> = time.trim().split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let time = match clock.as_slice() {
        [hour, minute] => Time::new(*hour, *minute, 0, 0),
        [hour, minute, second] => Time::new(*hour, *minute, *second, 0),
        _ => return None,
    };
    let moment = date.to_datetime(time.ok()?);
    moment.to_zoned(TimeZone::fixed(LOCAL)).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn money_is_read_in_every_spelling() {
        for (written, đồng) in [
            (json!(100_000), 100_000),
            (json!("100000"), 100_000),
            (json!("1.200.000"), 1_200_000),
            (json!("1,200,000"), 1_200_000),
            (json!("1 200 000"), 1_200_000),
            (json!("1.200.000 ₫"), 1_200_000),
            (json!("1200000đ"), 1_200_000),
            (json!("1.200.000 VND"), 1_200_000),
            (json!("1.200.000VNĐ"), 1_200_000),
            (json!("100000.00"), 100_000),
            (json!("1.200.000,00"), 1_200_000),
            (json!("1,200,000.00"), 1_200_000),
            (json!("1.200"), 1_200),
            (json!("1,200"), 1_200),
            (json!("12.0"), 12),
            (json!("-50.000"), -50_000),
            (json!("+50.000đ"), 50_000),
            (json!(0), 0),
        ] {
            assert_eq!(money(&written), Some(đồng), "{written}");
        }
        let number = |text: &str| serde_json::from_str::<Json>(text).expect("a number");
        assert_eq!(money(&number("100000.00")), Some(100_000));
        assert_eq!(money(&number("1.200")), None, "a JSON number has no grouping");
        for wrong in [
            json!("12.95"),
            json!("0.27"),
            json!(""),
            json!("x"),
            json!("1.2.3"),
            json!("1.200.00"),
            json!("12,34,567"),
            json!("1.200,000.5"),
            json!(null),
            json!("USD 5"),
            json!("99999999999999999999"),
            json!("1."),
            json!(".5"),
        ] {
            assert_eq!(money(&wrong), None, "{wrong}");
        }
        assert_eq!(money(&number("12.95")), None);
    }

    #[test]
    fn dates_are_local_to_ho_chi_minh_unless_they_say_otherwise() {
        for written in [
            json!("2026-10-31 11:24:40"),
            json!("2026-10-31T11:24:40"),
            json!("31/10/2026 11:24:40"),
            json!("31.10.2026 11:24:40"),
            json!("2026-10-31T04:24:40Z"),
            json!("2026-10-31T11:24:40+07:00"),
            json!(1_793_420_680),
            json!("1793420680"),
            json!(1_793_420_680_000_i64),
            json!({"string": "2026-10-31 11:24:40", "int": 1_793_420_680}),
            json!({"string": "2026-10-31 11:24:40"}),
        ] {
            let moment = moment(&written).map(|moment| moment.to_string());
            assert_eq!(moment.as_deref(), Some("2026-10-31T04:24:40Z"), "{written}");
        }
        assert_eq!(
            moment(&json!("31/10/2026")).map(|m| m.to_string()).as_deref(),
            Some("2026-10-30T17:00:00Z")
        );
        for none in [
            json!("0000-00-00 00:00:00"),
            json!(""),
            json!(null),
            json!("31/13/2026"),
            json!("tomorrow"),
            json!(12),
        ] {
            assert_eq!(moment(&none), None, "{none}");
        }
    }

    #[test]
    fn numbers_and_truths_come_as_text_too() {
        assert_eq!(integer(&json!("1042")), Some(1042));
        assert_eq!(integer(&json!(12.0)), Some(12));
        assert_eq!(integer(&json!("1.000")), None, "one, or a thousand");
        assert_eq!(integer(&json!("vm-7")), None);
        assert_eq!(integers(&json!("1,2")), Some(vec![1, 2]));
        assert_eq!(integers(&json!(["3", 4])), Some(vec![3, 4]));
        for (written, truth) in
            [(json!("yes"), true), (json!(1), true), (json!("online"), true), (json!("0"), false)]
        {
            assert_eq!(boolean(&written), Some(truth));
        }
        assert_eq!(boolean(&json!("maybe")), None);
    }
}
