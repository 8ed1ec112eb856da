//! The rings of a link, as `ethtool -g` shows them and `ethtool -G` changes them (Linux 5.8).

use crate::{
    kernel::{
        attributes::attributes,
        error::Answer,
        ethtool::{Ethtool, number},
        socket::Raw,
    },
    net::rings::Rings,
};
use nix::errno::Errno;

// linux/ethtool_netlink.h and, there since Linux 6.15, linux/ethtool_netlink_generated.h.
const ETHTOOL_MSG_RINGS_GET: u8 = 15;
const ETHTOOL_MSG_RINGS_SET: u8 = 16;
const ETHTOOL_A_RINGS_RX: u16 = 6;
const ETHTOOL_A_RINGS_TX: u16 = 9;

/// The rings of a link; `None` where its driver has none, or does not tell.
///
/// # Errors
/// The kernel's; ENODEV where there is no such link.
pub fn of(ethtool: &Ethtool, index: u32) -> Answer<Option<Rings>> {
    match ethtool.get(ETHTOOL_MSG_RINGS_GET, index, 0) {
        Err(error) if error.errno == Errno::EOPNOTSUPP => Ok(None),
        answer => answer.map(|answer| rings(&answer)),
    }
}

/// Gives a link rings of these sizes.
///
/// # Errors
/// The kernel's; EINVAL where they are larger than its driver can make them.
pub fn set(ethtool: &Ethtool, index: u32, Rings { rx, tx }: Rings) -> Answer<()> {
    let sizes = vec![number(ETHTOOL_A_RINGS_RX, rx), number(ETHTOOL_A_RINGS_TX, tx)];
    ethtool.change(ETHTOOL_MSG_RINGS_SET, index, 0, sizes)
}

fn rings(answer: &Raw) -> Option<Rings> {
    let message = Ethtool::message_of(answer)?;
    let size = |kind: u16| {
        let value = attributes(message).find(|(of, _)| *of == kind)?.1;
        Some(u32::from_ne_bytes(value.try_into().ok()?))
    };
    Some(Rings { rx: size(ETHTOOL_A_RINGS_RX)?, tx: size(ETHTOOL_A_RINGS_TX)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::attributes::attribute;

    #[test]
    fn an_answer_is_read_whatever_else_is_in_it() {
        let size = |kind: u16, size: u32| attribute(kind, &size.to_ne_bytes());
        let parts = [size(2, 8192), size(5, 1024), size(6, 1024), size(9, 512), size(10, 2048)];
        let answer = |parts: &[Vec<u8>]| {
            let payload = [vec![15, 1, 0, 0], parts.concat()].concat();
            rings(&Raw { kind: 20, payload })
        };
        assert_eq!(answer(&parts), Some(Rings { rx: 1024, tx: 512 }));
        for length in 0..4 {
            assert_eq!(answer(&parts[..length]), None, "{length}");
        }
    }
}
