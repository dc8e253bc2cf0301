//! Mistakes of design that tests plant one at a time, to see that a simulation finds each of them; and the seeds that simulations
//! are played with. Outside of tests nothing is ever planted.

#[cfg(test)]
mod seeds;

#[cfg(test)]
pub(crate) use seeds::{number, play_all, wished};

/// Whether a mistake of a room was planted.
macro_rules! planted {
    ($room:ident, $bug:ident) => {{
        #[cfg(test)]
        let planted = $crate::$room::plant::is(&$crate::$room::plant::Bug::$bug);
        #[cfg(not(test))]
        let planted = $crate::plant::never();
        planted
    }};
}
pub(crate) use planted;

/// What stands for a planted mistake outside of tests.
#[cfg(not(test))]
pub(crate) fn never() -> bool {
    false
}

/// The mistakes of a room, of which one may be planted in each thread.
#[cfg(test)]
macro_rules! bugs {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// The mistakes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Bug {
            $($(#[$doc])+ $name,)+
        }

        impl Bug {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)+];
        }

        thread_local! {
            static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
        }

        /// Plants a mistake in this thread, or takes it out.
        pub(crate) fn set(bug: Option<Bug>) {
            PLANTED.set(bug);
        }

        /// Whether this is the one that is planted here.
        pub(crate) fn is(bug: &Bug) -> bool {
            PLANTED.get() == Some(*bug)
        }
    };
}
#[cfg(test)]
pub(crate) use bugs;
