//! Words of the provider. Absent here: where they came from, and what they mean.

/// Words of the provider, made fit to be shown: no credentials, no control characters, not too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderMessage(String);

impl ProviderMessage {
    /// The longest message that is passed on, in characters.
    const LONGEST: usize = 500;

    /// Takes words that carry no credentials any more. Nothing is left of blank ones.
    #[must_use]
    pub fn clean(words: &str) -> Option<Self> {
        // Bidirectional overrides and line separators would let a provider rewrite a log line.
        let unfit = |c: char| {
            c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
        };
        let spaced: String = words.chars().map(|c| if unfit(c) { ' ' } else { c }).collect();
        let mut plain = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((cut, _)) = plain.char_indices().nth(Self::LONGEST) {
            plain.truncate(cut);
            plain.push('…');
        }
        (!plain.is_empty()).then_some(Self(plain))
    }

    /// The words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
