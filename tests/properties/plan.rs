//! A plan carried out in a model of both namespaces: it can be, all of it can be taken back, and
//! after it nothing is left to do, wherever an earlier call was cut off.

use crate::{
    checks,
    model::{self, Device, World},
    scenario::{Scenario, any_scenario, attached, scenario},
    steps::restore,
    strategies,
};
use ipnetwork::IpNetwork;
use oci_awsvpc_hook::testing::{
    AtHome, Host, InstanceSnapshot, Label, Link, Plan, Request, Ruleset, Step, plan, wished_name,
};
use proptest::{collection::vec, option, prelude::*, sample::Index};

/// Carries out steps, and gives those that changed something.
pub fn carry_out<'a>(world: &mut World, steps: &'a [Step]) -> Result<Vec<&'a Step>, TestCaseError> {
    let mut changed = Vec::new();
    for step in steps {
        match world.apply(step) {
            Ok(true) => changed.push(step),
            Ok(false) => {}
            Err(why) => return Err(TestCaseError::fail(format!("{step}: {why}\n{world:#?}"))),
        }
    }
    Ok(changed)
}

pub fn planned(scenario: &Scenario, world: &World) -> Result<Plan, TestCaseError> {
    scenario.plan(world).map_err(|error| TestCaseError::fail(error.line()))
}

/// The addresses as the kernel orders them when they are added as they should be.
fn by_family(addresses: &[IpNetwork]) -> Vec<IpNetwork> {
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(IpNetwork::is_ipv6);
    [v6, v4].concat()
}

/// The world before, with what a rollback leaves of what came after, by contract: the bridge, and
/// the settings and MAC addresses of links that were there already; an ENI that is home again is as its label says.
fn as_rolled_back(before: &World, after: &World, plan: &Plan, scenario: &Scenario) -> World {
    let mut world = before.clone();
    let name = scenario.credentials.bridge.as_str();
    if let Some(bridge) = after.instance.devices.get(name) {
        let mut bridge = bridge.clone();
        let old = world.instance.devices.remove(name);
        bridge.neighbours = old.map(|old| old.neighbours).unwrap_or_default();
        world.instance.add(bridge);
    }
    // A veth that an earlier call made and did not get to label may keep its label.
    if let Some(port) = world.instance.devices.get_mut(plan.lease.link_name().as_str()) {
        let after = &after.instance.devices[&port.link.name];
        if port.link.alias.is_none() {
            port.link = after.link.clone();
        }
        port.settings = after.settings.clone();
    }
    // The loopback interface gets its own settings back.
    for device in world.task.devices.values_mut().filter(|device| !device.link.loopback) {
        let after = &after.task.devices[&device.link.name];
        device.settings = after.settings.clone();
        device.link.mac = after.link.mac;
    }
    if scenario.task.branch.is_some() {
        let is_trunk = |device: &&mut Device| device.link.is(attached(&scenario.task));
        if let Some(trunk) = world.instance.devices.values_mut().find(is_trunk) {
            trunk.link = after.instance.devices[&trunk.link.name].link.clone();
        }
    }
    let mac = scenario.task.mac;
    if after.task.devices.values().any(|device| device.link.is(mac)) {
        let home = before.instance.devices.values().find(|device| device.link.is(mac));
        if let Some(home) = home {
            let mut eni = home.clone();
            world.instance.devices.remove(&home.link.name);
            restore(&mut eni, &plan.label, &AtHome::of(&home.link));
            world.instance.add(eni);
        }
    }
    world.policy_rules.sort_by_key(ToString::to_string);
    world.has_nftables = after.has_nftables;
    world
}

/// The world in which an earlier call for the same task died after some of its steps.
fn cut_off(scenario: &Scenario, after: Index) -> Result<World, TestCaseError> {
    let mut world = scenario.world.clone();
    let steps = planned(scenario, &world)?.steps;
    carry_out(&mut world, &steps[..after.index(steps.len() + 1)])?;
    Ok(world)
}

