//! The question before what spends, interrupts or destroys. Whoever is no person at a terminal has to say `--yes`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use gizad::contract::{Effect, Operation};

/// Why somebody is asked before a call, if anybody is.
pub(super) fn reason(operation: &Operation) -> Option<&'static str> {
    if operation.effect == Effect::Spend {
        return Some("This takes money from the wallet.");
    }
    if operation.disrupts.is_some() {
        return Some("This interrupts the work of a server, or destroys what is on it.");
    }
    if operation.local && !operation.effect.is_read() {
        return Some("This decides about what is recorded of a purchase.");
    }
    let unnamed = operation.upstream.name_from.is_some();
    unnamed.then_some("What this does, the provider alone knows.")
}

/// Whether there is somebody to ask.
pub(super) fn is_attended() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Whether a person says yes. Anything else is no.
pub(super) fn agrees(question: &str) -> bool {
    eprint!("{question} [y/N] ");
    let _shown = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "có" | "co")
}
