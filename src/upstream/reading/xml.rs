//! XML, with or without a root element, into the tree that JSON would have been.

use roxmltree::{Document, Node};
use serde_json::{Map, Value as Json};

/// How deep elements may stand in one another.
const MAX_DEPTH: usize = 32;

/// The longest text that is read: the library looks for doubles among attributes one by one.
const LONGEST: usize = 64 * 1024;

/// The tree, and whether it holds all that the text does.
pub(super) fn read(text: &str) -> Option<(Json, bool)> {
    if !text.starts_with('<') || text.len() > LONGEST {
        return None;
    }
    // Some panels send elements without a root around them.
    let wrapped;
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(_) => {
            wrapped = format!("<answer>{text}</answer>");
            Document::parse(&wrapped).ok()?
        }
    };
    let root = document.root_element();
    let mut whole = true;
    let tree = element(root, 0, &mut whole)?;
    let name = root.tag_name().name();
    // Lone text in a lone element is no answer: `<br/>`, `<p>down</p>`. An element named for an error is one.
    let tree = match tree {
        Json::Object(members) if !name.to_ascii_lowercase().starts_with("err") => Json::Object(members),
        other => Json::Object(Map::from_iter([(name.to_owned(), other)])),
    };
    let plain =
        tree.as_object().is_some_and(|members| !members.contains_key("br") && !members.contains_key("b"));
    plain.then_some((tree, whole))
}

/// An element: its text, or its attributes and elements. Text between elements is noise.
fn element(element: Node<'_, '_>, depth: usize, whole: &mut bool) -> Option<Json> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut members: Map<String, Json> = Map::new();
    for attribute in element.attributes() {
        members.insert(attribute.name().to_owned(), Json::from(attribute.value().trim()));
    }
    let inner = element.children().any(|node| node.is_element());
    if !inner && members.is_empty() {
        return Some(Json::from(element.text().unwrap_or_default().trim()));
    }
    for child in element.children() {
        if child.is_text() && !child.text().unwrap_or_default().trim().is_empty() {
            *whole = false;
        }
        if !child.is_element() {
            continue;
        }
        let json = self::element(child, depth + 1, whole)?;
        // An element that stands several times is a list.
        match members.get_mut(child.tag_name().name()) {
            Some(Json::Array(items)) => items.push(json),
            Some(first) => *first = Json::Array(vec![first.take(), json]),
            None => drop(members.insert(child.tag_name().name().to_owned(), json)),
        }
    }
    Some(Json::Object(members))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_and_fragments_become_trees() {
        let tree = |json: Json| Some((json, true));
        let document = r#"<?xml version="1.0"?><whmcsapi version="8"><action>x</action><result>error</result></whmcsapi>"#;
        assert_eq!(read(document), tree(json!({"version": "8", "action": "x", "result": "error"})));
        let fragments = "<status>success</status><statusmsg>rebooted</statusmsg>";
        assert_eq!(read(fragments), tree(json!({"status": "success", "statusmsg": "rebooted"})));
        let many = "<r><vps id=\"1\"><ip>a</ip></vps><vps><id>2</id></vps></r>";
        assert_eq!(read(many), tree(json!({"vps": [{"id": "1", "ip": "a"}, {"id": "2"}]})));
        assert_eq!(read("<error><message>x</message></error>"), tree(json!({"error": {"message": "x"}})));
        let mixed = read("<status>success</status> but not really");
        assert_eq!(mixed, Some((json!({"status": "success"}), false)));
        for other in ["", "x", "<br />", "<b>Warning</b>: x<br />{\"a\":1}", "<unclosed>"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
