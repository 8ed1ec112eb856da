//! ENIs that come late, and hooks that run at once.

use crate::fixtures::{ENI_MAC, Instance, Pause, Stopped, hook, many_tasks};
use serde_json::json;
use std::{
    collections::HashSet,
    fs::File,
    io::Read,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

#[test]
fn an_eni_that_is_attached_later_is_waited_for() {
    let (instance, pause) = (Instance::new(), Pause::new());
    instance.netns.ip("link del eth1");
    let attached = std::thread::scope(|scope| {
        let late = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            instance.attach("eth1", ENI_MAC, "eni");
            Instant::now()
        });
        pause.call("prestart").on(&instance).silently();
        late.join().expect("attached")
    });
    assert!(attached.elapsed() < Duration::from_millis(500), "{:?}", attached.elapsed());
    assert_eq!(pause.netns().links(), ["lo", "eth0", "ecs-eth0"]);
}

#[test]
fn an_eni_that_never_comes_is_told_with_those_that_are_there() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    let call = pause
        .call("prestart")
        .eni("mac-address", "02:00:00:00:00:77")
        .config(&folder, "[eni]\nattach-timeout-seconds = 1\n");
    let begin = Instant::now();
    let line = call.on(&instance).badly();
    assert!((900..3000).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    for part in ["no ENI 02:00:00:00:00:77", "02:00:00:00:00:01 (eth0)", "02:5a:a1:1a:43:42 (eth1)"]
    {
        assert!(line.contains(part), "{line}");
    }
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);
}

#[test]
fn sixty_tasks_at_once_starts_and_stops_mixed() {
    const TASKS: usize = 60;
    let (instance, tasks) = many_tasks(TASKS);
    let at_once = |stages: &dyn Fn(usize) -> &'static str| {
        std::thread::scope(|scope| {
            for (n, (pause, mac)) in tasks.iter().enumerate() {
                let (instance, stage) = (&instance, stages(n));
                let call = move || pause.call(stage).eni("mac-address", mac.as_str());
                scope.spawn(move || call().on(instance).well());
            }
        });
    };
    let running = || instance.ports().into_iter().collect::<HashSet<_>>().len();
    // The very first calls: they race for the bridge, too.
    at_once(&|_| "prestart");
    assert_eq!(running(), TASKS);
    for (pause, _) in &tasks {
        assert_eq!(pause.netns().links(), ["lo", "eth0", "ecs-eth0"]);
    }
    // Half of them stop, the others are started again, which changes nothing.
    at_once(&|n| if n % 2 == 0 { "poststop" } else { "createRuntime" });
    assert_eq!(running(), TASKS / 2);
    // Those that stopped start, and those that ran stop.
    at_once(&|n| if n % 2 == 0 { "prestart" } else { "poststop" });
    assert_eq!(running(), TASKS / 2);
    at_once(&|_| "poststop");
    instance.assert_home();
    assert!((0..TASKS).all(|n| instance.netns.link(&format!("eni{n}")).is_some()));
}

#[test]
fn of_two_tasks_that_want_the_same_eni_one_gets_it() {
    for _ in 0..5 {
        let (instance, tasks) = (Instance::new(), [Pause::new(), Pause::new()]);
        let outcomes = std::thread::scope(|scope| {
            let started = tasks.each_ref().map(|pause| {
                let instance = &instance;
                scope.spawn(move || pause.call("prestart").on(instance))
            });
            started.map(|thread| thread.join().expect("called"))
        });
        let winner = outcomes.iter().position(|done| done.code == Some(0)).expect("a winner");
        let loser = 1 - winner;
        assert_eq!(outcomes[loser].code, Some(1), "both got it");
        let line = &outcomes[loser].stderr;
        let named = format!("in use by the task of container {}", tasks[winner].id);
        assert!(line.lines().count() == 1 && line.contains(&named), "{line}");
        assert_eq!(tasks[winner].netns().links(), ["lo", "eth0", "ecs-eth0"]);
        assert_eq!(tasks[loser].netns().links(), ["lo"]);
        assert_eq!(instance.ports().len(), 1);
    }
}

