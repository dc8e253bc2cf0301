//! Which services expire within a time, and how far money reaches that renews them one after the other.
//!
//! Absent here: a question.

use std::time::Duration;

use prost_reflect::DynamicMessage;

use crate::contract::{Change, Listing, Operation, Renews};
use crate::policy::purchase::sight::number;

const DAY_MS: i64 = 86_400_000;

/// The time that is looked at.
pub(super) struct Window {
    pub(super) now_ms: i64,
    pub(super) until_ms: i64,
    /// What ran out before that is not worth a renewal any more.
    pub(super) since_ms: i64,
}

impl Window {
    pub(super) fn new(now_ms: i64, within: Duration) -> Self {
        let within = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
        Self { now_ms, until_ms: now_ms.saturating_add(within), since_ms: now_ms.saturating_sub(within) }
    }
}

/// What one operation renews.
pub(super) struct Kind {
    pub(super) renewed_by: &'static Operation,
    pub(super) renews: &'static Renews,
    pub(super) listing: &'static Listing,
    /// The item's field with its end.
    end: &'static str,
}

/// What there is to say of an item of a list.
pub(super) enum Found {
    /// It expires within the time.
    Due(Box<Due>),
    /// It expires later, or is over.
    NotYet,
    /// The provider does not say when it expires.
    NoEnd,
}

/// A service that expires.
pub(super) struct Due {
    pub(super) kind: String,
    pub(super) renewed_by: &'static Operation,
    /// What would be asked of that operation.
    pub(super) request: DynamicMessage,
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) end_ms: i64,
    pub(super) days_left: i32,
    pub(super) cycle: String,
    pub(super) price: Option<i64>,
    /// Why the price is not known.
    pub(super) why: String,
}

impl Kind {
    pub(super) fn new(
        renewed_by: &'static Operation,
        renews: &'static Renews,
        listing: &'static Listing,
    ) -> Option<Self> {
        match &listing.changes {
            Some(Change::Later(end)) => Some(Self { renewed_by, renews, listing, end }),
            Some(Change::Becomes(..)) | None => None,
        }
    }

    /// What there is to say of one item.
    pub(super) fn due(&self, item: &DynamicMessage, window: &Window) -> Found {
        let state = self.state(item);
        if self.renews.ended.contains(&state) {
            return Found::NotYet;
        }
        let is_expired = self.renews.expired.contains(&state);
        let Some(end_ms) = moment(item, self.end) else {
            // What has run out at some time that nobody knows expires no more.
            return if is_expired { Found::NotYet } else { Found::NoEnd };
        };
        if end_ms > window.until_ms || (is_expired && end_ms < window.since_ms) {
            return Found::NotYet;
        }
        let mut request = DynamicMessage::new(self.renewed_by.input.descriptor.clone());
        let copied = self.listing.matches.iter().map(|(asked, found)| (asked, found));
        for (asked, found) in copied.chain([(&self.renews.cycle.0, &self.renews.cycle.1)]) {
            if item.has_field_by_name(found)
                && let Some(value) = item.get_field_by_name(found)
            {
                let _set = request.try_set_field_by_name(asked, value.into_owned());
            }
        }
        let days = end_ms.saturating_sub(window.now_ms).div_euclid(DAY_MS);
        Found::Due(Box::new(Due {
            kind: self.renews.kind.clone(),
            renewed_by: self.renewed_by,
            request,
            id: number(item, &self.listing.id).unwrap_or_default(),
            name: text(item, &self.renews.name),
            state,
            end_ms,
            days_left: i32::try_from(days).unwrap_or(if days < 0 { i32::MIN } else { i32::MAX }),
            cycle: text(item, &self.renews.cycle.1),
            price: None,
            why: String::new(),
        }))
    }

    /// The name of its state; empty if that was not told.
    fn state(&self, item: &DynamicMessage) -> String {
        let number = item.get_field_by_name(&self.renews.state).and_then(|state| state.as_enum_number());
        let field = prost_reflect::ReflectMessage::descriptor(item).get_field_by_name(&self.renews.state);
        let value = field.and_then(|field| field.kind().as_enum()?.get_value(number.filter(|n| *n != 0)?));
        value.map_or_else(String::new, |value| value.name().to_owned())
    }
}

