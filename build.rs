//! Compiles `proto/` into the descriptor set that the program interprets, so that no generated code and no
//! `protoc` is needed; compresses what is served as it is; and makes the pages that errors lead to.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

use prost::Message as _;
use prost::bytes::{Buf as _, BufMut as _};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

/// A file whose own option values are dropped: they are rules in CEL that only other runtimes read, and
/// three quarters of its size.
const STRIPPED: &str = "buf/validate/validate.proto";

/// What is served as it is here, compressed into the program.
const PACKED: [&str; 3] =
    ["docs/openapi.json", "assets/swagger-ui/swagger-ui-bundle.js", "assets/swagger-ui/swagger-ui.css"];

/// What is served as pages, and where.
const PAGES: [(&str, &str); 2] = [("docs/errors.md", "/errors"), ("docs/runbook.md", "/runbook")];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protos(Path::new("proto/gizad"))?;
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(false).open_files(files)?;
    // The encoded set, and not the decoded one, keeps the values of custom options.
    let set = lean(&compiler.encode_file_descriptor_set())?;
    #[expect(clippy::disallowed_methods, reason = "cargo speaks to a build script in the environment")]
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("contract.bin"), set)?;
    // Apart from them, because only the documentation is made of comments, and that once.
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(protos(Path::new("proto/gizad"))?)?;
    fs::write(out.join("comments.txt"), comments(&compiler.file_descriptor_set()))?;
    fs::write(out.join("pages.txt"), pages()?)?;
    for file in PACKED {
        println!("cargo::rerun-if-changed={file}");
        let name = Path::new(file).file_name().ok_or("a file has a name")?.to_string_lossy().into_owned();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(&fs::read(file)?)?;
        fs::write(out.join(format!("{name}.gz")), packed.finish()?)?;
    }
    Ok(())
}

/// The pages, and one for each error: path, title, Markdown and HTML in turn, with a NUL behind each.
#[expect(clippy::disallowed_methods, reason = "a build script reads what it builds from")]
fn pages() -> Result<String, Box<dyn Error>> {
    let mut made = String::new();
    let reasons = fs::read_to_string("docs/errors.md")?;
    for (file, path) in PAGES {
        println!("cargo::rerun-if-changed={file}");
        let text = linked(&fs::read_to_string(file)?, path, &reasons);
        let title = text.lines().next().unwrap_or_default().trim_start_matches('#').trim();
        made.push_str(&format!("{path}\0{title}\0{text}\0{}\0", html_of(&text)));
        if path != "/errors" {
            continue;
        }
        for section in text.split("\n### ").skip(1) {
            let section = section.split("\n## ").next().unwrap_or_default().trim();
            let (name, _) = section.split_once('\n').ok_or("a section without a word")?;
            let page = format!("# {section}\n");
            made.push_str(&format!("{path}/{name}\0{name}\0{page}\0{}\0", html_of(&page)));
        }
    }
    Ok(made)
}

/// A text whose links lead to where its pages are served. Where to one leads that is not, is said in words.
fn linked(text: &str, path: &str, reasons: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, target, after)) = rest
        .split_once("](")
        .and_then(|(before, after)| after.split_once(')').map(|(target, after)| (before, target, after)))
    {
        match place(target, path, reasons) {
            Some(place) => out.push_str(&format!("{before}]({place})")),
            None => {
                let (ahead, words) = before.rsplit_once('[').unwrap_or((before, ""));
                let file = target.split('#').next().unwrap_or_default();
                let file = file.strip_prefix("../").map_or_else(|| ["docs", file].join("/"), str::to_owned);
                // Where the words are its name, they are enough.
                let named = file.ends_with(words);
                out.push_str(&if named {
                    format!("{ahead}{file}")
                } else {
                    format!("{ahead}{words} ({file})")
                });
            }
        }
        rest = after;
    }
    out + rest
}

/// Where a link leads on a page.
fn place(target: &str, path: &str, reasons: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let served =
        PAGES.iter().find(|(known, _)| known.trim_start_matches("docs/") == file).map(|(_, path)| *path);
    let page = if file.is_empty() { path } else { served? };
    let name = anchor.to_uppercase();
    Some(match anchor {
        "" => page.to_owned(),
        _ if page == "/errors" && reasons.contains(&format!("\n### {name}\n")) => format!("{page}/{name}"),
        _ => format!("{page}#{anchor}"),
    })
}

