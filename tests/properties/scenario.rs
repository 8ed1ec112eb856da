//! Who asks for what, in which world: the ENI is attached, and nothing stands in the way, but the
//! world may have a past.

use crate::{
    model::{Device, Space, World, link, switch},
    strategies::{credentials, id, label, mac, name, netns, process, task},
};
use ipnetwork::IpNetwork;
use oci_awsvpc_hook::testing::{
    CredentialNetwork, Host, InterfaceName, Label, Lease, Link, Mac, NetnsId, Plan, Process,
    Request, Result, Route, Rule, Ruleset, Task, plan, short_id,
};
use proptest::{collection::vec, option, prelude::*};

/// One request, and the world that it finds.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub container: String,
    pub netns: NetnsId,
    pub pause: Process,
    pub task: Task,
    pub credentials: CredentialNetwork,
    pub world: World,
}

impl Scenario {
    /// What is planned in a world.
    pub fn plan(&self, world: &World) -> Result<Plan> {
        let Self { container, netns, pause, task, credentials, .. } = self;
        let ruleset = &Ruleset::of_instance(credentials, &Host::default());
        let request = Request { container, netns: *netns, pause: *pause, task, credentials };
        plan(&request, ruleset, &world.snapshot())
    }
}

/// What the ENI is like when the request comes.
#[derive(Clone, Debug)]
struct Eni {
    name: InterfaceName,
    mtu: u32,
    up: bool,
    /// Whether the driver reports a permanent address; then the current one may be another.
    current_mac: Option<Mac>,
    alias: Option<String>,
    addresses: Vec<IpNetwork>,
    has_policy_rules: bool,
}

/// What else there is.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // each may be so with each
struct Surroundings {
    has_ipv6: bool,
    has_nftables: bool,
    /// The bridge, if somebody made it: its MAC address, if not ours, and whether it is up.
    bridge: Option<(Option<Mac>, bool)>,
    /// How many of the first addresses that the task would try are held by others.
    others: Vec<Option<Label>>,
    lo_up: bool,
    ipv6_is_off: bool,
    blocked_already: bool,
}

/// Any request in any such world.
pub fn any_scenario() -> impl Strategy<Value = Scenario> {
    let ids = (id(), netns(), process());
    (ids, task(), credentials(), eni(), surroundings()).prop_map(
        |((id, netns, pause), task, credentials, eni, surroundings)| {
            let world = world(&id, &task, &credentials, &eni, surroundings);
            Scenario { container: short_id(&id), netns, pause, task, credentials, world }
        },
    )
}

/// One that has no reason to be refused.
pub fn scenario() -> impl Strategy<Value = Scenario> {
    any_scenario().prop_filter(
        "not possible",
        |Scenario { netns, task, credentials, world, .. }| {
            let aliases =
                || world.instance.devices.values().filter_map(|d| d.link.alias.as_deref());
            let labels = || aliases().filter_map(Label::parse);
            let mac = attached(task);
            let eni = world.instance.devices.values().find(|device| device.link.is(mac));
            let mtus =
                eni.map(|eni| eni.link.mtu).into_iter().chain(labels().map(|label| label.mtu));
            let too_small = task.mtu.is_none() && mtus.clone().min() < Some(1280);
            let too_large = task.branch.is_some() && task.mtu > mtus.min();
            let wants_ipv6 = task.has_ipv6() || credentials.ipv6_subnet.is_some();
            labels().all(|label| label.netns != *netns)
                && (world.has_ipv6 || !wants_ipv6)
                && !(task.has_ipv6() && too_small)
                && !too_large
        },
    )
}

/// The MAC address of what is plugged in: the ENI, or the trunk that it is a branch of.
pub fn attached(task: &Task) -> Mac {
    task.branch.map_or(task.mac, |branch| branch.trunk)
}

fn eni() -> impl Strategy<Value = Eni> {
    let alias = prop_oneof![
        3 => Just(None),
        1 => "[ -~]{1,30}".prop_map(Some),
        1 => label().prop_map(|label| Some(label.to_string())),
    ];
    let addresses = vec((0x0a00_0001..=0x0aff_fffe_u32).prop_map(|ip| address(ip, 24)), 0..2);
    let macs = option::of(mac());
    (name(), 68..=9216_u32, any::<bool>(), macs, alias, addresses, any::<bool>()).prop_map(
        |(name, mtu, up, current_mac, alias, addresses, has_policy_rules)| Eni {
            name,
            mtu,
            up,
            current_mac,
            alias,
            addresses,
            has_policy_rules,
        },
    )
}

fn surroundings() -> impl Strategy<Value = Surroundings> {
    let bridge = option::of((option::of(mac()), any::<bool>()));
    let others = vec(option::of(label()), 0..4);
    let switches = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (prop::bool::weighted(0.9), bridge, others, switches).prop_map(
        |(has_ipv6, bridge, others, (lo_up, ipv6_is_off, blocked_already, has_nftables))| {
            Surroundings {
                has_ipv6,
                has_nftables,
                bridge,
                others,
                lo_up,
                ipv6_is_off,
                blocked_already,
            }
        },
    )
}

