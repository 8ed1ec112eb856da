//! runc and crun by themselves.

use super::{Engine, PAUSE, live};
use crate::fixtures::Machine;
use serde_json::{Value, json};

/// How a bundle gets the hook.
#[derive(Clone, Copy)]
pub enum Registration {
    /// Written into its configuration, at this stage.
    Config(&'static str),
    /// By `oci-awsvpc-runtime`, which becomes the runtime.
    Wrapper,
}

/// A runtime, called as a person would.
pub struct Bare {
    machine: Machine,
    /// What is called: the runtime, or what becomes it.
    command: &'static str,
    runtime: &'static str,
    registration: Registration,
}

impl Bare {
    pub fn new(runtime: &'static str, registration: Registration) -> Self {
        Self::on(Machine::new(), runtime, registration)
    }

    /// On a machine whose image, in `/run/rootfs`, has what is needed.
    pub fn on(machine: Machine, runtime: &'static str, registration: Registration) -> Self {
        let path = machine.run(&format!("command -v {runtime}"));
        machine
            .write("/etc/oci-awsvpc-hook/config.toml", &format!("[runtime]\npath = \"{path}\"\n"));
        let command = match registration {
            Registration::Config(_) => runtime,
            Registration::Wrapper => "oci-awsvpc-runtime",
        };
        Self { machine, command, runtime, registration }
    }

    /// A bundle that runs a command, with what `adjust` makes of its configuration.
    fn bundle(&self, id: &str, command: &str, adjust: impl Fn(&mut Value)) {
        let command = format!("exec {command}");
        self.machine.bundle(&format!("/run/{id}"), &["/bin/sh", "-c", &command], adjust);
    }

    /// Gives a container the hook, unless something else does.
    fn register(&self, spec: &mut Value) {
        if let Registration::Config(stage) = self.registration {
            let path = "/usr/libexec/oci/hooks.d/oci-awsvpc-hook";
            let hook = |stage: &str| json!([{"path": path, "args": ["oci-awsvpc-hook", stage], "timeout": 60}]);
            spec["hooks"] = json!({stage: hook(stage), "poststop": hook("poststop")});
        }
    }

    fn run(&self, id: &str) -> Result<(), String> {
        // Its output goes to a file, as the container's does.
        let command = self.command;
        let run = format!("{command} run -d --bundle /run/{id} {id} >/run/{id}.log 2>&1");
        let output = self.machine.try_run(&run);
        if output.status.success() {
            Ok(())
        } else {
            Err(self.machine.read(&format!("/run/{id}.log")))
        }
    }

    fn state(&self, id: &str) -> Value {
        self.machine.run(&format!("{} state {id}", self.command)).parse().expect("JSON")
    }
}

impl Engine for Bare {
    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn try_start(&self, id: &str, annotations: &Value) -> Result<(), String> {
        self.bundle(id, PAUSE, |spec| {
            spec["annotations"] = annotations.clone();
            self.register(spec);
        });
        self.run(id)
    }

    fn join(&self, id: &str, pause: &str, command: &str) {
        let netns = format!("/proc/{}/ns/net", self.pid(pause));
        self.bundle(id, command, |spec| {
            let namespaces = spec["linux"]["namespaces"].as_array_mut().expect("a list");
            namespaces.retain(|namespace| namespace["type"] != "network");
            namespaces.push(json!({"type": "network", "path": netns}));
            spec["annotations"] = json!({"com.amazonaws.ecs.container-name": id});
            self.register(spec);
        });
        self.run(id).expect("it starts");
    }

    fn exec(&self, id: &str, command: &str) -> String {
        let output = self.machine.try_run(&format!("{} exec {id} {command}", self.command));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn pid(&self, id: &str) -> u32 {
        self.state(id)["pid"].as_u64().and_then(|pid| pid.try_into().ok()).expect("a pid")
    }

    fn stop(&self, id: &str) {
        self.machine.run(&format!("{} kill {id} TERM", self.command));
        self.bury(id);
    }

    fn bury(&self, id: &str) {
        crate::fixtures::eventually("stopped", || self.state(id)["status"] == "stopped");
        self.machine.run(&format!("{} delete {id}", self.command));
    }

    fn restart(&self, id: &str) {
        self.stop(id);
        self.run(id).expect("it starts");
    }

    fn remove(&self, ids: &[&str]) {
        for id in ids {
            self.machine.try_run(&format!("{} delete --force {id}", self.command));
        }
        let left = self.machine.run(&format!("{} list -q", self.command));
        assert!(ids.iter().all(|id| !left.lines().any(|line| line == *id)), "{left}");
    }

    fn shows_why(&self) -> bool {
        self.runtime != "crun"
    }
}

#[test]
#[ignore = "needs real root: drives runc"]
fn a_task_under_runc_at_prestart() {
    live(&Bare::new("runc", Registration::Config("prestart")));
}

#[test]
#[ignore = "needs real root: drives runc"]
fn a_task_under_runc_at_create_runtime() {
    live(&Bare::new("runc", Registration::Config("createRuntime")));
}

#[test]
#[ignore = "needs real root: drives crun"]
fn a_task_under_crun_at_prestart() {
    live(&Bare::new("crun", Registration::Config("prestart")));
}

#[test]
#[ignore = "needs real root: drives crun"]
fn a_task_under_crun_at_create_runtime() {
    live(&Bare::new("crun", Registration::Config("createRuntime")));
}

#[test]
#[ignore = "needs real root: drives runc"]
fn a_task_under_runc_by_the_wrapper() {
    live(&Bare::new("runc", Registration::Wrapper));
}

#[test]
#[ignore = "needs real root: drives crun"]
fn a_task_under_crun_by_the_wrapper() {
    live(&Bare::new("crun", Registration::Wrapper));
}
