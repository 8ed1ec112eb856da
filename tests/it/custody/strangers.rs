//! Nobody's ENI is another's, whatever its task says of it.

use super::{Handover, NEIGHBOUR_MAC, refused_without_a_trace};
use crate::fixtures::{ENI_MAC, Instance, Pause, eventually};
use std::os::unix::fs::MetadataExt;

/// What a link's alias says; or what it said in 0.1, where it says nothing.
fn label(task: &Pause, eni: &str, name: &str) -> String {
    let shown = task.netns().link("eth0").expect("the ENI");
    let inode = inode(task);
    let fallback =
        format!("awsvpc container={} eni={eni} name={name} mtu=9001 netns={inode}", task.id);
    shown["ifalias"].as_str().map_or(fallback, str::to_owned)
}

fn inode(task: &Pause) -> u64 {
    std::fs::metadata(task.netns().path()).expect("a namespace").ino()
}

/// The hostile task's ENI comes home with the neighbour's label, or with its MAC address, or both; the
/// neighbour's own `poststop` brings the neighbour's own ENI home.
#[test]
fn an_eni_that_comes_home_as_the_neighbours() {
    for (mac, alias) in [(false, true), (true, false), (true, true)] {
        println!("its MAC address: {mac}, its label: {alias}");
        let mut handover = Handover::new();
        let label = label(&handover.neighbour, NEIGHBOUR_MAC, "eth2");
        handover.hostile.does("ip link set eth0 down alias ''");
        if alias {
            handover.hostile.does(&format!("ip link set eth0 alias '{label}'"));
        }
        if mac {
            handover.hostile.does(&format!("ip link set eth0 address {NEIGHBOUR_MAC}"));
        }
        handover.kernel_sends_home("eth0");
        let of_neighbour = handover.neighbour.call("poststop");
        of_neighbour.eni("mac-address", NEIGHBOUR_MAC).on(&handover.instance).well();
        assert_eq!(handover.neighbour.netns().links(), ["lo"]);
        let own = handover.instance.netns.link("eth2").expect("the neighbour's ENI");
        let far = &handover.instance.router.link("eni2").expect("its other end")["link_index"];
        assert_eq!((&own["address"], &own["ifindex"]), (&NEIGHBOUR_MAC.into(), far));
        assert!(handover.instance.ports().is_empty());
        handover.poststop().well();
        handover.next();
    }
}

/// While the neighbour lives, nothing happens to it.
#[test]
fn a_label_of_the_neighbours_and_gc() {
    let mut handover = Handover::new();
    let label = label(&handover.neighbour, NEIGHBOUR_MAC, "eth2");
    handover.hostile.does(&format!("ip link set eth0 alias '{label}'"));
    handover.kernel_sends_home("eth0");
    handover.command("gc").report();
    handover.poststop().well();
    handover.assert_untouched();
    handover.next();
}

/// The kernel gives the number of a dead namespace to the next one.
#[test]
fn a_namespace_that_has_the_number_of_a_dead_one() {
    let mut handover = Handover::new();
    let child = handover.hostile.child();
    // The record stays, for its veth lives on elsewhere.
    handover.hostile.does(&format!("ip link set ecs-eth0 netns {}", child.pid()));
    let (task, number) = (handover.hostile.netns(), inode(&handover.hostile));
    let home = handover.instance.netns.path();
    task.ip(&format!("link set eth0 name eth1 netns {}", home.display()));
    drop(task);
    handover.hostile.kill();
    let (mut others, mut tried) = (Vec::new(), 0);
    let stranger = loop {
        let stranger = Pause::new();
        if inode(&stranger) == number {
            break stranger;
        }
        tried += 1;
        others.push(stranger);
        if others.len() == 200 {
            // Other tests make namespaces too.
            others.clear();
        }
        assert!(tried < 4000, "the kernel does not give the number again");
    };
    // The task was taken down, and the ENI given to somebody else, with what is written on it.
    handover.command("gc").report();
    let label = format!(
        "awsvpc container={} eni={ENI_MAC} name=eth1 mtu=9001 netns={number}",
        handover.hostile.id
    );
    let instance = &handover.instance.netns;
    instance.ip(&format!("link set eth1 alias '{label}' netns {} name net0", stranger.pid()));
    let before = stranger.netns().snapshot();
    handover.poststop().well();
    stranger.netns().assert_same(&before);
    assert_eq!(handover.instance.ports().len(), 1);
}

