//! A step that fails undoes those before it.

use crate::fixtures::{Instance, Pause};

/// The instance with the bridge in place, which is the instance's and stays.
fn instance() -> Instance {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause.call("prestart").on(&instance).silently();
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
