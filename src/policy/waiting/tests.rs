//! Plays of waiting: what counts, and how often it is looked.
