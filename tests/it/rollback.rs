//! A step that fails undoes those before it.

use crate::fixtures::{ENI_MAC, Instance, Pause, annotations, started};
use oci_awsvpc_hook::testing::{
    Annotations, AtHome, Config, Label, Limits, Netns, Request, Ruleset, Side, Sides, Space, Step,
    Task, Timings, plan, process, snapshot, task_of, transact,
};
use std::time::Duration;

/// The instance with the bridge in place, which is the instance's and stays.
fn instance() -> Instance {
    let (instance, pause) = started();
    pause.call("poststop").on(&instance).well();
    crate::fixtures::eventually("a bridge without ports that says so", || {
        instance.netns.link("ecs-bridge").is_some_and(|bridge| bridge["operstate"] == "DOWN")
    });
    instance
}

#[test]
fn a_route_that_is_refused_at_the_end_undoes_everything() {
    let (instance, pause) = (instance(), Pause::new());
    pause.netns().ip("route add blackhole default");
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    let line = pause.call("prestart").on(&instance).badly();
    assert!(
        line.contains("adding route default via 10.0.0.1 dev eth0 in the task: another route"),
        "{line}"
    );
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);
    instance.assert_home();
}

#[test]
fn an_eni_that_was_up_is_up_again() {
    let (instance, pause) = (instance(), Pause::new());
    instance.netns.ip("link set eth1 up");
    crate::fixtures::eventually("eth1 up", || {
        instance.netns.link("eth1").is_some_and(|link| link["operstate"] == "UP")
    });
    pause.netns().ip("route add blackhole default");
    pause.call("prestart").on(&instance).badly();
    crate::fixtures::eventually("eth1 up again", || {
        instance.netns.link("eth1").is_some_and(|link| link["operstate"] == "UP")
    });
}

#[test]
fn an_administrators_alias_is_back_after_a_failed_start_and_not_after_a_task() {
    let (instance, pause) = (instance(), Pause::new());
    for alias in ["my uplink", &"x".repeat(255)] {
        instance.netns.ip(&format!("link set eth1 alias '{alias}'"));
        pause.netns().ip("route add blackhole default");
        let before = (instance.netns.snapshot(), pause.netns().snapshot());
        pause.call("prestart").on(&instance).badly();
        instance.netns.assert_same(&before.0);
        pause.netns().assert_same(&before.1);
        assert_eq!(instance.netns.link("eth1").expect("the ENI")["ifalias"], alias);
        pause.netns().ip("route del blackhole default");
        pause.call("prestart").on(&instance).silently();
        pause.call("poststop").on(&instance).well();
        instance.assert_home();
    }
}

/// Which is no alias of an administrator's, but what an earlier task left.
#[test]
fn a_label_that_nobody_took_off_is_gone_after_a_failed_start_too() {
    let (instance, pause) = (instance(), Pause::new());
    let label = format!("awsvpc container=c eni={ENI_MAC} name=eth1 mtu=9001 netns=1");
    instance.netns.ip(&format!("link set eth1 alias '{label}'"));
    pause.netns().ip("route add blackhole default");
    pause.call("prestart").on(&instance).badly();
    instance.assert_home();
}

/// Where an OCI runtime moved the ENI in before (`netDevices`).
#[test]
fn an_eni_that_was_in_the_task_already_is_as_it_was() {
    let (instance, pause) = (instance(), Pause::new());
    instance.netns.ip(&format!("link set eth1 netns {} name eth0", pause.pid()));
    for alias in ["", "my uplink"] {
        pause.netns().ip(&format!("link set eth0 alias '{alias}' txqueuelen 77"));
        pause.netns().ip("route replace blackhole default");
        pause.call("prestart").on(&instance).badly();
        let eni = pause.netns().link("eth0").expect("the ENI");
        assert_eq!(eni["ifalias"].as_str().unwrap_or_default(), alias);
        assert_eq!(eni["txqlen"], 1000, "an administrator's alias is no label");
    }
}

