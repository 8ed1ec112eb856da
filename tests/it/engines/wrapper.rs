//! `oci-awsvpc-runtime` itself: what it passes on, what it changes and what it leaves alone.

use crate::fixtures::{Machine, annotations};
use serde_json::{Value, json};

/// A runtime that tells how it was called.
const PROBE: &str = r#"#!/bin/busybox sh
while read -r line; do
    case $line in SigBlk* | SigIgn*) echo "$line" ;; esac
done <"/proc/$$/status"
for fd in 0 1 2 3 4 5 6 7 8 9; do
    [ -e "/proc/$$/fd/$fd" ] && echo "fd $fd"
done
/bin/busybox tr '\0' '\n' <"/proc/$$/cmdline"
/bin/busybox tr '\0' '\n' <"/proc/$$/environ"
/bin/busybox readlink "/proc/$$/cwd"
exit 7
"#;

const CONFIG: &str = "/etc/oci-awsvpc-hook/config.toml";

fn machine(config: &str) -> Machine {
    let machine = Machine::new();
    machine.write("/run/probe", PROBE);
    // A hook that only tells that it was called.
    machine.write("/run/hook", "#!/bin/busybox sh\n/bin/busybox touch /run/called\n");
    machine.run("chmod 755 /run/probe /run/hook");
    machine.write(CONFIG, config);
    machine
}

/// Writes a bundle; its container ends at once.
fn bundle(machine: &Machine, annotations: &Value) {
    machine.bundle("/run/bundle", &["/bin/sh", "-c", "exit 5"], |spec| {
        spec["annotations"] = annotations.clone();
    });
}

