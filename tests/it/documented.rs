//! The reference of the settings, made from the annotated file that is compiled in.

use std::fmt::Write as _;

use gizad::settings::DEFAULTS;

use super::tables::assert_same;

const BEGIN: &str = "# Settings

Made from [deploy/gizad.toml](../deploy/gizad.toml), which is compiled into gizad as its defaults: `UPDATE=1 cargo nextest run documented` writes
this page anew. `gizad check` prints what is used, and where each value comes from.

";

/// A setting or several that share what is said of them.
#[derive(Default)]
struct Entry<'a> {
    keys: Vec<&'a str>,
    said: Vec<&'a str>,
}

impl Entry<'_> {
    fn write(self, out: &mut String) {
        if self.keys.is_empty() {
            return;
        }
        let keys: Vec<String> = self.keys.iter().map(|key| format!("`{key}`")).collect();
        let end = if self.said.is_empty() { "" } else { "\\" };
        let _infallible = writeln!(out, "- {}{end}", keys.join(", "));
        for line in prose(&self.said).lines() {
            let _infallible = if line.is_empty() { writeln!(out) } else { writeln!(out, "  {line}") };
        }
    }
}

/// Comments as paragraphs, with what is an example of a setting as such.
fn prose(lines: &[&str]) -> String {
    let mut out = String::new();
    let mut in_code = false;
    for line in lines {
        let name = line.split(" = ").next().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let is_code = line.contains(" = ") && name.chars().all(plain);
        if is_code != in_code {
            out.push_str(if is_code { "\n```toml\n" } else { "```\n\n" });
            in_code = is_code;
        }
        let _infallible =
            writeln!(out, "{}", if is_code { (*line).to_owned() } else { line.replace('<', "\\<") });
    }
    if in_code {
        out.push_str("```\n");
    }
    out
}

fn page() -> String {
    let (mut out, mut said, mut entry) = (BEGIN.to_owned(), Vec::new(), Entry::default());
    let mut in_section = false;
    for line in DEFAULTS.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            std::mem::take(&mut entry).write(&mut out);
            said.push(comment.strip_prefix(' ').unwrap_or(comment));
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            std::mem::take(&mut entry).write(&mut out);
            let _infallible = write!(out, "\n## [{name}]\n\n{}\n", prose(&std::mem::take(&mut said)));
            in_section = true;
        } else if line.contains('=') {
            if !said.is_empty() {
                entry = Entry { keys: Vec::new(), said: std::mem::take(&mut said) };
            }
            entry.keys.push(line);
        } else if !in_section && !said.is_empty() {
            // Its first paragraph says what file it is.
            let header = std::mem::take(&mut said);
            let after = header.iter().position(|line| line.is_empty()).map_or(0, |end| end + 1);
            out.push_str(&prose(&header[after..]));
        }
    }
    entry.write(&mut out);
    // A section without words of its own begins with its settings.
    while out.contains("\n\n\n") {
        out = out.replace("\n\n\n", "\n\n");
    }
    out
}

#[test]
fn every_setting_is_documented() {
    let page = page();
    let table: toml::Table = DEFAULTS.parse().expect("TOML");
    for (section, settings) in &table {
        assert!(page.contains(&format!("\n## [{section}]\n")), "{section}");
        for key in settings.as_table().expect("a section").keys() {
            let written =
                page.contains(&format!("`{key} = ")) || page.contains(&format!("\n## [{section}.{key}]\n"));
            assert!(written, "{section}.{key}");
        }
    }
    assert_same("docs/settings.md", &page);
}
