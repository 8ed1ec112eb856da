//! podman, which reads hooks.d.

use super::{Engine, PAUSE, SLEEP, WEB, live, options, reach_everything, serve};
use crate::fixtures::{ENI_MAC, Machine, annotations, eventually};
use serde_json::{Value, json};

pub struct Podman {
    machine: Machine,
    runtime: &'static str,
}

impl Podman {
    pub fn new(runtime: &'static str) -> Self {
        Self::on(Machine::new(), runtime)
    }

    /// On a machine whose image, in `/run/rootfs`, has what is needed.
    pub fn on(machine: Machine, runtime: &'static str) -> Self {
        // For every call of podman.
        let path = machine.run(&format!("command -v {runtime}"));
        let config = machine.read("/etc/containers/containers.conf");
        let runtimes =
            format!("runtime = \"{runtime}\"\n[engine.runtimes]\n{runtime} = [\"{path}\"]\n");
        machine.write("/etc/containers/containers.conf", &(config + &runtimes));
        machine.run("tar -C /run/rootfs -c . | podman import - busybox");
        Self { machine, runtime }
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
            "podman run -d --name {id} --network none {} busybox {PAUSE}",
            options("--annotation", annotations)
        ));
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(shown) }
    }

    fn join(&self, id: &str, pause: &str, command: &str) {
        let name = format!("--annotation com.amazonaws.ecs.container-name={id}");
        let network = format!("{name} --network container:{pause}");
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

#[test]
#[ignore = "needs real root: drives podman"]
fn a_task_under_podman_with_both_stages_registered() {
    let podman = Podman::new("runc");
    let folder = "/usr/share/containers/oci/hooks.d";
    podman.machine.run(&format!(
        "cd {folder} && sed 's/\"prestart\"/\"createRuntime\"/' oci-awsvpc-hook-prestart.json >createRuntime.json"
    ));
    live(&podman);
}

#[test]
#[ignore = "needs real root: drives podman"]
fn a_restart_policy_gives_the_network_again() {
    for runtime in ["runc", "crun"] {
        let podman = Podman::new(runtime);
        let machine = &podman.machine;
        let _servers = serve(&machine.instance);
        let annotations = options("--annotation", &annotations());
        machine.run(&format!(
            "podman run -d --name pause --restart always --network none {annotations} busybox {PAUSE}"
        ));
        // The ENI is a veth here: an application keeps the namespace that it would die with.
        podman.join("old", "pause", SLEEP);
        let (pid, ports) = (podman.pid("pause"), machine.instance.ports());
        machine.run(&format!("kill -KILL {pid}"));
        eventually("the pause container runs again", || ![0, pid].contains(&podman.pid("pause")));
        assert_eq!(machine.instance.ports(), ports);
        podman.join("web", "pause", WEB);
        podman.join("app", "pause", SLEEP);
        reach_everything(&podman);
        podman.stop("pause");
        machine.instance.assert_home();
        podman.remove(&["old", "app", "web", "pause"]);
    }
}

/// A task that is a pod, whose pause container `start` starts; podman's own infra container only keeps the
/// namespace.
fn live_as_a_pod(podman: &Podman, pause: &str, start: &str) {
    let machine = &podman.machine;
    let _servers = serve(&machine.instance);
    machine.run(start);
    for (id, command) in [("web", WEB), ("app", SLEEP)] {
        machine.run(&format!("podman run -d --pod task --name {id} busybox {command}"));
    }
    for id in [pause, "web", "app"] {
        let links = podman.exec(id, "/bin/ip link show");
        assert!(links.contains(ENI_MAC) && links.contains("ecs-eth0@"), "{id}: {links}");
    }
    reach_everything(podman);
    podman.restart(pause);
    reach_everything(podman);
    podman.stop(pause);
    machine.instance.assert_home();
    machine.run("podman pod rm --force --time 0 task");
    machine.instance.assert_home();
}

#[test]
#[ignore = "needs real root: drives podman"]
fn a_pod_whose_first_container_is_the_pause_container() {
    for runtime in ["runc", "crun"] {
        let annotations = options("--annotation", &annotations());
        let start = format!(
            "podman pod create --name task --network none &&
             podman run -d --pod task --name pause {annotations} busybox {PAUSE}"
        );
        live_as_a_pod(&Podman::new(runtime), "pause", &start);
    }
}

#[test]
#[ignore = "needs real root: drives podman"]
fn a_pod_that_kube_plays() {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "task", "annotations": annotations()},
        "spec": {"containers": [{
            "name": "pause",
            "image": "localhost/busybox:latest",
            "command": ["/bin/sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"],
        }]},
    });
    for runtime in ["runc", "crun"] {
        let podman = Podman::new(runtime);
        podman.machine.write("/run/pod.yaml", &pod.to_string());
        live_as_a_pod(&podman, "task-pause", "podman kube play --network none /run/pod.yaml");
    }
}

#[test]
#[ignore = "needs real root: drives podman"]
fn podman_fails_every_container_on_a_malformed_registration() {
    let podman = Podman::new("runc");
    podman.machine.write("/usr/share/containers/oci/hooks.d/x.json", "{");
    let shown = podman.machine.fail("podman run --network none busybox echo");
    assert!(shown.contains("x.json"), "{shown}");
}

#[test]
#[ignore = "needs real root: drives podman"]
fn podman_skips_a_registration_without_its_binary() {
    let podman = Podman::new("runc");
    podman.machine.run("rm /usr/libexec/oci/hooks.d/oci-awsvpc-hook");
    podman.start("pause");
    assert!(!podman.exec("pause", "/bin/ip link show").contains("eth0"));
}