#[test]
fn an_eni_that_is_a_strangers() {
    let (instance, stranger) = (Instance::new(), Pause::new());
    instance.netns.ip(&format!("link set eth1 netns {} name net0", stranger.pid()));
    refused_without_a_trace(&instance, ENI_MAC, &[&stranger.netns()]);
}

/// What a container was refused does not become its own by what is written on it.
#[test]
fn an_eni_that_is_a_strangers_and_names_the_container() {
    let (instance, stranger, pause) = (Instance::new(), Pause::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let label = format!("awsvpc container={} eni={ENI_MAC} name=eth1 mtu=9001 netns=1", pause.id);
    instance.netns.ip(&format!("link set eth1 alias '{label}' netns {} name net0", stranger.pid()));
    let before = (instance.netns.snapshot(), stranger.netns().snapshot());
    let impatient = "[eni]\nattach-timeout-seconds = 1\n";
    pause.call("prestart").config(&folder, impatient).on(&instance).badly();
    pause.call("poststop").config(&folder, impatient).on(&instance).silently();
    instance.netns.assert_same(&before.0);
    stranger.netns().assert_same(&before.1);
}

#[test]
fn an_eni_that_is_another_tasks() {
    let handover = Handover::new();
    let (one, other) = (handover.hostile.netns(), handover.neighbour.netns());
    refused_without_a_trace(&handover.instance, ENI_MAC, &[&one, &other]);
    refused_without_a_trace(&handover.instance, NEIGHBOUR_MAC, &[&one, &other]);
}

/// Nor is there anything to do for a container that never had a network from us.
#[test]
fn a_poststop_without_a_prestart() {
    let handover = Handover::new();
    let before = (handover.instance.netns.snapshot(), handover.hostile.netns().snapshot());
    let never = Pause::new();
    never.call("poststop").on(&handover.instance).silently();
    never.call("poststop").pid(handover.hostile.pid()).on(&handover.instance).silently();
    handover.instance.netns.assert_same(&before.0);
    handover.hostile.netns().assert_same(&before.1);
}

/// Neighbours and ports of an adopted bridge that are somebody else's keep their addresses, and what
/// is theirs stays.
#[test]
fn a_lease_that_collides_with_somebody_elses() {
    const SMALL: &str = "[credentials]\nsubnet = \"10.99.0.0/29\"\ngateway = \"10.99.0.1\"\n";
    let (instance, folder) = (Instance::new(), tempfile::tempdir().expect("a folder"));
    instance.netns.run(
        "ip link add ecs-bridge address 0a:58:0a:63:00:01 type bridge
         ip addr add 10.99.0.1/29 dev ecs-bridge
         ip link set ecs-bridge up
         ip link add port0 master ecs-bridge type veth peer name far0
         ip link set port0 up
         ip link set far0 up address 0a:58:0a:63:00:02
         bridge fdb add 0a:58:0a:63:00:03 dev port0 master static
         ip neigh add 10.99.0.4 lladdr 02:00:00:00:00:04 dev ecs-bridge nud permanent
         ip link add ecs0a630005 type veth peer name far1",
    );
    eventually("the port up", || {
        instance.netns.link("port0").is_some_and(|link| link["operstate"] == "UP")
    });
    let pause = Pause::new();
    let before = instance.netns.snapshot();
    // 2 is a MAC address behind another port, 3 too, 4 a neighbour, 5 a name: 6 is left.
    pause.call("prestart").config(&folder, SMALL).on(&instance).well();
    let inside = pause.netns().link("ecs-eth0").expect("the credential interface");
    assert_eq!(inside["addr_info"][0]["local"], "10.99.0.6", "{inside}");
    pause.call("poststop").config(&folder, SMALL).on(&instance).well();
    instance.netns.assert_same(&before);
}
