//! How much of one thing each of many gets: as much as it wants, and where that is more than there is, nobody gets less than
//! another that it would be in the way of. Absent here: who they are, and a clock.

/// The whole, in the parts that shares are counted in.
pub const ALL: u64 = 1_000_000_000;

/// The share of each, if it is divided evenly among as many as there ever are.
#[must_use]
pub fn even(most: u32) -> u64 {
    ALL / u64::from(most.max(1))
}

/// The share that is kept for one that wants nothing, so that it can begin.
#[must_use]
pub fn floor(most: u32) -> u64 {
    (even(most) / 100).max(1)
}

/// Where the water stands when everybody is filled up to what it wants and no further: each gets what it wants, or this if it
/// wants more.
#[must_use]
pub fn level(there: u64, wants: impl IntoIterator<Item = u64>) -> u64 {
    let mut wants: Vec<u64> = wants.into_iter().collect();
    wants.sort_unstable();
    let (mut left, mut without) = (there, u64::try_from(wants.len()).unwrap_or(u64::MAX));
    for want in wants {
        if want.saturating_mul(without) > left {
            return left.checked_div(without).unwrap_or(0);
        }
        left = left.saturating_sub(want);
        without = without.saturating_sub(1);
    }
    // There is more than anybody wants.
    ALL
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_wants_little_gets_it_and_the_others_get_the_rest_evenly() {
        assert_eq!(level(ALL, [ALL]), ALL);
        assert_eq!(level(ALL, [ALL, ALL, ALL, ALL]), ALL / 4);
        assert_eq!(level(ALL, [ALL, ALL / 10, ALL]), ALL / 20 * 9);
        assert_eq!(level(ALL, [ALL / 10, ALL / 5]), ALL, "there is enough");
        assert_eq!((level(0, [ALL]), level(ALL, [])), (0, ALL));
        assert_eq!((even(4), floor(4)), (ALL / 4, ALL / 400));
    }

    proptest! {
        #[test]
        fn it_is_never_more_than_there_is_and_nothing_is_left_that_is_wanted(
            there in 0..=ALL, wants in prop::collection::vec(0..=ALL, 1..100),
        ) {
            let level = level(there, wants.iter().copied());
            let given: u64 = wants.iter().map(|want| (*want).min(level)).sum();
            prop_assert!(given <= there);
            let wanted: u64 = wants.iter().sum();
            // All but what cannot be divided.
            prop_assert!(given == wanted || there - given < wants.len() as u64);
        }

        /// On which the proof of `renewal` rests: where all that are silent keep an even share, so does everybody else.
        #[test]
        fn nobody_is_left_less_than_an_even_share_of_what_it_wants(most in 1u32..200, silent in 0u32..200, want in 0..=ALL) {
            let silent = silent.min(most - 1);
            let there = ALL - u64::from(silent) * even(most);
            let wants = (silent..most).map(|_| ALL - want / 2);
            prop_assert!(level(there, wants) >= even(most));
        }
    }
}
