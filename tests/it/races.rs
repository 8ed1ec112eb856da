//! ENIs that come late, and hooks that run at once.

use crate::fixtures::{ENI_MAC, Instance, Pause, many_tasks};
use std::{
    collections::HashSet,
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
    assert_eq!(pause.netns().links(), ["lo", "ecs-eth0", "eth0"]);
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
        assert_eq!(pause.netns().links(), ["lo", "ecs-eth0", "eth0"]);
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
        assert_eq!(tasks[winner].netns().links(), ["lo", "ecs-eth0", "eth0"]);
        assert_eq!(tasks[loser].netns().links(), ["lo"]);
        assert_eq!(instance.ports().len(), 1);
    }
}
