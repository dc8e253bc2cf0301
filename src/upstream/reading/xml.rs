//! XML, with or without a root element, into the tree that JSON would have been.

use roxmltree::{Document, Node};
use serde_json::{Map, Value as Json};

/// How deep elements may stand in one another.
const MAX_DEPTH: usize = 32;

pub(super) fn read(text: &str) -> Option<Json> {
    if !text.starts_with('<') {
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
    // Lone text in a lone element is no answer: `<br/>`, `<p>down</p>`.
    let tree = if root.children().any(|node| node.is_element()) {
        object(root, 0)?
    } else {
        Json::Object(Map::from_iter([(root.tag_name().name().to_owned(), Json::from(root.text()?.trim()))]))
    };
    let plain =
        tree.as_object().is_some_and(|members| !members.contains_key("br") && !members.contains_key("b"));
    plain.then_some(tree)
}

fn object(element: Node<'_, '_>, depth: usize) -> Option<Json> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut members: Map<String, Json> = Map::new();
    for child in element.children().filter(Node::is_element) {
        let json = if child.children().any(|node| node.is_element()) {
            object(child, depth + 1)?
        } else {
            Json::from(child.text().unwrap_or_default().trim())
        };
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
        let document = r#"<?xml version="1.0"?><whmcsapi version="8"><action>x</action><result>error</result></whmcsapi>"#;
        assert_eq!(read(document), Some(json!({"action": "x", "result": "error"})));
        let fragments = "<status>success</status><statusmsg>rebooted</statusmsg>";
        assert_eq!(read(fragments), Some(json!({"status": "success", "statusmsg": "rebooted"})));
        let many = "<r><vps><id>1</id></vps><vps><id>2</id></vps></r>";
        assert_eq!(read(many), Some(json!({"vps": [{"id": "1"}, {"id": "2"}]})));
        for other in ["", "x", "<br />", "<b>Warning</b>: x<br />{\"a\":1}", "<unclosed>"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
