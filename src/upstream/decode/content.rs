//! Where the content of an answer stands: under which wrappers, as a list, as an object keyed by identifier, or
//! bare.

use serde_json::{Map, Value as Json};

use super::super::judge::{is_envelope, is_message, is_spent};
use crate::contract::{Message, fold};

/// Wrappers that belong to the envelope of any answer, folded.
pub(super) const GENERIC: [&str; 9] =
    ["data", "result", "response", "payload", "content", "items", "list", "rows", "records"];
/// How many wrappers are opened.
const MAX_DEPTH: usize = 4;

/// One layer of an answer about one thing.
pub(super) enum Content {
    /// The thing itself, and the wrapper it stood under.
    Object(Option<String>, Map<String, Json>),
    /// What stands around it.
    Around(Map<String, Json>),
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

/// The members of an answer without those that only say whether it worked.
pub(super) fn envelope_apart(tree: &Json) -> Map<String, Json> {
    let mut members = tree.as_object().cloned().unwrap_or_default();
    members.retain(|name, json| !is_spent(&fold(name), json));
    members
}

/// Adds members to others; what stands deeper comes first and keeps its name.
pub(super) fn keep_around(kept: &mut Map<String, Json>, around: Map<String, Json>) {
    for (name, json) in around {
        let mut free = name;
        while kept.contains_key(&free) {
            free.insert_str(0, "envelope.");
        }
        kept.insert(free, json);
    }
}

/// The layers of an answer about one thing, the deepest first.
pub(super) fn layers(tree: &Json, wrappers: &[String]) -> Vec<Content> {
    let mut layers = Vec::new();
    let Json::Object(root) = tree else { return layers };
    let (mut current, mut via) = (root.clone(), None);
    for _ in 0..MAX_DEPTH {
        let found = wrapper(&current, wrappers, |name, json| match json {
            Json::Object(inner) => !inner.is_empty(),
            Json::Array(items) => items.len() == 1 && items.iter().all(Json::is_object),
            // A bare value only under the envelope's own wrapper: `{"success": true, "data": 5000}`.
            Json::Number(_) | Json::String(_) => name == "data",
            Json::Null | Json::Bool(_) => false,
        });
        let Some(name) = found else { break };
        let inner = current.shift_remove(&name);
        layers.push(Content::Around(envelope_apart(&Json::Object(current))));
        current = match inner {
            Some(Json::Object(inner)) => inner,
            Some(Json::Array(items)) => match items.into_iter().next() {
                Some(Json::Object(inner)) => inner,
                _ => Map::new(),
            },
            Some(bare) => {
                layers.push(Content::Bare(name, bare));
                layers.reverse();
                return layers;
            }
            None => Map::new(),
        };
        via = Some(fold(&name));
    }
    let deepest = if via.is_none() { envelope_apart(tree) } else { current };
    layers.push(Content::Object(via, deepest));
    layers.reverse();
    layers
}

/// The list of an answer, wherever it stands. That there is nothing but an envelope means an empty list only when
/// the answer says that it worked.
pub(super) fn list(tree: &Json, wrappers: &[String], plan: &Message, explicit: bool) -> Option<Listed> {
    let root = match tree {
        Json::Array(items) => return Some(Listed { items: unkeyed(items), beside: Map::new() }),
        Json::Object(root) => root,
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => return None,
    };
    let mut beside = Map::new();
    let mut current = root.clone();
    let mut top = true;
    for _ in 0..MAX_DEPTH {
        let fit = |json: &Json| !json.is_number() && !json.is_boolean() && !is_words(json);
        let Some(name) = wrapper(&current, wrappers, |_, json| fit(json)) else { break };
        let inner = current.shift_remove(&name)?;
        let around = std::mem::take(&mut current);
        keep_around(&mut beside, if top { envelope_apart(&Json::Object(around)) } else { around });
        top = false;
        let items = match inner {
            Json::Array(items) => unkeyed(&items),
            // Empty in one of PHP's ways.
            Json::Null | Json::String(_) => Vec::new(),
            Json::Object(members) if members.is_empty() => Vec::new(),
            Json::Object(members)
                if wrapper(&members, wrappers, |_, json| json.is_array() || json.is_object()).is_some() =>
            {
                current = members;
                continue;
            }
            Json::Object(members) if is_keyed(&members, plan, true) => keyed(members),
            Json::Object(members) if is_item(&members, plan) => vec![(None, Json::Object(members))],
            Json::Object(_) | Json::Bool(_) | Json::Number(_) => return None,
        };
        return Some(Listed { items, beside });
    }
    // Without a wrapper: keyed by identifier at the top, one bare object, or nothing but the envelope.
    let rest: Map<String, Json> = current
        .iter()
        .filter(|(name, _)| !is_envelope(&fold(name)))
        .map(|(n, j)| (n.clone(), j.clone()))
        .collect();
    if !rest.is_empty() && is_keyed(&rest, plan, false) {
        current.retain(|name, _| !rest.contains_key(name));
        keep_around(&mut beside, envelope_apart(&Json::Object(current)));
        return Some(Listed { items: keyed(rest), beside });
    }
    if is_item(&rest, plan) {
        return Some(Listed { items: vec![(None, Json::Object(current))], beside });
    }
    let nothing = rest.is_empty() && (explicit || root.is_empty());
    keep_around(&mut beside, envelope_apart(&Json::Object(current)));
    nothing.then_some(Listed { items: Vec::new(), beside })
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

/// Whether an object is a list keyed by identifier: objects under names that are no fields of an item, or, under a
/// wrapper, bare values where an item may be one.
fn is_keyed(members: &Map<String, Json>, plan: &Message, wrapped: bool) -> bool {
    let bare = plan.fields.iter().find(|field| field.bare_value).filter(|_| wrapped);
    let unnamed = |name: &str| !is_named(name, plan);
    !members.is_empty()
        && (members.values().all(Json::is_object)
            || bare.is_some_and(|field| {
                members
                    .iter()
                    .all(|(name, json)| unnamed(name) && super::object::value(field, json).is_some())
            }))
}

fn is_named(name: &str, plan: &Message) -> bool {
    plan.fields.iter().any(|field| field.read_as.contains(&fold(name)))
}

/// Whether an object is one item: something in it is a field of an item.
fn is_item(members: &Map<String, Json>, plan: &Message) -> bool {
    members.iter().any(|(name, json)| {
        let known = plan.fields.iter().filter(|field| field.read_as.contains(&fold(name)));
        known.into_iter().any(|field| !is_message(&fold(name)) && super::object::value(field, json).is_some())
    })
}

fn keyed(members: Map<String, Json>) -> Vec<(Option<String>, Json)> {
    members.into_iter().map(|(key, json)| (Some(key), json)).collect()
}

fn unkeyed(items: &[Json]) -> Vec<(Option<String>, Json)> {
    items.iter().map(|json| (None, json.clone())).collect()
}
