//! containerd, by `ctr`: the hook comes by `oci-awsvpc-runtime`.

use super::{Engine, PAUSE, live, options};
use crate::fixtures::{Daemon, Machine, eventually};
use serde_json::Value;

/// What every container gets: the wrapper as its runtime.
const RUNTIME: &str = "--runc-binary /usr/bin/oci-awsvpc-runtime";

pub struct Containerd {
    _daemon: Daemon,
    machine: Machine,
    runtime: &'static str,
}

/// Starts containerd on a machine, with an image.
pub fn start(machine: &Machine) -> Daemon {
    let daemon = machine.daemon("containerd");
    eventually("containerd answers", || machine.try_run("ctr version").status.success());
    // ctr imports what the others save.
    let image = "docker.io/library/busybox:latest";
    machine.run(&format!("tar -C /run/rootfs -c . | podman import - {image}"));
    machine
        .run(&format!("podman save -o /run/image.tar {image} && ctr image import /run/image.tar"));
    daemon
}

impl Containerd {
    pub fn new(runtime: &'static str) -> Self {
        Self::on(Machine::new(), runtime)
    }

    /// On a machine whose image, in `/run/rootfs`, has what is needed.
    pub fn on(machine: Machine, runtime: &'static str) -> Self {
        let path = machine.run(&format!("command -v {runtime}"));
        machine
            .write("/etc/oci-awsvpc-hook/config.toml", &format!("[runtime]\npath = \"{path}\"\n"));
        Self { _daemon: start(&machine), machine, runtime }
    }

    fn run(&self, id: &str, options: &str, command: &str) -> Result<(), String> {
        let output = self.machine.try_run(&format!(
            "ctr run -d {RUNTIME} {options} docker.io/library/busybox:latest {id} {command}"
        ));
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(shown) }
    }

    fn task(&self, id: &str) -> Option<(u32, String)> {
        let tasks = self.machine.run("ctr task ls");
        let line = tasks.lines().find(|line| line.split_whitespace().next() == Some(id))?;
        let mut words = line.split_whitespace().skip(1);
        Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
    }
}

impl Engine for Containerd {
    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn try_start(&self, id: &str, annotations: &Value) -> Result<(), String> {
        self.run(id, &options("--annotation", annotations), PAUSE)
    }

    fn join(&self, id: &str, pause: &str, command: &str) {
        let name = format!("--annotation com.amazonaws.ecs.container-name={id}");
        let netns = format!("--with-ns network:/proc/{}/ns/net", self.pid(pause));
        self.run(id, &format!("{name} {netns}"), command).expect("it starts");
    }

    fn exec(&self, id: &str, command: &str) -> String {
        let output = self.machine.try_run(&format!("ctr task exec --exec-id x {id} {command}"));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn pid(&self, id: &str) -> u32 {
        self.task(id).expect("it runs").0
    }

    fn stop(&self, id: &str) {
        self.machine.run(&format!("ctr task kill {id}"));
        self.bury(id);
    }

    fn bury(&self, id: &str) {
        eventually("stopped", || self.task(id).is_some_and(|(_, state)| state == "STOPPED"));
        // It tells with which status the task ended, by its own.
        self.machine.try_run(&format!("ctr task delete {id}"));
        assert_eq!(self.task(id), None);
    }

    fn restart(&self, id: &str) {
        self.stop(id);
        self.machine.run(&format!("ctr task start -d {id}"));
    }

    fn remove(&self, ids: &[&str]) {
        for id in ids {
            self.machine.try_run(&format!("ctr task delete --force {id}"));
            assert_eq!(self.task(id), None);
            self.machine.run(&format!("ctr container delete {id}"));
        }
    }

    fn shows_why(&self) -> bool {
        self.runtime != "crun"
    }
}

#[test]
#[ignore = "needs real root: drives containerd"]
fn a_task_under_containerd_on_runc() {
    live(&Containerd::new("runc"));
}

#[test]
#[ignore = "needs real root: drives containerd"]
fn a_task_under_containerd_on_crun() {
    live(&Containerd::new("crun"));
}

#[test]
#[ignore = "needs real root: drives containerd"]
fn containerd_shows_why_the_wrapper_failed() {
    let engine = Containerd::new("runc");
    let path = "/etc/oci-awsvpc-hook/config.toml";
    engine.machine.write(path, "[runtime]\npath = \"/usr/bin/oci-awsvpc-runtime\"\n");
    let shown = engine.try_start("pause", &Value::Object(serde_json::Map::new()));
    let shown = shown.expect_err("no runtime");
    assert!(shown.contains("oci-awsvpc-runtime: runtime.path"), "{shown}");
}
