//! What a table says of itself, so that a thousand elements need not be read at every start.
//!
//! The kernel counts transactions: whatever anybody changes about any nftables rules of a namespace, that
//! number grows. So a table that we made says in which transaction it was made, and from what. While the number
//! is still that one, nobody has changed anything. (A table that is made from another's listing says nothing.)

use super::{attribute::attribute, rule::Table};
use std::hash::{DefaultHasher, Hash, Hasher};

const NFTA_GEN_ID: u16 = 1; // linux/netfilter/nf_tables.h

/// The user data of tables is a row of type, length and value (`udata.h` in libnftnl), of which nft shows those
/// types that it knows.
const TYPE: u8 = 0xae;
const LENGTH: u8 = 12;

/// What is said of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    /// Stands for all that was installed with it, and the program that did.
    fingerprint: u64,
    /// The kernel's number after that.
    generation: u32,
}

impl Seal {
    /// For tables that are there if, and as long as, that is the number of the last transaction.
    pub(super) fn new(tables: &[Table], generation: u32) -> Self {
        let mut hasher = DefaultHasher::new();
        (env!("CARGO_PKG_VERSION"), tables).hash(&mut hasher);
        Self { fingerprint: hasher.finish(), generation }
    }

    /// As user data.
    pub(super) fn bytes(self) -> Vec<u8> {
        let value = [&self.fingerprint.to_be_bytes()[..], &self.generation.to_be_bytes()];
        [&[TYPE, LENGTH], &value.concat()[..]].concat()
    }
}

/// The number that the next transaction will have (`nf_tables_commit`: zero is left out).
pub(super) fn next(generation: u32) -> u32 {
    generation.checked_add(1).unwrap_or(1)
}

/// The number in the kernel's answer.
pub(super) fn generation(answer: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(attribute(answer, NFTA_GEN_ID)?.try_into().ok()?))
}