#[test]
fn a_carrier_that_does_not_come_is_told_and_undone() {
    let (instance, pause) = (instance(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    instance.router.ip("link set eni down");
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    let call = pause.call("prestart").config(&folder, "[eni]\nlink-up-timeout-seconds = 1\n");
    let begin = std::time::Instant::now();
    let line = call.on(&instance).badly();
    assert!(
        line.contains("waiting for eth0 in the task to be operationally up: it has no carrier"),
        "{line}"
    );
    assert!(begin.elapsed().as_millis() < 3000);
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);
}

#[test]
fn a_router_that_is_required_and_does_not_come_is_told_and_undone() {
    let (instance, pause) = (instance(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    let call = pause.call("prestart").eni("ipv6-addresses", "2001:db8::5");
    let config = "[eni]\nrouter-timeout-seconds = 1\nrouter-required = true\n";
    let line = call.config(&folder, config).on(&instance).badly();
    assert!(
        line.contains(
            "waiting for a router to advertise itself on eth0 in the task: none has within 1s"
        ),
        "{line}"
    );
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);
    instance.assert_home();
}

#[test]
fn a_deadline_that_is_over_is_told_and_undone() {
    let (instance, pause) = (instance(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    let call = pause.call("prestart").config(&folder, "deadline-seconds = 0\n");
    let line = call.on(&instance).badly();
    assert!(line.contains("out of time (deadline-seconds in config.toml)"), "{line}");
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);
}

/// Both namespaces, seen from the instance's.
pub fn sides(pause: &Pause) -> Sides {
    let task = Netns::of_pid(pause.pid().cast_signed()).unwrap();
    Sides { instance: Space::here().unwrap(), task: Some(Space::within(task).unwrap()) }
}

/// Carries out the plan for a task up to step `fail_at`, which the kernel refuses. Gives the number
/// of steps that the plan has.
fn fail_at(instance: &Instance, pause: &Pause, task: &Task, fail_at: usize) -> usize {
    let work = || {
        let sides = sides(pause);
        let netns = sides.task().unwrap().id();
        let process = process::find(pause.pid().cast_signed()).unwrap();
        let Config { credentials, host, .. } = &Config::default();
        let ruleset = &Ruleset::of_instance(credentials, host);
        let request = Request { container: &pause.id, netns, pause: process, task, credentials };
        let snapshot = snapshot(&request, ruleset, &sides).unwrap();
        let mut steps = plan(&request, ruleset, &snapshot).unwrap().steps;
        let planned = steps.len();
        let refused = Step::SetUp { side: Side::Task, link: "nowhere".parse().unwrap() };
        steps.insert(fail_at.min(planned), refused);
        let limits = Limits::start(Duration::from_secs(30), Duration::from_secs(5)).unwrap();
        let error =
            transact(&steps, &sides, &limits, &mut Timings::start()).expect_err("no such device");
        assert_eq!(error.line(), "switching on nowhere in the task: no such device");
        planned
    };
    instance.netns.within(work)
}

#[test]
fn whichever_step_fails_those_before_it_are_undone() {
    let instance = instance();
    let mut wanted: Annotations = serde_json::from_value(annotations()).expect("a map");
    for (key, value) in [
        ("ipv6-addresses", "2001:db8::5"),
        ("subnet-gateway-ipv6-address", "2001:db8::1"),
        ("mtu", "1500"),
    ] {
        wanted.insert(format!("com.amazonaws.ecs.eni.{key}"), value.to_owned());
    }
    let config = Config::default();
    let task = task_of(&wanted, &config.eni).unwrap();
    for family in ["-4", "-6"] {
        let address = if family == "-4" { "10.0.0.5" } else { "2001:db8::5" };
        instance.netns.ip(&format!("{family} rule add from {address} lookup 77"));
    }
    let mut position = 0;
    loop {
        let pause = Pause::new();
        // As Docker makes its namespaces.
        pause.netns().run(
            "for of in all default lo; do echo 1 >/proc/sys/net/ipv6/conf/$of/disable_ipv6; done",
        );
        let before = (instance.netns.snapshot(), pause.netns().snapshot());
        let planned = fail_at(&instance, &pause, &task, position);
        instance.netns.assert_same(&before.0);
        pause.netns().assert_same(&before.1);
        if position == planned {
            println!("each of {planned} steps failed, and the end");
            assert!(planned > 25);
            break;
        }
        position += 1;
    }
}

#[test]
fn a_move_that_fails_halfway_is_undone() {
    // The name inside is taken after the plan was made: the kernel moves the ENI, refuses to rename
    // it, and leaves it there.
    let (instance, pause) = (instance(), Pause::new());
    let before = instance.netns.snapshot();
    let index = instance.netns.link("eth1").expect("the ENI")["ifindex"].as_u64().unwrap();
    let task = pause.netns();
    let line = instance.netns.within(|| {
        let sides = sides(&pause);
        task.ip("link add eth0 type veth peer name far0");
        let label = format!("awsvpc container=c eni={ENI_MAC} name=eth1 mtu=9001 netns=1");
        let step = Step::MoveIn {
            index: index.try_into().unwrap(),
            label: Label::parse(&label).expect("a label"),
            at_home: AtHome::default(),
            inside: "eth0".parse().unwrap(),
            mtu: Some(1500),
        };
        let limits = Limits::start(Duration::from_secs(30), Duration::from_secs(5)).unwrap();
        transact(&[step], &sides, &limits, &mut Timings::start())
            .expect_err("the name is taken")
            .line()
    });
    assert!(line.contains("into the task as eth0, mtu 1500: file exists"), "{line}");
    instance.netns.assert_same(&before);
    instance.assert_home();
}
