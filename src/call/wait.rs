//! How long a call may wait for what it leads to.

use std::time::Duration;

use super::Call;
use crate::contract::Term;

impl Call {
    /// How long; not at all if nothing was said.
    #[must_use]
    pub fn wait(&self) -> Duration {
        let Some(field) = self.operation.term(Term::Wait) else { return Duration::ZERO };
        self.request.get_field(&field.descriptor).as_str().map_or(Duration::ZERO, duration)
    }
}

/// `30s`, `500ms`, `2m`; the contract has seen to it that it is one, or nothing.
fn duration(text: &str) -> Duration {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number = number.parse::<u64>().unwrap_or(0);
    match unit {
        "ms" => Duration::from_millis(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => Duration::from_secs(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_the_contract_has_them() {
        for (text, millis) in [("", 0), ("0s", 0), ("500ms", 500), ("30s", 30_000), ("2m", 120_000)] {
            assert_eq!(duration(text), Duration::from_millis(millis), "{text}");
        }
    }
}
