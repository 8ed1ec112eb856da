//! Whose address programs find that take the first one: the ENI's, not that of the interface to the credentials.

use crate::fixtures::{ENI_MAC, Instance, Netns, Pause, Server, started};
use oci_awsvpc_hook::testing::CREDENTIAL_INDEX;

/// Lines of shell that people have in their entrypoints, and what they must print.
const LINES: [(&str, &str); 9] = [
    ("hostname -I | cut -d ' ' -f 1", "10.0.0.5"),
    ("ip -o -4 addr | grep -v ' lo ' | head -n 1 | awk '{ print $4 }'", "10.0.0.5/24"),
    ("ip -o -4 addr show scope global | awk 'NR == 1 { print $4 }'", "10.0.0.5/24"),
    ("ip -o link show up | awk -F '[:@ ]+' '$2 != \"lo\" { print $2; exit }'", "eth0"),
    // The entrypoint of the official image of Cassandra.
    (
        "ip address | awk '$1 != \"inet\" { next } $NF == \"lo\" { next } $2 ~ /^127[.]/ { next } \
         $2 ~ /^169[.]254[.]/ { next } { gsub(/\\/.+$/, \"\", $2); print $2; exit }'",
        "10.0.0.5",
    ),
    // The same before it left out link-local addresses, as many images have it.
    (
        "ip address | awk '$1 == \"inet\" && $NF != \"lo\" { gsub(/\\/.+$/, \"\", $2); print $2; exit }'",
        "10.0.0.5",
    ),
    ("ip -o -6 addr show scope global | awk 'NR == 1 { print $4 }'", "2001:db8::5/64"),
    ("busybox ip -o -4 addr | grep -v ' lo ' | head -n 1 | awk '{ print $4 }'", "10.0.0.5/24"),
    ("ip route get 192.0.2.1 | sed -n 's/.* src \\([^ ]*\\).*/\\1/p'", "10.0.0.5"),
];

/// What is found by those programs, and by those that `order.py` does the same as.
#[track_caller]
fn assert_first(task: &Netns) {
    for (line, expected) in LINES {
        assert_eq!(task.run(line).trim(), expected, "{line}\n{}", task.ip("addr"));
    }
    let ways =
        task.run(concat!("python3 -I '", env!("CARGO_MANIFEST_DIR"), "/tests/it/setup/order.py'"));
    assert_eq!(ways.lines().count(), 7, "{ways}");
    for way in ways.lines() {
        assert!(way.ends_with(" 10.0.0.5"), "{ways}\n{}", task.ip("addr"));
    }
}

fn index(netns: &Netns, link: &str) -> u64 {
    netns.link(link).expect(link)["ifindex"].as_u64().expect("a number")
}

/// Starts a task with an ENI that has this index on the instance.
fn started_with(index: u32, pause: &Pause) -> Instance {
    let instance = Instance::new();
    instance.netns.ip("link delete eth1");
    let router = instance.router.path();
    instance.netns.ip(&format!(
        "link add eth1 index {index} address {ENI_MAC} mtu 9001 type veth peer name eni netns {}",
        router.display()
    ));
    instance.router.ip("link set eni up");
    pause
        .call("prestart")
        .eni("ipv6-addresses", "2001:db8::5/64")
        .eni("subnet-gateway-ipv6-address", "fe80::1")
        .on(&instance)
        .silently();
    instance
}

#[test]
fn the_first_address_is_the_enis_whatever_its_index_is() {
    let high = CREDENTIAL_INDEX;
    // What a task's namespace would give next, what has the same last bits, and what the kernel will never get to.
    for own in [3, 254, 255, 256, 0xffff, 2_000_000_000, high - 1, high] {
        let pause = Pause::new();
        let _instance = started_with(own, &pause);
        assert_first(&pause.netns());
    }
}

#[test]
fn the_interface_to_the_credentials_has_its_index_and_a_second_call_leaves_it() {
    let (instance, pause) = started();
    let of = |task: &Netns| ["ecs-eth0", "eth0"].map(|link| index(task, link));
    let before = of(&pause.netns());
    assert_eq!(before[0], u64::from(CREDENTIAL_INDEX));
    pause.call("createRuntime").on(&instance).silently();
    assert_eq!(of(&pause.netns()), before);
}

#[test]
fn a_port_never_has_the_index_of_an_earlier_one() {
    let (instance, pause) = started();
    let ports = instance.ports();
    let first = index(&instance.netns, &ports[0]);
    pause.call("poststop").on(&instance).well();
    pause.call("prestart").on(&instance).silently();
    assert_eq!(instance.ports(), ports);
    assert_ne!(index(&instance.netns, &ports[0]), first);
}

#[test]
fn where_the_index_is_taken_a_task_starts_with_another() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let task = pause.netns();
    task.ip(&format!("link add other index {CREDENTIAL_INDEX} type bridge"));
    pause.call("prestart").on(&instance).silently();
    assert_eq!(index(&task, "other"), u64::from(CREDENTIAL_INDEX));
    let credentials = Server::agent(&instance.netns, "credentials");
    assert_eq!(credentials.ask_from(&task).as_deref(), Some("credentials"));
    pause.call("poststop").on(&instance).well();
    instance.assert_home();
}
