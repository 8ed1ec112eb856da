//! What the hook must not do: it says why in one line, and nothing has changed.

use crate::fixtures::{Call, ENI_MAC, Instance, Pause, hook, started};
use serde_json::{Value, json};

/// Asserts that the call fails with a line that has all of `named` in it and changes nothing.
#[track_caller]
fn refused(instance: &Instance, pause: &Pause, call: &Call, named: &[&str]) {
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    let line = call.on(instance).badly();
    for part in named {
        assert!(line.contains(part), "{part:?} is not in: {line}");
    }
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);
}

/// Of a container that speaks of an ENI. About another one, nothing is an error: `strangers`.
#[test]
fn a_state_that_is_none() {
    const SPEAKS: &str = r#""x":"com.amazonaws.ecs.eni.""#;
    let (instance, pause) = (Instance::new(), Pause::new());
    let good = format!(r#"{{{SPEAKS},"id":"a","pid":{},"bundle":"/b"}}"#, pause.pid());
    let huge = format!(r#"{{{SPEAKS},"id":"a","annotations":{{"k":"{}"}}}}"#, "v".repeat(2 << 20));
    let with = |fields: &str| format!("{{{SPEAKS},{fields}}}");
    for (stdin, named) in [
        (SPEAKS.to_owned(), "not a JSON object"),
        (good[..good.len() - 1].to_owned(), "not a JSON object"),
        (format!("[{good}]"), "not a JSON object"),
        (r#""com.amazonaws.ecs.eni.""#.to_owned(), "not a JSON object"),
        (with(r#""pid":1"#), "no id"),
        (with(r#""id":["a"]"#), "id: invalid type"),
        (with(r#""id":"a","pid":"1""#), "pid: invalid type"),
        (with(r#""id":"a","annotations":[]"#), "annotations: invalid type"),
        (with(r#""id":"a","annotations":{"k":7}"#), "annotations.k: invalid type"),
        (with(r#""id":"../../x""#), "id \"../../x\""),
        (with(r#""id":"a b""#), "id \"a b\""),
        (with(r#""id":"web:1""#), "id \"web:1\""),
        (huge, "more than 1 MiB"),
        (format!("\u{0}\u{1}\u{ff}{good}"), "not a JSON object"),
    ] {
        for stage in ["prestart", "poststop"] {
            let call = hook(stage).stdin(stdin.clone());
            refused(&instance, &pause, &call, &[named, stage]);
        }
    }
}

#[test]
fn annotations_that_make_no_sense() {
    let (instance, pause) = (Instance::new(), Pause::new());
    for (key, value) in [
        ("mac-address", "02:5a:a1:1a:43"),
        ("mac-address", "01:00:5e:00:00:01"),
        ("ipv4-addresses", "10.0.0.5,10.0.0.5"),
        ("ipv4-addresses", "10.0.0.256"),
        ("ipv6-addresses", "2001:db8::5,2001:db8::5/64"),
        ("subnet-gateway-ipv4-address", "10.0.1.1/24"),
        ("subnet-gateway-ipv6-address", "fe80::1"),
        ("interface-name", "sixteen-bytes-xx"),
        ("interface-name", "a/b"),
        ("interface-name", "ecs-eth0"),
        ("mtu", "0"),
        ("mtu", "nine thousand"),
        ("block-instance-metadata", "maybe"),
        ("stay-down", "1"),
        ("vlan-id", "101"),
        ("vlan-id", "4095"),
        ("trunk-mac-address", "02:5a:a1:1a:43:01"),
        ("trunk-mac-address", ENI_MAC),
    ] {
        let call = pause.call("prestart").eni(key, value);
        let full = format!("com.amazonaws.ecs.eni.{key}");
        refused(&instance, &pause, &call, &[&full, value, &pause.id]);
    }
    let unknown = pause.call("prestart").eni("mac_address", ENI_MAC);
    refused(&instance, &pause, &unknown, &["eni.mac_address is not known"]);
    let missing = pause.call("prestart").eni("mac-address", Value::Null);
    refused(&instance, &pause, &missing, &["eni.mac-address is missing"]);
    let outside = pause.call("prestart").eni("mtu", "65535");
    pause.call("prestart").on(&instance).silently();
    pause.call("poststop").on(&instance).well();
    instance.netns.ip("link set eth1 mtu 9001");
    refused(&instance, &pause, &outside.eni("mtu", "65536"), &["eni.mtu", "65536"]);
}

#[test]
fn the_interface_that_the_instance_lives_on() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let call = pause.call("prestart").eni("mac-address", "02:00:00:00:00:01");
    refused(&instance, &pause, &call, &["eth0", "default route"]);
}

#[test]
fn the_interface_that_the_instance_lives_on_in_ipv6() {
    let (instance, pause) = (Instance::new(), Pause::new());
    instance.netns.ip("link set eth1 up");
    instance.netns.ip("-6 route add default via fe80::1 dev eth1");
    let call = pause.call("prestart");
    refused(&instance, &pause, &call, &["eth1", "default route"]);
}

#[test]
fn an_eni_with_a_worse_default_route_of_its_own_is_taken_all_the_same() {
    let (instance, pause) = (Instance::new(), Pause::new());
    instance.netns.ip("link set eth1 up");
    instance.netns.ip("route add default via 10.0.0.1 dev eth1 onlink metric 1000");
    pause.call("prestart").on(&instance).silently();
}

#[test]
fn links_that_are_no_eni() {
    let (instance, pause) = (Instance::new(), Pause::new());
    instance.netns.ip("link add br0 address 02:00:00:00:00:0a type bridge");
    let call = |mac: &str| pause.call("prestart").eni("mac-address", mac);
    refused(&instance, &pause, &call("02:00:00:00:00:0a"), &["br0", "is a bridge"]);
    instance.netns.ip("link set eth1 master br0");
    refused(&instance, &pause, &call(ENI_MAC), &["eth1", "belongs to a bridge or bond"]);
    instance.netns.ip("link set eth1 nomaster");
    instance.attach("eth2", ENI_MAC, "twin");
    refused(&instance, &pause, &call(ENI_MAC), &["several links", "eth1, eth2"]);
}

#[test]
fn an_eni_that_another_task_holds_at_once() {
    let (instance, pause, other) = (Instance::new(), Pause::new(), Pause::new());
    pause.call("prestart").on(&instance).silently();
    let begin = std::time::Instant::now();
    refused(
        &instance,
        &other,
        &other.call("prestart"),
        &[ENI_MAC, &pause.id, "stop that one first"],
    );
    assert!(begin.elapsed().as_secs() < 5, "it waited");
}

#[test]
fn a_namespace_that_belongs_to_another_task() {
    let (instance, pause) = (Instance::new(), Pause::new());
    instance.attach("eth2", "02:00:00:00:00:02", "second");
    pause.call("prestart").on(&instance).silently();
    let second = pause
        .call("prestart")
        .id("second")
        .eni("mac-address", "02:00:00:00:00:02")
        .eni("interface-name", "eth1");
    refused(&instance, &pause, &second, &["already belongs to the task of container", &pause.id]);
}

#[test]
fn a_second_call_that_wants_something_else() {
    let (instance, pause) = started();
    refused(&instance, &pause, &pause.call("prestart").eni("mtu", "1500"), &["eth0 with mtu 9001"]);
    refused(&instance, &pause, &pause.call("prestart").eni("interface-name", "eth7"), &["as eth0"]);
    instance.attach("eth2", "02:00:00:00:00:02", "second");
    let other = pause
        .call("prestart")
        .eni("mac-address", "02:00:00:00:00:02")
        .eni("interface-name", "eth1");
    refused(&instance, &pause, &other, &["has the ENI 02:5a:a1:1a:43:42 already"]);
}

#[test]
fn the_hooks_own_namespace() {
    let pause = Pause::new();
    let before = pause.netns().snapshot();
    let line = pause.call("prestart").within(&pause.netns()).badly();
    assert!(
        line.contains("is this hook's own: start it with a new one (--network none)"),
        "{line}"
    );
    pause.netns().assert_same(&before);
}

#[test]
fn the_namespace_of_pid_1() {
    // In a pid namespace whose first process is on the instance, while the hook is elsewhere.
    let (instance, container) = (Instance::new(), Pause::new());
    let hook = "unshare --net -- \"$@\"; exit $?";
    let call = container.call("prestart").pid(1).through(&[
        "unshare",
        "--pid",
        "--fork",
        "--mount-proc",
        "sh",
        "-c",
        hook,
        "sh",
    ]);
    let line = call.on(&instance).badly();
    assert!(line.contains("is the instance's (pid 1's) own"), "{line}");
}

#[test]
fn a_stage_without_a_process() {
    let (instance, pause) = (Instance::new(), Pause::new());
    for pid in [Value::Null, json!(0), json!(-1)] {
        refused(
            &instance,
            &pause,
            &pause.call("prestart").field("pid", pid),
            &["pid", "at this stage"],
        );
    }
    let gone = pause.call("prestart").field("pid", json!(i32::MAX));
    refused(
        &instance,
        &pause,
        &gone,
        &["opening the network namespace of pid 2147483647", "no such file"],
    );
}

#[test]
fn names_that_are_taken_inside() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause.netns().ip("link add eth0 type veth peer name eth9");
    refused(&instance, &pause, &pause.call("prestart"), &["already has an interface called eth0"]);
    pause.netns().ip("link set eth0 name ecs-eth0");
    refused(
        &instance,
        &pause,
        &pause.call("prestart"),
        &["already has a ecs-eth0 that this hook did not make"],
    );
}

#[test]
fn a_stranger_in_the_place_of_the_bridge() {
    let (instance, pause) = (Instance::new(), Pause::new());
    instance.netns.ip("link add ecs-bridge type veth peer name ecs-b2");
    refused(&instance, &pause, &pause.call("prestart"), &["ecs-bridge", "not a bridge but veth"]);
}

#[test]
fn a_bridge_whose_address_has_another_prefix() {
    let (instance, pause) = (Instance::new(), Pause::new());
    instance.netns.ip("link add ecs-bridge address 0a:58:a9:fe:ac:01 type bridge");
    instance.netns.ip("addr add 169.254.172.1/24 dev ecs-bridge");
    instance.netns.ip("link set ecs-bridge up");
    let call = pause.call("prestart");
    refused(
        &instance,
        &pause,
        &call,
        &["adding 169.254.172.1/22 to ecs-bridge", "ecs-bridge has it as 169.254.172.1/24"],
    );
}

#[test]
fn an_eni_subnet_that_overlaps_the_credential_subnet() {
    let (instance, pause, folder) =
        (Instance::new(), Pause::new(), tempfile::tempdir().expect("a folder"));
    let config = "[credentials]\nsubnet = \"10.0.0.0/18\"\ngateway = \"10.0.63.1\"\n";
    let call = pause.call("prestart").config(&folder, config);
    refused(&instance, &pause, &call, &["10.0.0.5/24 overlaps the credential subnet"]);
}

#[test]
fn a_subnet_that_is_full() {
    let (instance, pause, folder) =
        (Instance::new(), Pause::new(), tempfile::tempdir().expect("a folder"));
    let config = "[credentials]\nsubnet = \"10.99.0.0/30\"\ngateway = \"10.99.0.1\"\n";
    let last = Pause::new();
    instance.attach("eth2", "02:00:00:00:00:02", "second");
    let first =
        last.call("prestart").config(&folder, config).eni("mac-address", "02:00:00:00:00:02");
    first.on(&instance).silently();
    let call = pause.call("prestart").config(&folder, config);
    refused(&instance, &pause, &call, &["no free address in 10.99.0.0/30 (1 tasks hold it)"]);
    last.call("poststop").config(&folder, config).on(&instance).well();
    call.on(&instance).silently();
}

#[test]
fn a_configuration_with_an_unknown_key() {
    let (instance, pause, folder) =
        (Instance::new(), Pause::new(), tempfile::tempdir().expect("a folder"));
    let typo = "[eni]\natach-timeout-seconds = 3\n";
    let call = pause.call("prestart").config(&folder, typo);
    refused(&instance, &pause, &call, &["config.toml", "line 2", "atach-timeout-seconds"]);
    // A container that has nothing to do with us does not suffer from it.
    let other =
        pause.call("prestart").config(&folder, typo).field("annotations", json!({"a": "b"}));
    other.on(&instance).silently();
}

#[test]
fn usage_errors_exit_2() {
    let instance = Instance::new();
    for call in [
        hook("start"),
        hook("prestart").option("--verbose"),
        hook("prestart").option("--log-level=loud"),
    ] {
        let done = call.on(&instance);
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""));
        assert!(done.stderr.contains("error: "), "{}", done.stderr);
    }
}
