//! MAC addresses.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

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
    pub fn of_address(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x0a, 0x58, a, b, c, d])
    }

    /// A locally administered address with the last bytes of a hash; no other of ours begins so.
    #[must_use]
    pub fn local(hash: u64) -> Self {
        let mut bytes = [0x0e; 6];
        bytes[1..].copy_from_slice(&hash.to_be_bytes()[3..]);
        Self(bytes)
    }

    /// The half of an IPv6 address that an interface with this address makes for itself (RFC 4291, appendix
    /// A), behind a half of zeros.
    #[must_use]
    pub fn interface_identifier(self) -> Ipv6Addr {
        let mut address = [0; 16];
        address[8..11].copy_from_slice(&self.0[..3]);
        address[8] ^= 2; // the bit for "locally administered" has the opposite meaning there
        address[11..13].copy_from_slice(&[0xff, 0xfe]);
        address[13..].copy_from_slice(&self.0[3..]);
        address.into()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_identifier_is_made_as_in_rfc_4291() {
        let mac: Mac = "34:56:78:9a:bc:de".parse().expect("valid");
        assert_eq!(
            mac.interface_identifier(),
            "::3656:78ff:fe9a:bcde".parse::<Ipv6Addr>().expect("one")
        );
    }

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
}
