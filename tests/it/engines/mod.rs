//! Whole tasks under real engines, each on a machine of its own: a pause container, which gets the hook in
//! each engine's way, and two applications that join its namespace.

mod bare;
mod containerd;
mod contract;
mod docker;
mod names;
mod podman;
mod readme;
mod rootless;
mod strangers;
mod wrapper;

use crate::fixtures::{ENI_MAC, Instance, Machine, Server, annotations, eventually};
use serde_json::{Value, json};

/// One way to run containers on a machine. Every method panics if what it does fails, with the exception
/// of [`Engine::try_start`].
trait Engine {
    fn machine(&self) -> &Machine;
    /// Starts a pause container. The error is what the engine shows.
    fn try_start(&self, id: &str, annotations: &Value) -> Result<(), String>;
    /// Starts an application in another container's network namespace.
    fn join(&self, id: &str, pause: &str, command: &str);
    /// Runs a command in a container; gives what it prints.
    fn exec(&self, id: &str, command: &str) -> String;
    /// A container's process, as the machine counts.
    fn pid(&self, id: &str) -> u32;
    /// Ends a container's process, which has a handler for SIGTERM, and does what the engine does then.
    fn stop(&self, id: &str);
    /// Does what the engine does when a container's process has died by itself.
    fn bury(&self, id: &str);
    /// Stops and starts a container, with the same id.
    fn restart(&self, id: &str);
    /// Removes containers in whatever state.
    fn remove(&self, ids: &[&str]);
    /// What it says of hook failures; crun swallows the hook's own words.
    fn shows_why(&self) -> bool;

    fn start(&self, id: &str) {
        if let Err(why) = self.try_start(id, &annotations()) {
            panic!("{id} does not start: {why}");
        }
    }
}

/// A process that ends at once when it is told to, as real pause containers' do.
const PAUSE: &str = "/bin/sh -c 'trap exit TERM; while :; do sleep 0.1; done'";
/// An application that tells the other ones on localhost that it is there.
const WEB: &str = "/bin/nc -ll -p 8080 -e /bin/echo localhost";
const SLEEP: &str = "/bin/sleep 1000";

/// The annotations as options of an engine's command line.
fn options(flag: &str, annotations: &Value) -> String {
    let pairs = annotations.as_object().expect("an object").iter();
    let option = |(key, value): (&String, &Value)| {
        format!("{flag} '{key}={}'", value.as_str().expect("a string"))
    };
    pairs.map(option).collect::<Vec<_>>().join(" ")
}

/// All that a task does in its life.
fn live(engine: &impl Engine) {
    let _servers = serve(&engine.machine().instance);
    fail_to_start(engine);
    work(engine);
    come_again(engine);
    die(engine);
}

/// What a task is to reach.
fn serve(instance: &Instance) -> [Server; 2] {
    let credentials = Server::agent(&instance.netns, "credentials");
    [credentials, Server::start(&instance.router, "10.0.0.1:80", "vpc")]
}

/// A start that fails shows why and leaves nothing, and the next one succeeds.
fn fail_to_start(engine: &impl Engine) {
    let mut bad = annotations();
    bad["com.amazonaws.ecs.eni.mtu"] = json!("huge");
    let shown = engine.try_start("bad", &bad).expect_err("it must not start");
    let why = "com.amazonaws.ecs.eni.mtu is";
    assert!(shown.contains(if engine.shows_why() { why } else { "oci-awsvpc-hook" }), "{shown}");
    engine.remove(&["bad"]);
    engine.machine().instance.assert_home();
}

/// The applications find the network; when the task is stopped, the ENI comes home.
fn work(engine: &impl Engine) {
    let ids = ["pause", "web", "app"];
    start_all(engine);
    for id in ids {
        let links = engine.exec(id, "/bin/ip link show");
        for part in ["lo: ", "ecs-eth0@", "eth0@", "mtu 9001", ENI_MAC] {
            assert!(links.contains(part), "{id}: {part}: {links}");
        }
    }
    reach_everything(engine);
    // The ENI is a veth here and would die with the namespace: an application keeps that.
    engine.stop("pause");
    engine.machine().instance.assert_home();
    engine.remove(&["app", "web", "pause"]);
    engine.machine().instance.assert_home();
}

/// A pause container that is restarted gets the same network again, with the same address.
fn come_again(engine: &impl Engine) {
    start_all(engine);
    let ports = engine.machine().instance.ports();
    engine.restart("pause");
    assert_eq!(engine.machine().instance.ports(), ports);
    engine.remove(&["app", "web"]);
    for (id, command) in [("web", WEB), ("app", SLEEP)] {
        engine.join(id, "pause", command);
    }
    reach_everything(engine);
    engine.stop("pause");
    engine.remove(&["app", "web", "pause"]);
    engine.machine().instance.assert_home();
}

/// A pause container that is killed leaves nothing.
fn die(engine: &impl Engine) {
    start_all(engine);
    let machine = engine.machine();
    machine.run(&format!("kill -KILL {}", engine.pid("pause")));
    engine.bury("pause");
    eventually("the ENI at home", || machine.instance.netns.link("eth1").is_some());
    eventually("no port", || machine.instance.ports().is_empty());
    engine.remove(&["app", "web", "pause"]);
    machine.instance.assert_home();
}

fn start_all(engine: &impl Engine) {
    engine.start("pause");
    engine.join("web", "pause", WEB);
    engine.join("app", "pause", SLEEP);
}

fn reach_everything(engine: &impl Engine) {
    let get =
        |url: &str| engine.exec("app", &format!("/bin/timeout 2 /bin/wget -q -O - http://{url}"));
    assert_eq!(get("169.254.170.2/"), "credentials");
    assert_eq!(get("10.0.0.1/"), "vpc");
    assert_eq!(get("169.254.169.254/"), "");
    eventually("the other application on localhost", || {
        engine.exec("app", "/bin/nc 127.0.0.1 8080") == "localhost"
    });
}
