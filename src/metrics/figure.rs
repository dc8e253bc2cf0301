//! A figure: all that is counted or measured under one name.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::Ordering;

use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, EncodeMetric, LabelSetEncoder};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

use super::word::Word;

/// The most words that tell figures of one name apart.
const MOST: usize = 4;

/// What is true of a figure, whatever its value.
#[derive(Debug)]
pub(super) struct Row {
    /// Its name, without the unit and the `_total` of a counter.
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) unit: Option<&'static str>,
    /// The names of the words that tell its values apart.
    pub(super) labels: &'static [&'static str],
    /// What it means.
    pub(super) help: &'static str,
}

impl Row {
    /// The name as it is scraped.
    pub(super) fn full_name(&self) -> String {
        let unit = self.unit.map_or(String::new(), |unit| format!("_{unit}"));
        let total = if self.kind == "counter" { "_total" } else { "" };
        format!("{}{unit}{total}", self.name)
    }

    /// What it means, without the full stop that the library adds.
    pub(super) fn meaning(&self) -> &'static str {
        self.help.trim().trim_end_matches('.')
    }
}

/// The words of one value, in the order of its row's labels. Those that are not there are empty.
#[derive(Clone, Debug)]
pub(super) struct Words {
    labels: &'static [&'static str],
    words: [Word; MOST],
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl Eq for Words {}

impl Hash for Words {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words.hash(state);
    }
}

impl EncodeLabelSet for Words {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let pairs = self.labels.iter().zip(&self.words);
        pairs.into_iter().try_for_each(|(label, word)| (*label, word.as_str()).encode(encoder.encode_label()))
    }
}

/// A figure, with a value for each set of words that has occurred.
pub struct Figure<M> {
    family: Family<Words, M>,
    row: &'static Row,
}

impl<M> fmt::Debug for Figure<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row.name)
    }
}

impl<M> Figure<M>
where
    M: EncodeMetric + TypedMetric + fmt::Debug + Clone + Send + Sync + 'static,
{
    /// Makes the figure of a row known to a registry.
    pub(super) fn register(registry: &mut Registry, row: &'static Row, make: fn() -> M) -> Self {
        let family = Family::<Words, M>::new_with_constructor(make);
        match row.unit {
            Some(unit) => {
                let unit = match unit {
                    "bytes" => Unit::Bytes,
                    "seconds" => Unit::Seconds,
                    other => Unit::Other(other.to_owned()),
                };
                registry.register_with_unit(row.name, row.meaning(), unit, family.clone());
            }
            None => registry.register(row.name, row.meaning(), family.clone()),
        }
        Self { family, row }
    }

    /// The value for these words, in the order in which the table names them.
    #[must_use]
    pub fn at<const N: usize>(&self, words: [Word; N]) -> M {
        debug_assert_eq!(N, self.row.labels.len(), "{} has other labels", self.row.name);
        let mut all = [const { Word::NOTHING }; MOST];
        for (place, word) in all.iter_mut().zip(words) {
            *place = word;
        }
        self.family.get_or_create_owned(&Words { labels: self.row.labels, words: all })
    }

    /// Forgets all values: what is not known is absent, and not 0.
    pub fn forget(&self) {
        self.family.clear();
    }
}

/// A count of its own.
#[derive(Clone, Debug)]
pub struct Total(Counter);

impl Total {
    /// Counts one.
    pub fn count(&self) {
        self.0.inc();
    }
}

impl Figure<Counter> {
    /// The count for these words, for whoever counts too often to look it up each time.
    #[must_use]
    pub fn total<const N: usize>(&self, words: [Word; N]) -> Total {
        Total(self.at(words))
    }

    /// Shows a count that is kept elsewhere.
    pub fn show(&self, count: u64) {
        // Two who scrape at once never show one that goes back.
        let _before = self.at([]).inner().fetch_max(count, Ordering::Relaxed);
    }
}
