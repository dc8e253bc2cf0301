//! JSON as YAML 1.2, for those who read it: longer texts in blocks, names without quotes where they need none.

use serde_json::Value;

/// The document.
pub(super) fn yaml(document: &Value) -> String {
    let mut out = String::new();
    write(document, 0, &mut out);
    out
}

/// Writes a value behind what it belongs to, with its line end.
fn write(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            if depth > 0 {
                out.push('\n');
            }
            for (name, member) in members {
                indent(depth, out);
                out.push_str(&key(name));
                out.push(':');
                write(member, depth + 1, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            if depth > 0 {
                out.push('\n');
            }
            for item in items {
                indent(depth, out);
                out.push('-');
                write(item, depth + 1, out);
            }
        }
        Value::String(text) if is_block(text) => {
            out.push_str(" |-\n");
            for line in text.lines() {
                if !line.is_empty() {
                    indent(depth, out);
                    out.push_str(line);
                }
                out.push('\n');
            }
        }
        // What JSON writes is YAML, too.
        other => {
            out.push(' ');
            out.push_str(&other.to_string());
            out.push('\n');
        }
    }
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn key(name: &str) -> String {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = starts && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    // Words that some readers take for something else.
    let taken = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    if plain && !taken.contains(&name.to_ascii_lowercase().as_str()) {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}

/// Whether a block says the same: no line begins the block with a space, nothing ends it, nothing in it is invisible.
fn is_block(text: &str) -> bool {
    let visible = text.chars().all(|c| c == '\n' || !c.is_control());
    text.contains('\n') && visible && !text.starts_with([' ', '\n']) && !text.ends_with([' ', '\n'])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_yaml_that_says_the_same() {
        let document = json!({"a": {"200": [1, {"no": null}], "b-c": {}}, "text": "one\n\n  two: three", "odd": " x\n",
                              "list": [[1], []], "quote": "\"#"});
        let expected = "a:\n  \"200\":\n    - 1\n    -\n      \"no\": null\n  b-c: {}\ntext: |-\n  one\n\n    two: three\n\
                        odd: \" x\\n\"\nlist:\n  -\n    - 1\n  - []\nquote: \"\\\"#\"\n";
        assert_eq!(yaml(&document), expected);
    }
}
