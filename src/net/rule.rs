//! Policy routing rules, and whether a rule is about one ENI only.

use ipnetwork::IpNetwork;
use std::{fmt, net::IpAddr};

/// A policy routing rule of the instance.
#[derive(Clone, PartialEq, Eq)]
pub struct Rule {
    /// What its source address must be in.
    pub from: Option<IpNetwork>,
    /// What its destination address must be in.
    pub to: Option<IpNetwork>,
    /// The interfaces that it names.
    pub interfaces: Vec<String>,
    /// All of it, as the kernel wrote it: what it takes to add it again.
    pub message: Vec<u8>,
}

impl Rule {
    /// Whether the rule is about one interface and nothing else: about the interface by name, or
    /// about a single one of its addresses.
    #[must_use]
    pub fn is_about(&self, name: Option<&str>, addresses: &[IpAddr]) -> bool {
        let single = |network: &Option<IpNetwork>| {
            network.is_some_and(|network| {
                let whole = if network.is_ipv4() { 32 } else { 128 };
                network.prefix() == whole && addresses.contains(&network.ip())
            })
        };
        self.interfaces.iter().any(|interface| Some(interface.as_str()) == name)
            || single(&self.from)
            || single(&self.to)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("from ")?;
        match self.from {
            Some(from) => write!(f, "{from}")?,
            None => f.write_str("all")?,
        }
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        self.interfaces.iter().try_for_each(|interface| write!(f, " dev {interface}"))
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(from: &str, to: &str, interface: &str) -> Rule {
        Rule {
            from: from.parse().ok(),
            to: to.parse().ok(),
            interfaces: vec![interface.to_owned()],
            message: Vec::new(),
        }
    }

    #[test]
    fn only_rules_about_the_interface_alone_are_its_own() {
        let addresses = ["10.0.0.5".parse().expect("ip"), "2001:db8::5".parse().expect("ip")];
        for (own, rule) in [
            (true, rule("10.0.0.5/32", "", "")),
            (true, rule("", "10.0.0.5/32", "")),
            (true, rule("2001:db8::5/128", "", "")),
            (true, rule("", "", "eth1")),
            (false, rule("10.0.0.6/32", "", "")),
            (false, rule("10.0.0.5/24", "", "")),
            (false, rule("", "", "eth10")),
            (false, rule("", "", "")),
        ] {
            assert_eq!(rule.is_about(Some("eth1"), &addresses), own, "{rule}");
        }
    }
}