fn takes_back(scenario: &Scenario, before: &World) -> Result<(), TestCaseError> {
    let plan = planned(scenario, before)?;
    for done in 0..=plan.steps.len() {
        let mut world = before.clone();
        let changed = carry_out(&mut world, &plan.steps[..done])?;
        let expected = as_rolled_back(before, &world, &plan, scenario);
        changed.into_iter().rev().for_each(|step| world.revert(step));
        world.policy_rules.sort_by_key(ToString::to_string);
        prop_assert_eq!(world, expected, "after {} of {:#?}", done, plan.steps);
    }
    Ok(())
}

proptest! {
    #[test]
    fn all_that_is_done_can_be_taken_back(scenario in scenario()) {
        takes_back(&scenario, &scenario.world)?;
    }

    #[test]
    fn it_can_be_taken_back_where_an_earlier_call_was_cut_off(
        scenario in scenario(),
        after: Index,
    ) {
        takes_back(&scenario, &cut_off(&scenario, after)?)?;
    }

    #[test]
    fn after_a_plan_nothing_is_left_to_do(scenario in scenario()) {
        let mut world = scenario.world.clone();
        let first = planned(&scenario, &world)?;
        carry_out(&mut world, &first.steps)?;
        let done = world.clone();
        let second = planned(&scenario, &world)?;
        let changed = carry_out(&mut world, &second.steps)?;
        prop_assert!(changed.is_empty(), "{changed:#?}");
        prop_assert_eq!(world, done);
        prop_assert_eq!((second.lease, second.label), (first.lease, first.label));
    }

    #[test]
    fn a_call_that_was_cut_off_is_healed_by_the_next(scenario in scenario(), after: Index) {
        let mut straight = scenario.world.clone();
        let first = planned(&scenario, &straight)?;
        carry_out(&mut straight, &first.steps)?;
        let mut healed = cut_off(&scenario, after)?;
        let second = planned(&scenario, &healed)?;
        carry_out(&mut healed, &second.steps)?;
        prop_assert_eq!(healed, straight);
        prop_assert_eq!((second.lease, second.label), (first.lease, first.label));
    }

    #[test]
    fn what_cannot_be_done_is_not_planned(scenario in any_scenario()) {
        let mut world = scenario.world.clone();
        match scenario.plan(&world) {
            Ok(plan) => carry_out(&mut world, &plan.steps).map(|_| ())?,
            Err(error) => checks::one_line(&error),
        }
    }

    #[test]
    fn a_task_that_asks_for_another_eni_loses_nothing(
        scenario in scenario(),
        eni in strategies::mac(),
        interface in strategies::name(),
    ) {
        prop_assume!(eni != scenario.task.mac && interface != scenario.task.interface);
        let mut other = scenario.clone();
        (other.task.mac, other.task.interface) = (eni, interface);
        let mut world = scenario.world.clone();
        carry_out(&mut world, &planned(&scenario, &scenario.world)?.steps)?;
        let link = model::link(world.new_index(), "another", Some(eni), 9001);
        world.instance.add(Device::new(link));
        match other.plan(&world) {
            Ok(_) => takes_back(&other, &world)?,
            Err(error) => checks::one_line(&error),
        }
    }

    #[test]
    fn what_the_eni_was_called_first_is_what_is_remembered(scenario in scenario()) {
        let Scenario { task, world, netns, container, .. } = &scenario;
        prop_assume!(task.branch.is_none());
        let mut enis = world.instance.devices.values().map(|device| &device.link);
        let link = enis.find(|link| link.is(task.mac)).expect("it is attached");
        let label = link.alias.as_deref().and_then(Label::parse);
        let label =
            label.filter(|label| link.accepts_mtu(label.mtu) && label.branch.is_none());
        let wished = label.as_ref().map(|label| wished_name(link, label).to_string());
        let name = wished.as_deref().unwrap_or(link.name.as_str());
        let mtu = label.as_ref().map_or(link.mtu, |label| label.mtu);
        let label = planned(&scenario, world)?.label;
        prop_assert_eq!((label.name.as_str(), label.mtu), (name, mtu));
        prop_assert_eq!((label.eni, label.netns, &label.container), (task.mac, *netns, container));
    }

    #[test]
    fn the_task_gets_what_it_wants(scenario in scenario()) {
        let Scenario { task, mut world, credentials, .. } = scenario.clone();
        let plan = planned(&scenario, &world)?;
        carry_out(&mut world, &plan.steps)?;
        let eni = &world.task.devices[task.interface.as_str()];
        prop_assert!(eni.link.is(task.mac));
        prop_assert_eq!(eni.link.alias.as_deref().and_then(Label::parse), Some(plan.label.clone()));
        prop_assert!(task.mtu.is_none_or(|mtu| mtu == eni.link.mtu));
        prop_assert_eq!(eni.link.up, !task.stay_down);
        let configured = if task.stay_down { &[][..] } else { &task.addresses };
        let addresses: Vec<_> = eni.addresses.iter().map(|(address, _)| *address).collect();
        prop_assert_eq!(addresses, by_family(configured));
        let waits = plan.steps.iter().any(|step| matches!(step, Step::AwaitRouter { .. }));
        prop_assert_eq!(waits, task.wants_router_advertisements() && !task.stay_down);
        if task.has_ipv6() || credentials.ipv6_subnet.is_some() {
            prop_assert_eq!(world.task.devices["lo"].settings.options["disable_ipv6"], "0");
        }

        let port = &world.instance.devices[plan.lease.link_name().as_str()];
        let bridge = &world.instance.devices[credentials.bridge.as_str()];
        prop_assert_eq!(port.link.controller, Some(bridge.link.index));
        prop_assert_eq!(port.settings.isolated, credentials.isolation);
        prop_assert_eq!(port.link.alias.as_deref().and_then(Label::parse), Some(plan.label));
        let inside = &world.task.devices["ecs-eth0"];
        for gateway in credentials.gateways() {
            prop_assert!(bridge.addresses.iter().any(|(address, _)| address.ip() == gateway));
            prop_assert_eq!(inside.neighbours.get(&gateway).copied(), bridge.link.mac);
        }
        for address in credentials.addresses(plan.lease) {
            prop_assert_eq!(bridge.neighbours.get(&address).copied(), inside.link.mac);
        }
    }

    #[test]
    fn any_world_gets_a_plan_or_one_line(
        scenario in scenario(),
        instance in vec(any_link(), 0..6),
        inside in vec(any_link(), 0..4),
        uplink in 0..6_u32,
        has_ipv6: bool,
    ) {
        let mut snapshot = scenario.world.snapshot();
        snapshot.instance.links.extend(instance);
        snapshot.task.links.extend(inside);
        snapshot.instance = InstanceSnapshot { uplinks: [uplink].into(), has_ipv6, ..snapshot.instance };
        let Scenario { container, netns, pause, task, credentials, .. } = &scenario;
        let ruleset = &Ruleset::of_instance(credentials, &Host::default());
        let request = Request { container, netns: *netns, pause: *pause, task, credentials };
        match plan(&request, ruleset, &snapshot) {
            Ok(plan) => {
                prop_assert!(credentials.subnet.contains(plan.lease.address()) || snapshot
                    .instance.link(plan.lease.link_name().as_str()).is_some());
                for step in &plan.steps {
                    prop_assert!(!step.to_string().contains(char::is_control));
                }
            }
            Err(error) => checks::one_line(&error),
        }
    }
}

