//! Whether the time of a refusal says how much of a token was right: Welch's t-test, as dudect does it (Reparaz, Balasch and
//! Verbauwhede, 2017). Run by hand, on a quiet machine, because a busy one proves nothing:
//!
//! ```text
//! cargo test --lib timing -- --ignored --nocapture
//! ```

use std::hint::black_box;

use super::{Anonymous, Grant, Known, Options};
use crate::ambient;
use crate::call::{Scopes, Token};

/// Calls that are measured.
const CALLS: usize = 2_000_000;
/// Tokens, and registers that know one each.
const POOL: usize = 64;
/// From here on a difference is no accident.
const MOST: f64 = 4.5;

/// Mean and variance as they grow (Welford).
#[derive(Default)]
struct Sample {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Sample {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let apart = value - self.mean;
        self.mean += apart / self.count;
        self.squares += apart * (value - self.mean);
    }

    fn t(&self, other: &Self) -> f64 {
        let of_mean = |sample: &Self| sample.squares / (sample.count - 1.0) / sample.count;
        (self.mean - other.mean) / (of_mean(self) + of_mean(other)).sqrt()
    }
}

/// One caller, whose digest is that of one token in all but the last bit, and that of the other in nothing.
fn known(near: &Token) -> Known {
    let mut kept = near.sha256();
    *kept.last_mut().expect("a digest") ^= 1;
    let grant = Grant { tokens: vec![kept], scopes: Scopes::all(), ..Grant::default() };
    let callers = [("ci".to_owned(), grant)].into();
    Known::new(&Options { callers, anonymous: Anonymous::Only(Scopes::NONE) })
}

/// A register and a token that is shown to it, chosen by two numbers.
type Pick<'a> = &'a dyn Fn(usize, usize) -> (&'a Known, &'a Token);

/// How long the calls of two kinds take, in an order that nothing can get used to.
///
/// Many tokens and registers, each as often in the one as in the other: what is in a token and where it lies takes time of
/// its own, and only what they have to do with each other differs.
fn measured(kinds: [Pick<'_>; 2]) -> Vec<(usize, f64)> {
    let mut state = u64::from_le_bytes(ambient::random()[..8].try_into().expect("eight bytes")) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as usize
    };
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let (kind, one) = (next() % 2, next() % POOL);
        let other = (one + 1 + next() % (POOL - 1)) % POOL;
        let (known, token) = black_box(kinds[kind](one, other));
        let begun = ambient::instant();
        let refused = black_box(known.holder(token)).is_err();
        let time = begun.elapsed().as_nanos() as f64;
        assert!(refused, "none fits");
        times.push((kind, time));
    }
    times
}

/// The largest t of all calls and of those that nothing interrupted, cropped at several heights.
fn worst(times: &[(usize, f64)]) -> f64 {
    let mut sorted: Vec<f64> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_by(f64::total_cmp);
    let heights =
        [0.5, 0.75, 0.9, 0.95, 0.99, 1.0].map(|part| sorted[((sorted.len() - 1) as f64 * part) as usize]);
    let mut worst = 0.0_f64;
    for most in heights {
        let mut samples = [Sample::default(), Sample::default()];
        times.iter().filter(|(_, time)| *time <= most).for_each(|(class, time)| samples[*class].add(*time));
        let t = samples[0].t(&samples[1]);
        println!(
            "up to {most:>8.0} ns: {:>8.2} ns and {:>8.2} ns, t = {t:.2}",
            samples[0].mean, samples[1].mean
        );
        worst = if t.abs() > worst.abs() { t } else { worst };
    }
    worst
}

#[test]
#[ignore = "measures clocks, which a busy machine disturbs"]
fn the_time_of_a_refusal_does_not_say_how_near_a_token_was() {
    let tokens =
        |name: &str| -> Vec<Token> { (0..POOL).map(|_| Token::new(name).expect("randomness").0).collect() };
    let (tokens, strangers) = (tokens("ci"), tokens("no"));
    let known: Vec<Known> = tokens.iter().map(known).collect();
    let near: Pick<'_> = &|one, _| (&known[one], &tokens[one]);
    let far: Pick<'_> = &|one, other| (&known[one], &tokens[other]);
    let stranger: Pick<'_> = &|one, other| (&known[one], &strangers[other]);
    for (what, kinds) in [
        ("the same twice, as a measure of the measure", [far, far]),
        ("all bytes of the digest fit but the last, or none", [near, far]),
        ("the caller is known, or not", [far, stranger]),
    ] {
        println!("{what}");
        let t = worst(&measured(kinds));
        println!("  the largest: t = {t:.2}");
        // That there is a caller of some name is no secret, and a nanosecond tells it.
        assert!(t.abs() < MOST || std::ptr::addr_eq(kinds[1], stranger), "{what}: t = {t:.2}");
    }
}
