//! Docker, with `oci-awsvpc-runtime` as one of its runtimes.

use super::{Engine, PAUSE, SLEEP, live, options};
use crate::{
    fixtures::{Daemon, Machine, Router, Server, annotations, eventually},
    traffic::sent_again_by,
};
use serde_json::{Value, json};

pub struct Docker {
    _daemon: Daemon,
    machine: Machine,
    /// How the pause container's annotations are told: Docker knows `--annotation` from 24 on.
    flag: &'static str,
    runtime: &'static str,
}

impl Docker {
    pub fn new(runtime: &'static str) -> Self {
        Self::on(Machine::new(), runtime)
    }

    /// On a machine whose image, in `/run/rootfs`, has what is needed.
    pub fn on(machine: Machine, runtime: &'static str) -> Self {
        let daemon = start(&machine);
        let annotates = annotates(&machine);
        let path = machine.run(&format!("command -v {runtime}"));
        let mut config = format!("[runtime]\npath = \"{path}\"\n");
        if !annotates {
            config.push_str("annotations-from-environment = true\n");
        }
        machine.write("/etc/oci-awsvpc-hook/config.toml", &config);
        let flag = if annotates { "--annotation" } else { "--env" };
        Self { _daemon: daemon, machine, flag, runtime }
    }

    /// Starts a pause container with more options.
    pub fn start_with(&self, id: &str, more: &str) {
        self.try_start_with(id, more, &annotations()).expect("it starts");
    }

    fn try_start_with(&self, id: &str, more: &str, annotations: &Value) -> Result<(), String> {
        self.output(&format!(
            "docker run -d --runtime awsvpc --name {id} --network none {more} {} busybox {PAUSE}",
            options(self.flag, annotations)
        ))
    }

    fn output(&self, line: &str) -> Result<(), String> {
        let output = self.machine.try_run(line);
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(shown) }
    }

    /// What a pause container prints that is started with these options.
    pub fn shown(&self, more: &str, annotations: &Value, command: &str) -> String {
        self.machine.run(&format!(
            "docker run --rm --runtime awsvpc --network none {more} {} busybox {command}",
            options(self.flag, annotations)
        ))
    }

    /// What it knows of a container's state.
    fn state(&self, id: &str, field: &str) -> String {
        self.machine.run(&format!("docker inspect --format '{{{{.State.{field}}}}}' {id}"))
    }
}

/// Whether Docker has annotations.
pub fn annotates(machine: &Machine) -> bool {
    let major = machine.run("docker version --format '{{.Server.Version}}' | cut -d. -f1");
    major.parse::<u32>().expect("a version") >= 24
}

/// Starts dockerd on a machine, with the wrapper as a runtime, and an image.
pub fn start(machine: &Machine) -> Daemon {
    let mut config: Value =
        include_str!("../../../packaging/engines/daemon.json").parse().expect("JSON");
    config["storage-driver"] = json!("vfs");
    config["exec-opts"] = json!(["native.cgroupdriver=cgroupfs"]);
    // The network is a test's: Docker's own bridge is not asked for.
    for key in ["iptables", "ip6tables", "ip-forward"] {
        config[key] = json!(false);
    }
    config["bridge"] = json!("none");
    machine.write("/etc/docker/daemon.json", &config.to_string());
    let daemon = machine.daemon("dockerd");
    eventually("dockerd answers", || machine.try_run("docker version").status.success());
    machine.run("tar -C /run/rootfs -c . | docker import - busybox");
    daemon
}

impl Engine for Docker {
    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn try_start(&self, id: &str, annotations: &Value) -> Result<(), String> {
        self.try_start_with(id, "", annotations)
    }

    fn join(&self, id: &str, pause: &str, command: &str) {
        let name = format!("{} com.amazonaws.ecs.container-name={id}", self.flag);
        let network = format!("{name} --network container:{pause}");
        let run = format!("docker run -d --runtime awsvpc --name {id} {network} busybox {command}");
        self.output(&run).expect("it starts");
    }

    fn exec(&self, id: &str, command: &str) -> String {
        let output = self.machine.try_run(&format!("docker exec {id} {command}"));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn pid(&self, id: &str) -> u32 {
        self.state(id, "Pid").parse().expect("a pid")
    }

    fn stop(&self, id: &str) {
        self.machine.run(&format!("docker stop {id}"));
    }

    fn bury(&self, id: &str) {
        eventually("it is known to have exited", || self.state(id, "Running") == "false");
    }

    fn restart(&self, id: &str) {
        self.machine.run(&format!("docker restart {id}"));
    }

    fn remove(&self, ids: &[&str]) {
        self.machine.run(&format!("docker rm --force {}", ids.join(" ")));
    }

    fn shows_why(&self) -> bool {
        self.runtime != "crun"
    }
}

#[test]
#[ignore = "needs real root: drives Docker"]
fn a_task_under_docker_on_runc() {
    live(&Docker::new("runc"));
}

#[test]
#[ignore = "needs real root: drives Docker"]
fn a_task_under_docker_on_crun() {
    live(&Docker::new("crun"));
}

/// Docker switches IPv6 off in a namespace that has no network, on the loopback interface too.
#[test]
#[ignore = "needs real root: drives Docker"]
fn a_dual_stack_task_under_docker_reaches_itself_and_the_world_from_its_first_packet_on() {
    let docker = Docker::new("runc");
    let router = &docker.machine.instance.router;
    router.ip("-6 addr add 2001:db8:1::1/128 dev lo nodad");
    let (_router, _far) =
        (Router::start(router, "eni"), Server::start(router, "[2001:db8:1::1]:80", "far\n"));
    let mut dual = annotations();
    dual["com.amazonaws.ecs.eni.ipv6-addresses"] = json!("2001:db8::5,2001:db8::6");
    docker.try_start("pause", &dual).expect("it starts");
    for own in ["-6 ::1", "-6 2001:db8::5", "-6 2001:db8::6", "10.0.0.5", "127.0.0.1"] {
        let said = docker.exec("pause", &format!("/bin/ping -c 1 -w 2 {own}"));
        assert!(said.contains(" 0% packet loss"), "{own}: {said}");
    }
    docker.stop("pause");
    docker.remove(&["pause"]);
    let get = "/bin/wget -q -O - http://[2001:db8:1::1]/ && exec /bin/cat /proc/net/snmp";
    for start in 0..50 {
        let said = docker.shown("", &dual, &format!("/bin/sh -c '{get}'"));
        assert!(said.starts_with("far\n"), "{start}: {said}");
        assert_eq!(sent_again_by(&said), 0, "{start}");
    }
    docker.machine.instance.assert_home();
}

#[test]
#[ignore = "needs real root: drives Docker"]
fn labels_and_unconfigured_variables_make_no_pause_container() {
    let docker = Docker::new("runc");
    docker.machine.write("/etc/oci-awsvpc-hook/config.toml", "");
    for (id, flag) in [("labelled", "--label"), ("told", "--env")] {
        let options = options(flag, &annotations());
        let run = format!("docker run -d --runtime awsvpc --name {id} --network none {options}");
        docker.output(&format!("{run} busybox {SLEEP}")).expect("an ordinary container");
        let links = docker.exec(id, "/bin/ip link show");
        assert!(links.contains("lo: ") && !links.contains("eth0"), "{links}");
    }
    docker.machine.instance.assert_home();
    docker.remove(&["labelled", "told"]);
}
