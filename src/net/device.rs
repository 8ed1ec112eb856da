//! Which hardware a link is: what nobody in a namespace can change.

use std::{fmt, str::FromStr};

/// A device by its address on its bus, such as `pci:0000:00:06.0` or `virtio:virtio2`. A veth, which
/// plays an ENI in tests, has none: it is known by its peer, as `veth:17.0`: by that one's index, and by the
/// number that the instance knows its namespace by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// The bus: a folder of `/sys/bus`.
    pub bus: String,
    /// Its name there: a folder of `/sys/bus/<bus>/devices`.
    pub name: String,
}

/// The bus that a veth is said to be on.
const VETH: &str = "veth";

/// The longest bus and name together, in bytes: what fits into a record.
const MAX_LEN: usize = 32;

impl Device {
    /// The device of this name on this bus; `None` if that cannot be noted as text.
    #[must_use]
    pub fn on(bus: &str, name: &str) -> Option<Self> {
        let is_plain = |text: &str, more: &[u8]| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(&byte);
            !text.is_empty() && text.bytes().all(plain) && !matches!(text, "." | "..")
        };
        let fits = bus.len() + name.len() <= MAX_LEN;
        (is_plain(bus, b"_-") && is_plain(name, b"_-.:") && fits)
            .then(|| Self { bus: bus.to_owned(), name: name.to_owned() })
    }

    /// A veth, by its peer.
    #[must_use]
    pub fn veth(peer: u32, netns: i32) -> Self {
        Self { bus: VETH.to_owned(), name: format!("{peer}.{netns}") }
    }

    /// The peer of a veth, as [`veth`](Self::veth) was told it.
    #[must_use]
    pub fn veth_peer(&self) -> Option<(u32, i32)> {
        let (peer, netns) = self.name.split_once('.').filter(|_| self.bus == VETH)?;
        Some((peer.parse().ok()?, netns.parse().ok()?))
    }

    /// Whether it is a piece of hardware, and not a veth.
    #[must_use]
    pub fn is_hardware(&self) -> bool {
        self.bus != VETH
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':');
        parts
            .and_then(|(bus, name)| Self::on(bus, name))
            .ok_or_else(|| "not a device such as pci:0000:00:06.0".to_owned())
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bus, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_they_are_written() {
        for text in ["pci:0000:00:06.0", "virtio:virtio2", "veth:17.0"] {
            assert_eq!(text.parse::<Device>().expect("a device").to_string(), text);
        }
        for bad in ["", "pci", ":x", "pci:", "pci:../..", "p/ci:x", "pci:a b", "pci:.."] {
            assert!(bad.parse::<Device>().is_err(), "{bad}");
        }
        let veth = Device::veth(17, 0);
        assert_eq!(veth, "veth:17.0".parse().expect("a device"));
        assert_eq!((veth.is_hardware(), veth.veth_peer()), (false, Some((17, 0))));
    }
}
