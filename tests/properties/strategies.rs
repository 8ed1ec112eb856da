//! Things as they may come: addresses, names, ids, tasks, credential subnets.

use crate::steps::MAX_ALIAS;
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use oci_awsvpc_hook::testing::{
    Branch, Config, CredentialNetwork, Device, Gateway, InterfaceName, Label, Mac, NetnsId,
    NetworkId, Offloads, Process, Rings, RouterPatience, Task, VlanId, short_id,
};
use proptest::{
    collection::{btree_set, vec},
    option,
    prelude::*,
    sample::Index,
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// Any unicast MAC address but zero.
pub fn mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_filter_map("no unicast address", |mut bytes| {
        bytes[0] &= 0xfe;
        Mac::from_bytes(&bytes)
    })
}

/// Any id that a container can have.
pub fn id() -> impl Strategy<Value = String> {
    let id = prop_oneof!["[a-zA-Z0-9_+.-]{1,20}", "[a-z0-9]{120,135}", "[a-zA-Z0-9_+.-]{1,255}"];
    id.prop_filter("a folder", |id| id != "." && id != "..")
}

/// Any name that the kernel accepts for an interface and that a task may choose.
pub fn name() -> impl Strategy<Value = InterfaceName> {
    prop_oneof!["eth[0-9]{1,2}", "[!-~&&[^/:%]]{1,15}"].prop_filter_map("taken", |name| {
        let taken = matches!(name.as_str(), "lo" | "ecs-eth0" | "." | ".." | "all" | "default");
        (!taken).then(|| name.parse().expect("a valid name"))
    })
}

/// Any record that the hook can write.
pub fn label() -> impl Strategy<Value = Label> {
    let device =
        (option::of(device()), option::of(any::<u128>().prop_map(Offloads)), option::of(rings()));
    let eni = (mac(), name(), any::<u32>(), device, option::of(branch()));
    (id(), netns(), option::of(process()), eni).prop_map(
        |(id, netns, pause, (eni, name, mtu, (device, offloads, rings), branch))| {
            let label = Label {
                container: short_id(&id),
                eni,
                name,
                mtu,
                netns,
                pause,
                // A branch is no hardware.
                device: device.filter(|_| branch.is_none()),
                offloads: offloads.filter(|_| branch.is_none()),
                rings: rings.filter(|_| branch.is_none()),
                opens_metadata: mtu % 2 == 0,
                network: (mtu % 3 == 0).then(|| NetworkId::of(&id)),
                branch,
            };
            label.within(MAX_ALIAS)
        },
    )
}

/// Any rings.
fn rings() -> impl Strategy<Value = Rings> {
    any::<(u32, u32)>().prop_map(|(rx, tx)| Rings { rx, tx })
}

/// Any network namespace.
pub fn netns() -> impl Strategy<Value = NetnsId> {
    (1..=u64::from(u32::MAX), option::of(any::<u64>()))
        .prop_map(|(inode, cookie)| NetnsId { inode, cookie })
}

/// Any process.
pub fn process() -> impl Strategy<Value = Process> {
    (1..=4_194_304, any::<u64>()).prop_map(|(pid, started)| Process { pid, started })
}

/// Any hardware, and any veth.
fn device() -> impl Strategy<Value = Device> {
    let pci = "0000:[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]";
    let pci = pci.prop_map(|name| Device::on("pci", &name).expect("a device"));
    prop_oneof![pci, (any::<u32>(), 0..99).prop_map(|(peer, netns)| Device::veth(peer, netns))]
}

/// Any VLAN of any trunk.
pub fn branch() -> impl Strategy<Value = Branch> {
    let vlan = (1..=4094_u16).prop_map(|number| VlanId::new(number).expect("a VLAN"));
    (mac(), vlan).prop_map(|(trunk, vlan)| Branch { trunk, vlan })
}

/// A subnet of one of these sizes with one of its host addresses as the gateway.
pub fn subnet(
    base: impl Strategy<Value = u32>,
    prefixes: std::ops::RangeInclusive<u8>,
) -> impl Strategy<Value = (Ipv4Network, Ipv4Addr)> {
    (base, prefixes, any::<Index>()).prop_map(|(base, prefix, gateway)| {
        let network = Ipv4Network::new(base.into(), prefix).expect("a prefix").network();
        let hosts = (1_usize << (32 - prefix)) - 2;
        let gateway = u32::from(network) + 1 + u32::try_from(gateway.index(hosts)).expect("fits");
        (Ipv4Network::new(network, prefix).expect("a prefix"), gateway.into())
    })
}

