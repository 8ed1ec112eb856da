//! SIGTERM, and what the host does not have enough of.

use crate::fixtures::{Instance, Pause, annotations, eventually, hook, started};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use serde_json::json;
use std::{
    fmt::Write as _,
    io::Write as _,
    os::unix::process::CommandExt,
    time::{Duration, Instant},
};

#[test]
fn sigterm_ends_a_wait_and_undoes_everything_even_where_signals_are_blocked() {
    for blocked in [false, true] {
        let (instance, pause) = started();
        pause.call("poststop").on(&instance).well();
        // It will wait for a carrier that does not come, with all steps but the last one done.
        instance.router.ip("link set eni down");
        let before = (instance.netns.snapshot(), pause.netns().snapshot());
        let call = pause.call("prestart").adjust(move |command| {
            let block = move || {
                if blocked {
                    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None)?;
                }
                Ok(())
            };
            // SAFETY: sigprocmask is a system call, safe between fork and exec.
            unsafe { command.pre_exec(block) };
        });
        let running = call.start(&instance.netns);
        eventually("the ENI inside", || pause.netns().links().contains(&"eth0".to_owned()));
        std::thread::sleep(Duration::from_millis(50));
        let begin = Instant::now();
        running.signal(Signal::SIGTERM);
        let line = running.done().badly();
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
        assert!(line.contains("terminated by SIGTERM"), "{line}");
        instance.netns.assert_same(&before.0);
        pause.netns().assert_same(&before.1);
    }
}

#[test]
fn sigterm_ends_the_wait_for_an_eni() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let before = instance.netns.snapshot();
    let running =
        pause.call("prestart").eni("mac-address", "02:00:00:00:00:77").start(&instance.netns);
    std::thread::sleep(Duration::from_millis(200));
    running.signal(Signal::SIGTERM);
    assert!(running.done().badly().contains("terminated by SIGTERM"));
    instance.netns.assert_same(&before);
}

#[test]
fn sigterm_and_the_deadline_end_the_wait_for_a_router() {
    let (instance, pause) = started();
    pause.call("poststop").on(&instance).well();
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    let folder = tempfile::tempdir().expect("a folder");
    let call = pause.call("prestart").eni("ipv6-addresses", "2001:db8::5");
    let running = call.start(&instance.netns);
    eventually("the ENI up inside", || {
        pause.netns().link("eth0").is_some_and(|link| link["operstate"] == "UP")
    });
    std::thread::sleep(Duration::from_millis(50));
    let begin = Instant::now();
    running.signal(Signal::SIGTERM);
    let line = running.done().badly();
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert!(
        line.contains("to advertise itself on eth0 in the task: terminated by SIGTERM"),
        "{line}"
    );
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);

    let begin = Instant::now();
    let line = call.config(&folder, "deadline-seconds = 1\n").on(&instance).badly();
    assert!(line.contains("to advertise itself on eth0 in the task: out of time"), "{line}");
    assert!((900..3500).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);
}

#[test]
fn the_deadline_ends_the_wait_for_an_eni_and_exits_in_time() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let call = pause.call("prestart").eni("mac-address", "02:00:00:00:00:77");
    let begin = Instant::now();
    let line = call.config(&folder, "deadline-seconds = 1\n").on(&instance).badly();
    assert!(line.contains("deadline-seconds"), "{line}");
    assert!((900..2000).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
}

/// The runtime does not count from when we have read what it has written late.
#[test]
fn the_deadline_counts_from_the_beginning_of_the_call() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let mut annotations = annotations();
    annotations["com.amazonaws.ecs.eni.mac-address"] = json!("02:00:00:00:00:77");
    let state = json!({"id": pause.id, "pid": pause.pid(), "annotations": annotations});
    let call = hook("prestart").config(&folder, "deadline-seconds = 2\n").adjust(move |command| {
        command.stdin(reader.try_clone().expect("a descriptor"));
    });
    let begin = Instant::now();
    let running = call.start(&instance.netns);
    std::thread::sleep(Duration::from_millis(1200));
    writer.write_all(state.to_string().as_bytes()).expect("written");
    drop(writer);
    let line = running.done().badly();
    assert!(line.contains("deadline-seconds"), "{line}");
    assert!((1900..3000).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
}

#[test]
fn a_small_subnet_runs_full_and_a_stop_makes_room() {
    const MAC: &str = "02:00:00:00:02:0";
    let (instance, folder) = (Instance::new(), tempfile::tempdir().expect("a folder"));
    let small = "[credentials]\nsubnet = \"10.99.0.0/29\"\ngateway = \"10.99.0.1\"\n";
    let call = |pause: &Pause, stage: &str, n: usize| {
        pause
            .call(stage)
            .config(&folder, small)
            .eni("mac-address", format!("{MAC}{n}"))
            .on(&instance)
    };
    let tasks: Vec<Pause> = (0..6).map(|_| Pause::new()).collect();
    for (n, pause) in tasks.iter().enumerate() {
        instance.attach(&format!("eni{n}"), &format!("{MAC}{n}"), &format!("far{n}"));
        if n < 5 {
            call(pause, "prestart", n).silently();
        }
    }
    let before = (instance.netns.snapshot(), tasks[5].netns().snapshot());
    let line = call(&tasks[5], "prestart", 5).badly();
    assert!(line.contains("no free address in 10.99.0.0/29 (5 tasks hold it)"), "{line}");
    instance.netns.assert_same(&before.0);
    tasks[5].netns().assert_same(&before.1);
    call(&tasks[2], "poststop", 2).well();
    call(&tasks[5], "prestart", 5).silently();
}

#[test]
fn a_bridge_without_room_for_another_port_says_so() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let batch = folder.path().join("batch");
    let mut lines = "link add ecs-bridge address 0a:58:a9:fe:ac:01 type bridge\n".to_owned();
    for n in 0..1023 {
        writeln!(lines, "link add p{n} master ecs-bridge type veth peer name q{n}")
            .expect("written");
    }
    lines.push_str("link set ecs-bridge up\naddr add 169.254.172.1/22 dev ecs-bridge\n");
    std::fs::write(&batch, lines).expect("written");
    instance.netns.ip(&format!("-batch {}", batch.display()));
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    let line = pause.call("prestart").on(&instance).badly();
    assert!(line.contains("the bridge has all the 1023 ports it can have"), "{line}");
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);
}
