//! `host-teardown` while tasks start: no task runs without rules, or without the bridge.

use super::chains;
use crate::fixtures::{Done, Instance, Pause, Server, Stopped, hook};
use std::time::Duration;

/// That a task which has started has all that tasks share.
#[track_caller]
fn assert_works(instance: &Instance, pause: &Pause, started: Done) {
    started.silently();
    assert_eq!(chains(&instance.netns).len(), 5);
    assert_eq!(instance.ports().len(), 1);
    let agent = Server::agent(&instance.netns, "credentials");
    assert_eq!(agent.ask_from(&pause.netns()).as_deref(), Some("credentials"));
}

/// It has done its work, or says in one line why not. Gives whether it has.
#[track_caller]
fn torn_down(done: Done) -> bool {
    if done.code == Some(0) {
        return true;
    }
    let line = done.badly();
    assert!(line.contains("stop it first") || line.contains("stop their tasks first"), "{line}");
    false
}

#[test]
fn at_any_moment_it_is_refused_or_the_task_makes_all_anew() {
    let instance = Instance::new();
    let (mut done, rounds) = (0, 60);
    for round in 0..rounds {
        hook("host-setup").on(&instance).report();
        let pause = Pause::new();
        let (start, teardown) = (pause.call("prestart"), hook("host-teardown"));
        // Spread evenly over somewhat more than either takes, without a pattern.
        let delay = Duration::from_micros(round * 7919 % 25_000);
        let (started, ended) = if round % 2 == 0 {
            let teardown = teardown.start(&instance.netns);
            std::thread::sleep(delay);
            let started = start.on(&instance);
            (started, teardown.done())
        } else {
            let start = start.start(&instance.netns);
            std::thread::sleep(delay);
            let ended = teardown.on(&instance);
            (start.done(), ended)
        };
        done += u64::from(torn_down(ended));
        assert_works(&instance, &pause, started);
        pause.call("poststop").on(&instance).well();
        instance.assert_home();
    }
    println!("{done} of {rounds} were not refused");
    assert!((1..rounds).contains(&done), "{done} of {rounds}");
}

#[test]
fn between_any_two_requests_of_a_start() {
    let instance = Instance::new();
    let mut done = 0;
    for number in 1.. {
        hook("host-setup").on(&instance).report();
        let pause = Pause::new();
        let start = Stopped::after(pause.call("prestart"), &instance, number);
        let is_on_its_way = start.is_on_its_way;
        done += usize::from(torn_down(hook("host-teardown").on(&instance)));
        assert_works(&instance, &pause, start.goes_on());
        pause.call("poststop").on(&instance).well();
        instance.assert_home();
        if !is_on_its_way {
            assert!(number > 20 && (5..number).contains(&done), "{done} of {number}");
            return;
        }
    }
}

#[test]
fn a_start_between_any_two_of_its_requests() {
    let instance = Instance::new();
    let mut done = 0;
    for number in 1.. {
        hook("host-setup").on(&instance).report();
        let pause = Pause::new();
        let teardown = Stopped::after(hook("host-teardown"), &instance, number);
        let is_on_its_way = teardown.is_on_its_way;
        let start = pause.call("prestart").start(&instance.netns);
        // It starts, or waits for the other one.
        std::thread::sleep(Duration::from_millis(150));
        done += usize::from(torn_down(teardown.goes_on()));
        assert_works(&instance, &pause, start.done());
        pause.call("poststop").on(&instance).well();
        instance.assert_home();
        if !is_on_its_way {
            assert!(number > 5 && (1..number).contains(&done), "{done} of {number}");
            return;
        }
    }
}

#[test]
fn one_that_was_killed_keeps_nobody_waiting() {
    let instance = Instance::new();
    for number in 1.. {
        hook("host-setup").on(&instance).report();
        let pause = Pause::new();
        let teardown = Stopped::after(hook("host-teardown"), &instance, number);
        let is_on_its_way = teardown.is_on_its_way;
        teardown.killed();
        assert_works(&instance, &pause, pause.call("prestart").on(&instance));
        pause.call("poststop").on(&instance).well();
        assert!(torn_down(hook("host-teardown").on(&instance)));
        assert_eq!(instance.netns.run("nft list tables"), "");
        if !is_on_its_way {
            return;
        }
    }
}

/// A task that has deleted its port is one all the same.
#[test]
fn it_is_refused_while_a_task_without_a_port_is_there() {
    let (instance, pause) = (Instance::new(), Pause::new());
    pause.call("prestart").on(&instance).silently();
    pause.netns().ip("link del ecs-eth0");
    let line = hook("host-teardown").on(&instance).badly();
    let part = format!("container {} is there, or starts just now, and has the ENI", pause.id);
    assert!(line.contains(&part), "{line}");
    assert_eq!(chains(&instance.netns).len(), 5);
    pause.call("poststop").on(&instance).well();
    hook("host-teardown").on(&instance).report();
}
