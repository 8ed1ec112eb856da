//! Names are many per link, and a task gives its ENI any.

use super::{EVERY_END, End, First, Handover, NEIGHBOUR_MAC, after_each};
use crate::fixtures::{Instance, Pause, eventually};
use std::time::{Duration, Instant};

/// Where two tasks have room.
const SMALL: &str = "[credentials]\nsubnet = \"10.99.0.0/29\"\ngateway = \"10.99.0.1\"\n";

#[test]
fn an_alternative_name_that_is_the_bridges() {
    after_each(&EVERY_END, |handover| {
        handover.hostile.does("ip link property add dev eth0 altname ecs-bridge");
    });
}

#[test]
fn an_alternative_name_that_is_the_credential_interfaces() {
    let ends = EVERY_END.into_iter().filter(|end| !matches!(end, End::Survived(_)));
    after_each(&ends.collect::<Vec<_>>(), |handover| {
        handover.hostile.does("ip link set ecs-eth0 down && ip link set ecs-eth0 name other");
        handover.hostile.does("ip link property add dev eth0 altname ecs-eth0");
    });
}

#[test]
fn an_alternative_name_that_is_another_enis_at_home() {
    after_each(&EVERY_END, |handover| {
        handover.hostile.does("ip link property add dev eth0 altname eth2 altname eth1");
    });
}

/// Alternative names that are those of leases, one for each address of the subnet.
fn names_of_leases(from: u32, to: u32) -> String {
    let names = (from..=to).map(|address| format!(" altname ecs{address:08x}"));
    names.collect()
}

#[test]
fn alternative_names_that_are_those_of_leases() {
    for end in [End::Poststop, End::Home(First::Poststop), End::Home(First::Gc)] {
        println!("{end:?}");
        // All but the neighbour's, which the kernel would refuse once it is home.
        let mut handover = Handover::new();
        let port = handover.instance.ports().into_iter().next().expect("the neighbour's");
        let all = names_of_leases(0xa9fe_ac02, 0xa9fe_ad90);
        let all = all.replace(&format!(" altname {port}"), "");
        handover.hostile.does(&format!("ip link property add dev eth0{all}"));
        assert!(handover.end(end).is_none());
        handover.assert_untouched();
        handover.next();
    }
}

/// A task takes all the names of a small subnet; its ENI is at home, and somebody has set it up.
#[test]
fn names_of_leases_on_an_eni_that_is_up_cost_no_lease_and_no_time() {
    for up in [false, true] {
        let (instance, folder) = (Instance::new(), tempfile::tempdir().expect("a folder"));
        instance.attach("eth2", NEIGHBOUR_MAC, "eni2");
        let mut hostile = Pause::in_a_user_namespace();
        hostile.call("prestart").config(&folder, SMALL).on(&instance).silently();
        hostile.does("ip link del ecs-eth0");
        let names = names_of_leases(0x0a63_0002, 0x0a63_0006);
        hostile.does(&format!("ip link property add dev eth0{names}"));
        hostile.does("ip link set eth0 down");
        let home = instance.netns.path();
        hostile.netns().ip(&format!("link set eth0 name dev7 netns {}", home.display()));
        hostile.kill();
        if up {
            instance.netns.ip("link set dev7 up");
        }
        let (next, begin) = (Pause::new(), Instant::now());
        let call = next.call("prestart").config(&folder, SMALL);
        call.eni("mac-address", NEIGHBOUR_MAC).on(&instance).well();
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        assert_eq!(instance.ports().len(), 1);
    }
}

#[test]
fn so_many_alternative_names_that_an_answer_of_the_kernel_is_cut() {
    let long = "x".repeat(124);
    let adding: String = (0..480).fold(String::new(), |lines, number| {
        lines + &format!("link property add dev eth0 altname {long}{number:03}\n")
    });
    after_each(&EVERY_END, |handover| {
        handover.hostile.does(&format!("ip -batch - <<.\n{adding}.\n"));
    });
}

#[test]
fn an_eni_that_comes_home_under_the_name_in_a_policy_rule() {
    for first in [First::Poststop, First::Gc, First::Next] {
        println!("{first:?}");
        let rules = |instance: &Instance| {
            instance.netns.ip("rule add iif wg0 lookup 100");
            instance.netns.ip("rule add oif wg0 lookup 101");
            instance.netns.ip("-6 rule add iif wg0 lookup 100");
        };
        let mut handover = Handover::after(rules);
        handover.hostile.does("ip link set eth0 down && ip link set eth0 name wg0");
        handover.kernel_sends_home("wg0");
        let next = handover.first(first).unwrap_or_else(|| handover.next());
        next.call("poststop").on(&handover.instance).well();
        handover.assert_untouched();
    }
}

/// What it says of the ENI's name at home is no more than a wish.
#[test]
fn a_label_that_wishes_for_a_name_that_is_none_of_an_enis() {
    for wish in ["wg0", "ecs-bridge", "ecs-eth0", "lo", "docker0", "tailscale0", "eth0", "eth2"] {
        println!("{wish}");
        let handover = Handover::after(|instance| {
            instance.netns.ip("rule add iif wg0 lookup 100");
        });
        let label = handover.hostile.netns().link("eth0").expect("the ENI")["ifalias"].clone();
        let label =
            label.as_str().unwrap_or_default().replace("name=eth1", &format!("name={wish}"));
        handover.hostile.does(&format!("ip link set eth0 alias '{label}'"));
        handover.hostile.does("ip link del ecs-eth0");
        handover.hand_over(End::Home(First::Gc));
    }
}

/// udev gives interfaces such names, and users take them for what the task shall see.
#[test]
fn an_interface_name_that_the_eni_has_as_an_alternative_one() {
    let (instance, pause) = (Instance::new(), Pause::new());
    instance.netns.ip("link property add dev eth1 altname ens5");
    pause.call("prestart").eni("interface-name", "ens5").on(&instance).silently();
    assert_eq!(pause.netns().links(), ["lo", "ens5", "ecs-eth0"]);
    pause.netns().run("busybox ping -c 1 -W 2 10.0.0.1");
    pause.call("poststop").on(&instance).well();
    instance.assert_home();
}

/// The kernel gives a name to one link of a namespace, as its own or as an alternative one.
#[test]
fn a_strangers_alternative_name_is_stepped_around() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let names = names_of_leases(0xa9fe_ac02, 0xa9fe_ad00);
    instance.netns.ip(&format!("link property add dev eth0{names}"));
    let before = instance.netns.link("eth0");
    pause.call("prestart").on(&instance).silently();
    eventually("a port", || instance.ports().len() == 1);
    assert_eq!(instance.netns.link("eth0"), before);
    pause.call("poststop").on(&instance).well();
    instance.assert_home();
}

/// The bridge cannot be made where somebody's link has its name as an alternative one.
#[test]
fn a_strangers_alternative_name_that_is_the_bridges_is_refused_by_name() {
    let (instance, pause) = (Instance::new(), Pause::new());
    instance.netns.ip("link property add dev eth0 altname ecs-bridge");
    let before = instance.netns.snapshot();
    let line = pause.call("prestart").on(&instance).badly();
    assert!(line.contains("ecs-bridge") && line.contains("eth0"), "{line}");
    instance.netns.assert_same(&before);
}
