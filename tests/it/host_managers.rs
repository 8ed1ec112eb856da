//! ENIs that a host daemon configured before the task got them: ec2-net-utils, systemd-networkd,
//! `NetworkManager` and cloud-init leave addresses, routes in tables of their own, and rules.

use crate::fixtures::{Instance, Pause};

/// What ec2-net-utils makes of a second interface.
fn managed() -> Instance {
    let instance = Instance::new();
    let netns = &instance.netns;
    netns.ip("link set eth1 up");
    netns.ip("addr add 10.0.0.5/24 dev eth1");
    netns.ip("-6 addr add 2001:db8::5/64 dev eth1 nodad");
    netns.ip("route add default via 10.0.0.1 dev eth1 table 10001");
    netns.ip("route add 10.0.0.0/24 dev eth1 table 10001");
    netns.ip("route add default via 10.0.0.1 dev eth1 metric 10001");
    netns.ip("rule add from 10.0.0.5 lookup 10001 pref 10001");
    netns.ip("-6 rule add from 2001:db8::5 lookup 10001 pref 10001");
    netns.ip("rule add iif eth1 lookup 10001 pref 10002");
    // Not the ENI's, though close.
    netns.ip("rule add from 10.0.0.6 lookup 10002 pref 10003");
    netns.ip("rule add from 10.0.0.0/24 lookup 10002 pref 10004");
    netns.ip("rule add fwmark 7 lookup 10002 pref 10005");
    netns.ip("route add 10.7.0.0/16 via 10.0.9.1 table 10002");
    instance
}

#[test]
fn leftovers_of_the_eni_are_gone_and_nothing_else() {
    let (instance, pause) = (managed(), Pause::new());
    let call = pause.call("prestart").eni("ipv6-addresses", "2001:db8::5");
    call.eni("subnet-gateway-ipv6-address", "fe80::1").on(&instance).silently();
    let rules = instance.netns.ip("rule show");
    for (there, part) in [
        (false, "from 10.0.0.5 "),
        (false, "iif eth1"),
        (true, "from 10.0.0.6 lookup 10002"),
        (true, "from 10.0.0.0/24 lookup 10002"),
        (true, "fwmark 0x7 lookup 10002"),
        (true, "from all lookup main"),
    ] {
        assert_eq!(rules.contains(part), there, "{part}: {rules}");
    }
    assert!(!instance.netns.ip("-6 rule show").contains("2001:db8::5"));
    let routes =
        instance.netns.ip("route show table all") + &instance.netns.ip("-6 route show table all");
    assert!(!routes.contains("eth1") && !routes.contains("10.0.0."), "{routes}");
    assert!(routes.contains("10.7.0.0/16 via 10.0.9.1 dev eth0 table 10002"), "{routes}");
    assert_eq!(pause.netns().routes("4")[0], "default via 10.0.0.1 dev eth0");
}

#[test]
fn rules_are_back_after_a_failure() {
    let (instance, pause) = (managed(), Pause::new());
    let rules = |family| instance.netns.ip(&format!("-{family} rule show"));
    let before = (rules(4), rules(6));
    pause.netns().ip("route add blackhole default");
    pause.call("prestart").eni("ipv6-addresses", "2001:db8::5").on(&instance).badly();
    assert_eq!((rules(4), rules(6)), before);
}

#[test]
fn an_address_that_only_the_daemon_knew_counts_too() {
    let (instance, pause) = (managed(), Pause::new());
    instance.netns.ip("addr add 10.0.0.99/24 dev eth1");
    instance.netns.ip("rule add from 10.0.0.99 lookup 10001 pref 10009");
    pause.call("prestart").on(&instance).silently();
    assert!(!instance.netns.ip("rule show").contains("10.0.0.99"));
}
