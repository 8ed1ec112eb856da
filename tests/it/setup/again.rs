//! A call that is made again, at another stage, or where an earlier one was killed.

use crate::fixtures::{Instance, Pause, started};

#[test]
fn create_runtime_is_the_same_as_prestart() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause.call("createRuntime").on(&instance).silently();
    assert_eq!(pause.netns().links(), ["lo", "eth0", "ecs-eth0"]);
}

#[test]
fn a_second_call_changes_nothing() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let both = |stage| {
        pause
            .call(stage)
            .eni("ipv6-addresses", "2001:db8::5")
            .eni("subnet-gateway-ipv6-address", "fe80::1")
    };
    both("prestart").on(&instance).silently();
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    both("createRuntime").on(&instance).silently();
    both("prestart").on(&instance).silently();
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);
}

#[test]
fn what_a_killed_hook_left_is_completed() {
    let (instance, pause) = started();
    let complete = (instance.netns.snapshot(), pause.netns().snapshot());
    // As if the hook had been killed right after it made the veth, with the ENI still at home.
    let task = pause.netns();
    let name = instance.ports()[0].clone();
    task.ip(&format!("link set eth0 name eth1 netns {}", instance.netns.path().display()));
    instance.netns.ip("link set eth1 alias ''");
    instance.netns.ip(&format!("link set {name} down alias ''"));
    instance
        .netns
        .run(&format!("bridge link set dev {name} isolated off locked off learning on flood on"));
    task.ip("route flush dev ecs-eth0");
    task.ip("route del blackhole 169.254.169.254");
    pause.call("prestart").on(&instance).silently();
    instance.netns.assert_same(&complete.0);
    assert_eq!(task.routes("4").len(), 5);
}
