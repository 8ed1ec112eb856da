//! Links as the kernel writes them.

use crate::{
    kernel::attributes::attributes,
    net::{device::Device, link::Link, mac::Mac, port::PortForm, vlan::VlanId},
};
use rtnetlink::packet_route::link::{LinkFlags, LinkLayerType, State};
use std::net::IpAddr;

/// `IFF_DEBUG`, `IFF_NOTRAILERS`, `IFF_PORTSEL`, `IFF_AUTOMEDIA` and `IFF_DYNAMIC` (linux/if.h).
pub(super) const OTHER_FLAGS: u32 = 0x4 | 0x20 | 0x2000 | 0x4000 | 0x8000;

/// What we need of a link. The numbers are those of `linux/if_link.h`; a name or label that is no
/// text is made one that no label of ours and no name that we set can be equal to.
#[allow(clippy::too_many_lines)] // a table
pub(super) fn decode(payload: &[u8]) -> Option<Link> {
    const IFINFOMSG_LEN: usize = 16;
    let word = |at: usize| Some(u32::from_ne_bytes(payload.get(at..at + 4)?.try_into().ok()?));
    let flags = LinkFlags::from_bits_retain(word(8)?);
    let kind = u16::from_ne_bytes(payload.get(2..4)?.try_into().ok()?);
    let mut link = Link {
        index: word(4)?,
        ethernet: LinkLayerType::from(kind) == LinkLayerType::Ether,
        loopback: flags.contains(LinkFlags::Loopback),
        up: flags.contains(LinkFlags::Up),
        running: flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
        ..Link::default()
    };
    link.form.no_arp = flags.contains(LinkFlags::Noarp);
    link.form.promiscuous = flags.contains(LinkFlags::Promisc);
    link.form.all_multicast = flags.contains(LinkFlags::Allmulti);
    link.form.multicast = flags.contains(LinkFlags::Multicast);
    link.form.other_flags = word(8)? & OTHER_FLAGS;
    let (mut state, mut device, mut bus) = (State::Unknown, String::new(), String::new());
    for (kind, value) in attributes(payload.get(IFINFOMSG_LEN..)?) {
        match kind {
            1 => link.mac = Mac::from_bytes(value),
            2 => link.form.broadcast = value.try_into().ok(),
            3 => link.name = text(value),
            4 => link.mtu = number(value)?,
            5 => link.peer = number(value),
            10 => link.controller = number(value),
            13 => link.form.queue_length = number(value),
            16 => state = State::from(*value.first()?),
            17 => link.form.link_mode = value.first().copied(),
            18 => decode_kind(value, &mut link),
            20 => link.alias = Some(text(value)),
            27 => link.form.group = number(value),
            37 => link.peer_netns = number(value).map(u32::cast_signed),
            40 => link.form.gso_max_segments = number(value),
            41 => link.form.gso_max_size = number(value),
            43 => link.form.xdp = xdp_of(value),
            50 => link.mtu_range.0 = number(value)?,
            51 => link.mtu_range.1 = number(value)?,
            52 => link.alternative_names = attributes(value).map(|(_, name)| text(name)).collect(),
            54 => link.permanent_mac = Mac::from_bytes(value),
            56 => device = text(value),
            57 => bus = text(value),
            58 => link.form.gro_max_size = number(value),
            59 => link.form.tso_max_size = number(value),
            60 => link.form.tso_max_segments = number(value),
            63 => link.form.gso_ipv4_max_size = number(value),
            64 => link.form.gro_ipv4_max_size = number(value),
            _ => {}
        }
    }
    link.device = Device::on(&bus, &device);
    // Hardware with a carrier carries frames from when it is switched on (`dev_activate`,
    // net/sched/sch_generic.c), though its state may follow a second later (net/core/link_watch.c). That
    // of a veth or VLAN follows at once, and only then does it.
    if link.kind.is_some() {
        let certain = link.is_veth() || link.vlan.is_some();
        link.running &= flags.contains(LinkFlags::Running) && (state == State::Up || !certain);
    }
    Some(link)
}

/// `IFLA_XDP`: where programs are attached.
fn xdp_of(value: &[u8]) -> u8 {
    const IFLA_XDP_ATTACHED: u16 = 2;
    let attached = attributes(value).find(|(kind, _)| *kind == IFLA_XDP_ATTACHED);
    attached.and_then(|(_, mode)| mode.first().copied()).unwrap_or_default()
}

