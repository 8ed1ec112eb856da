//! Which credential network a task is in.

use crate::task::hash::fnv1a;
use std::{fmt, str::FromStr};

/// A number that stands for bridge, subnets, gateway and endpoints of a credential network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkId(u32);

impl NetworkId {
    /// The one that stands for this description.
    #[must_use]
    pub fn of(description: &str) -> Self {
        let [.., a, b, c, d] = fnv1a(description).to_be_bytes();
        Self(u32::from_be_bytes([a, b, c, d]))
    }
}

impl FromStr for NetworkId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        u32::from_str_radix(text, 16).map(Self).map_err(|_| "no network's number".to_owned())
    }
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}
