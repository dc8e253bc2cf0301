//! What a caller may spend: for one purchase, in a day, in a month. What is held counts like what is spent.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::planted;

/// The time of Asia/Ho_Chi_Minh is seven hours ahead of UTC, all year and since 1975.
const AHEAD_MS: i64 = 7 * 3600 * 1000;
const DAY_MS: i64 = 86_400_000;

/// What a caller may spend, in đồng. None: any amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// For one purchase.
    pub purchase_vnd: Option<i64>,
    /// In a day of Asia/Ho_Chi_Minh.
    pub day_vnd: Option<i64>,
    /// In a month there.
    pub month_vnd: Option<i64>,
}

impl Limits {
    /// Whether there is any.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.purchase_vnd.is_some() || self.day_vnd.is_some() || self.month_vnd.is_some()
    }
}

/// What a caller has spent or set aside, in đồng.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Today.
    pub day_vnd: i64,
    /// This month.
    pub month_vnd: i64,
}

/// What a price would exceed, in words; nothing if it fits.
#[must_use]
pub fn exceeded(limits: &Limits, spent: Spent, price_vnd: i64) -> Vec<String> {
    let day = if planted!(DayNotCounted) { 0 } else { spent.day_vnd };
    let all = [
        ("one purchase", limits.purchase_vnd, 0),
        ("a day", limits.day_vnd, day),
        ("a month", limits.month_vnd, spent.month_vnd),
    ];
    let over = all.into_iter().filter_map(|(span, most, spent)| {
        let left = most?.saturating_sub(spent);
        (price_vnd > left).then(|| match spent {
            0 => format!("{price_vnd} VND is more than the {left} VND that this caller may spend for {span}"),
            _ => format!(
                "{price_vnd} VND is more than the {} VND that are left of this caller's budget for {span}",
                left.max(0)
            ),
        })
    });
    over.collect()
}

/// The day and the month that a moment belongs to in Asia/Ho_Chi_Minh, in days and months since 1970.
#[must_use]
pub fn calendar(unix_ms: i64) -> (i64, i64) {
    let here = unix_ms.saturating_add(AHEAD_MS);
    let date = Timestamp::from_millisecond(here).unwrap_or_default().to_zoned(TimeZone::UTC).date();
    let months = (i64::from(date.year()) - 1970) * 12 + i64::from(date.month()) - 1;
    (here.div_euclid(DAY_MS), months)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_ho_chi_minh() {
        // 2026-11-24T16:59:59.999Z and a millisecond later.
        assert_eq!(calendar(1_795_539_599_999), (20_781, 56 * 12 + 10));
        assert_eq!(calendar(1_795_539_600_000), (20_782, 56 * 12 + 10));
    }

    #[test]
    fn what_is_over_is_said_all_at_once() {
        let limits = Limits { purchase_vnd: Some(100), day_vnd: Some(150), month_vnd: Some(1000) };
        let spent = Spent { day_vnd: 60, month_vnd: 60 };
        assert!(exceeded(&limits, spent, 90).is_empty());
        assert_eq!(exceeded(&limits, spent, 91).len(), 1);
        assert_eq!(exceeded(&limits, spent, 101).len(), 2);
        assert!(exceeded(&Limits::default(), spent, i64::MAX).is_empty());
    }
}
