//! The table as a page for people.

use std::fmt::Write as _;

use super::table::{LABELS, ROWS};

/// `docs/metrics.md`.
#[must_use]
pub fn documentation() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         What `GET /metrics` on the admin listener says. This page is written from the table in `src/metrics/table.rs`; \
         [the guide](guide.md#metrics) says how it is scraped.\n\n\
         | name | kind | told apart by | what it is |\n| --- | --- | --- | --- |\n",
    );
    for row in ROWS {
        let labels: Vec<String> = row.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, labels) = (row.full_name(), labels.join(", "));
        let _infallible = writeln!(page, "| `{name}` | {} | {labels} | {}. |", row.kind, row.meaning());
    }
    page += "\nWhat tells values apart comes from closed lists, and is nothing that a caller can choose:\n\n\
             | label | what it can be |\n| --- | --- |\n";
    for (label, meaning) in LABELS {
        let _infallible = writeln!(page, "| `{label}` | {meaning} |");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_and_every_label_is_described_once() {
        let mut names: Vec<String> = ROWS.iter().map(|row| row.full_name()).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for row in ROWS {
            assert!(!row.meaning().is_empty(), "{}", row.name);
            for label in row.labels {
                assert_eq!(LABELS.iter().filter(|(known, _)| known == label).count(), 1, "{label}");
            }
        }
        for (label, _) in LABELS {
            assert!(ROWS.iter().any(|row| row.labels.contains(label)), "{label} tells nothing apart");
        }
    }
}
