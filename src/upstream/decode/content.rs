//! Where the content of an answer stands: under which wrappers, as a list, as an object keyed by identifier, or
//! bare.

use serde_json::{Map, Value as Json};

use super::super::judge;
use crate::contract::{Message, fold};

/// Wrappers that belong to the envelope of any answer, folded.
const GENERIC: [&str; 9] =
    ["data", "result", "response", "payload", "content", "items", "list", "rows", "records"];
/// How many wrappers are opened.
const MAX_DEPTH: usize = 4;
/// Members that repeat the message.
const MESSAGES: [&str; 5] = ["message", "msg", "statusmsg", "donemsg", "messages"];

/// One layer of an answer about one thing.
pub(super) enum Content {
    /// Its members, without the envelope's and without the wrapper that leads deeper.
    Object(Map<String, Json>),
    /// A bare value under a wrapper, and the wrapper's name.
    Bare(String, Json),
}

/// A list and what stood beside it.
pub(super) struct Listed {
    /// The items, each with its key if the list was an object.
    pub(super) items: Vec<(Option<String>, Json)>,
    /// What stood beside the list at any level.
    pub(super) beside: Map<String, Json>,
}

/// Whether a member holds the message that the judgement has read.
pub(super) fn is_message(name: &str) -> bool {
    MESSAGES.contains(&fold(name).as_str())
}

/// The members of an answer without those that only say whether it worked.
pub(super) fn envelope_apart(tree: &Json) -> Map<String, Json> {
    let mut members = tree.as_object().cloned().unwrap_or_default();
    members.retain(|name, json| !is_verdict(name, json));
    members
}

/// Whether a member has said all it has to say once the answer was judged.
fn is_verdict(name: &str, json: &Json) -> bool {
    let said = !json.is_object() && !json.is_array();
    said && matches!(fold(name).as_str(), "success" | "ok" | "result" | "done")
        || fold(name) == "status" && matches!(json, Json::String(word) if fold(word) == "success")
        || matches!(json, Json::Array(items) if items.is_empty() && matches!(fold(name).as_str(), "error" | "errors" | "messages"))
}

/// The layers of an answer about one thing, the deepest first.
pub(super) fn layers(tree: &Json, wrappers: &[String]) -> Vec<Content> {
    let mut layers = Vec::new();
    let mut current = match tree {
        Json::Object(_) => envelope_apart(tree),
        _ => return layers,
    };
    for _ in 0..MAX_DEPTH {
        let Some(name) = wrapper(&current, wrappers, |name, json| match json {
            Json::Object(inner) => !inner.is_empty(),
            Json::Array(items) => items.len() == 1 && items.iter().all(Json::is_object),
            // A bare value only under the envelope's own wrappers: `{"success": true, "data": 5000}`.
            Json::Number(_) | Json::String(_) => name == "data",
            Json::Null | Json::Bool(_) => false,
        }) else {
            break;
        };
        let inner = current.shift_remove(&name);
        layers.push(Content::Object(current));
        current = match inner {
            Some(Json::Object(inner)) => inner,
            Some(Json::Array(items)) => match items.into_iter().next() {
                Some(Json::Object(inner)) => inner,
                _ => Map::new(),
            },
            Some(bare) => {
                layers.push(Content::Bare(name, bare));
                Map::new()
            }
            None => Map::new(),
        };
    }
    layers.push(Content::Object(current));
    layers.reverse();
    layers
}

/// The list of an answer, wherever it stands.
pub(super) fn list(tree: &Json, wrappers: &[String], plan: &Message) -> Option<Listed> {
    let mut beside = match tree {
        Json::Array(items) => return Some(Listed { items: unkeyed(items), beside: Map::new() }),
        Json::Object(_) => envelope_apart(tree),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => return None,
    };
    let mut current = beside.clone();
    let mut kept: Map<String, Json> = Map::new();
    for _ in 0..MAX_DEPTH {
        let found =
            wrapper(&current, wrappers, |_, json| !json.is_number() && !json.is_boolean() && !is_words(json));
        let Some(name) = found else { break };
        let inner = current.shift_remove(&name)?;
        kept.extend(std::mem::take(&mut current));
        let items = match inner {
            Json::Array(items) => unkeyed(&items),
            // Empty in one of PHP's ways.
            Json::Null | Json::String(_) => Vec::new(),
            Json::Object(members) if members.is_empty() => Vec::new(),
            Json::Object(members)
                if is_keyed(&members, plan) && wrapper(&members, wrappers, |_, j| j.is_array()).is_none() =>
            {
                keyed(members)
            }
            Json::Object(members) if is_item(&members, plan) => vec![(None, Json::Object(members))],
            Json::Object(members) => {
                current = members;
                continue;
            }
            Json::Bool(_) | Json::Number(_) => return None,
        };
        return Some(Listed { items, beside: kept });
    }
    // Without a wrapper: keyed by identifier at the top, one bare object, or nothing but the envelope.
    let rest: Map<String, Json> = beside
        .iter()
        .filter(|(name, _)| !judge::is_envelope(&fold(name)))
        .map(|(n, j)| (n.clone(), j.clone()))
        .collect();
    if !rest.is_empty() && is_keyed(&rest, plan) {
        beside.retain(|name, _| !rest.contains_key(name));
        return Some(Listed { items: keyed(rest), beside });
    }
    if is_item(&rest, plan) {
        beside.retain(|name, _| !rest.contains_key(name));
        return Some(Listed { items: vec![(None, Json::Object(rest))], beside });
    }
    rest.is_empty().then_some(Listed { items: Vec::new(), beside })
}

/// The first wrapper that is there and holds something fit.
fn wrapper(
    members: &Map<String, Json>,
    wrappers: &[String],
    fit: impl Fn(&str, &Json) -> bool,
) -> Option<String> {
    let names = wrappers.iter().map(String::as_str).chain(GENERIC);
    names
        .filter_map(|wanted| members.iter().find(|(name, json)| fold(name) == wanted && fit(wanted, json)))
        .map(|(name, _)| name.clone())
        .next()
}

/// Words, which are no list: an empty text is one of PHP's empty lists.
fn is_words(json: &Json) -> bool {
    matches!(json, Json::String(text) if !text.trim().is_empty())
}

/// Whether an object is a list keyed by identifier: objects under names that are no fields of an item, or bare
/// values where an item may be one.
fn is_keyed(members: &Map<String, Json>, plan: &Message) -> bool {
    let bare = plan.fields.iter().find(|field| field.bare_value);
    let unnamed =
        |name: &str| !plan.fields.iter().any(|field| field.read_as.iter().any(|known| known == &fold(name)));
    !members.is_empty()
        && (members.values().all(Json::is_object)
            || bare.is_some_and(|field| {
                members
                    .iter()
                    .all(|(name, json)| unnamed(name) && super::object::value(field, json).is_some())
            }))
}

/// Whether an object is one item: something in it is a field of an item.
fn is_item(members: &Map<String, Json>, plan: &Message) -> bool {
    members.iter().any(|(name, json)| {
        let known = plan.fields.iter().filter(|field| field.read_as.contains(&fold(name)));
        known.into_iter().any(|field| super::object::value(field, json).is_some())
    })
}

fn keyed(members: Map<String, Json>) -> Vec<(Option<String>, Json)> {
    members.into_iter().map(|(key, json)| (Some(key), json)).collect()
}

fn unkeyed(items: &[Json]) -> Vec<(Option<String>, Json)> {
    items.iter().map(|json| (None, json.clone())).collect()
}
