//! What must hold for every input, not only for those that somebody thought of: each property is
//! tried with a few hundred that [proptest] makes up, and one that fails is made as small as it
//! gets.

// A test that cannot go on says why by failing.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "../../fuzz/src/checks.rs"]
mod checks;

mod addresses;
mod inputs;
mod label;
mod lease;
mod model;
mod plan;
mod scenario;
mod steps;
mod strategies;
