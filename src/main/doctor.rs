//! What the doctor found, for a person or for a program.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use gizad::doctor::{self, Calibration, Finding, Verdict};
use gizad::edge::columns;
use gizad::fault::Reason;
use gizad::settings::Flags;
use serde_json::{Value as Json, json};

/// The provider's answers look different from the last time.
const DRIFTED: u8 = 6;

/// What was asked for.
pub(super) struct Asked {
    pub(super) calibrate: bool,
    pub(super) shapes: Option<PathBuf>,
    pub(super) json: bool,
}

pub(super) async fn run(flags: &Flags, environment: &[(String, String)], asked: Asked) -> ExitCode {
    let (mut found, settings) = doctor::examine(flags, environment).await;
    let is_sound = |found: &[Finding]| found.iter().all(|finding| finding.verdict != Verdict::Wrong);
    let mut learned = None;
    match settings {
        Some(settings) if asked.calibrate && settings.sandbox.is_none() => {
            match doctor::calibrate(&settings, asked.shapes).await {
                Ok(calibration) => learned = Some(calibration),
                Err(why) => found.push(wrong(why)),
            }
        }
        Some(_) if asked.calibrate => found.push(wrong(
            "the sandbox is no provider to learn from; run `gizad sandbox` and name it in upstream.url instead".to_owned(),
        )),
        Some(_) | None => {}
    }
    let sound = is_sound(&found) && learned.as_ref().is_none_or(Calibration::understood);
    let text = if asked.json {
        let findings: Vec<Json> = found.iter().map(finding).collect();
        let mut whole = json!({"sound": sound, "findings": findings});
        if let (Some(learned), Some(members)) = (&learned, whole.as_object_mut()) {
            members.insert("calibration".to_owned(), calibration(learned));
        }
        format!("{whole}\n")
    } else {
        let mut out = String::new();
        found.iter().for_each(|finding| told(finding, &mut out));
        learned.iter().for_each(|learned| taught(learned, &mut out));
        out
    };
    let _read = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
    match &learned {
        _ if !sound => ExitCode::FAILURE,
        Some(learned) if learned.drifted() => ExitCode::from(DRIFTED),
        Some(_) | None => ExitCode::SUCCESS,
    }
}

fn wrong(what: String) -> Finding {
    Finding { check: "calibration", verdict: Verdict::Wrong, what, advice: None }
}

fn told(finding: &Finding, out: &mut String) {
    let _infallible =
        writeln!(out, "{:8} {:15} {}", finding.verdict.as_str(), finding.check, plain(&finding.what));
    if let Some(advice) = &finding.advice {
        let _infallible = writeln!(out, "{:24} what to do: {advice}", "");
    }
}

/// One line, and nothing that a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn finding(finding: &Finding) -> Json {
    json!({"check": finding.check, "verdict": finding.verdict.as_str(), "what": finding.what, "advice": finding.advice})
}

fn taught(learned: &Calibration, out: &mut String) {
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(String::new());
    for asked in &learned.asked {
        let head = format!("{} ({})", asked.operation, asked.action);
        match &asked.sample.understood {
            Err(fault) => {
                let rule = fault.answer.as_ref().map_or("none", |answer| answer.rule);
                line(format!("{head}: not understood, by the rule {rule}: {}", columns(fault.reason).title));
                let advice = match fault.reason {
                    Reason::UpstreamShapeUnknown => {
                        "say in the settings where it stands ([[upstream.mapping]] with `under`), or report what is below: it has no \
                         values"
                    }
                    reason => columns(reason).advice,
                };
                line(format!("  what to do: {advice}"));
                let places = asked.sample.shape.iter().flat_map(|shape| &shape.0);
                for (at, kinds) in places {
                    line(format!("  {} {}", if at.is_empty() { "(all)" } else { at }, list(kinds)));
                }
            }
            Ok(seen) if seen.items == Some(0) => {
                line(format!(
                    "{head}: understood ({}), and nothing is listed, so nothing can be said of its fields",
                    seen.rule
                ));
            }
            Ok(seen) => {
                line(format!("{head}: understood ({})", seen.rule));
                for (what, names) in [("found", &seen.found), ("missing", &seen.missing)] {
                    if !names.is_empty() {
                        line(format!("  {what}: {}", list(names)));
                    }
                }
                if !seen.unread.is_empty() {
                    line(format!(
                        "  there, with a value that says nothing to its field: {}",
                        list(&seen.unread)
                    ));
                }
                if !seen.unknown.is_empty() {
                    line(format!("  not recognised: {}", list(&seen.unknown)));
                }
            }
        }
        for drift in &asked.drift {
            line(format!("  different from the last time: {drift}"));
        }
    }
    for (operation, why) in &learned.left {
        line(format!("{operation}: not asked: {why}"));
    }
    line(String::new());
    let recognisable = learned.asked.iter().any(|asked| {
        asked
            .sample
            .understood
            .as_ref()
            .map_or(true, |seen| !seen.unknown.is_empty() || !seen.unread.is_empty())
    });
    if recognisable {
        line("What is not recognised is kept in `extra`. If it is a field, say so in the settings ([[upstream.mapping]], see docs/doctor.md).".to_owned());
    }
    match (&learned.kept, learned.compared) {
        (Some(path), false) => {
            line(format!("The shapes are kept in {}: names and kinds, no values.", path.display()))
        }
        (Some(path), true) if learned.drifted() => {
            line(format!(
                "Answers look different from the last time; the new shapes are in {}.",
                path.display()
            ));
        }
        (Some(path), true) => line(format!("Nothing has changed since the last time ({}).", path.display())),
        (None, _) => {
            line("The shapes are kept nowhere: state.dir names no folder (or give --shapes FILE).".to_owned())
        }
    }
}

fn calibration(learned: &Calibration) -> Json {
    let asked = learned.asked.iter().map(|asked| {
        let mut row = json!({"operation": asked.operation, "action": asked.action,
            "shape": asked.sample.shape.as_ref().map(|shape| json!(shape.0)),
            "drift": asked.drift.iter().map(ToString::to_string).collect::<Vec<_>>()});
        if let Some(members) = row.as_object_mut() {
            match &asked.sample.understood {
                Ok(seen) => members.extend([
                    ("rule".to_owned(), json!(seen.rule)),
                    ("items".to_owned(), json!(seen.items)),
                    ("found".to_owned(), json!(seen.found)),
                    ("missing".to_owned(), json!(seen.missing)),
                    ("unread".to_owned(), json!(seen.unread)),
                    ("unknown".to_owned(), json!(seen.unknown)),
                ]),
                Err(fault) => members.extend([
                    ("reason".to_owned(), json!(fault.reason.as_str())),
                    ("rule".to_owned(), json!(fault.answer.as_ref().map(|answer| answer.rule))),
                ]),
            }
        }
        row
    });
    let left: Vec<Json> =
        learned.left.iter().map(|(operation, why)| json!({"operation": operation, "why": why})).collect();
    json!({"asked": asked.collect::<Vec<_>>(), "left": left, "drifted": learned.drifted(), "kept": learned.kept})
}
