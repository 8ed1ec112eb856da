//! What is logged, where to, and what happens where nobody listens.

use crate::fixtures::{Call, ENI_MAC, Instance, Pause, started};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
    },
};
use serde_json::Value;
use std::{
    io::{PipeWriter, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    time::Instant,
};
use tempfile::TempDir;

/// A call that finds the syslog socket `log` of this folder, and no other.
fn with_syslog(call: Call, run: &TempDir) -> Call {
    let script = format!("mount --bind {} /run && exec \"$@\"", run.path().display());
    call.through(&["unshare", "--mount", "sh", "-c", &script, "sh"])
}

fn received(socket: &UnixDatagram) -> Vec<String> {
    socket.set_nonblocking(true).expect("set");
    let mut buffer = [0; 4096];
    std::iter::from_fn(|| {
        let length = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    })
    .collect()
}

#[test]
fn timings_are_for_programs_too() {
    let (instance, pause) = (Instance::new(), Pause::new());
    for (stage, parts) in [
        ("prestart", &["open", "look", "plan", "veth", "move", "running"][..]),
        ("poststop", &["open", "look", "task"]),
    ] {
        let call = pause.call(stage).option("--timings=json").option("--log-level=error");
        let said: Value = call.on(&instance).well().parse().expect("one JSON object");
        let told = said["parts"].as_array().expect("a list");
        let names: Vec<&str> = told.iter().map(|part| part["part"].as_str().unwrap()).collect();
        assert!(parts.iter().all(|part| names.contains(part)), "{names:?}");
        let sum: f64 = told.iter().map(|part| part["ms"].as_f64().unwrap()).sum();
        let total = said["total_ms"].as_f64().unwrap();
        assert!((sum - total).abs() < 0.1 && total > 1.0, "{said}");
    }
}

#[test]
fn one_line_a_step_at_debug_and_one_summary_at_info() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let log = pause.call("prestart").option("--log-level=debug").on(&instance).well();
    let (steps, summaries): (Vec<&str>, Vec<&str>) =
        log.lines().partition(|line| line.starts_with("oci-awsvpc-hook: debug: "));
    assert!(steps.len() > 15, "{log}");
    for part in [
        "creating bridge ecs-bridge",
        "adding route 169.254.170.2 via 169.254.172.1 dev ecs-eth0",
        "moving ENI 02:5a:a1:1a:43:42 (eth1) into the task as eth0",
    ] {
        assert_eq!(steps.iter().filter(|line| line.contains(part)).count(), 1, "{part}: {log}");
    }
    assert_eq!(summaries.len(), 1, "{log}");
    for part in ["info: ", &pause.id, ENI_MAC, "10.0.0.5/24", "169.254.17", " ms (", "move "] {
        assert!(summaries[0].contains(part), "{part:?}: {}", summaries[0]);
    }
}

#[test]
fn lines_go_to_syslog_and_a_failure_to_both() {
    let (instance, pause, run) = (Instance::new(), Pause::new(), TempDir::new().expect("a folder"));
    let syslog = UnixDatagram::bind(run.path().join("log")).expect("bound");
    with_syslog(pause.call("prestart").option("--log-level=info"), &run).on(&instance).silently();
    let lines = received(&syslog);
    assert_eq!(lines.len(), 1, "{lines:?}");
    // Facility daemon (3 * 8), severity info (6), RFC 3164.
    assert!(lines[0].starts_with("<30>") && lines[0].contains("oci-awsvpc-hook["), "{lines:?}");
    assert!(lines[0].contains(&pause.id), "{lines:?}");

    let other = Pause::new();
    let failed = with_syslog(other.call("prestart"), &run).on(&instance).badly();
    let lines = received(&syslog);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("<27>"), "{lines:?}");
    let reported = failed.trim_end().trim_start_matches("oci-awsvpc-hook: ");
    assert!(lines[0].ends_with(reported), "{lines:?} {failed}");
}

#[test]
fn bad_annotations_and_a_bad_configuration_are_in_syslog_too() {
    let (instance, pause, run) = (Instance::new(), Pause::new(), TempDir::new().expect("a folder"));
    let folder = TempDir::new().expect("a folder");
    let syslog = UnixDatagram::bind(run.path().join("log")).expect("bound");
    let bad = pause.call("prestart").eni("mtu", "none");
    with_syslog(bad, &run).on(&instance).badly();
    assert!(received(&syslog)[0].contains("eni.mtu"));
    let bad = pause.call("prestart").config(&folder, "typo = 1\n");
    with_syslog(bad, &run).on(&instance).badly();
    assert!(received(&syslog)[0].contains("typo"));
}

#[test]
fn a_syslog_that_hangs_stops_nobody() {
    let (instance, pause, run) = (Instance::new(), Pause::new(), TempDir::new().expect("a folder"));
    let syslog = UnixDatagram::bind(run.path().join("log")).expect("bound");
    let begin = Instant::now();
    let call = with_syslog(pause.call("prestart").option("--log-level=debug"), &run);
    let log = call.on(&instance).well();
    assert!(begin.elapsed().as_secs() < 5, "it was stopped");
    // The socket's queue takes some; the rest is not lost.
    let taken = received(&syslog).len();
    assert!(taken > 0 && log.contains("info: container "), "{taken} taken, and: {log}");
}

