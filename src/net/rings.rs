//! The rings of a link: how many frames its hardware may receive or send before the driver looks.

use std::{fmt, num::ParseIntError, str::FromStr};

/// How many descriptors the rings of a link have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rings {
    /// Of each queue to receive into.
    pub rx: u32,
    /// Of each queue to send from.
    pub tx: u32,
}

impl FromStr for Rings {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (rx, tx) = text.split_once('/').unwrap_or((text, ""));
        Ok(Self { rx: rx.parse()?, tx: tx.parse()? })
    }
}

impl fmt::Display for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.rx, self.tx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_read_as_they_are_written() {
        for text in ["1024/512", "0/0", "4294967295/4294967295"] {
            assert_eq!(text.parse::<Rings>().expect("rings").to_string(), text);
        }
        for bad in ["", "/", "1024", "1024/", "/512", "1/2/3", "a/1", "-1/1", "4294967296/1"] {
            assert!(bad.parse::<Rings>().is_err(), "{bad}");
        }
    }
}
