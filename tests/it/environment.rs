//! The surroundings that runtimes call hooks in, and what a call costs.

use crate::fixtures::{Call, Instance, Pause, hook};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use serde_json::{Value, json};
use std::os::unix::process::CommandExt;

/// A call in the poorest surroundings that a runtime has been seen to give.
fn poor(call: Call) -> Call {
    call.adjust(|command| {
        command.env_clear().current_dir("/");
        let prepare = || {
            nix::unistd::close(2)?;
            sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None)?;
            Ok(())
        };
        // SAFETY: close and sigprocmask are system calls, safe between fork and exec.
        unsafe { command.pre_exec(prepare) };
    })
}

#[test]
fn no_environment_no_stderr_and_all_signals_blocked() {
    let (instance, pause) = (Instance::new(), Pause::new());
    poor(pause.call("prestart")).on(&instance).silently();
    assert_eq!(pause.netns().links(), ["lo", "eth0", "ecs-eth0"]);
    poor(pause.call("poststop")).on(&instance).silently();
    instance.assert_home();
    let failed = poor(pause.call("prestart").eni("mtu", "none")).on(&instance);
    assert_eq!(failed.code, Some(1));
}

#[test]
fn annotations_are_read_from_the_bundle_where_the_state_has_none() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let bundle = tempfile::tempdir().expect("a folder");
    let config = json!({"ociVersion": "1.0.2", "annotations": crate::fixtures::annotations()});
    std::fs::write(bundle.path().join("config.json"), config.to_string()).expect("written");
    let call = |stage| {
        let bundle = json!(bundle.path().to_str());
        pause.call(stage).field("annotations", Value::Null).field("bundle", bundle)
    };
    call("prestart").on(&instance).silently();
    assert_eq!(pause.netns().links(), ["lo", "eth0", "ecs-eth0"]);
    call("poststop").on(&instance).well();
    instance.assert_home();
}

/// What `strace -f` saw of a call.
fn traced(call: Call, instance: &Instance) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace");
    let file = path.to_str().expect("text").to_owned();
    let calls = "trace=execve,clone,clone3,fork,vfork,socket,sendto,sendmsg";
    call.through(&["strace", "-f", "-qq", "-s", "4096", "-e", calls, "-o", &file])
        .on(instance)
        .well();
    let trace = std::fs::read_to_string(path).expect("a trace");
    trace.lines().map(str::to_owned).collect()
}

fn count(trace: &[String], parts: &[&str]) -> usize {
    trace.iter().filter(|line| parts.iter().all(|part| line.contains(part))).count()
}

#[test]
fn one_move_between_namespaces_and_no_other_program() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let trace = traced(pause.call("prestart"), &instance);
    assert_eq!(count(&trace, &["execve("]), 1, "{trace:#?}");
    // "clone3(": strace splits a call that another thread cuts in on, and writes the rest without.
    let children = trace.iter().filter(|line| {
        ["fork(", "clone(", "clone3("].iter().any(|call| line.contains(call))
            && !line.contains("CLONE_THREAD")
    });
    assert_eq!(children.count(), 0, "a child that is no thread: {trace:#?}");
    let moves: Vec<&String> = trace
        .iter()
        .filter(|line| line.contains("RTM_SETLINK") && line.contains("IFLA_NET_NS_FD"))
        .collect();
    assert_eq!(moves.len(), 1, "{trace:#?}");
}

#[test]
fn a_container_that_is_not_ours_opens_no_socket_and_starts_no_thread() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let bundle = tempfile::tempdir().expect("a folder");
    std::fs::write(bundle.path().join("config.json"), "{}").expect("written");
    let traced = |stage: &str, annotations: Value| {
        let call = pause.call(stage).field("annotations", annotations);
        traced(call.field("bundle", json!(bundle.path().to_str())), &instance)
    };
    let (named, other) = (json!({"com.amazonaws.ecs.container-name": "web"}), json!({"a": "b"}));
    for stage in ["prestart", "createRuntime", "poststop"] {
        let trace = traced(stage, other.clone());
        assert_eq!(trace.len(), 1, "more than its own execve: {trace:#?}");
    }
    let trace = traced("poststop", named.clone());
    assert_eq!(trace.len(), 1, "more than its own execve: {trace:#?}");
    // It could have joined a task: that is looked up, and nothing is changed.
    for stage in ["prestart", "createRuntime"] {
        let trace = traced(stage, named.clone());
        let (calls, sockets) = (count(&trace, &["("]), count(&trace, &["socket("]));
        let questions =
            ["NFT_MSG_GETSETELEM", "RTM_GETLINK"].map(|kind| count(&trace, &["sendto(", kind]));
        assert_eq!(calls, 1 + sockets + questions.iter().sum::<usize>(), "{trace:#?}");
    }
}

#[test]
#[ignore = "about the release binary, as real root: make test"]
fn it_needs_less_than_8_mb() {
    let (instance, pause) = (Instance::new(), Pause::new());
    for stage in ["prestart", "poststop"] {
        let time = ["/usr/bin/time", "--format", "%M"];
        let report = pause.call(stage).through(&time).on(&instance).well();
        let kilobytes =
            report.lines().last().and_then(|line| line.parse::<u64>().ok()).expect("kB");
        println!("{stage}: {kilobytes} kB");
        assert!(kilobytes < 8192, "{stage}: {kilobytes} kB");
    }
}

#[test]
fn help_and_version_are_on_stdout() {
    let instance = Instance::new();
    for (option, part) in [("--help", "createRuntime"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let done = hook(option).on(&instance);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
        assert!(done.stdout.contains(part), "{}", done.stdout);
    }
}

/// As far as the hook can tell: the kernel itself has IPv6 all the same.
#[test]
fn a_host_without_ipv6_serves_ipv4_tasks_and_refuses_others() {
    let (instance, pause) = (Instance::new(), Pause::new());
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!(
        "mount --bind /proc/sys/net {0} && mount -t tmpfs none /proc/sys/net && \
         mkdir /proc/sys/net/ipv4 && mount --bind {0}/ipv4 /proc/sys/net/ipv4 && exec \"$@\"",
        folder.path().display()
    );
    let without = |call: Call| call.through(&["unshare", "--mount", "sh", "-c", &script, "sh"]);
    let before = (instance.netns.snapshot(), pause.netns().snapshot());
    let refused = without(pause.call("prestart").eni("ipv6-addresses", "2001:db8::5"));
    assert!(refused.on(&instance).badly().contains("this kernel has no IPv6"));
    instance.netns.assert_same(&before.0);
    pause.netns().assert_same(&before.1);
    without(pause.call("prestart")).on(&instance).silently();
    assert_eq!(pause.netns().routes("4").len(), 5);
    assert!(!pause.netns().routes("6").iter().any(|route| route.contains("blackhole")));
}