/// As a browser shows it, with the anchors that GitHub gives to headings.
fn html_of(text: &str) -> String {
    let mut events: Vec<Event<'_>> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    let (mut begun, mut anchors) = (0, Vec::new());
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Start(Tag::Heading { .. }) => begun = at,
            Event::End(TagEnd::Heading(_)) => {
                let said = events.get(begun..at).unwrap_or_default().iter().filter_map(|event| match event {
                    Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
                    _ => None,
                });
                let kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
                let anchor: String = said.collect::<String>().to_lowercase().chars().filter(kept).collect();
                anchors.push((begun, anchor.replace(' ', "-")));
            }
            _ => {}
        }
    }
    for (at, anchor) in anchors {
        if let Some(Event::Start(Tag::Heading { id, .. })) = events.get_mut(at) {
            *id = Some(anchor.into());
        }
    }
    let mut out = String::new();
    html::push_html(&mut out, events.into_iter());
    out
}

/// The comment of everything that has a full name: name and comment in turn, with a NUL behind each. A value of an enum is named
/// below its enum here.
fn comments(set: &prost_types::FileDescriptorSet) -> String {
    let mut told = String::new();
    for file in set.file.iter().filter(|file| file.package().starts_with("gizad.v1")) {
        for location in file.source_code_info.iter().flat_map(|info| &info.location) {
            let name = name(file, &location.path).filter(|_| !location.leading_comments().trim().is_empty());
            if let Some(name) = name {
                told.push_str(&format!("{}.{name}\0{}\0", file.package(), location.leading_comments()));
            }
        }
    }
    told
}

/// What stands at a place of a file (see `SourceCodeInfo.Location.path` in descriptor.proto), below the file's package.
fn name(file: &prost_types::FileDescriptorProto, path: &[i32]) -> Option<String> {
    let at = |number: &i32| usize::try_from(*number).ok();
    match path {
        [4, index, rest @ ..] => in_message(file.message_type.get(at(index)?)?, rest),
        [5, index, rest @ ..] => in_enum(file.enum_type.get(at(index)?)?, rest),
        [6, index] => Some(file.service.get(at(index)?)?.name().to_owned()),
        [6, index, 2, method] => {
            let service = file.service.get(at(index)?)?;
            Some(format!("{}.{}", service.name(), service.method.get(at(method)?)?.name()))
        }
        _ => None,
    }
}

fn in_message(message: &prost_types::DescriptorProto, path: &[i32]) -> Option<String> {
    let at = |number: &i32| usize::try_from(*number).ok();
    let inner = match path {
        [] => return Some(message.name().to_owned()),
        [2, field] => message.field.get(at(field)?)?.name().to_owned(),
        [3, index, rest @ ..] => in_message(message.nested_type.get(at(index)?)?, rest)?,
        [4, index, rest @ ..] => in_enum(message.enum_type.get(at(index)?)?, rest)?,
        _ => return None,
    };
    Some(format!("{}.{inner}", message.name()))
}

fn in_enum(values: &prost_types::EnumDescriptorProto, path: &[i32]) -> Option<String> {
    match path {
        [] => Some(values.name().to_owned()),
        [2, index] => {
            let value = values.value.get(usize::try_from(*index).ok()?)?;
            Some(format!("{}.{}", values.name(), value.name()))
        }
        _ => None,
    }
}

/// Every `.proto` below a folder, in a stable order.
fn protos(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(protos(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The same `FileDescriptorSet` with the one file stripped.
fn lean(set: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut rest = set;
    let mut out = Vec::with_capacity(set.len());
    while rest.has_remaining() {
        let (tag, wire) = decode_key(&mut rest)?;
        assert!(tag == 1 && wire == WireType::LengthDelimited, "a set has one field, its files");
        let length = usize::try_from(decode_varint(&mut rest)?)?;
        let (file, after) = rest.split_at(length);
        rest = after;
        let decoded = prost_types::FileDescriptorProto::decode(file)?;
        encode_key(1, WireType::LengthDelimited, &mut out);
        if decoded.name() == STRIPPED {
            // prost-types knows no extensions, so encoding again leaves them out.
            encode_varint(u64::try_from(decoded.encoded_len())?, &mut out);
            decoded.encode(&mut out)?;
        } else {
            encode_varint(u64::try_from(length)?, &mut out);
            out.put_slice(file);
        }
    }
    Ok(out)
}
