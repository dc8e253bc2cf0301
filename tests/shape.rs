//! The shape of the source: which room may name which, how long a file may be, what names are banned. The table
//! is that of `src/lib.rs`; whoever changes one changes the other.

#![expect(clippy::disallowed_methods, clippy::expect_used, reason = "a test fails loudly and reads files")]

use std::fs;
use std::path::{Path, PathBuf};

use gizad::contract::Contract;

/// Each room and the rooms it may name. `ambient` is the door to clock and randomness; everybody may use it.
const ROOMS: &[(&str, &[&str])] = &[
    ("ambient", &[]),
    ("contract", &[]),
    ("traces", &["outward"]),
    // A reply may be a stream, whose last part may be a fault.
    ("call", &["contract", "fault", "traces"]),
    ("fault", &["contract", "call"]),
    ("client", &["contract", "outward"]),
    ("plant", &[]),
    ("purchase", &["plant"]),
    ("database", &["outward"]),
    ("ledger", &["database", "purchase"]),
    ("audit", &[]),
    ("edge", &["contract", "call", "fault", "traces", "vietqr"]),
    ("metrics", &["call", "contract", "fault", "ledger", "traces"]),
    ("shared", &["database", "plant"]),
    (
        "policy",
        &[
            "audit", "contract", "call", "fault", "ledger", "metrics", "plant", "purchase", "shared",
            "traces", "watch",
        ],
    ),
    ("state", &[]),
    ("vietqr", &[]),
    ("outward", &[]),
    ("upstream", &["contract", "call", "fault", "outward", "traces", "vietqr"]),
    ("watch", &["contract", "call", "fault", "shared", "traces"]),
    ("sandbox", &[]),
    ("telemetry", &[]),
    ("records", &["ledger", "purchase"]),
    // Settings build each room's options, and so name every room that has some.
    (
        "settings",
        &[
            "call",
            "client",
            "contract",
            "edge",
            "policy",
            "purchase",
            "sandbox",
            "telemetry",
            "traces",
            "upstream",
            "watch",
        ],
    ),
    (
        "doctor",
        &[
            "boot", "call", "contract", "edge", "fault", "ledger", "records", "settings", "shared", "state",
            "upstream",
        ],
    ),
    (
        "boot",
        &[
            "audit",
            "call",
            "contract",
            "database",
            "edge",
            "fault",
            "ledger",
            "metrics",
            "policy",
            "purchase",
            "sandbox",
            "settings",
            "shared",
            "state",
            "telemetry",
            "traces",
            "upstream",
        ],
    ),
];

/// The crates that only some rooms may name.
const CRATES: &[(&str, &[&str])] = &[
    ("axum", &["boot", "edge", "sandbox"]),
    ("tonic", &["edge"]),
    ("reqwest", &["client", "traces", "upstream"]),
    ("hyper", &["boot", "edge", "sandbox", "upstream"]),
    // The database's own CA is an operator's file, which boot hands on.
    ("tokio_rustls", &["boot", "client", "database", "edge", "outward", "settings", "traces", "upstream"]),
    ("webpki_roots", &["outward"]),
    ("x509_cert", &["edge", "upstream"]),
    ("flate2", &["edge"]),
    ("rusqlite", &["ledger"]),
    ("tokio_postgres", &["database"]),
    ("governor", &["policy"]),
    ("secrecy", &["upstream"]),
    ("zeroize", &["client", "settings", "upstream"]),
    ("listenfd", &["boot"]),
    ("rustix", &["boot", "doctor", "main", "metrics"]),
    ("prometheus_client", &["metrics"]),
    ("toml", &["settings"]),
    ("qrcode", &["vietqr"]),
    ("clap", &["main"]),
    ("clap_complete", &["main"]),
    ("clap_mangen", &["main"]),
];

const BANNED_NAMES: &[&str] = &["mod", "util", "utils", "common", "helper", "helpers", "misc", "types"];

/// The longest file, tests within it left out, and what nine of ten must stay under.
const LONGEST: usize = 350;
const USUAL: usize = 300;

struct Source {
    path: PathBuf,
    room: String,
    text: String,
    /// The text up to its tests.
    code: String,
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    walk(Path::new("src"), &mut found);
    assert!(found.len() > 40, "the source is where it was");
    found
}

fn walk(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).expect("text");
        let inner = path.strip_prefix("src").expect("below src");
        let first = inner.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
        let room = first.trim_end_matches(".rs").to_owned();
        // The simulation is a test, and as large as what it plays.
        let simulation = inner.components().any(|part| part.as_os_str() == "simulation");
        let tests = inner.ends_with("tests.rs") || simulation;
        let code =
            text.split("\n#[cfg(test)]\nmod tests").next().filter(|_| !tests).unwrap_or_default().to_owned();
        found.push(Source { room, code, text, path });
    }
}

