//! What runtimes really do with hooks: what the hook is built upon, a row a test. Where a new version
//! differs, the test fails and shows how, and the hook has to be thought over.

use crate::fixtures::Machine;
use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};
use std::time::Instant;

/// Who calls the hook.
#[derive(Clone, Copy)]
struct Caller {
    runtime: &'static str,
    podman: bool,
}

const CALLERS: [Caller; 4] = [
    Caller { runtime: "runc", podman: false },
    Caller { runtime: "crun", podman: false },
    Caller { runtime: "runc", podman: true },
    Caller { runtime: "crun", podman: true },
];

/// A hook: its stage, and what the recorder is told.
type Hook = (&'static str, &'static str);

const SETUP: Hook = ("prestart", "setup");
const POSTSTOP: Hook = ("poststop", "poststop");

/// One container, and the record of its hooks.
struct Container<'a> {
    machine: &'a Machine,
    caller: Caller,
    /// What the runtime or podman showed at the start.
    shown: Result<(), String>,
    /// What comes before every command.
    before: &'static str,
}

/// Compares what is observed of each caller with what is known.
#[track_caller]
fn row(observe: impl Fn(&Machine, Caller) -> String, known: [&str; 4]) {
    let machine = Machine::new();
    machine.run("tar -C /run/rootfs -c . | podman import - busybox");
    machine.write("/run/recorder", include_str!("recorder.sh"));
    machine.run("chmod 755 /run/recorder");
    let mut differences = Vec::new();
    for (caller, known) in CALLERS.into_iter().zip(known) {
        machine
            .run("rm -rf /run/record /run/bundle /usr/share/containers/oci && mkdir /run/record");
        let observed = observe(&machine, caller);
        // Versions differ, and the hook has been thought over for each of these.
        if !known.split(" | ").any(|known| known == observed) {
            let on = if caller.podman { "podman --version; " } else { "" };
            let versions = machine.run(&format!("{on}{} --version", caller.runtime));
            differences
                .push(format!("\n  known:    {known}\n  observed: {observed}\n{versions}\n"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.concat());
}

impl<'a> Container<'a> {
    /// Starts one with these hooks, in `/run`.
    fn start(machine: &'a Machine, caller: Caller, hooks: &[Hook]) -> Self {
        Self::start_with(machine, caller, hooks, "", |_| ())
    }

    fn start_with(
        machine: &'a Machine,
        caller: Caller,
        hooks: &[Hook],
        before: &'static str,
        adjust: impl Fn(&mut Value),
    ) -> Self {
        let mut container = Self { machine, caller, shown: Ok(()), before };
        let hooks: Vec<(&str, Value)> = hooks
            .iter()
            .map(|(stage, words)| {
                let args: Vec<&str> = std::iter::once("recorder").chain(words.split(' ')).collect();
                (*stage, json!({"path": "/run/recorder", "args": args, "timeout": 2}))
            })
            .collect();
        let line = if caller.podman {
            register(machine, &hooks);
            format!(
                "podman --runtime {} run -d --name it --network none --annotation a=1 \
                 --annotation b=2 --sysctl net.ipv4.ip_forward=1 busybox sleep 1000",
                caller.runtime
            )
        } else {
            bundle(machine, &hooks, adjust);
            format!("{} run -d --bundle /run/bundle it", caller.runtime)
        };
        let output = machine.try_run(&format!("cd /run; {before} {line} 2>/run/shown >&2"));
        if !output.status.success() {
            container.shown = Err(machine.read("/run/shown"));
        }
        container
    }

    /// Removes it; whether that succeeds.
    fn remove(&self) -> bool {
        let Self { machine, caller, before, .. } = self;
        let line = if caller.podman {
            "podman rm --force --time 0 it".to_owned()
        } else {
            format!("{} delete --force it", caller.runtime)
        };
        machine.try_run(&format!("cd /run; {before} {line}")).status.success()
    }

    /// Its process.
    fn pid(&self) -> Value {
        let runtime = self.caller.runtime;
        let state = if self.caller.podman {
            self.machine.run("podman inspect --format '{\"pid\": {{.State.Pid}}}' it")
        } else {
            self.machine.run(&format!("{runtime} state it"))
        };
        state.parse::<Value>().expect("JSON")["pid"].clone()
    }

    fn record(&self, hook: &str, what: &str) -> String {
        self.machine.read(&format!("/run/record/{hook}/{what}")).trim_end().to_owned()
    }

    fn state(&self, hook: &str) -> Value {
        self.record(hook, "state").parse().expect("a state")
    }

    /// The names of the hooks that were called, in order.
    fn calls(&self) -> String {
        self.machine.read("/run/record/calls").trim_end().replace('\n', ", ")
    }
}

/// A bundle for the runtimes by themselves.
fn bundle(machine: &Machine, hooks: &[(&str, Value)], adjust: impl Fn(&mut Value)) {
    machine.run("mkdir -p /run/bundle && cd /run/bundle && rm -f * && runc spec");
    let mut spec: Value = machine.read("/run/bundle/config.json").parse().expect("JSON");
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(["/bin/sleep", "1000"]);
    spec["process"]["rlimits"] = json!([]);
    spec["root"]["path"] = json!("/run/rootfs");
    spec["annotations"] = json!({"a": "1", "b": "2"});
    spec["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    spec["hooks"] = json!({});
    for (stage, hook) in hooks {
        let list = &mut spec["hooks"][*stage];
        *list = list.as_array().into_iter().flatten().chain([hook]).cloned().collect();
    }
    adjust(&mut spec);
    machine.write("/run/bundle/config.json", &spec.to_string());
}

/// A registration for podman.
fn register(machine: &Machine, hooks: &[(&str, Value)]) {
    for (n, (stage, hook)) in hooks.iter().enumerate() {
        let registration =
            json!({"version": "1.0.0", "hook": hook, "when": {"always": true}, "stages": [stage]});
        let path = format!("/usr/share/containers/oci/hooks.d/{n}.json");
        machine.write(&path, &registration.to_string());
    }
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn the_state_at_setup() {
    row(
        |machine, caller| {
            let container = Container::start(machine, caller, &[SETUP]);
            let state = container.state("setup");
            let keys: Vec<&str> =
                state.as_object().expect("an object").keys().map(String::as_str).collect();
            let own = if state["pid"] == container.pid() { "its" } else { "another" };
            container.remove();
            format!("{}, {own} pid, with {}", state["status"], keys.join(" "))
        },
        [
            r#""creating", its pid, with annotations bundle id ociVersion pid status"#,
            r#""created", its pid, with annotations bundle id ociVersion pid root status"#,
            r#""creating", its pid, with annotations bundle id ociVersion pid status"#,
            r#""created", its pid, with annotations bundle id ociVersion pid root status"#,
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn the_state_at_poststop() {
    row(
        |machine, caller| {
            let container = Container::start(machine, caller, &[SETUP, POSTSTOP]);
            container.remove();
            let (before, state) = (container.state("setup"), container.state("poststop"));
            let count = |state: &Value| state["annotations"].as_object().map_or(0, Map::len);
            let ours = state["annotations"]["a"] == "1" && state["annotations"]["b"] == "2";
            let fewer = if count(&state) < count(&before) { "fewer" } else { "all" };
            let ours = if ours { "with ours" } else { "without ours" };
            format!("{}, pid {}, {fewer} annotations, {ours}", state["status"], state["pid"])
        },
        [
            r#""stopped", pid null, all annotations, with ours"#,
            r#""stopped", pid 0, all annotations, with ours"#,
            r#""stopped", pid null, fewer annotations, with ours"#,
            r#""stopped", pid null, fewer annotations, with ours"#,
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn poststop_after_a_failed_setup() {
    row(
        |machine, caller| {
            let hooks = [SETUP, ("prestart", "second fail"), POSTSTOP];
            let container = Container::start(machine, caller, &hooks);
            assert!(container.shown.is_err());
            container.remove();
            container.calls()
        },
        ["setup, second, poststop", "setup, second", "setup, second", "setup, second"],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn a_poststop_that_fails() {
    row(
        |machine, caller| {
            let hooks = [("poststop", "first fail"), POSTSTOP];
            let container = Container::start(machine, caller, &hooks);
            let removed = if container.remove() { "removed" } else { "not removed" };
            container.remove();
            format!("{}; {removed}", container.calls())
        },
        [
            "first; removed",
            "first, poststop; removed",
            "first, poststop; removed",
            "first, poststop; removed",
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn the_environment() {
    row(
        |machine, caller| {
            let hooks = [SETUP, POSTSTOP];
            let container = Container::start_with(machine, caller, &hooks, "MARK=1", |_| ());
            container.remove();
            ["setup", "poststop"]
                .map(|hook| {
                    let environ = container.record(hook, "environ");
                    let has = |name: &str| environ.lines().any(|line| line.starts_with(name));
                    let kind = match (has("MARK="), has("PATH="), environ.is_empty()) {
                        (true, true, _) => "the caller's",
                        (_, _, true) => "empty",
                        (_, true, _) => "another with PATH",
                        _ => "another without PATH",
                    };
                    format!("{hook}: {kind}")
                })
                .join(", ")
        },
        [
            "setup: the caller's, poststop: the caller's",
            "setup: the caller's, poststop: the caller's",
            "setup: another with PATH, poststop: empty | setup: the caller's, poststop: empty",
            "setup: another with PATH, poststop: empty | setup: the caller's, poststop: empty",
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn the_working_directory() {
    row(
        |machine, caller| {
            let container = Container::start(machine, caller, &[SETUP, POSTSTOP]);
            container.remove();
            let bundle = container.state("setup")["bundle"].as_str().expect("a bundle").to_owned();
            ["setup", "poststop"]
                .map(|hook| match container.record(hook, "cwd") {
                    cwd if cwd == bundle => format!("{hook}: bundle"),
                    cwd if cwd == "/run" => format!("{hook}: caller's"),
                    cwd => format!("{hook}: {cwd}"),
                })
                .join(", ")
        },
        [
            "setup: bundle, poststop: caller's",
            "setup: bundle, poststop: bundle",
            "setup: bundle, poststop: caller's | setup: bundle, poststop: bundle",
            "setup: bundle, poststop: caller's | setup: bundle, poststop: bundle",
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn what_becomes_of_what_the_hook_says() {
    row(
        |machine, caller| {
            let container = Container::start(machine, caller, &[("prestart", "setup fail")]);
            let shown = container.shown.as_ref().expect_err("it fails");
            let shown = if shown.contains("words of the hook") { "shown" } else { "not shown" };
            container.remove();
            let fds = container.record("setup", "fds");
            let kinds: Vec<&str> =
                fds.split_whitespace().filter_map(|fd| fd.split(':').next()).collect();
            format!("{}; {shown}", kinds.join(" "))
        },
        [
            "1=pipe 2=pipe; shown",
            "1=/dev/null 2=/dev/null; not shown",
            "1=pipe 2=pipe; shown",
            "1=/dev/null 2=/dev/null; not shown",
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn a_hook_that_takes_too_long() {
    row(
        |machine, caller| {
            // Its child holds its stdout and stderr for 5 s; its time is up after 2.
            let begin = Instant::now();
            let container = Container::start(machine, caller, &[("prestart", "setup hang")]);
            let seconds = begin.elapsed().as_secs();
            let shown = if container.shown.is_err() { "fails" } else { "starts" };
            container.remove();
            let when = if seconds < 4 { "at once" } else { "when its child ends" };
            format!("{shown}, {when}")
        },
        [
            "fails, when its child ends",
            "fails, at once",
            "fails, when its child ends",
            "fails, at once",
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn whether_sigterm_is_blocked() {
    row(
        |machine, caller| {
            let container = Container::start(machine, caller, &[SETUP, POSTSTOP]);
            container.remove();
            ["setup", "poststop"]
                .map(|hook| {
                    let signals = container.record(hook, "signals");
                    let blocked = signals.lines().find_map(|line| line.strip_prefix("SigBlk:"));
                    let bits = u64::from_str_radix(blocked.expect("a mask").trim(), 16);
                    let term = 1 << (Signal::SIGTERM as u32 - 1);
                    let kind =
                        if bits.expect("hexadecimal") & term == 0 { "free" } else { "blocked" };
                    format!("{hook}: {kind}")
                })
                .join(", ")
        },
        [
            "setup: free, poststop: free",
            "setup: blocked, poststop: free",
            "setup: free, poststop: free",
            "setup: blocked, poststop: free",
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn both_names_of_the_stage() {
    row(
        |machine, caller| {
            let hooks = [("createRuntime", "createRuntime"), ("prestart", "prestart")];
            let container = Container::start(machine, caller, &hooks);
            container.remove();
            container.calls()
        },
        [
            "prestart, createRuntime",
            "prestart, createRuntime",
            "prestart, createRuntime | createRuntime, prestart",
            "prestart, createRuntime | createRuntime, prestart",
        ],
    );
}

#[test]
#[ignore = "needs real root: drives runc, crun and podman"]
fn when_sysctls_are_set() {
    row(
        |machine, caller| {
            let container = Container::start(machine, caller, &[SETUP]);
            let forward = container.record("setup", "forward");
            container.remove();
            if forward == "0" { "after setup" } else { "before setup" }.to_owned()
        },
        ["after setup", "before setup", "after setup", "before setup"],
    );
}
