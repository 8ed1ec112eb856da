//! What the hook may do while it works, and that it leaves the bundle alone.

use crate::fixtures::{Call, Instance, Pause, annotations, eventually, hook};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{
    collections::HashMap, fmt::Write as _, os::unix::fs::MetadataExt, path::Path, time::Duration,
};

/// `CAP_NET_ADMIN`, `CAP_SYS_PTRACE` and `CAP_SYS_ADMIN` (linux/capability.h).
const NEEDED: u64 = 1 << 12 | 1 << 19 | 1 << 21;
/// `CAP_DAC_OVERRIDE` and `CAP_SYS_CHROOT`, which are raised only to mount files.
const FOR_FILES: u64 = 1 << 1 | 1 << 18;

/// The capability sets and the like of `/proc/PID/status`.
fn privileges(status: &str) -> HashMap<String, u64> {
    let fields = status.lines().filter_map(|line| line.split_once(":\t"));
    let ours = fields.filter(|(key, _)| key.starts_with("Cap") || *key == "NoNewPrivs");
    ours.map(|(key, value)| (key.to_owned(), u64::from_str_radix(value, 16).expect("hexadecimal")))
        .collect()
}

fn expected() -> HashMap<String, u64> {
    [
        ("CapInh", 0),
        ("CapPrm", NEEDED | FOR_FILES),
        ("CapEff", NEEDED),
        ("CapBnd", NEEDED | FOR_FILES),
        ("CapAmb", 0),
        ("NoNewPrivs", 1),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

#[test]
fn a_waiting_hook_has_three_capabilities_and_two_aside_and_gets_no_more() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let call = pause.call("prestart").eni("mac-address", "02:00:00:00:00:77");
    let running = call.option("--log-level=debug").start(&instance.netns);
    let status = || std::fs::read_to_string(format!("/proc/{}/status", running.pid()));
    let now = || privileges(&status().expect("running"));
    eventually("fewer privileges", || now()["NoNewPrivs"] == 1 && now()["CapEff"] == NEEDED);
    // All its threads: those that enter namespaces are there for an instant only.
    assert_eq!(now(), expected());
    running.signal(Signal::SIGTERM);
    assert!(running.done().code == Some(1));
}

#[test]
fn it_starts_no_program() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace").display().to_string();
    for stage in ["prestart", "poststop"] {
        let strace = ["strace", "-f", "-qq", "-e", "trace=execve,execveat", "-o", &trace];
        pause.call(stage).through(&strace).on(&instance).well();
        let traced = std::fs::read_to_string(&trace).expect("a trace");
        // Itself.
        assert_eq!(traced.lines().filter(|line| line.contains("exec")).count(), 1, "{traced}");
    }
}

/// A call by a root that has only these capabilities.
fn with_only(call: Call, capabilities: &[&str]) -> Call {
    let mut set = "-all".to_owned();
    for capability in capabilities {
        write!(set, ",+{capability}").expect("written");
    }
    let bounding = format!("--bounding-set={set}");
    call.through(&["setpriv", "--inh-caps=-all", &bounding])
}

#[test]
fn three_capabilities_are_enough() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let few = ["net_admin", "sys_admin", "sys_ptrace"];
    for stage in ["prestart", "poststop"] {
        with_only(pause.call(stage), &few).on(&instance).well();
    }
    instance.assert_home();
    with_only(hook("gc"), &few).on(&instance).report();
    with_only(hook("host-teardown"), &few).on(&instance).report();
    with_only(hook("host-setup"), &few).on(&instance).report();
}

#[test]
fn where_one_is_missing_the_error_says_which_are_needed() {
    for few in [&["net_admin", "sys_ptrace"][..], &["sys_admin", "sys_ptrace"], &[]] {
        let (instance, pause) = (Instance::new(), Pause::new());
        let before = (instance.netns.snapshot(), pause.netns().snapshot());
        let line = with_only(pause.call("prestart"), few).on(&instance).badly();
        assert!(
            line.contains("the hook needs CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_SYS_PTRACE"),
            "{few:?}: {line}"
        );
        instance.netns.assert_same(&before.0);
        pause.netns().assert_same(&before.1);
    }
}

/// A call whose annotations are only in the bundle.
fn from_bundle(pause: &Pause, stage: &str, bundle: &Path) -> Call {
    let bundle = json!(bundle.to_str().expect("text"));
    pause.call(stage).field("annotations", Value::Null).field("bundle", bundle)
}

/// What is no regular file has nothing to say, so its container is a stranger: `strangers`.
#[test]
fn what_is_no_file_of_the_bundle_is_not_read() {
    let elsewhere = tempfile::tempdir().expect("a folder");
    let real = elsewhere.path().join("config.json");
    let config = json!({"ociVersion": "1.0.2", "annotations": annotations()}).to_string();
    std::fs::write(&real, &config).expect("written");
    for (make, why) in [
        (format!("ln -s {} config.json", real.display()), "too many levels of symbolic links"),
        (format!("cp {} config.json; truncate --size 17M config.json", real.display()), "16 mib"),
    ] {
        let (instance, pause) = (Instance::new(), Pause::new());
        let bundle = tempfile::tempdir().expect("a folder");
        let before = instance.netns.snapshot();
        instance.netns.run(&format!("cd {} && {make}", bundle.path().display()));
        let begin = std::time::Instant::now();
        let line = from_bundle(&pause, "prestart", bundle.path()).on(&instance).badly();
        assert!(begin.elapsed() < Duration::from_secs(5), "{make}");
        assert!(
            line.to_lowercase().contains(why) && line.contains("config.json"),
            "{make}: {line}"
        );
        instance.netns.assert_same(&before);
        // At poststop there may be no bundle any more, or half of one: that fails nothing.
        from_bundle(&pause, "poststop", bundle.path()).on(&instance).silently();
    }
}

/// As a rootless engine calls it: root of a user namespace, which owns the task's network but not the instance's.
#[test]
fn root_of_a_user_namespace_is_told_what_is_needed() {
    let (instance, pause) = (Instance::new(), Pause::in_a_user_namespace());
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    let target = format!("--target={}", pause.pid());
    for stage in ["prestart", "createRuntime"] {
        let call =
            pause.call(stage).through(&["nsenter", &target, "--user", "--preserve-credentials"]);
        let line = call.on(&instance).badly();
        for part in ["the way back", "not permitted", "as the instance's", "user namespace"] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);
}

#[test]
fn nothing_in_the_bundle_is_written() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let bundle = tempfile::tempdir().expect("a folder");
    let config = json!({"ociVersion": "1.0.2", "annotations": annotations()}).to_string();
    std::fs::write(bundle.path().join("config.json"), config).expect("written");
    std::fs::create_dir(bundle.path().join("rootfs")).expect("made");
    let as_it_is = || {
        ["", "config.json", "rootfs"].map(|name| {
            let data = std::fs::metadata(bundle.path().join(name)).expect(name);
            (data.ino(), data.mode(), data.len(), data.mtime_nsec(), data.ctime_nsec())
        })
    };
    let before = as_it_is();
    from_bundle(&pause, "prestart", bundle.path()).on(&instance).silently();
    from_bundle(&pause, "poststop", bundle.path()).on(&instance).well();
    instance.assert_home();
    assert_eq!(as_it_is(), before);
}