/// The rooms a file names with `crate::`.
fn named(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for part in code.split("crate::").skip(1) {
        let list = part.strip_prefix('{').map_or(part, |inner| inner.split('}').next().unwrap_or_default());
        let parts: Vec<&str> = if part.starts_with('{') { list.split(',').collect() } else { vec![list] };
        for part in parts {
            let name: String =
                part.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if !name.is_empty() {
                rooms.push(name);
            }
        }
    }
    rooms
}

#[test]
fn arrows_point_one_way() {
    for source in sources() {
        if matches!(source.room.as_str(), "lib" | "main") {
            continue;
        }
        let (_, allowed) = ROOMS
            .iter()
            .find(|(room, _)| *room == source.room)
            .unwrap_or_else(|| panic!("no room {}", source.room));
        for name in named(&source.code) {
            let fine = name == source.room || name == "ambient" || allowed.contains(&name.as_str());
            assert!(fine, "{}: {} may not name {name}", source.path.display(), source.room);
        }
    }
}

#[test]
fn crates_stay_in_their_rooms() {
    for source in sources() {
        for (name, rooms) in CRATES {
            let uses = source.code.lines().any(|line| {
                let line = line.trim_start();
                !line.starts_with("//")
                    && (line.contains(&format!("{name}::")) || line.starts_with(&format!("use {name}")))
            });
            // `tonic_health::` and the like are other crates.
            assert!(!uses || rooms.contains(&source.room.as_str()), "{} names {name}", source.path.display());
        }
    }
}

#[test]
fn files_have_a_header_a_name_and_a_size() {
    let mut long = 0;
    let sources = sources();
    for source in &sources {
        let path = source.path.display();
        let header = match source.path.extension().and_then(|kind| kind.to_str()) {
            Some("sql") => "-- ",
            Some("js") => "// ",
            Some("css") => "/* ",
            // What it is for stands in the file that serves it.
            Some("html") => "<!doctype html>",
            _ => "//! ",
        };
        assert!(source.text.starts_with(header), "{path} does not say what it is for");
        let stem = source.path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(!BANNED_NAMES.contains(&stem.as_str()), "{path}: name the thing");
        let lines = source.code.lines().count();
        let longest = if source.room == "sandbox" { LONGEST + 240 } else { LONGEST };
        assert!(lines <= longest, "{path} has {lines} lines");
        long += usize::from(lines > USUAL);
    }
    assert!(long * 10 <= sources.len(), "{long} of {} files are longer than {USUAL} lines", sources.len());
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    for source in sources() {
        assert!(
            !source.text.contains("#[allow") && !source.text.contains("#![allow"),
            "{}",
            source.path.display()
        );
    }
}

/// A provider's spelling stands in `proto/` and nowhere else. The words of its envelope are habits, which `judge`
/// and `decode` may know; words that are ours as well are named here.
#[test]
fn the_providers_spelling_stands_in_proto_alone() {
    const OURS_TOO: [&str; 7] = ["type", "status", "message", "page", "limit", "hostname", "subject"];
    let contract = Contract::embedded().expect("a sound contract");
    let mut spellings: Vec<String> = contract.actions().map(str::to_owned).collect();
    for operation in contract.operations() {
        spellings.extend(operation.input.fields.iter().filter_map(|field| field.sent_as.clone()));
        spellings.extend(operation.upstream.constants.iter().map(|(name, _)| name.clone()));
    }
    spellings.retain(|spelling| !OURS_TOO.contains(&spelling.as_str()));
    // A file of tests speaks like the provider, one that reads annotations names their members, and OpenAPI has a format that
    // is called like one of its fields.
    let speaks = |path: &Path| {
        ["properties.rs", "contract/trace.rs", "openapi/schema.rs"].iter().any(|name| path.ends_with(name))
    };
    for source in sources().iter().filter(|source| source.room != "sandbox" && !speaks(&source.path)) {
        for spelling in &spellings {
            assert!(
                !source.code.contains(&format!("\"{spelling}\"")),
                "{} spells {spelling}",
                source.path.display()
            );
        }
    }
}

#[test]
fn every_room_is_on_the_map() {
    let map = fs::read_to_string("src/lib.rs").expect("the map");
    for (room, _) in ROOMS {
        assert!(
            map.contains(&format!("pub mod {room};")) && map.contains(&format!("[`{room}`]")),
            "{room} is not on the map"
        );
    }
}
