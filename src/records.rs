//! The ledger as a person and a spreadsheet read it: lists, one operation in full, a check of the whole, an export.
//!
//! Absent here: a secret. What was asked and what was answered stays sealed; and nothing is written.

mod export;
mod show;
mod table;

use jiff::{SignedDuration, Timestamp};

use crate::ambient;
use crate::ledger::{Filter, Ledger, Trouble};

/// What is asked of the ledger.
#[derive(Clone, Debug)]
pub enum Question {
    /// Which operations there are, as a table or as JSON.
    List(Filter, bool),
    /// All about one operation.
    Show(String),
    /// Whether anything was changed.
    Verify,
    /// Every operation.
    Export(Format),
}

/// How operations are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180.
    Csv,
    /// One array.
    Json,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What is printed.
    pub text: String,
    /// Whether all is well.
    pub sound: bool,
}

/// Answers a question.
///
/// # Errors
/// What kept it from being answered, for a person to read.
pub async fn answer(ledger: &Ledger, question: &Question) -> Result<Answer, String> {
    let told = |trouble: Trouble| trouble.to_string();
    let text = match question {
        Question::List(filter, json) => {
            let records = ledger.list(filter).await.map_err(told)?;
            if *json { export::json(&records) } else { table::table(&records) }
        }
        Question::Show(id) => {
            let record = ledger.by_id(id).await.map_err(told)?;
            let record = record.ok_or_else(|| format!("there is no operation {id}"))?;
            show::show(&record, &ledger.history(id).await.map_err(told)?)
        }
        Question::Export(format) => {
            let mut records = ledger.list(&Filter::default()).await.map_err(told)?;
            // In the order in which they came, so that a later export only has more at its end.
            records.reverse();
            match format {
                Format::Csv => export::csv(&records),
                Format::Json => export::json(&records),
            }
        }
        Question::Verify => return verified(ledger).await.map_err(told),
    };
    Ok(Answer { text, sound: true })
}

async fn verified(ledger: &Ledger) -> Result<Answer, Trouble> {
    let (entries, wrong) = ledger.verify().await?;
    let mut text = format!("{entries} entries checked\n");
    for problem in &wrong {
        text += &plain(problem);
        text.push('\n');
    }
    text += &match wrong.len() {
        0 => "the ledger is sound\n".to_owned(),
        1 => "the ledger is NOT sound: 1 problem\n".to_owned(),
        many => format!("the ledger is NOT sound: {many} problems\n"),
    };
    Ok(Answer { text, sound: wrong.is_empty() })
}

/// A moment as a person gives it, in milliseconds since 1970: RFC 3339, or how long ago (`90m`, `24h`, `7d`).
///
/// # Errors
/// What is expected, if it is neither.
pub fn since(text: &str) -> Result<i64, String> {
    let ago = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let minutes = match unit {
            "m" => 1,
            "h" => 60,
            "d" => 1440,
            _ => return None,
        };
        let minutes = number.parse::<u32>().ok().and_then(|number| i64::from(number).checked_mul(minutes))?;
        Some(
            ambient::unix_millis()
                .saturating_sub(SignedDuration::from_mins(minutes).as_millis().try_into().ok()?),
        )
    };
    let moment = || text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
    ago()
        .or_else(moment)
        .ok_or_else(|| "a time such as 2026-11-24T00:00:00Z, or how long ago: 90m, 24h, 7d".to_owned())
}

/// A moment in RFC 3339, by UTC.
fn time(unix_ms: i64) -> String {
    Timestamp::from_millisecond(unix_ms).map_or_else(|_| unix_ms.to_string(), |time| time.to_string())
}

/// Words of others, without what would move a terminal's cursor.
fn plain(words: &str) -> String {
    let unfit = |c: char| {
        c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    words.chars().map(|c| if unfit(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_given_by_its_name_or_by_its_distance() {
        assert_eq!(since("1970-01-01T00:00:01Z"), Ok(1000));
        assert_eq!(since("1970-01-01T07:00:01+07:00"), Ok(1000));
        let day = ambient::unix_millis() - 86_400_000;
        assert!((day..day + 60_000).contains(&since("1d").expect("a day ago")));
        assert!((day..day + 60_000).contains(&since("24h").expect("a day ago")));
        for wrong in ["", "d", "-1d", "1w", "yesterday", "2026-11-24", "5000000000d", "1é"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
