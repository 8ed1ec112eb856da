//! Our nftables rules: as data, as text for people, as requests to the kernel.
//!
//! [`Ruleset`] says what is wanted. [`ensure()`], [`look()`] and [`remove()`] speak with the kernel, over a
//! netfilter socket in the thread's namespace; the program `nft` is not needed.

mod attribute;
mod compile;
mod expression;
mod install;
mod instance;
mod look;
mod message;
pub mod records;
mod remove;
mod rule;
mod ruleset;
mod socket;
mod task;
pub mod teardown;
mod text;

pub use install::{ensure, ensure_if_possible, install};
pub use look::{Leases, State, has_any, look};
pub use remove::remove;
pub use rule::Family;
pub use ruleset::{INSTANCE, Ruleset, TASK};
