//! The settings of the policies, from what was written to what is used.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use super::check::Check;
use crate::call::Lifetime;
use crate::contract::{Contract, Effect, nearest};
use crate::policy::{self, Rate, breaker, cache, deadline, pace, quota, retry};
use crate::watch;

/// The section of settings for single operations.
const OPERATIONS: &str = "cache.operations";
/// The longest time an answer may be used, in seconds: thirty days.
const LONGEST_USE: u64 = 30 * 86_400;

/// The longest time in which a burst comes back: thirty days.
const LONGEST_WINDOW: Duration = Duration::from_secs(30 * 86_400);

impl Check<'_> {
    pub(super) fn policy(&mut self, in_sandbox: bool) -> policy::Options {
        policy::Options {
            actions: self.actions(),
            access: self.access(in_sandbox),
            audit: self.traced(),
            deadline: self.deadline(),
            quota: quota::Options { everyone: self.rate("quota"), own: self.quotas() },
            pace: self.pace(),
            retry: self.retry(),
            breaker: breaker::Options {
                failures: self.count("breaker.failures", 1, 10_000),
                percent: self.count("breaker.percent", 1, 100),
                least: self.count("breaker.least", 1, 1_000_000),
                window: self.duration("breaker.window"),
                rest: self.duration("breaker.rest"),
            },
            cache: self.cache(),
            purchase: self.purchase(),
            watch: self.watch(),
            protected: self.names("protected.vps"),
        }
    }

    fn watch(&mut self) -> watch::Options {
        let options = watch::Options {
            quick: self.duration("watch.quick"),
            slow: self.duration("watch.slow"),
            streams: self.whole("watch.streams", 0, 100_000),
            look_first: self.flag("watch.look_first"),
        };
        if options.quick > options.slow {
            self.wrong("watch.quick", "no more than watch.slow");
        }
        options
    }

    fn deadline(&mut self) -> deadline::Options {
        let options = deadline::Options {
            read: self.duration("deadline.read"),
            write: self.duration("deadline.write"),
            spend: self.duration("deadline.spend"),
            longest: self.duration("deadline.longest"),
            least: self.duration("deadline.least"),
        };
        for (path, time) in [
            ("deadline.read", options.read),
            ("deadline.write", options.write),
            ("deadline.spend", options.spend),
        ] {
            if time > options.longest || time < options.least {
                self.wrong(path, "a time from deadline.least to deadline.longest");
            }
        }
        options
    }

    fn retry(&mut self) -> retry::Options {
        let options = retry::Options {
            attempts: self.count("retry.attempts", 1, 10),
            base: self.duration("retry.base"),
            longest: self.duration("retry.longest"),
        };
        if options.base > options.longest {
            self.wrong("retry.base", "no more than retry.longest");
        }
        options
    }

    fn pace(&mut self) -> pace::Options {
        let polls = self.names("pace.polls");
        for name in &polls {
            if let Some(expected) = misnamed(name, |effect| effect.is_read()) {
                self.wrong("pace.polls", &expected);
            }
        }
        pace::Options {
            rate: self.rate("pace"),
            queue: self.whole("pace.queue", 0, 100_000),
            longest_pause: self.duration("pace.longest_pause"),
            polls,
            replicas: None,
        }
    }

    fn cache(&mut self) -> cache::Options {
        let catalog = self.lifetime("cache");
        cache::Options {
            bytes: self.whole("cache.bytes", 0, 1 << 40),
            catalog,
            operations: self.lifetimes(catalog),
            least_age: self.use_time("cache.least_age"),
            patience: self.duration("cache.patience"),
        }
    }

    /// The settings of single operations: `OPERATION.ttl` and the like, each with what it leaves unsaid.
    fn lifetimes(&mut self, catalog: Lifetime) -> BTreeMap<String, Lifetime> {
        let mut lifetimes: BTreeMap<String, Lifetime> = BTreeMap::new();
        let given = self.given;
        for (key, entry) in given.under(OPERATIONS) {
            let (name, what) = key.rsplit_once('.').unwrap_or((key, ""));
            if let Some(expected) = misnamed(name, |effect| matches!(effect, Effect::Public | Effect::Read)) {
                self.wrong(&entry.path, &expected);
                continue;
            }
            let public = Contract::effect_of(name) == Some(Effect::Public);
            // What is left unsaid is as for the whole catalog, and nothing for the account's own data.
            let usual = if public { catalog } else { Lifetime::default() };
            let time = self.use_time(&entry.path);
            let lifetime = lifetimes.entry(name.to_owned()).or_insert(usual);
            match what {
                "ttl" => lifetime.ttl = time,
                "stale_while_revalidate" => lifetime.stale_while_revalidate = time,
                "stale_if_error" => lifetime.stale_if_error = time,
                _ => self.wrong(&entry.path, "one of ttl, stale_while_revalidate and stale_if_error"),
            }
        }
        lifetimes
    }

    fn lifetime(&mut self, section: &str) -> Lifetime {
        Lifetime {
            ttl: self.use_time(&format!("{section}.ttl")),
            stale_while_revalidate: self.use_time(&format!("{section}.stale_while_revalidate")),
            stale_if_error: self.use_time(&format!("{section}.stale_if_error")),
        }
    }

    fn rate(&mut self, section: &str) -> Rate {
        self.rate_at(&format!("{section}.rate"), &format!("{section}.burst"))
    }

    pub(super) fn rate_at(&mut self, rate: &str, burst: &str) -> Rate {
        let every = self.written(rate).and_then(every).unwrap_or_else(|| {
            self.wrong(rate, "a rate such as 10/s, 300/m or 5000/h, up to 1000000/s");
            Duration::from_secs(1)
        });
        let most = self.count(burst, 1, 1_000_000);
        let rate = Rate { every, burst: NonZeroU32::new(most).unwrap_or(NonZeroU32::MIN) };
        if rate.window() > LONGEST_WINDOW {
            self.wrong(burst, "no more than the rate brings back in thirty days");
        }
        rate
    }

    pub(super) fn count(&mut self, path: &str, least: i64, most: i64) -> u32 {
        u32::try_from(self.whole(path, least, most)).unwrap_or(u32::MAX)
    }

    /// How long an answer may be used: also not at all, and longer than anything else takes.
    fn use_time(&mut self, path: &str) -> Duration {
        let read = self.written(path).and_then(use_time);
        read.unwrap_or_else(|| {
            self.wrong(path, "a time from 0s to 30d, such as 5m, 1h or 7d");
            Duration::ZERO
        })
    }
}