/// An engine that has the hook for both stages, as podman has, may call them in the same moment.
#[test]
fn both_stages_of_one_container_at_once_make_one_task() {
    let mut instance = Instance::new();
    for round in 0..50 {
        if round % 10 == 0 {
            // The very first calls: they race for the bridge, too.
            instance = Instance::new();
        }
        let pause = Pause::new();
        let stages = ["prestart", "createRuntime"].map(|stage| pause.call(stage));
        let running = stages.map(|call| call.start(&instance.netns));
        for call in running {
            call.done().silently();
        }
        assert_one_task(&instance, &pause);
        pause.call("poststop").on(&instance).well();
        instance.assert_home();
    }
}

/// Whatever the first call has done when the second comes.
#[test]
fn whatever_the_first_call_has_done_the_second_waits_for_it() {
    let instance = Instance::new();
    for number in 1.. {
        let pause = Pause::new();
        let first = Stopped::after(pause.call("prestart"), &instance, number);
        let is_on_its_way = first.is_on_its_way;
        let second = pause.call("createRuntime").start(&instance.netns);
        std::thread::sleep(Duration::from_millis(30));
        if number % 4 == 0 {
            first.killed();
        } else {
            first.goes_on().silently();
        }
        second.done().silently();
        assert_one_task(&instance, &pause);
        pause.call("poststop").on(&instance).well();
        instance.assert_home();
        if !is_on_its_way {
            assert!(number > 20, "{number}");
            return;
        }
    }
}

#[test]
fn both_stages_at_once_of_a_start_that_fails_leave_nothing() {
    let instance = Instance::new();
    let pause = Pause::new();
    pause.call("prestart").on(&instance).silently();
    pause.call("poststop").on(&instance).well();
    pause.netns().ip("route add blackhole default");
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    for _ in 0..5 {
        let stages = ["prestart", "createRuntime"].map(|stage| pause.call(stage));
        let running = stages.map(|call| call.start(&instance.netns));
        for call in running {
            assert!(call.done().badly().contains("another route"));
        }
        instance.netns.assert_same(&before.0);
        pause.netns().assert_same(&before.1);
    }
}

/// A program in the namespace can have that lock, too: the start of its own task waits for it, and says for what.
#[test]
fn a_lock_that_nobody_lets_go_of_is_told_when_the_time_is_up() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    let namespace = File::open(pause.netns().path()).expect("a namespace");
    namespace.lock().expect("locked");
    let call = pause.call("prestart").config(&folder, "deadline-seconds = 1\n");
    let line = call.on(&instance).badly();
    assert!(line.contains("let go of the lock on the network namespace: out of time"), "{line}");
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);
    namespace.unlock().expect("unlocked");
    pause.call("prestart").on(&instance).silently();
}

#[track_caller]
fn assert_one_task(instance: &Instance, pause: &Pause) {
    let task = pause.netns();
    assert_eq!(task.links(), ["lo", "eth0", "ecs-eth0"]);
    assert_eq!(task.routes("4").len(), 5);
    let eni = task.link("eth0").expect("the ENI");
    assert_eq!(
        (&eni["flags"][0], &eni["addr_info"][0]["local"]),
        (&"BROADCAST".into(), &"10.0.0.5".into())
    );
    assert_eq!(instance.ports().len(), 1);
    let records = instance.netns.run("nft list table inet oci_awsvpc_tasks");
    assert_eq!(records.matches("comment").count(), 1, "{records}");
    assert!(records.contains(&instance.ports()[0]), "{records}");
}

/// What gc or a poststop saw before another poststop and the next start is not so any more: the ENI is the next task's.
#[test]
fn who_takes_a_task_down_too_late_leaves_the_next_one_alone() {
    let instance = Instance::new();
    for (is_gc, step) in [(true, 2), (false, 1)] {
        for number in (1..).step_by(step) {
            let (mut pause, next) = (Pause::new(), Pause::new());
            pause.call("prestart").on(&instance).silently();
            // A veth, which stands for the ENI, dies with its namespace.
            let _namespace = File::open(pause.netns().path()).expect("its namespace");
            pause.kill();
            let late = if is_gc { hook("gc") } else { pause.call("poststop") };
            let late = Stopped::after(late, &instance, number);
            let is_on_its_way = late.is_on_its_way;
            let mut late = Some(late);
            for call in [pause.call("poststop"), next.call("prestart")] {
                let running = call.start(&instance.netns);
                // It waits for one that is at it.
                if !running.is_over_in(Duration::from_millis(100))
                    && let Some(late) = late.take()
                {
                    assert_eq!(late.goes_on().code, Some(0), "{number}");
                }
                running.done().well();
            }
            let late = late.map(Stopped::goes_on);
            assert!(late.is_none_or(|late| late.code == Some(0)), "{number}");
            assert_one_task(&instance, &next);
            assert_eq!(hook("gc").on(&instance).report(), "nothing to do\n", "{number}");
            next.call("poststop").on(&instance).well();
            instance.assert_home();
            if !is_on_its_way {
                assert!(number > 20, "{number}");
                break;
            }
        }
    }
}

