//! podman, which reads hooks.d.

use super::{Engine, PAUSE, live, options};
use crate::fixtures::{Machine, eventually};
use serde_json::Value;

struct Podman {
    machine: Machine,
    runtime: &'static str,
    /// Further options of the pause container.
    options: &'static str,
}

impl Podman {
    fn new(runtime: &'static str) -> Self {
        let machine = Machine::new();
        // For every call of podman.
        let path = machine.run(&format!("command -v {runtime}"));
        let config = machine.read("/etc/containers/containers.conf");
        let runtimes =
            format!("runtime = \"{runtime}\"\n[engine.runtimes]\n{runtime} = [\"{path}\"]\n");
        machine.write("/etc/containers/containers.conf", &(config + &runtimes));
        machine.run("tar -C /run/rootfs -c . | podman import - busybox");
        Self { machine, runtime, options: "" }
    }

    /// What it knows of a container's state.
    fn state(&self, id: &str, field: &str) -> String {
        self.machine.run(&format!("podman inspect --format '{{{{.State.{field}}}}}' {id}"))
    }
}

impl Engine for Podman {
    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn try_start(&self, id: &str, annotations: &Value) -> Result<(), String> {
        let output = self.machine.try_run(&format!(
            "podman run -d --name {id} --network none {} {} busybox {PAUSE}",
            self.options,
            options("--annotation", annotations)
        ));
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(shown) }
    }

    fn join(&self, id: &str, pause: &str, command: &str) {
        let network = format!("--network container:{pause}");
        self.machine.run(&format!("podman run -d --name {id} {network} busybox {command}"));
    }

    fn exec(&self, id: &str, command: &str) -> String {
        let output = self.machine.try_run(&format!("podman exec {id} {command}"));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn pid(&self, id: &str) -> u32 {
        self.state(id, "Pid").parse().expect("a pid")
    }

    fn stop(&self, id: &str) {
        self.machine.run(&format!("podman stop {id}"));
    }

    fn bury(&self, id: &str) {
        eventually("it is known to have exited", || self.state(id, "Running") == "false");
    }

    fn restart(&self, id: &str) {
        self.machine.run(&format!("podman restart {id}"));
    }

    fn remove(&self, ids: &[&str]) {
        // One by one: given several, podman goes about them in any order.
        for id in ids {
            self.machine.run(&format!("podman rm --force --time 0 {id}"));
        }
    }

    fn shows_why(&self) -> bool {
        self.runtime != "crun"
    }
}

#[test]
#[ignore = "needs real root: drives podman"]
fn a_task_under_podman_on_runc() {
    live(&Podman::new("runc"));
}

#[test]
#[ignore = "needs real root: drives podman"]
fn a_task_under_podman_on_crun() {
    live(&Podman::new("crun"));
}
