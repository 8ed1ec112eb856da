//! The form of a link, and its alternative names.

use crate::{
    error::KernelError,
    kernel::{decode::OTHER_FLAGS, error::Answer, socket::Netlink},
    net::form::Form,
};
use nix::errno::Errno;
use rtnetlink::{
    packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL},
    packet_route::{
        RouteNetlinkMessage,
        link::{LinkAttribute, LinkFlags, LinkMessage, Prop},
    },
};

/// How many alternative names go into one message: of 127 bytes each, far less than 64 KiB.
const NAMES: usize = 200;

// linux/if_link.h.
const IFLA_BROADCAST: u16 = 2;
const IFLA_TXQLEN: u16 = 13;
const IFLA_LINKMODE: u16 = 17;
const IFLA_GROUP: u16 = 27;
const IFLA_GSO_MAX_SEGS: u16 = 40;
const IFLA_GSO_MAX_SIZE: u16 = 41;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
const XDP_FLAGS_HW_MODE: u32 = 1 << 3;
const IFLA_GRO_MAX_SIZE: u16 = 58;
const IFLA_GSO_IPV4_MAX_SIZE: u16 = 63;
const IFLA_GRO_IPV4_MAX_SIZE: u16 = 64;

impl Netlink {
    /// Gives a link another form, as far as that differs from the one that it has. No XDP program can be
    /// put on, only taken away.
    pub fn set_form(&self, index: u32, now: &Form, wanted: &Form) -> Answer<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        let flags = [
            (now.no_arp, wanted.no_arp, LinkFlags::Noarp),
            (now.promiscuous, wanted.promiscuous, LinkFlags::Promisc),
            (now.all_multicast, wanted.all_multicast, LinkFlags::Allmulti),
            (now.multicast, wanted.multicast, LinkFlags::Multicast),
        ];
        for (_, wanted, flag) in flags.into_iter().filter(|(now, wanted, _)| now != wanted) {
            message.header.change_mask |= flag;
            message.header.flags.set(flag, wanted);
        }
        let mut put = |kind: u16, value: Vec<u8>| {
            message.attributes.push(LinkAttribute::Other(DefaultNla::new(kind, value)));
        };
        if let Some(mode) = wanted.link_mode.filter(|_| now.link_mode != wanted.link_mode) {
            put(IFLA_LINKMODE, vec![mode]);
        }
        if let Some(address) = wanted.broadcast.filter(|_| now.broadcast != wanted.broadcast) {
            put(IFLA_BROADCAST, address.to_vec());
        }
        let numbers = [
            (now.group, wanted.group, IFLA_GROUP),
            (now.queue_length, wanted.queue_length, IFLA_TXQLEN),
            (now.gso_max_segments, wanted.gso_max_segments, IFLA_GSO_MAX_SEGS),
            (now.gso_max_size, wanted.gso_max_size, IFLA_GSO_MAX_SIZE),
            (now.gro_max_size, wanted.gro_max_size, IFLA_GRO_MAX_SIZE),
            (now.gso_ipv4_max_size, wanted.gso_ipv4_max_size, IFLA_GSO_IPV4_MAX_SIZE),
            (now.gro_ipv4_max_size, wanted.gro_ipv4_max_size, IFLA_GRO_IPV4_MAX_SIZE),
        ];
        for (_, wanted, kind) in numbers.into_iter().filter(|(now, wanted, _)| now != wanted) {
            // What the kernel does not tell, it does not take either.
            if let Some(number) = wanted {
                put(kind, number.to_ne_bytes().to_vec());
            }
        }
        if now.other_flags != wanted.other_flags {
            message.header.change_mask |= LinkFlags::from_bits_retain(OTHER_FLAGS);
            message.header.flags |= LinkFlags::from_bits_retain(wanted.other_flags);
        }
        self.change(&RouteNetlinkMessage::SetLink(message), 0)?;
        if wanted.xdp == 0 { self.remove_xdp(index, now.xdp) } else { Ok(()) }
    }

    /// Takes programs away, by the mode that they are attached in.
    fn remove_xdp(&self, index: u32, attached: u8) -> Answer<()> {
        let modes: &[u32] = match attached {
            0 => &[],
            1 => &[XDP_FLAGS_DRV_MODE],
            2 => &[XDP_FLAGS_SKB_MODE],
            3 => &[XDP_FLAGS_HW_MODE],
            _ => &[XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE, XDP_FLAGS_HW_MODE],
        };
        for mode in modes {
            let mut message = LinkMessage::default();
            message.header.index = index;
            let none =
                [nla(IFLA_XDP_FD, (-1_i32).to_ne_bytes()), nla(IFLA_XDP_FLAGS, mode.to_ne_bytes())];
            message.attributes.push(LinkAttribute::Other(DefaultNla::new(IFLA_XDP, none.concat())));
            match self.change(&RouteNetlinkMessage::SetLink(message), 0) {
                // Of several modes, the driver may not know each.
                Err(error) if error.errno == Errno::EOPNOTSUPP => {}
                removed => removed?,
            }
        }
        Ok(())
    }

    /// Deletes alternative names of a link (`ip link property`). Before Linux 5.15, those that came with it from
    /// another namespace stay: the kernel shows them, but does not find the link by them.
    ///
    /// # Errors
    /// The kernel's; ENODEV where the link has left.
    pub fn delete_alternative_names(&self, index: u32, names: &[String]) -> Answer<()> {
        let delete = |names: &[String]| {
            self.change(&RouteNetlinkMessage::DelLinkProp(properties(index, names)), 0)
        };
        names.chunks(NAMES).try_for_each(|names| match delete(names) {
            Err(error) if is_unknown(&error) => {
                names.iter().try_for_each(|name| match delete(std::slice::from_ref(name)) {
                    Err(error) if !is_unknown(&error) => Err(error),
                    _ => Ok(()),
                })
            }
            deleted => deleted,
        })
    }

    /// Adds alternative names to a link.
    ///
    /// # Errors
    /// The kernel's; EEXIST where a link has one of them.
    pub fn add_alternative_names(&self, index: u32, names: &[String]) -> Answer<()> {
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        names.chunks(NAMES).try_for_each(|names| {
            self.change(&RouteNetlinkMessage::NewLinkProp(properties(index, names)), flags)
        })
    }
}

/// Nothing is found by a name, or another link is.
fn is_unknown(error: &KernelError) -> bool {
    [Errno::ENOENT, Errno::EINVAL].contains(&error.errno)
}

fn properties(index: u32, names: &[String]) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let names = names.iter().map(|name| Prop::AltIfName(name.clone()));
    message.attributes.push(LinkAttribute::PropList(names.collect()));
    message
}

fn nla(kind: u16, value: [u8; 4]) -> Vec<u8> {
    [&8_u16.to_ne_bytes()[..], &kind.to_ne_bytes(), &value].concat()
}
