//! What a task's programs are told of names: their own, other hosts', and who else may be asked. All of it is
//! written into files, so nothing gets here that could be another line, or another word.

use serde::Deserialize;
use std::{fmt, net::IpAddr, str::FromStr};

/// The longest name (RFC 1035, section 2.3.4, as text), and the longest part of one, in bytes.
const MAX_NAME: usize = 253;
const MAX_PART: usize = 63;

/// The longest name that a kernel takes for its own (`__NEW_UTS_LEN`, linux/utsname.h), in bytes.
const MAX_OWN: usize = 64;

/// The name of a host or a domain: letters, digits, `-` and `_`, in parts of at most 63 with dots between.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct HostName(String);

impl HostName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before its first dot, if there is one.
    #[must_use]
    pub fn short(&self) -> Option<&str> {
        self.0.split_once('.').map(|(short, _)| short)
    }

    /// A host's name for itself, which is shorter.
    ///
    /// # Errors
    /// It is no host's name, or too long for the kernel.
    pub fn own(text: &str) -> Result<Self, String> {
        if text.len() > MAX_OWN {
            return Err(format!("a host's own name has at most {MAX_OWN} characters"));
        }
        text.parse()
    }

    /// The name of a host that has only this address: `ip-10-0-0-5`.
    #[must_use]
    pub fn of_address(address: IpAddr) -> Self {
        let parts: Vec<String> = match address {
            IpAddr::V4(four) => four.octets().iter().map(u8::to_string).collect(),
            IpAddr::V6(six) => six.segments().iter().map(|part| format!("{part:x}")).collect(),
        };
        Self(format!("ip-{}", parts.join("-")))
    }
}

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let is_part = |part: &str| {
            let edge = part.starts_with('-') || part.ends_with('-');
            (1..=MAX_PART).contains(&part.len()) && !edge && part.bytes().all(plain)
        };
        // Resolvers take it for an address.
        let is_address = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if text.len() > MAX_NAME || is_address || !text.split('.').all(is_part) {
            return Err("not the name of a host or a domain".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for HostName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|why| format!("{text:?}: {why}"))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of the files a container gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Those that nobody else has given it.
    #[default]
    Missing,
    /// All of them.
    Always,
    /// None.
    Never,
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "missing" => Ok(Self::Missing),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err("must be missing, always or never".to_owned()),
        }
    }
}

/// A host that a task knows by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where it is.
    pub address: IpAddr,
    /// Its names.
    pub names: Vec<HostName>,
}

/// What a task's annotations say of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Its name servers; empty: those of the configuration.
    pub servers: Vec<IpAddr>,
    /// Where names without a dot are searched; empty: the configuration says.
    pub search: Vec<HostName>,
    /// Its own name.
    pub hostname: Option<HostName>,
    /// Other hosts.
    pub extra_hosts: Vec<Host>,
    /// Which files it gets; none: the configuration says.
    pub files: Option<Policy>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_of_letters_and_digits() {
        let long = vec!["a".repeat(63); 3].join(".");
        for good in ["a", "web-1", "_tcp.example.internal", "1.example.com", "3com", &long] {
            assert_eq!(good.parse::<HostName>().expect(good).as_str(), good);
        }
        let longer = format!("{long}.{}", "a".repeat(63));
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a\nb",
            "a#",
            "-a",
            "a-",
            "10.0.0.5",
            "7",
            "é",
            &"a".repeat(64),
            &longer,
        ] {
            assert!(bad.parse::<HostName>().is_err(), "{bad:?}");
        }
        assert!(HostName::own(&format!("{}.b", "a".repeat(62))).is_ok());
        assert!(HostName::own(&format!("{}.bc", "a".repeat(62))).is_err());
    }

    #[test]
    fn an_address_makes_a_name() {
        for (address, name) in
            [("10.0.0.5", "ip-10-0-0-5"), ("2001:db8::5", "ip-2001-db8-0-0-0-0-0-5")]
        {
            let made = HostName::of_address(address.parse().expect("an address"));
            assert_eq!(made.as_str(), name);
            assert_eq!(HostName::own(name), Ok(made));
        }
    }
}
