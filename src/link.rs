//! A network interface as data: its MAC address, its name, and what the kernel shows of it.

use crate::branch::VlanId;
use std::{fmt, str::FromStr};

/// An Ethernet address of one interface: never zero, never a group address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// Takes the address from what the kernel sent; `None` if it is no unicast Ethernet address.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 6] = bytes.try_into().ok()?;
        (bytes != [0; 6] && bytes[0] & 1 == 0).then_some(Self(bytes))
    }

    /// The address of the credential interface that holds a link-local IPv4 address: `0a:58` (a
    /// locally administered prefix, the one CNI's bridge plugin uses) and the four address bytes.
    #[must_use]
    pub fn of_address(address: std::net::Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x0a, 0x58, a, b, c, d])
    }

    /// The six bytes, first on the wire first.
    #[must_use]
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes: Option<Vec<u8>> = text
            .split(':')
            .map(|pair| {
                let hex = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
                hex.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
            })
            .collect();
        bytes
            .and_then(|bytes| Self::from_bytes(&bytes))
            .ok_or_else(|| "not a unicast MAC address such as 02:5a:a1:1a:43:42".to_owned())
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.0.map(|byte| format!("{byte:02x}"));
        f.write_str(&pairs.join(":"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

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

/// One link of one namespace, as a dump shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // they are the kernel's flags
pub struct Link {
    /// Its index in its namespace; may change in a move.
    pub index: u32,
    /// Its name, as the kernel has it (perhaps one we would refuse to set).
    pub name: String,
    /// Its current MAC address, if it is an Ethernet unicast one.
    pub mac: Option<Mac>,
    /// The address burnt into the device, where the driver reports one (`IFLA_PERM_ADDRESS`).
    pub permanent_mac: Option<Mac>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// The least and the largest MTU of its driver in bytes; 0 where there is no limit.
    pub mtu_range: (u32, u32),
    /// Its alias (`ifalias`): where we keep our records.
    pub alias: Option<String>,
    /// What kind of virtual link it is (`veth`, `bridge`, …); `None` for hardware.
    pub kind: Option<String>,
    /// Its VLAN, if it is a link of one (802.1Q).
    pub vlan: Option<VlanId>,
    /// The index of the bridge or bond that it belongs to.
    pub controller: Option<u32>,
    /// The index of the link below or beyond it, in that one's namespace: a VLAN's trunk, a veth's
    /// peer.
    pub peer: Option<u32>,
    /// Whether, as a bridge port, it is locked; `None` where the kernel does not know the flag.
    pub locked: Option<bool>,
    /// Whether it carries Ethernet frames (`ARPHRD_ETHER`).
    pub ethernet: bool,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Whether somebody switched it on (`IFF_UP`).
    pub up: bool,
    /// Whether frames flow: it is on, has a carrier, and if it is virtual, is operationally up.
    pub running: bool,
}

impl Link {
    /// Whether this is the interface that the network calls `mac`: by its permanent address where
    /// the driver reports one (a task may have changed the current one), else by its current one.
    #[must_use]
    pub fn is(&self, mac: Mac) -> bool {
        self.permanent_mac.or(self.mac) == Some(mac)
    }

    /// Whether it is one end of a veth pair.
    #[must_use]
    pub fn is_veth(&self) -> bool {
        self.kind.as_deref() == Some("veth")
    }

    /// Whether the driver would accept this MTU.
    #[must_use]
    pub fn accepts_mtu(&self, mtu: u32) -> bool {
        let (least, largest) = self.mtu_range;
        mtu >= least && (largest == 0 || mtu <= largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_are_unicast_ethernet_addresses() {
        let mac: Mac = "02:5A:a1:1a:43:42".parse().expect("valid");
        assert_eq!(mac.to_string(), "02:5a:a1:1a:43:42");
        for bad in [
            "",
            "02:5a:a1:1a:43",
            "02:5a:a1:1a:43:42:00",
            "02:5a:a1:1a:43:4g",
            "02-5a-a1-1a-43-42",
            "2:5a:a1:1a:43:42",
            "+2:5a:a1:1a:43:42",
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "01:00:5e:00:00:01",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_credential_mac_is_its_address() {
        let mac = Mac::of_address("169.254.172.12".parse().expect("an address"));
        assert_eq!(mac.to_string(), "0a:58:a9:fe:ac:0c");
    }

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
