//! Whatever a task does to its namespace, in whatever order, and however it ends: the ENI is at home in its
//! normal form, or refused by name; no other link has changed.

use super::{EVERY_END, End, Handover};
use crate::fixtures::Netns;
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};

/// Its ENI, its end of the veth, and what else a link may be called: names that mean something to the hook,
/// or to the instance.
const NAMES: [&str; 8] =
    ["eth0", "ecs-eth0", "eth1", "eth2", "ens5", "ecs-bridge", "ecsa9feac01", "x"];

/// MAC addresses of the ENI, of the neighbour's, of the instance's own interface, of the task's end of the
/// veth, and of nothing.
const MACS: [&str; 5] = [
    "02:5a:a1:1a:43:42",
    "02:5a:a1:1a:43:43",
    "02:00:00:00:00:01",
    "0a:58:a9:fe:ac:02",
    "02:66:66:66:66:66",
];

/// What can be done to a link.
const ACTIONS: [&str; 32] = [
    "ip link set LINK down",
    "ip link set LINK up",
    "ip link set LINK name NAME",
    "ip link set LINK address MAC",
    "ip link set LINK alias ''",
    "ip link set LINK alias \"$(ip link show ecs-eth0 | sed -n 's/.*alias //p')\"",
    "ip link property add dev LINK altname NAME",
    "ip link set LINK netns CHILD",
    "ip link set LINK mtu 1280",
    "ip link set LINK arp off promisc on allmulticast on multicast off",
    "ip link set LINK txqueuelen 1 group 77 gso_max_size 1000 gro_max_size 1000",
    "ip link set LINK mode dormant addrgenmode none",
    "ip link set LINK broadcast MAC",
    "ethtool -K LINK tx off sg off tso off gso off gro off",
    "tc qdisc add dev LINK root pfifo limit 1",
    "ip link add NAME link LINK type macvlan mode passthru",
    "ip link add NAME link LINK address MAC type macvlan mode private",
    "ip link add NAME link LINK type vlan id 7",
    "ip link add NAME link LINK type ipvlan",
    "ip link add NAME address MAC type dummy",
    "ip link add NAME address MAC type veth peer name x9 netns CHILD",
    "ip link add NAME type bridge",
    "ip link set LINK master NAME",
    "ip link del LINK",
    "ip addr flush dev LINK",
    "ip addr add 10.0.1.5/24 dev LINK",
    "ip route flush table main",
    "ip neigh replace 10.0.0.1 lladdr MAC dev LINK nud permanent",
    "ip link add NAME type vxlan id 7 dev LINK dstport 4789",
    "nft flush ruleset",
    "nft add table netdev t; nft 'add chain netdev t c { type filter hook ingress device LINK priority 0; policy drop; }'",
    "sysctl -qw net.ipv4.conf.all.forwarding=1",
];

/// One line of shell. What the kernel does not allow has not been done.
fn action() -> impl Strategy<Value = String> {
    // Mostly to the ENI.
    let link = prop_oneof![3 => Just("eth0"), 2 => select(&NAMES[..])];
    (select(&ACTIONS[..]), link, select(&NAMES[..]), select(&MACS[..])).prop_map(
        |(action, link, name, mac)| {
            action.replace("LINK", link).replace("NAME", name).replace("MAC", mac)
        },
    )
}

/// What the ENI is called in a namespace, if it is there: the router's end tells which link it is.
fn eni_in(netns: &Netns, handover: &Handover) -> Option<String> {
    let far = handover.instance.router.link("eni")?;
    let is_it = |name: &String| {
        let link = netns.link(name).expect("a link");
        link["ifindex"] == far["link_index"] && link["link_index"] == far["ifindex"]
    };
    netns.links().into_iter().find(is_it)
}

#[track_caller]
fn is_handed_over_after(actions: &[String], end: End) {
    let mut handover = Handover::new();
    let child = handover.hostile.child();
    for action in actions {
        let action = action.replace("CHILD", &child.pid().to_string());
        handover.hostile.does(&format!("{{ {action}; }} >/dev/null 2>&1 || :"));
    }
    let eni = eni_in(&handover.hostile.netns(), &handover);
    let next = match (end, eni) {
        // A physical interface cannot be deleted, but the ENI of this test can.
        (..) if handover.instance.router.link("eni").is_none() => return,
        (End::Home(first), Some(eni)) => {
            handover.kernel_sends_home(&eni);
            handover.first(first)
        }
        // The kernel sends nothing home from the namespace of a program that runs.
        (End::Home(first), None) => handover.end(End::Survived(first)),
        (end, _) => handover.end(end),
    };
    let next = next.unwrap_or_else(|| {
        handover.assert_untouched();
        handover.next()
    });
    handover.poststop().well();
    handover.assert_works(&next);
    next.call("poststop").on(&handover.instance).well();
    handover.assert_untouched();
}

#[test]
fn whatever_a_task_does_the_next_one_is_like_any_other() {
    let config = Config { cases: 24, max_shrink_iters: 24, ..Config::default() };
    let config = Config { failure_persistence: None, ..config };
    let strategy = (proptest::collection::vec(action(), 1..12), select(&EVERY_END[..]));
    let run = TestRunner::new(config).run(&strategy, |(actions, end)| {
        is_handed_over_after(&actions, end);
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}