/// Any link, but with a good chance to be called what ours are called.
fn any_link() -> impl Strategy<Value = Link> {
    let name = prop_oneof![
        strategies::name().prop_map(|name| name.to_string()),
        Just("ecs-eth0".to_owned()),
        Just("ecs-bridge".to_owned()),
        "ecsa9feac[0-9a-f]{2}",
        "\\PC{1,15}|(?s:.{1,5})",
    ];
    let alias = prop_oneof![
        strategies::label().prop_map(|label| label.to_string()),
        "\\PC{0,20}|(?s:.{1,5})"
    ];
    let kind = prop_oneof![Just("veth"), Just("bridge"), Just("bond"), Just("vlan")];
    let numbers = (1..9_u32, 68..9216_u32, option::of(1..9_u32), option::of(1..9_u32));
    let switches = (any::<bool>(), any::<bool>(), any::<bool>());
    (name, option::of(strategies::mac()), option::of(alias), option::of(kind), numbers, switches)
        .prop_map(|(name, mac, alias, kind, (index, mtu, controller, peer), (up, ether, lo))| {
            Link {
                alias,
                kind: kind.map(str::to_owned),
                controller,
                peer,
                ethernet: ether,
                loopback: lo,
                up,
                ..model::link(index, &name, mac, mtu)
            }
        })
}
