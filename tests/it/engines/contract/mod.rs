//! What runtimes really do with hooks: what the hook is built upon, a row a test. Where a new version
//! differs, the test fails and shows how, and the hook has to be thought over.

mod rows;

use crate::fixtures::Machine;
use serde_json::{Value, json};

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
    machine.bundle("/run/bundle", &["/bin/sleep", "1000"], |spec| {
        spec["annotations"] = json!({"a": "1", "b": "2"});
        spec["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
        spec["hooks"] = json!({});
        for (stage, hook) in hooks {
            let list = &mut spec["hooks"][*stage];
            *list = list.as_array().into_iter().flatten().chain([hook]).cloned().collect();
        }
        adjust(spec);
    });
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