/// `IFLA_LINKINFO`: the kind, of a VLAN its number, and what a bridge port is set to.
fn decode_kind(value: &[u8], link: &mut Link) {
    const IFLA_BRPORT_LOCKED: u16 = 39;
    const IFLA_VLAN_ID: u16 = 1;
    let mut is_port = false;
    for (kind, value) in attributes(value) {
        match kind {
            1 => link.kind = Some(text(value)),
            2 if link.kind.as_deref() == Some("vlan") => {
                let id = attributes(value).find(|(kind, _)| *kind == IFLA_VLAN_ID);
                let id = id.and_then(|(_, value)| Some(u16::from_ne_bytes(value.try_into().ok()?)));
                link.vlan = id.and_then(VlanId::new);
            }
            2 => link.tunnel_to = remote_of(link.kind.as_deref(), value),
            4 => is_port = text(value) == "bridge",
            5 if is_port => {
                link.port = Some(port_form(value));
                let locked = attributes(value).find(|(kind, _)| *kind == IFLA_BRPORT_LOCKED);
                link.locked = locked.and_then(|(_, value)| value.first().map(|flag| *flag != 0));
            }
            _ => {}
        }
    }
}

/// The data of a bridge port: `IFLA_BRPORT_LEARNING` and so on, `linux/if_link.h`.
fn port_form(data: &[u8]) -> PortForm {
    let mut form = PortForm::default();
    for (kind, value) in attributes(data) {
        let flag = || value.first().map(|flag| *flag != 0);
        match kind {
            8 => form.learning = flag(),
            9 => form.flood = flag(),
            27 => form.mcast_flood = flag(),
            31 => form.group_fwd_mask = value.try_into().ok().map(u16::from_ne_bytes),
            33 => form.isolated = flag(),
            _ => {}
        }
    }
    form
}

/// Where a tunnel leads: the numbers of its remote address are those of `linux/if_tunnel.h` and
/// `linux/if_link.h`.
fn remote_of(kind: Option<&str>, data: &[u8]) -> Option<IpAddr> {
    let numbers: &[u16] = match kind? {
        "ipip" | "sit" | "ip6tnl" => &[3],
        "gre" | "gretap" | "ip6gre" | "ip6gretap" | "erspan" | "ip6erspan" => &[7],
        "vti" | "vti6" => &[5],
        "vxlan" => &[2, 16],
        "geneve" => &[2, 7],
        _ => return None,
    };
    let address = |(_, value): (u16, &[u8])| match value.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
        _ => None,
    };
    let mut found = attributes(data).filter(|(kind, _)| numbers.contains(kind)).filter_map(address);
    found.find(|address| !address.is_unspecified() && !address.is_multicast())
}

fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kernel::attributes::attribute, net::name::InterfaceName};

    fn header(flags: u32) -> Vec<u8> {
        [&[0, 0, 1, 0][..], &7u32.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 4]].concat()
    }

    #[test]
    fn names_and_labels_that_are_no_text_do_not_hide_a_link() {
        let mac = [2, 0x5a, 0xa1, 0x1a, 0x43, 0x42];
        let message =
            [header(0), attribute(3, b"e\xff\0"), attribute(20, b"\xff\xfe\0"), attribute(1, &mac)]
                .concat();
        let link = decode(&message).expect("a link");
        assert_eq!((link.index, link.mac), (7, Mac::from_bytes(&mac)));
        assert!(link.name.parse::<InterfaceName>().is_err());
        assert_eq!(link.alias.as_deref(), Some("\u{fffd}\u{fffd}"));
    }

    #[test]
    fn a_veth_or_vlan_runs_when_its_state_is_up_and_hardware_when_it_has_a_carrier() {
        const UP: u32 = 0x1;
        const RUNNING: u32 = 0x40;
        const LOWER_UP: u32 = 0x1_0000;
        let running = |flags: u32, state: u8, kind: &[u8]| {
            decode(&[&header(flags), kind, &attribute(16, &[state])].concat())
                .expect("a link")
                .running
        };
        let veth = attribute(18, &attribute(1, b"veth\0"));
        let id = attribute(2, &attribute(1, &101_u16.to_ne_bytes()));
        let vlan = attribute(18, &[attribute(1, b"vlan\0"), id].concat());
        for kind in [veth, vlan] {
            assert!(running(UP | RUNNING | LOWER_UP, 6, &kind));
            assert!(!running(UP | RUNNING | LOWER_UP, 0, &kind));
        }
        // Up, unknown and so running, or not looked at yet.
        for (flags, state) in [(RUNNING, 6), (RUNNING, 0), (0, 2)] {
            assert!(running(UP | LOWER_UP | flags, state, &[]));
            assert!(!running(UP | flags, state, &[]) && !running(LOWER_UP | flags, state, &[]));
        }
    }

    #[test]
    fn a_vlan_has_its_number() {
        let vlan = |id: &[u8]| {
            let kind = [attribute(1, b"vlan\0"), attribute(2, &attribute(1, id))].concat();
            decode(&[header(0), attribute(18, &kind)].concat()).expect("a link").vlan
        };
        assert_eq!(vlan(&101_u16.to_ne_bytes()), VlanId::new(101));
        assert_eq!(vlan(&0_u16.to_ne_bytes()), None);
        assert_eq!(vlan(&[1]), None);
    }

    #[test]
    fn torn_messages_are_no_link() {
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&header(0)[..15]), None);
        assert_eq!(decode(&[header(0), attribute(4, &[1])].concat()), None);
    }
}
