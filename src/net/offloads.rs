//! The offloads of a link: what it leaves to its hardware, or does to many frames at once.

use std::{fmt, num::ParseIntError, str::FromStr};

/// A set of features, a bit each, as the running kernel numbers them (`NETIF_F_*_BIT`,
/// `linux/netdev_features.h`): another kernel may number them otherwise, but no label lives that long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads(pub u128);

/// What the kernel tells of the offloads of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// What can be changed.
    pub changeable: Offloads,
    /// What is wanted, by the driver at first and then by whoever changed it. What is not possible just now,
    /// because of the MTU perhaps, can be wanted all the same.
    pub wanted: Offloads,
}

impl Features {
    /// What has to be changed, so that these are wanted.
    #[must_use]
    pub fn differing_from(self, wanted: Offloads) -> Offloads {
        Offloads((self.wanted.0 ^ wanted.0) & self.changeable.0)
    }
}

impl FromStr for Offloads {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

impl fmt::Display for Offloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offloads_are_read_as_they_are_written() {
        for bits in [0, 0x0010_a1fd_5b29, u128::MAX] {
            let text = Offloads(bits).to_string();
            assert_eq!(text.parse(), Ok(Offloads(bits)), "{text}");
        }
        for bad in ["", "0x1", "g", "1ffffffffffffffffffffffffffffffff"] {
            assert!(bad.parse::<Offloads>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_can_be_changed_differs() {
        let features = Features { changeable: Offloads(0b0111), wanted: Offloads(0b1010) };
        assert_eq!(features.differing_from(Offloads(0b0011)), Offloads(0b0001));
        assert_eq!(features.differing_from(features.wanted), Offloads(0));
    }
}