fn code(machine: &Machine, line: &str) -> (Option<i32>, String) {
    let output = machine.try_run(line);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
#[ignore = "needs real root: makes a machine"]
fn the_real_runtime_inherits_everything() {
    let machine = machine("[runtime]\npath = \"/run/probe\"\n");
    bundle(&machine, &annotations());
    let words = "--root '/a b' --log /run/log create --bundle /run/bundle --preserve-fds 2 '' id";
    for how in [
        "",
        "env --ignore-signal=PIPE,HUP --block-signal=TERM,USR1",
        "env --default-signal=PIPE A='x\ny' PATH=",
        "env -i",
    ] {
        let call = |program: &str| {
            let line =
                format!("cd /run/rootfs; {how} {program} {words} 3</dev/null 7>/dev/null <&-");
            let output = machine.try_run(&line);
            assert_eq!(output.status.code(), Some(7));
            String::from_utf8(output.stdout).expect("text")
        };
        let direct = call("/run/probe");
        assert!(direct.contains("fd 7") && !direct.contains("fd 0"), "{direct}");
        assert_eq!(call("/usr/bin/oci-awsvpc-runtime"), direct);
    }
    assert!(machine.read("/run/bundle/config.json").contains("poststop"));
}

#[test]
#[ignore = "needs real root: drives runc and crun"]
fn every_way_to_name_the_bundle_works_with_the_real_runtimes() {
    let both = [
        "run --bundle /run/bundle it",
        "run --bundle=/run/bundle it",
        "run -b /run/bundle it",
        "--root /run/root run -b /run/bundle it",
        "--log /run/log --log-format json run --pid-file /run/pid --bundle /run/bundle it",
        "--root=/run/root run it",
    ];
    let ways = [
        ("runc", "run -bundle /run/bundle it"),
        ("runc", "-root /run/root run -b=/run/bundle it"),
        ("runc", "--criu run run --no-pivot --keep=false -b /run/bundle it"),
        ("crun", "run -b/run/bundle it"),
        ("crun", "run --bun /run/bundle it"),
        ("crun", "--cgroup-manager cgroupfs run -b /run/bundle it"),
        ("crun", "run --config /run/bundle/config.json --bundle /run it"),
        ("crun", "run -f config.json -b /run/bundle it"),
    ];
    let both = both.into_iter().flat_map(|words| [("runc", words), ("crun", words)]);
    let machine = machine("");
    for (runtime, words) in both.chain(ways) {
        let path = machine.run(&format!("command -v {runtime}"));
        let config = format!("[runtime]\npath = \"{path}\"\nhook = \"/run/hook\"\n");
        machine.write(CONFIG, &config);
        bundle(&machine, &annotations());
        machine.run("rm -f /run/called");
        let line = format!("cd /run/bundle; oci-awsvpc-runtime {words}");
        let (code, shown) = code(&machine, &line);
        assert_eq!(code, Some(5), "{runtime} {words}: {shown}");
        assert!(machine.try_run("test -e /run/called").status.success(), "{runtime} {words}");
    }
}

#[test]
#[ignore = "needs real root: drives runc"]
fn other_containers_and_other_commands_are_left_alone() {
    let machine = machine("");
    bundle(&machine, &json!({"com.amazonaws.ecs.container-name": "web"}));
    let before = machine.run("cd /run/bundle; stat --format '%n %i %y %z' . *");
    machine.run("mount --bind /run/bundle /run/bundle && mount -o remount,bind,ro /run/bundle");
    let run = "oci-awsvpc-runtime run --bundle /run/bundle it";
    assert_eq!(code(&machine, run), (Some(5), String::new()));
    assert_eq!(machine.run("cd /run/bundle; stat --format '%n %i %y %z' . *"), before);
    // All that it opens itself is its configuration.
    for words in ["state it", "--root /r delete --bundle /run/bundle it", "features"] {
        let trace = "strace --quiet=all -e trace=open,openat,execve -o /run/trace";
        machine.try_run(&format!("cd /run/bundle; {trace} oci-awsvpc-runtime {words}"));
        let trace = machine.read("/run/trace");
        let opened: Vec<&str> = trace
            .lines()
            .skip(1)
            .take_while(|line| !line.starts_with("execve"))
            .filter(|line| !line.contains("/proc/") && !line.contains("/sys/"))
            .collect();
        assert!(opened.len() == 1 && opened[0].contains(CONFIG), "{words}: {opened:#?}");
    }
}

#[test]
#[ignore = "needs real root: drives runc"]
fn a_pause_container_whose_bundle_cannot_be_changed_does_not_start() {
    let machine = machine("[runtime]\nhook = \"/run/hook\"\n");
    bundle(&machine, &annotations());
    let (file, run) = ("/run/bundle/config.json", "oci-awsvpc-runtime run --bundle /run/bundle it");
    machine.run("mount --bind /run/bundle /run/bundle && mount -o remount,bind,ro /run/bundle");
    let (status, shown) = code(&machine, run);
    assert_eq!((status, shown.lines().count()), (Some(1), 1), "{shown}");
    let start = format!("oci-awsvpc-runtime: registering the hook in {file}: ");
    assert!(shown.starts_with(&start) && shown.contains("Read-only"), "{shown}");
    // One that has the hook already does.
    machine.run("umount /run/bundle");
    assert_eq!(code(&machine, run), (Some(5), String::new()));
    machine.run("mount --bind /run/bundle /run/bundle && mount -o remount,bind,ro /run/bundle");
    assert_eq!(code(&machine, run), (Some(5), String::new()));
}

#[test]
#[ignore = "needs real root: drives runc"]
fn the_changed_file_keeps_mode_and_owner_and_leaves_a_links_target_alone() {
    let machine = machine("[runtime]\nhook = \"/run/hook\"\n");
    let run = "oci-awsvpc-runtime run --bundle /run/bundle it";
    bundle(&machine, &annotations());
    machine.run("cd /run/bundle; chmod 640 config.json; chown 12:34 config.json");
    assert_eq!(code(&machine, run), (Some(5), String::new()));
    let stat = "stat --format '%a %u %g %F' /run/bundle/config.json";
    assert_eq!(machine.run(stat), "640 12 34 regular file");
    let changed =
        machine.run("cat /run/bundle/config.json; stat --format %i%z /run/bundle/config.json");
    assert_eq!(code(&machine, run), (Some(5), String::new()));
    let again =
        machine.run("cat /run/bundle/config.json; stat --format %i%z /run/bundle/config.json");
    assert_eq!(again, changed);

    bundle(&machine, &annotations());
    machine
        .run("cd /run/bundle; mv config.json /run/shared.json; ln -s ../shared.json config.json");
    let shared = machine.read("/run/shared.json");
    assert_eq!(code(&machine, run), (Some(5), String::new()));
    assert_eq!(machine.read("/run/shared.json"), shared);
    assert!(machine.run(stat).ends_with("regular file"));
    assert_eq!(machine.run("ls -A /run/bundle"), "config.json");
}

#[test]
#[ignore = "needs real root: drives runc"]
fn a_bundle_that_is_none_is_the_real_runtimes_to_complain_of() {
    let machine = machine("");
    for spoil in
        ["rm config.json", "echo '{' >config.json", "echo '[]' >config.json", "cd ..; rmdir bundle"]
    {
        bundle(&machine, &json!({}));
        machine.run(&format!("cd /run/bundle; {}", spoil.replace("rmdir", "rm -r")));
        let direct = code(&machine, "runc run --bundle /run/bundle it");
        assert_ne!(direct.0, Some(0));
        let without_time = |(status, shown): (Option<i32>, String)| {
            (status, shown.split_once(" level=").map_or(shown.clone(), |(_, rest)| rest.to_owned()))
        };
        let wrapped = code(&machine, "oci-awsvpc-runtime run --bundle /run/bundle it");
        assert_eq!(without_time(wrapped), without_time(direct), "{spoil}");
        machine.run("mkdir -p /run/bundle");
    }
}

/// What is read of it is gone for the real runtime, and what does not come would be waited for for ever.
#[test]
#[ignore = "needs real root: drives runc"]
fn a_configuration_that_is_a_pipe_is_left_to_the_real_runtime() {
    for config in ["", "[eni]\nunknown = 1\n"] {
        let machine = machine(config);
        for annotations in [json!({"a": "b"}), annotations()] {
            bundle(&machine, &annotations);
            machine.run("cd /run/bundle && mv config.json /run/piped.json && mkfifo config.json");
            let run = "cp /run/piped.json /run/bundle/config.json &
                timeout 10 oci-awsvpc-runtime run --bundle /run/bundle it";
            assert_eq!(code(&machine, run), (Some(5), String::new()), "{config}");
            assert_eq!(machine.run("stat --format %F /run/bundle/config.json"), "fifo");
        }
    }
}

#[test]
#[ignore = "needs real root: drives runc"]
fn a_flaw_in_the_configuration_stops_pause_containers_only() {
    let machine = machine("");
    let path = machine.run("command -v runc");
    // With it, it is not known any more what makes a pause container.
    let flawed =
        format!("[runtime]\npath = \"{path}\"\n[detect]\nvalue = \"x\"\n[eni]\nunknown = 1\n");
    machine.write(CONFIG, &flawed);
    // A runtime that would be found first.
    let run = "ln -s /run/probe /usr/local/sbin/runc
        oci-awsvpc-runtime run --bundle /run/bundle it; status=$?
        rm /usr/local/sbin/runc; exit $status";
    bundle(&machine, &json!({"com.amazonaws.ecs.container-name": "web"}));
    assert_eq!(code(&machine, run), (Some(5), String::new()));
    let mut other = annotations();
    other["com.amazonaws.ecs.container-name"] = json!("x");
    for annotations in [annotations(), other] {
        bundle(&machine, &annotations);
        let (status, shown) = code(&machine, run);
        assert_eq!((status, shown.lines().count()), (Some(1), 1), "{shown}");
        let start = format!("oci-awsvpc-runtime: reading {CONFIG}: line 6: unknown field");
        assert!(shown.starts_with(&start), "{shown}");
    }
}

#[test]
#[ignore = "needs real root: makes a machine"]
fn without_a_real_runtime_it_says_so_where_engines_look() {
    let machine = machine("[runtime]\npath = \"/usr/bin/oci-awsvpc-runtime\"\n");
    let (status, shown) = code(&machine, "oci-awsvpc-runtime --log /run/l --log-format json list");
    assert_eq!((status, shown.lines().count()), (Some(1), 1), "{shown}");
    assert!(shown.contains("must be another runtime than this"), "{shown}");
    let logged: Value = machine.read("/run/l").parse().expect("one JSON object");
    assert_eq!((&logged["level"], &logged["msg"]), (&json!("error"), &json!(shown.trim_end())));
    machine.write(CONFIG, "[runtime]\npath = \"/nonexistent\"\n");
    let (status, shown) = code(&machine, "oci-awsvpc-runtime --log /run/text list");
    assert_eq!(status, Some(1));
    assert!(shown.contains("executing /nonexistent: No such file"), "{shown}");
    assert_eq!(machine.read("/run/text"), shown);
    // Found by itself, but never itself.
    machine.write(CONFIG, "");
    machine.run("ln -s /usr/bin/oci-awsvpc-runtime /usr/local/sbin/runc");
    assert!(machine.run("oci-awsvpc-runtime --version").starts_with("runc"));
    machine.run("rm -f /usr/bin/runc /usr/sbin/runc");
    assert!(machine.run("oci-awsvpc-runtime --version").starts_with("crun"));
    machine.run("rm -f /usr/bin/crun");
    let (status, shown) = code(&machine, "oci-awsvpc-runtime --version");
    assert_eq!(status, Some(1));
    assert!(shown.contains("no runc and no crun"), "{shown}");
}