fn address(ip: u32, prefix: u8) -> IpNetwork {
    IpNetwork::new(std::net::Ipv4Addr::from(ip).into(), prefix).expect("a prefix")
}

fn world(
    id: &str,
    task: &Task,
    credentials: &CredentialNetwork,
    eni: &Eni,
    around: Surroundings,
) -> World {
    let lo = |index, up, ipv6_is_off| {
        let mut lo = Link { loopback: true, ethernet: false, ..link(index, "lo", None, 65536) };
        switch(&mut lo, up);
        let mut lo = Device::new(lo);
        lo.settings.options.insert("disable_ipv6", if ipv6_is_off { "1" } else { "0" });
        lo
    };
    let mut world = World {
        instance: Space::default(),
        policy_rules: rules(task, eni),
        has_nftables: around.has_nftables,
        record: None,
        blocks: [None, None],
        task: Space::default(),
        uplink: 2,
        has_ipv6: around.has_ipv6,
        ipv6_is_off: around.ipv6_is_off,
    };
    world.instance.add(lo(1, true, false));
    world.task.add(lo(1, around.lo_up, around.ipv6_is_off));
    // A name and an address that nothing made up can have.
    let uplink = link(2, "the:uplink", Mac::from_bytes(&[0xfe; 6]), 9001);
    world.instance.add(Device::new(Link { up: true, running: true, ..uplink }));
    add_eni(&mut world, attached(task), eni);
    let controller = add_bridge(&mut world, credentials, &around);
    let (subnet, gateway) = (credentials.subnet, credentials.gateway);
    for (lease, label) in Lease::candidates(subnet, gateway, &short_id(id)).zip(around.others) {
        let branch = |label: &Label| label.branch.is_some() && label.branch == task.branch;
        let same = |label: &Label| label.eni == task.mac || branch(label);
        let network = credentials.id();
        let label = label.map(|label| Label { network, ..label });
        let alias = label.filter(|label| !same(label)).map(|label| label.to_string());
        let name = lease.link_name();
        let veth = link(world.new_index(), name.as_str(), None, 1500);
        let kind = Some("veth".to_owned());
        world.instance.add(Device::new(Link {
            alias,
            kind,
            controller,
            up: true,
            running: true,
            ..veth
        }));
    }
    if around.blocked_already {
        let destination = address(0xa9fe_a9fe, 32);
        world.task.routes.insert(destination, Route::Blackhole { destination });
    }
    world
}

/// The bridge, if there is one; gives its index.
fn add_bridge(
    world: &mut World,
    credentials: &CredentialNetwork,
    around: &Surroundings,
) -> Option<u32> {
    // Where there are other tasks, there is a bridge.
    let others = (!around.others.is_empty()).then_some((None, true));
    around.bridge.or(others).map(|(mac, up)| {
        let name = credentials.bridge.as_str();
        let mac = mac.unwrap_or(credentials.bridge_mac());
        let mut bridge = link(world.new_index(), name, Some(mac), 1500);
        switch(&mut bridge, up);
        let index = bridge.index;
        world.instance.add(Device::new(Link { kind: Some("bridge".to_owned()), ..bridge }));
        index
    })
}

fn add_eni(world: &mut World, mac: Mac, eni: &Eni) {
    let permanent_mac = eni.current_mac.map(|_| mac);
    let current = eni.current_mac.unwrap_or(mac);
    let link = link(world.new_index(), eni.name.as_str(), Some(current), eni.mtu);
    let alias = eni.alias.as_ref().map(|alias| match Label::parse(alias) {
        Some(label) => Label { eni: mac, mtu: label.mtu % 10_000, ..label }.to_string(),
        None => alias.clone(),
    });
    let mut link = Link { permanent_mac, alias, ..link };
    switch(&mut link, eni.up);
    let mut device = Device::new(link);
    device.addresses = eni.addresses.iter().map(|own| (*own, true)).collect();
    world.instance.add(device);
}

/// The rules that every kernel has, a stranger's, and those that a host daemon made for the ENI.
fn rules(task: &Task, eni: &Eni) -> Vec<Rule> {
    let rule = |from, interface: Option<&str>| Rule {
        from,
        to: None,
        interfaces: interface.map(str::to_owned).into_iter().collect(),
        message: Vec::new(),
    };
    let mut rules = vec![rule(None, None), rule(None, Some("the:uplink"))];
    if eni.has_policy_rules {
        let single = |address: &IpNetwork| Some(IpNetwork::from(address.ip()));
        rules.push(rule(None, Some(eni.name.as_str())));
        rules.extend(task.addresses.iter().map(|address| rule(single(address), None)));
    }
    rules
}
