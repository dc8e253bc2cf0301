//! Operations for other programs, one row each.

use serde_json::{Value, json};

use super::time;
use crate::purchase::Record;

const COLUMNS: &str =
    "id,created,updated,caller,key,method,state,attempts,price_vnd,held_vnd,posted_vnd,services";

/// RFC 4180, with a head.
pub(super) fn csv(records: &[Record]) -> String {
    let mut out = format!("{COLUMNS}\r\n");
    for record in records {
        let cells = [
            text(&record.id),
            time(record.created_ms),
            time(record.changed_ms),
            text(&record.caller),
            text(record.key.as_deref().unwrap_or_default()),
            text(&record.operation),
            record.state().as_str().to_owned(),
            record.attempt.to_string(),
            record.price_vnd.map_or_else(String::new, |price| price.to_string()),
            record.held_vnd.to_string(),
            record.posted_vnd.to_string(),
            text(&record.services.join(" ")),
        ];
        out += &cells.join(",");
        out += "\r\n";
    }
    out
}

/// A text as a cell. What a spreadsheet would run gets an apostrophe before it (OWASP, "CSV Injection").
fn text(text: &str) -> String {
    let runs = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if runs { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// One array, an operation a line.
pub(super) fn json(records: &[Record]) -> String {
    let lines: Vec<String> = records.iter().map(|record| object(record).to_string()).collect();
    if lines.is_empty() { "[]\n".to_owned() } else { format!("[\n{}\n]\n", lines.join(",\n")) }
}

fn object(record: &Record) -> Value {
    json!({
        "id": record.id,
        "created": time(record.created_ms),
        "updated": time(record.changed_ms),
        "caller": record.caller,
        "key": record.key,
        "method": record.operation,
        "state": record.state().as_str(),
        "attempts": record.attempt,
        "price_vnd": record.price_vnd,
        "held_vnd": record.held_vnd,
        "posted_vnd": record.posted_vnd,
        "services": record.services,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purchase::State;

    #[test]
    fn a_spreadsheet_runs_no_cell() {
        for (given, cell) in [
            ("plain", "plain"),
            ("", ""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("a,b", "\"a,b\""),
            ("=\"a\",\"b\"", "\"'=\"\"a\"\",\"\"b\"\"\""),
            ("a\nb", "\"a\nb\""),
        ] {
            assert_eq!(text(given), cell, "{given:?}");
        }
    }

    #[test]
    fn both_formats_say_the_same_of_an_operation() {
        let record = Record {
            id: "op_1".into(),
            caller: "ci".into(),
            key: Some("=k,1".into()),
            operation: "VpsService.CreateVps".into(),
            state: State::Succeeded.into(),
            attempt: 1,
            price_vnd: Some(149_000),
            posted_vnd: 149_000,
            services: vec!["7".into(), "8".into()],
            changed_ms: 1500,
            ..Record::default()
        };
        let row = "op_1,1970-01-01T00:00:00Z,1970-01-01T00:00:01.5Z,ci,\"'=k,1\",VpsService.CreateVps,SUCCEEDED,1,149000,0,149000,7 8";
        assert_eq!(csv(std::slice::from_ref(&record)), format!("{COLUMNS}\r\n{row}\r\n"));
        let parsed: Value = serde_json::from_str(&json(&[record])).expect("JSON");
        assert_eq!(parsed[0]["key"], "=k,1");
        assert_eq!(parsed[0]["services"], json!(["7", "8"]));
        assert_eq!(COLUMNS.split(',').count(), parsed[0].as_object().expect("an object").len());
        assert_eq!(json(&[]), "[]\n");
    }
}
