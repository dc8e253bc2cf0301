//! How the same answer is spelled by five kinds of APIs. The real one documents none of its answers, so a
//! gateway that understands all five has a chance with the sixth.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde_json::{Map, Value as Json, json};

use super::payload::{Cell, Kind, Many, Payload, Refusal, Row};

/// A way of speaking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personality {
    /// `{"result": "success", …}`, flat, identifiers as text, a list of one as the one.
    Whmcs,
    /// `{"success": true, "data": …}` with statuses to match.
    Boolean,
    /// `{"status": "success", "msg": …}` with amounts as people write them.
    Status,
    /// `{"done": 1}`, lists as objects keyed by identifier, everything as text.
    Virtualizor,
    /// No envelope at all.
    Bare,
}

impl Personality {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Whmcs, Self::Boolean, Self::Status, Self::Virtualizor, Self::Bare];

    /// The word used in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whmcs => "whmcs",
            Self::Boolean => "boolean",
            Self::Status => "status",
            Self::Virtualizor => "virtualizor",
            Self::Bare => "bare",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|personality| personality.as_str() == name)
    }

    /// An answer as a status and a body.
    pub(super) fn speak(self, answer: &Result<Payload, Refusal>) -> (u16, Json) {
        match answer {
            Ok(payload) => (200, self.success(payload)),
            Err(refusal) => self.refusal(refusal),
        }
    }

    fn success(self, payload: &Payload) -> Json {
        match payload {
            Payload::Done(words) => match self {
                Self::Whmcs => json!({"result": "success", "message": words}),
                Self::Boolean => json!({"success": true, "message": words, "data": null}),
                Self::Status => json!({"status": "success", "msg": words}),
                Self::Virtualizor => json!({"done": 1, "done_msg": words}),
                Self::Bare => json!({"ok": true}),
            },
            Payload::NextBoot(words) => match self {
                Self::Virtualizor => json!({"onboot": 1}),
                Self::Whmcs | Self::Boolean | Self::Status | Self::Bare => {
                    self.success(&Payload::Done(words))
                }
            },
            Payload::One(name, row) => self.one(name, self.row(row)),
            Payload::NotYet(name, row) => match self {
                Self::Boolean => {
                    let mut members = Map::from_iter([
                        ("success".to_owned(), json!(false)),
                        ("message".to_owned(), json!("Payment not completed yet")),
                    ]);
                    members.extend(self.row(row));
                    Json::Object(members)
                }
                Self::Whmcs | Self::Status | Self::Virtualizor | Self::Bare => self.one(name, self.row(row)),
            },
            Payload::Many(many) => self.many(many),
            Payload::Power(id, on) => match self {
                Self::Whmcs => json!({"result": "success", "status": if *on { "online" } else { "offline" }}),
                Self::Boolean => {
                    json!({"success": true, "data": {"vpsid": id, "status": if *on { "running" } else { "stopped" }}})
                }
                Self::Status => {
                    json!({"status": "success", "statusmsg": "", "vmstat": if *on { "online" } else { "offline" }})
                }
                Self::Virtualizor => json!({"status": i32::from(*on)}),
                Self::Bare => json!({"vpsid": id, "state": if *on { "on" } else { "off" }}),
            },
        }
    }

    fn one(self, name: &str, mut row: Map<String, Json>) -> Json {
        match self {
            Self::Whmcs => {
                row.shift_insert(0, "result".to_owned(), json!("success"));
                Json::Object(row)
            }
            Self::Boolean => json!({"success": true, "message": "OK", "data": row}),
            Self::Status => json!({"status": "success", "msg": "OK", name: row}),
            Self::Virtualizor => json!({name: row, "done": 1}),
            Self::Bare => Json::Object(row),
        }
    }

    fn many(self, many: &Many) -> Json {
        let rows: Vec<Json> = many.rows.iter().map(|row| Json::Object(self.row(row))).collect();
        match self {
            Self::Whmcs => {
                // One item stands for itself and none for nothing, as PHP arrays come out of XML.
                let listed = match rows.as_slice() {
                    [] => json!(""),
                    [one] => json!({many.singular: one}),
                    _ => json!({many.singular: rows}),
                };
                let counted = many.rows.len();
                json!({
                    "result": "success", "totalresults": many.total.to_string(), "startnumber": 0,
                    "numreturned": counted, many.plural: listed
                })
            }
            Self::Boolean => json!({"success": true, "data": rows, "total": many.total}),
            Self::Status => json!({"status": "success", "msg": "OK", many.plural: rows, "total": many.total}),
            Self::Virtualizor => {
                let keyed = many.rows.iter().map(|row| {
                    let mut members = self.row(row);
                    let key = members
                        .get(many.key)
                        .map(|key| key.as_str().map_or_else(|| key.to_string(), str::to_owned));
                    // The key says it already.
                    if many.key != "vpsid" {
                        members.shift_remove(many.key);
                    }
                    (key.unwrap_or_default(), Json::Object(members))
                });
                let name = if many.key == "vpsid" { "vs" } else { many.plural };
                json!({name: Map::from_iter(keyed), "time_now": "1"})
            }
            Self::Bare => Json::Array(rows),
        }
    }

    fn row(self, row: &Row) -> Map<String, Json> {
        row.iter().map(|(name, cell)| ((*name).to_owned(), self.cell(cell))).collect()
    }

    fn cell(self, cell: &Cell) -> Json {
        match cell {
            Cell::Text(text) => json!(text),
            Cell::Texts(texts) => json!(texts),
            Cell::Rows(rows) => rows.iter().map(|row| Json::Object(self.row(row))).collect(),
            Cell::Amounts(amounts) => {
                let spelled = amounts
                    .iter()
                    .map(|(name, amount)| ((*name).to_owned(), self.cell(&Cell::Money(*amount))));
                Json::Object(spelled.collect())
            }
            Cell::Id(id) => match self {
                Self::Whmcs | Self::Virtualizor => json!(id.to_string()),
                Self::Boolean | Self::Status | Self::Bare => json!(id),
            },
            Cell::Ids(ids) => match (self, ids.as_slice()) {
                (Self::Whmcs | Self::Virtualizor, _) => {
                    json!(ids.iter().map(i64::to_string).collect::<Vec<_>>().join(","))
                }
                (Self::Boolean | Self::Status | Self::Bare, [one]) => json!(one),
                (Self::Boolean | Self::Status | Self::Bare, _) => json!(ids),
            },
            Cell::Money(amount) => match self {
                Self::Whmcs => json!(format!("{amount}.00")),
                Self::Boolean | Self::Bare => json!(amount),
                Self::Status => json!(grouped(*amount)),
                Self::Virtualizor => json!(amount.to_string()),
            },
            Cell::Date(None) => match self {
                Self::Whmcs => json!("0000-00-00 00:00:00"),
                Self::Status | Self::Virtualizor => json!(""),
                Self::Boolean | Self::Bare => Json::Null,
            },
            Cell::Date(Some(millis)) => match self {
                Self::Whmcs => json!(local(*millis, "%Y-%m-%d %H:%M:%S")),
                Self::Boolean => json!(local(*millis, "%d/%m/%Y %H:%M:%S")),
                Self::Status => json!(millis / 1000),
                Self::Virtualizor => json!((millis / 1000).to_string()),
                Self::Bare => json!(local(*millis, "%Y-%m-%dT%H:%M:%S+07:00")),
            },
        }
    }

    fn refusal(self, refusal: &Refusal) -> (u16, Json) {
        let words = &refusal.words;
        match self {
            Self::Whmcs => (200, json!({"result": "error", "message": words})),
            Self::Boolean => {
                let status = match refusal.kind {
                    Kind::Auth => 401,
                    Kind::Invalid => 400,
                    Kind::Balance => 402,
                    Kind::Missing => 404,
                    Kind::Conflict => 409,
                };
                (status, json!({"success": false, "message": words}))
            }
            Self::Status => {
                let code = match refusal.kind {
                    Kind::Auth => "AUTH_FAILED",
                    Kind::Invalid => "INVALID_PARAMETER",
                    Kind::Balance => "INSUFFICIENT_BALANCE",
                    Kind::Missing => "NOT_FOUND",
                    Kind::Conflict => "CONFLICT",
                };
                (200, json!({"status": "error", "code": code, "message": words, "balance": 300}))
            }
            Self::Virtualizor => (200, json!({"error": [words]})),
            Self::Bare => (200, json!({"error": words})),
        }
    }
}

/// `1.200.000 ₫`.
fn grouped(amount: i64) -> String {
    let digits = amount.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('.');
        }
        text.push(digit);
    }
    let sign = if amount < 0 { "-" } else { "" };
    format!("{sign}{text} ₫")
}

/// A moment as a clock in Ho Chi Minh City shows it.
fn local(millis: i64, format: &str) -> String {
    let zone = TimeZone::fixed(Offset::constant(7));
    Timestamp::from_millisecond(millis)
        .map_or_else(|_| String::new(), |at| at.to_zoned(zone).strftime(format).to_string())
}
