//! The instance's own interface is never touched, however it is that the instance uses it.

use super::{Handover, refused_without_a_trace};
use crate::fixtures::{Instance, Pause, hook, link_local};

/// The MAC address of the instance's own interface.
const OWN: &str = "02:00:00:00:00:01";

/// Asserts that with such routes, no container gets the instance's own interface.
#[track_caller]
fn stays_with(lines: &str) {
    let instance = Instance::new();
    instance.netns.run(&format!("set -e; ip route del default\n{lines}"));
    refused_without_a_trace(&instance, OWN, &[]);
}

#[test]
fn a_plain_default_route() {
    stays_with("ip route add default via 10.0.9.1");
}

#[test]
fn a_default_route_of_another_table() {
    stays_with("ip route add default via 10.0.9.1 table 100; ip rule add from all lookup 100");
}

#[test]
fn a_default_route_in_two_halves() {
    stays_with("ip route add 0.0.0.0/1 via 10.0.9.1; ip route add 128.0.0.0/1 via 10.0.9.1");
}

#[test]
fn an_ipv6_default_route_in_two_halves() {
    stays_with(
        "ip -6 addr add 2001:db8:9::2/64 dev eth0 nodad
         ip -6 route add ::/1 via 2001:db8:9::1; ip -6 route add 8000::/1 via 2001:db8:9::1",
    );
}

#[test]
fn a_nexthop_object() {
    stays_with("ip nexthop add id 1 via 10.0.9.1 dev eth0; ip route add default nhid 1");
}

#[test]
fn either_leg_of_a_group_of_nexthops() {
    for own in ["1", "2"] {
        let other = if own == "1" { "2" } else { "1" };
        stays_with(&format!(
            "ip link add other0 type veth peer name other1; ip addr add 10.0.8.2/24 dev other0
             ip link set other0 up; ip link set other1 up
             ip nexthop add id {own} via 10.0.9.1 dev eth0
             ip nexthop add id {other} via 10.0.8.1 dev other0
             ip nexthop add id 10 group 1/2; ip route add default nhid 10"
        ));
    }
}

#[test]
fn either_leg_of_a_multipath_route() {
    let legs = ["nexthop via 10.0.9.1 dev eth0", "nexthop via 10.0.8.1 dev other0"];
    for (one, other) in [(legs[0], legs[1]), (legs[1], legs[0])] {
        stays_with(&format!(
            "ip link add other0 type veth peer name other1; ip addr add 10.0.8.2/24 dev other0
             ip link set other0 up; ip link set other1 up
             ip route add default {one} {other}"
        ));
    }
}

#[test]
fn a_macvlan_on_it() {
    stays_with(
        "ip link add link eth0 name mv0 type macvlan; ip addr add 10.0.9.3/24 dev mv0
         ip link set mv0 up; ip addr flush dev eth0; ip route add default via 10.0.9.1 dev mv0",
    );
}

#[test]
fn a_tunnel_on_it() {
    stays_with(
        "ip link add vx0 type vxlan id 7 dstport 4789 remote 10.0.9.1 dev eth0
         ip addr add 10.7.0.2/24 dev vx0; ip link set vx0 up
         ip route add default via 10.7.0.1",
    );
}

/// Which interface it goes by, its route says.
#[test]
fn a_tunnel_that_names_no_interface() {
    stays_with(
        "ip link add vx0 type vxlan id 7 dstport 4789 remote 192.0.2.1
         ip route add 192.0.2.1 via 10.0.9.1
         ip addr add 10.7.0.2/24 dev vx0; ip link set vx0 up
         ip route add default via 10.7.0.1",
    );
}

/// As wg-quick makes it: everything goes into the tunnel but what comes out of it.
#[test]
fn a_tunnel_that_takes_everything_without_a_mark() {
    stays_with(
        "ip route add default via 10.0.9.1
         ip tuntap add wg0 mode tun; ip addr add 10.7.0.2/24 dev wg0; ip link set wg0 up
         ip route add default dev wg0 table 51820
         ip rule add not fwmark 51820 lookup 51820
         ip rule add lookup main suppress_prefixlength 0",
    );
}

#[test]
fn a_route_to_the_metadata_service_alone() {
    stays_with("ip route add 169.254.169.254 via 10.0.9.1");
}

#[test]
fn a_bridge_that_it_is_a_port_of() {
    stays_with(
        "ip addr flush dev eth0; ip link add br0 type bridge; ip link set eth0 master br0
         ip link set eth0 type bridge_slave learning off
         ip addr add 10.0.9.2/24 dev br0; ip link set br0 up; ip route add default via 10.0.9.1",
    );
}

/// Amazon Linux gives every ENI a table of its own, for what comes from its address.
#[test]
fn an_eni_with_a_table_of_its_own_stays_an_eni() {
    let (instance, pause) = (Instance::new(), Pause::new());
    instance.netns.run(
        "set -e; ip addr add 10.0.0.77/24 dev eth1; ip link set eth1 up
         ip route add default via 10.0.0.1 dev eth1 table 10001
         ip rule add from 10.0.0.77 lookup 10001
         ip route add default via 10.0.0.1 dev eth1 metric 1000",
    );
    pause.call("prestart").on(&instance).silently();
    pause.netns().run("busybox ping -c 1 -W 2 10.0.0.1");
}

/// What is written on the instance's own interface makes it nobody's ENI.
#[test]
fn a_label_on_it() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let label = format!("awsvpc container={} eni={OWN} name=eth9 mtu=1400 netns=1", pause.id);
    instance.netns.ip(&format!("link set eth0 alias '{label}'"));
    let before = instance.netns.snapshot();
    hook("gc").on(&instance);
    pause.call("poststop").eni("mac-address", OWN).on(&instance);
    hook("release").option(OWN).on(&instance);
    instance.netns.assert_same(&before);
}

/// A task gives its ENI the MAC address of the instance's own, and it comes home.
#[test]
fn an_eni_with_its_mac_address() {
    for stage in ["poststop", "gc", "prestart"] {
        println!("{stage}");
        let mut handover = Handover::new();
        handover.hostile.does(&format!("ip link set eth0 down && ip link set eth0 address {OWN}"));
        handover.kernel_sends_home("eth0");
        // Its own addresses do not change any more.
        link_local(&handover.instance.netns, "eth0");
        let before = handover.instance.netns.link("eth0");
        if stage == "gc" {
            handover.command("gc").report();
        } else {
            let call = handover.call(&handover.hostile, stage);
            drop((stage == "poststop").then(|| call.on(&handover.instance)));
        }
        let next = Pause::new();
        let wants = next.call("prestart").eni("mac-address", OWN);
        wants.on(&handover.instance).badly();
        assert_eq!(handover.instance.netns.link("eth0"), before);
        handover.poststop().well();
        handover.next();
        assert_eq!(handover.instance.netns.link("eth0"), before);
    }
}