/// What is expected of the name of an operation, if this is none that fits.
fn misnamed(name: &str, fits: impl Fn(Effect) -> bool) -> Option<String> {
    let contract = Contract::embedded().ok()?;
    match contract.operation(name) {
        Some(operation) if fits(operation.effect) => None,
        Some(operation) => {
            Some(format!("an operation that reads; {name} is of the effect {}", operation.effect))
        }
        None => {
            let names = contract.operations().iter().map(|operation| operation.name.as_str());
            let near = nearest(name, names).map_or(String::new(), |near| format!("; did you mean {near}?"));
            Some(format!("operations as `gizad routes` lists them, and {name:?} is none{near}"))
        }
    }
}

/// The time between two, of a rate such as `10/s`.
fn every(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_once('/')?;
    let number: u32 = number.trim().parse().ok().filter(|number| (1..=1_000_000).contains(number))?;
    let window = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    Some(Duration::from_secs(window) / number)
}

fn use_time(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(seconds)?;
    (seconds <= LONGEST_USE).then_some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_times_of_use() {
        assert_eq!(every("10/s"), Some(Duration::from_millis(100)));
        assert_eq!(every("30 / m"), Some(Duration::from_secs(2)));
        for wrong in ["", "10", "0/s", "10/d", "-1/s", "1000001/s", "x/s", "1.5/s"] {
            assert_eq!(every(wrong), None, "{wrong}");
        }
        assert_eq!(use_time("0s"), Some(Duration::ZERO));
        assert_eq!(use_time("7d"), Some(Duration::from_secs(604_800)));
        for wrong in ["", "0", "31d", "1w", "-1s", "500ms", "99999999999999999999d"] {
            assert_eq!(use_time(wrong), None, "{wrong}");
        }
    }
}
