//! Interface names.

use std::{fmt, str::FromStr};

/// A name that the kernel accepts for an interface and takes literally.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct InterfaceName(String);

impl InterfaceName {
    /// The longest name, in bytes: `IFNAMSIZ` less the terminator (linux/if.h).
    pub const MAX_LEN: usize = 15;

    /// A name made of this program's own constants, valid by construction.
    #[must_use]
    pub(crate) fn known(name: String) -> Self {
        debug_assert_eq!(name.parse(), Ok(Self(name.clone())));
        Self(name)
    }

    /// The name with `%d` instead of the number at its end, for the kernel to complete with the first
    /// one that is free: most probably the same.
    #[must_use]
    pub fn pattern(&self) -> String {
        let stem = self.0.trim_end_matches(|digit: char| digit.is_ascii_digit());
        format!("{}%d", &stem[..stem.len().min(Self::MAX_LEN - 5)])
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InterfaceName {
    type Err = String;

    /// The kernel's own rules (`dev_valid_name` in net/core/dev.c), printable ASCII only, and no
    /// `%`, which the kernel would take for a pattern. `all` and `default` are names of sysctl
    /// folders (net.ipv6.conf.all), not of interfaces.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(format!(
                "an interface name has 1 to {} bytes, this one {}",
                Self::MAX_LEN,
                text.len()
            ));
        }
        let printable = text.bytes().all(|b| b.is_ascii_graphic() && !b"/:%".contains(&b));
        if !printable || matches!(text, "." | ".." | "all" | "default") {
            return Err("not a name that the kernel accepts for an interface".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for InterfaceName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_name_without_its_number() {
        for (name, pattern) in [
            ("eth0", "eth%d"),
            ("ens5.100", "ens5.%d"),
            ("fifteen-bytes-x", "fifteen-by%d"),
            ("7", "%d"),
        ] {
            let name: InterfaceName = name.parse().expect("a name");
            assert_eq!(name.pattern(), pattern);
        }
    }

    #[test]
    fn interface_names_are_the_kernels() {
        for good in ["eth0", "ens5.100", "a", "fifteen-bytes-x"] {
            assert!(good.parse::<InterfaceName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a:b",
            "eth%d",
            "sixteen-bytes-xx",
            "a\0b",
            "é",
            "all",
            "default",
            "a\n",
        ] {
            assert!(bad.parse::<InterfaceName>().is_err(), "{bad:?}");
        }
    }
}