fn text(item: &DynamicMessage, name: &str) -> String {
    let value = item.get_field_by_name(name);
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn moment(item: &DynamicMessage, name: &str) -> Option<i64> {
    let time = item.get_field_by_name(name).filter(|_| item.has_field_by_name(name))?;
    time.as_message()?.get_field_by_name("seconds")?.as_i64()?.checked_mul(1000)
}

/// How far the wallet reaches.
pub(super) struct Cover {
    /// For each in its order: whether it is covered together with all before it.
    pub(super) each: Vec<Option<bool>>,
    pub(super) total_vnd: i64,
    pub(super) unknown_prices: i32,
    pub(super) missing_vnd: Option<i64>,
}

impl Cover {
    pub(super) fn new(services: &[Due], balance: Option<i64>) -> Self {
        let prices: Vec<Option<i64>> = services.iter().map(|due| due.price).collect();
        Self::of(&prices, balance)
    }

    fn of(prices: &[Option<i64>], balance: Option<i64>) -> Self {
        let (mut total_vnd, mut unknown_prices) = (0_i64, 0_i32);
        let mut each = Vec::new();
        for price in prices {
            match price {
                Some(price) => total_vnd = total_vnd.saturating_add(*price),
                None => unknown_prices = unknown_prices.saturating_add(1),
            }
            each.push(balance.and_then(|balance| match (balance >= total_vnd, unknown_prices) {
                (false, _) => Some(false),
                (true, 0) => Some(true),
                (true, _) => None,
            }));
        }
        let missing_vnd = balance.map(|balance| total_vnd.saturating_sub(balance).max(0));
        Self { each, total_vnd, unknown_prices, missing_vnd }
    }

    /// Whether all is covered, given whether all is known that expires.
    pub(super) fn whole(&self, is_all: bool) -> Option<bool> {
        match self.missing_vnd? {
            0 => (is_all && self.unknown_prices == 0).then_some(true),
            _ => Some(false),
        }
    }

    /// Until when nothing expires that the wallet does not surely cover.
    pub(super) fn until(&self, services: &[Due], window: &Window) -> Option<i64> {
        self.missing_vnd?;
        let bare = self.each.iter().position(|covered| *covered != Some(true));
        Some(bare.and_then(|bare| services.get(bare)).map_or(window.until_ms, |due| due.end_ms))
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::Value;

    use super::*;
    use crate::contract::Contract;

    #[test]
    fn money_reaches_as_far_as_it_surely_does() {
        let of = |prices: &[Option<i64>], balance| {
            let cover = Cover::of(prices, balance);
            (cover.whole(true), cover.missing_vnd, cover.each)
        };
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(of(&[], Some(0)), (yes, Some(0), vec![]));
        assert_eq!(of(&[Some(10), Some(20)], Some(30)), (yes, Some(0), vec![yes, yes]));
        assert_eq!(of(&[Some(10), Some(21)], Some(30)), (no, Some(1), vec![yes, no]));
        // What is cheap enough by itself is not paid for before what expires sooner.
        assert_eq!(of(&[Some(40), Some(1)], Some(30)), (no, Some(11), vec![no, no]));
        assert_eq!(of(&[Some(10), None, Some(5)], Some(30)), (None, Some(0), vec![yes, None, None]));
        assert_eq!(of(&[Some(10), None, Some(25)], Some(30)), (no, Some(5), vec![yes, None, no]));
        assert_eq!(of(&[Some(10)], None), (None, None, vec![None]));
        assert_eq!(of(&[Some(i64::MAX), Some(i64::MAX)], Some(-1)).0, no);
        // With a list that could not be read, only a lack is certain.
        assert_eq!(Cover::of(&[Some(10)], Some(30)).whole(false), None);
        assert_eq!(Cover::of(&[Some(10)], Some(3)).whole(false), no);
    }

    /// A server in a state, with an end.
    fn found(state: &str, end_ms: Option<i64>, within: Duration) -> Found {
        let operation = Contract::embedded().expect("sound").operation("VpsService.RenewVps").expect("there");
        let (renews, listing) = (operation.trace.renews.as_ref(), operation.trace.listing.as_ref());
        let kind = Kind::new(operation, renews.expect("some"), listing.expect("some")).expect("it grows");
        let pool = Contract::embedded().expect("sound").pool();
        let item = pool.get_message_by_name("gizad.v1.Vps").expect("there");
        let states = item.get_field_by_name("state").expect("there").kind();
        let states = states.as_enum().expect("an enum").clone();
        let mut item = DynamicMessage::new(item);
        let number = states.get_value_by_name(state).expect(state).number();
        item.set_field_by_name("state", Value::EnumNumber(number));
        item.set_field_by_name("vps_id", Value::I64(7));
        item.set_field_by_name("billing_cycle", Value::String("Monthly".to_owned()));
        if let Some(end_ms) = end_ms {
            super::super::set_time(&mut item, "expire_time", end_ms);
        }
        kind.due(&item, &Window::new(0, within))
    }

    #[test]
    fn what_expires_within_the_time_is_due_and_what_is_over_is_not() {
        let days = |count: u64| Duration::from_secs(count * 86_400);
        let left = |state, end_ms, within| match found(state, end_ms, within) {
            Found::Due(due) => Some(due.days_left),
            Found::NotYet | Found::NoEnd => None,
        };
        assert_eq!(left("ACTIVE", Some(5 * DAY_MS), days(5)), Some(5));
        assert_eq!(left("ACTIVE", Some(5 * DAY_MS - 1000), days(5)), Some(4));
        assert_eq!(left("ACTIVE", Some(5 * DAY_MS + 1000), days(5)), None);
        // It is late, and not over: the provider still has it.
        assert_eq!(left("SUSPENDED", Some(-90 * DAY_MS), days(5)), Some(-90));
        assert_eq!(left("EXPIRED", Some(-1000), days(5)), Some(-1));
        assert_eq!(left("EXPIRED", Some(-6 * DAY_MS), days(5)), None);
        assert_eq!(left("ENDED", Some(DAY_MS), days(5)), None);
        assert!(matches!(found("STATE_UNSPECIFIED", None, days(5)), Found::NoEnd));
        assert!(matches!(found("ENDED", None, days(5)), Found::NotYet));
    }

    #[test]
    fn what_would_be_asked_names_the_service_and_its_own_cycle() {
        let Found::Due(due) = found("ACTIVE", Some(0), Duration::ZERO) else { panic!("it is due") };
        assert_eq!((due.id, &*due.cycle, &*due.state), (7, "Monthly", "ACTIVE"));
        assert_eq!(number(&due.request, "vps_id"), Some(7));
        assert_eq!(text(&due.request, "billing_cycle"), "Monthly");
    }
}
