//! VLAN numbers.

use std::{fmt, str::FromStr};

/// A VLAN's number: 1 to 4094 (IEEE 802.1Q; 0 is no VLAN, and 4095 is reserved).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VlanId(u16);

impl VlanId {
    /// The number, if it is one of a VLAN.
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        (1..=4094).contains(&number).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

impl FromStr for VlanId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.and_then(Self::new).ok_or_else(|| "must be a number of 1 to 4094".to_owned())
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vlan_ids_are_those_of_802_1q() {
        for good in ["1", "101", "4094"] {
            assert_eq!(good.parse::<VlanId>().expect("valid").to_string(), good);
        }
        for bad in ["", "0", "4095", "65537", "-1", "+1", "1.0", "0x10", " 1", "eth0"] {
            assert!(bad.parse::<VlanId>().is_err(), "{bad:?}");
        }
    }
}
