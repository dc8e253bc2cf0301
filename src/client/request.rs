//! A call of the contract as REST has it: a method, a path with its variables filled in, and the rest in the query or in the
//! body.

use std::fmt;

use serde_json::{Map, Value as Json};

use crate::contract::{Body, Operation, Term};

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The method of HTTP.
    pub method: &'static str,
    /// The path, with the query.
    pub path: String,
    /// Headers beside those that every call has.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Option<Json>,
}

/// A request that the path cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit(String);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing, or can be no part of a path", self.0)
    }
}

impl std::error::Error for Unfit {}

impl Request {
    /// The call of an operation with these fields.
    ///
    /// # Errors
    /// When a variable of the path is missing or empty.
    pub fn of(operation: &Operation, mut fields: Map<String, Json>) -> Result<Self, Unfit> {
        let mut path = String::new();
        for segment in operation.path.template().split('/').skip(1) {
            path.push('/');
            let Some(name) = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) else {
                path.push_str(segment);
                continue;
            };
            let value = fields.shift_remove(name).map(text).unwrap_or_default();
            // Whoever resolves a path takes these for steps of it.
            if matches!(value.as_str(), "" | "." | "..") {
                return Err(Unfit(name.to_owned()));
            }
            path.push_str(&escaped(&value));
        }
        // How long to wait is no part of what is asked for, and stands in the query whatever the body is.
        let wait = operation.term(Term::Wait).and_then(|field| {
            let value = fields.shift_remove(&field.name)?;
            Some((field.name.clone(), value))
        });
        let mut asked: Map<String, Json> = wait.into_iter().collect();
        let body = match &operation.body {
            Body::Whole => Some(Json::Object(fields)),
            Body::Field(name) => Some(fields.shift_remove(name).unwrap_or_else(|| Json::Object(Map::new()))),
            Body::None => {
                asked.extend(fields);
                None
            }
        };
        let query = query(asked);
        if !query.is_empty() {
            path.push('?');
            path.push_str(&query);
        }
        Ok(Self { method: operation.verb.as_str(), path, headers: Vec::new(), body })
    }
}

fn query(fields: Map<String, Json>) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    for (name, json) in fields {
        match json {
            Json::Null => {}
            Json::Array(items) => {
                for item in items {
                    out.append_pair(&name, &text(item));
                }
            }
            Json::Object(members) => {
                for (inner, json) in members {
                    out.append_pair(&format!("{name}.{inner}"), &text(json));
                }
            }
            single => {
                out.append_pair(&name, &text(single));
            }
        }
    }
    out.finish()
}

fn text(json: Json) -> String {
    match json {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

/// One segment of a path (RFC 3986): all but the unreserved characters are escaped.
fn escaped(segment: &str) -> String {
    let mut out = String::new();
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::Contract;

    fn request(name: &str, fields: Json) -> Result<Request, Unfit> {
        let operation = Contract::embedded().expect("sound").operation(name).expect("a row");
        let Json::Object(fields) = fields else { panic!("an object") };
        Request::of(operation, fields)
    }

    #[test]
    fn every_field_finds_its_place() {
        let shown = |name, fields| {
            let request = request(name, fields).expect("fit");
            format!("{} {} {}", request.method, request.path, request.body.unwrap_or_default())
        };
        assert_eq!(shown("VpsService.StartVps", json!({"vps_id": 7})), "POST /vps/7/start null");
        assert_eq!(
            shown("VpsService.ListVps", json!({"view": "full", "extra": {"a b": "c&d"}})),
            "GET /vps?view=full&extra.a+b=c%26d null"
        );
        assert_eq!(
            shown("TicketService.ReplyTicket", json!({"ticket_id": 5, "message": "xin chào"})),
            r#"POST /tickets/5/replies {"message":"xin chào"}"#
        );
        assert_eq!(
            shown("ActionService.CallAction", json!({"action": "vps_rdns", "parameters": {"vpsid": 1}})),
            r#"POST /actions/vps_rdns {"vpsid":1}"#
        );
        assert_eq!(
            shown("WalletService.GetDeposit", json!({"order_id": "a/b?"})),
            "GET /wallet/deposits/a%2Fb%3F null"
        );
    }

    #[test]
    fn a_path_is_never_a_shorter_one() {
        for id in ["", ".", ".."] {
            assert!(request("WalletService.GetDeposit", json!({"order_id": id})).is_err(), "{id:?}");
        }
        assert!(request("VpsService.GetVps", json!({})).is_err());
    }
}