#[test]
fn an_eni_that_another_call_does_not_let_go_of_is_told_when_the_time_is_up() {
    let (instance, pause, next) = (Instance::new(), Pause::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let other = Stopped::in_custody(pause.call("prestart"), &instance);
    let before = (instance.netns.snapshot(), next.netns().snapshot());
    let call = next.call("prestart").config(&folder, "deadline-seconds = 1\n");
    let line = call.on(&instance).badly();
    let expected = format!("waiting for another call to let go of ENI {ENI_MAC}: out of time");
    assert!(line.contains(&expected), "{line}");
    instance.netns.assert_same(&before.0);
    next.netns().assert_same(&before.1);
    other.killed();
}

/// Any program in the instance's network namespace can have the name by which calls tell each other: a container on the
/// host's network, too. It is told, and nobody waits for it.
#[test]
fn a_stranger_that_has_the_name_of_an_eni_keeps_nobody_waiting() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let listening = "s = socket(AF_UNIX); s.bind(name); s.listen()";
    let full =
        "s = socket(AF_UNIX); s.bind(name); s.listen(0); c = socket(AF_UNIX); c.connect(name)";
    let deaf = "s = socket(AF_UNIX); s.bind(name)";
    for socket in [listening, full, deaf] {
        let name = format!("name = '\\0oci-awsvpc-hook/{ENI_MAC}'");
        let script = format!(
            "from socket import *; import time; {name}; {socket}; print(flush=True); time.sleep(60)"
        );
        let mut python = Command::new("python3");
        python.args(["-c", &script]).stdout(Stdio::piped());
        instance.netns.enter(&mut python);
        let mut stranger = python.spawn().expect("python");
        let mut ready = [0];
        stranger.stdout.take().expect("piped").read_exact(&mut ready).expect("bound");
        for stage in ["prestart", "poststop"] {
            let log = pause.call(stage).on(&instance).well();
            assert!(log.contains("has the name @oci-awsvpc-hook/"), "{stage} {socket}: {log}");
        }
        instance.assert_home();
        assert_eq!(hook("gc").on(&instance).report(), "nothing to do\n");
        stranger.kill().expect("not reaped yet");
        stranger.wait().expect("reaped");
    }
}

/// What the kernel does with two ENIs, each of which is called inside what the other one is called at home. One call is
/// stopped after each of its requests while the other goes on.
#[test]
fn two_enis_that_came_home_under_each_others_names_get_their_own() {
    let (instance, enis) = many_tasks(2);
    let home = instance.netns.path().display().to_string();
    let start = |n: usize, mac: &str| {
        let pause = Pause::new();
        let call = pause.call("prestart").eni("mac-address", mac);
        call.eni("interface-name", format!("eni{}", 1 - n)).on(&instance).well();
        (pause, format!("link set eni{} netns {home}", 1 - n))
    };
    let is_over = |number| {
        let enis = enis.iter().enumerate();
        let mut tasks: Vec<_> = enis.clone().map(|(n, (_, mac))| start(n, mac)).collect();
        for (pause, command) in &mut tasks {
            pause.netns().ip(command);
            pause.kill();
        }
        let call = |n: usize| tasks[n].0.call("poststop");
        let first = Stopped::after(call(0), &instance, number);
        let second = call(1).start(&instance.netns);
        let is_over = !first.is_on_its_way;
        second.is_over_in(Duration::from_millis(50));
        first.goes_on().well();
        second.done().well();
        for (n, (_, mac)) in enis {
            let eni = instance.netns.link(&format!("eni{n}")).expect("home");
            assert_eq!(eni["address"], json!(mac), "{number}");
        }
        assert_eq!(hook("gc").on(&instance).report(), "nothing to do\n", "{number}");
        is_over
    };
    let requests = (1..200).find(|number| is_over(*number)).expect("a last one");
    assert!(requests > 20, "{requests}");
}
