//! The hook as its users meet it: the built binary, called as a runtime calls it, in real network
//! namespaces. What came of it is read with tools that are not ours.
//!
//! Most of it needs no more than a user namespace of one's own (`make test` without root makes
//! one). Tests that need the machine's real root say so and are ignored without it.

// A test that cannot go on says why by failing.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod cost;
mod custody;
mod engines;
mod environment;
mod fixtures;
mod gc;
mod host;
mod host_managers;
mod isolation;
mod kills;
mod limits;
mod logging;
mod privileges;
mod races;
mod refusals;
mod rollback;
mod setup;
mod strangers;
mod teardown;
mod traffic;