/// A stream on which somebody listens and never accepts: to connect would wait for ever, when so many wait already as
/// the listener allows.
#[test]
fn a_syslog_that_accepts_nobody_stops_nobody() {
    let (instance, pause, run) = (Instance::new(), Pause::new(), TempDir::new().expect("a folder"));
    let address = UnixAddr::new(&run.path().join("log")).expect("an address");
    let stream = || -> OwnedFd {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        socket(AddressFamily::Unix, SockType::Stream, flags, None).expect("a socket")
    };
    let listener = stream();
    bind(listener.as_raw_fd(), &address).expect("bound");
    listen(&listener, Backlog::new(0).expect("small")).expect("listening");
    let waiting: Vec<OwnedFd> = std::iter::repeat_with(stream)
        .take_while(|socket| connect(socket.as_raw_fd(), &address).is_ok())
        .collect();
    assert!(!waiting.is_empty() && waiting.len() < 10, "{} wait", waiting.len());
    let script =
        format!("mount --bind {} /run && exec timeout -s KILL 20 \"$@\"", run.path().display());
    let call = |stage| {
        let call = pause.call(stage).option("--log-level=info");
        call.through(&["unshare", "--mount", "sh", "-c", &script, "sh"])
    };
    let begin = Instant::now();
    assert!(call("prestart").on(&instance).well().starts_with("oci-awsvpc-hook: info: container "));
    assert!(call("prestart").eni("mtu", "none").on(&instance).badly().contains("eni.mtu"));
    assert!(call("poststop").on(&instance).well().contains("is home as eth1"));
    assert!(begin.elapsed().as_secs() < 10, "it was stopped");
    instance.assert_home();
}

#[test]
fn a_stderr_that_nobody_reads_stops_nobody() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let (_reader, mut writer) = std::io::pipe().expect("a pipe");
    let set = |writer: &PipeWriter, flags| fcntl(writer, FcntlArg::F_SETFL(flags)).expect("set");
    set(&writer, OFlag::O_NONBLOCK);
    while writer.write(&[b'x'; 4096]).is_ok() {}
    set(&writer, OFlag::empty());
    let full = move |call: Call| {
        let writer = writer.try_clone().expect("a descriptor");
        let call = call.through(&["timeout", "-s", "KILL", "20"]);
        call.adjust(move |command| {
            command.stderr(writer.try_clone().expect("a descriptor"));
        })
    };
    let begin = Instant::now();
    full(pause.call("prestart").option("--log-level=debug")).on(&instance).silently();
    let failed = full(pause.call("prestart").eni("mtu", "none")).on(&instance);
    assert_eq!(failed.code, Some(1));
    full(pause.call("poststop").option("--log-level=debug")).on(&instance).silently();
    assert!(begin.elapsed().as_secs() < 10, "it was stopped");
    instance.assert_home();
}

/// A name, which the kernel lets have almost every byte, neither speaks to a terminal nor looks like another line.
#[test]
fn a_name_that_a_task_chose_is_logged_as_text() {
    let ((instance, pause), run) = (started(), TempDir::new().expect("a folder"));
    let _program = pause.joined_by("program");
    pause.does("ip link add link eth0 name \"$(printf 'mv\\033[2J\\177')\" type macvlan");
    let call = pause.call("poststop").option("--log-level=debug");
    let shown = call.on(&instance).well();
    assert!(shown.contains("mv [2J  (macvlan)"), "{shown:?}");
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");

    pause.call("prestart").on(&instance).silently();
    pause.does("ip link add link eth0 name \"$(printf 'mv\\033[2J\\177')\" type macvlan");
    let syslog = UnixDatagram::bind(run.path().join("log")).expect("bound");
    with_syslog(pause.call("poststop").option("--log-level=debug"), &run).on(&instance).well();
    let lines = received(&syslog);
    assert!(lines.iter().any(|line| line.contains("mv [2J  (macvlan)")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.chars().any(char::is_control)), "{lines:?}");
}

#[test]
fn without_a_syslog_socket_lines_go_to_stderr() {
    let (instance, pause, run) = (Instance::new(), Pause::new(), TempDir::new().expect("a folder"));
    let call = with_syslog(pause.call("prestart").option("--log-level=info"), &run);
    let log = call.on(&instance).well();
    assert!(log.starts_with("oci-awsvpc-hook: info: container "), "{log}");
    // A socket that nobody is behind is as good as none.
    drop(UnixDatagram::bind(run.path().join("log")).expect("bound"));
    let call = with_syslog(pause.call("poststop").option("--log-level=info"), &run);
    assert!(call.on(&instance).well().contains("is home as eth1"));
}

#[test]
fn both_means_both() {
    let (instance, pause, run) = (Instance::new(), Pause::new(), TempDir::new().expect("a folder"));
    let folder = TempDir::new().expect("a folder");
    let syslog = UnixDatagram::bind(run.path().join("log")).expect("bound");
    let call = pause.call("prestart").config(&folder, "[log]\ntarget = \"both\"\n");
    let log = with_syslog(call.option("--log-level=info"), &run).on(&instance).well();
    assert_eq!((log.lines().count(), received(&syslog).len()), (1, 1));
}