/// What the host's owner may have chosen for the path to the credentials.
pub fn credentials() -> impl Strategy<Value = CredentialNetwork> {
    // 198.18.0.0/15: no task's addresses, below, are in there.
    let subnet = subnet(0xc612_0000..=0xc613_ffff_u32, 20..=28);
    let v6 = (0xfd00_u128..0xfdff, 64_u8..=96).prop_map(|(high, prefix)| {
        let network = Ipv6Network::new((high << 112).into(), prefix).expect("a prefix");
        Ipv6Network::new(network.network(), prefix).expect("a prefix")
    });
    let other = (subnet, option::of(v6), 1280..=9000_u32, any::<bool>());
    let other =
        other.prop_map(|((subnet, gateway), ipv6_subnet, mtu, isolation)| CredentialNetwork {
            subnet,
            gateway,
            ipv6_subnet,
            mtu,
            isolation,
            ..CredentialNetwork::default()
        });
    prop_oneof![Just(Config::default().credentials), other]
}

/// Any task that annotations can describe.
pub fn task() -> impl Strategy<Value = Task> {
    let addresses = prop_oneof![
        v4().prop_map(|v4| (Some(v4), None)),
        v6().prop_map(|v6| (None, Some(v6))),
        (v4(), v6()).prop_map(|(v4, v6)| (Some(v4), Some(v6))),
    ];
    let switches = (any::<bool>(), prop::bool::weighted(0.1));
    let macs = (mac(), option::weighted(0.3, branch()));
    let macs =
        macs.prop_filter("one MAC", |(mac, branch)| branch.is_none_or(|one| one.trunk != *mac));
    (macs, addresses, name(), option::of(68..=9216_u32), switches).prop_map(
        |((mac, branch), (v4, v6), interface, mtu, (block_metadata, stay_down))| {
            let least = if v6.is_some() { 1280 } else { 68 };
            let (v4, v6) = (v4.unwrap_or_default(), v6.unwrap_or_default());
            Task {
                mac,
                branch,
                addresses: [v4.0, v6.0].concat(),
                gateways: v4.1.into_iter().chain(v6.1).collect(),
                interface,
                mtu: mtu.map(|mtu| mtu.max(least)),
                block_metadata,
                block: Vec::new(),
                stay_down,
                router: RouterPatience { timeout: Duration::from_secs(8), required: false },
            }
        },
    )
}

/// The addresses of one family, and its gateway.
type Family = (Vec<IpNetwork>, Option<Gateway>);

/// Addresses of one subnet in `10.0.0.0/8`, or single ones.
fn v4() -> impl Strategy<Value = Family> {
    let base = 0x0a00_0000..=0x0aff_ffff_u32;
    let in_subnet = (subnet(base.clone(), 16..=29), vec(any::<Index>(), 1..4), any::<bool>());
    let in_subnet = in_subnet.prop_map(|((subnet, gateway), hosts, has_gateway)| {
        let hosts: std::collections::BTreeSet<u32> = hosts
            .iter()
            .map(|host| u32::try_from(host.index((1 << (32 - subnet.prefix())) - 2)).expect("fits"))
            .map(|host| u32::from(subnet.network()) + 1 + host)
            .collect();
        let address = |host: u32| IpNetwork::new(Ipv4Addr::from(host).into(), subnet.prefix());
        let addresses = hosts.iter().map(|&host| address(host).expect("a prefix")).collect();
        let free = has_gateway && !hosts.contains(&u32::from(gateway));
        (addresses, free.then_some(Gateway { address: gateway.into(), on_link: false }))
    });
    let alone = (btree_set(base.clone(), 1..4), option::of(base)).prop_map(|(hosts, gateway)| {
        let gateway = gateway.filter(|gateway| !hosts.contains(gateway));
        let single = |host: u32| IpNetwork::from(IpAddr::from(Ipv4Addr::from(host)));
        let on_link = |gateway| Gateway { address: Ipv4Addr::from(gateway).into(), on_link: true };
        (hosts.into_iter().map(single).collect(), gateway.map(on_link))
    });
    prop_oneof![4 => in_subnet, 1 => alone]
}

/// Addresses of one subnet in `2001:db8::/32`, and a gateway on the link, in the subnet or unknown.
fn v6() -> impl Strategy<Value = Family> {
    let hosts = btree_set(2..=0xffff_u128, 1..4);
    (any::<u16>(), 48_u8..=112, hosts, option::of(any::<bool>())).prop_map(
        |(site, prefix, hosts, gateway)| {
            let base = u128::from(Ipv6Addr::new(0x2001, 0xdb8, site, 0, 0, 0, 0, 0));
            let address = |host: u128| IpNetwork::new(Ipv6Addr::from(base + host).into(), prefix);
            let gateway = gateway.map(|link_local| {
                let base = if link_local { 0xfe80 << 112 } else { base };
                Gateway { address: Ipv6Addr::from(base + 1).into(), on_link: false }
            });
            (hosts.into_iter().map(|host| address(host).expect("a prefix")).collect(), gateway)
        },
    )
}
