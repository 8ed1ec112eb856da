//! The programs that are compared, each as whoever uses it calls it.

use crate::{
    Programs,
    timed::{Running, Took, complete, start},
    world::{self, ENI_MAC, Instance, Pause},
};
use serde_json::{Value, json};
use std::{net::Ipv4Addr, path::Path, process::Command, time::Duration};

/// Where Debian puts them.
const CNI: &str = "/usr/lib/cni";

/// What makes a container a task's pause container.
pub fn annotations(mac: &str) -> Value {
    json!({
        "com.amazonaws.ecs.container-name": "~internal~ecs~pause",
        "com.amazonaws.ecs.eni.mac-address": mac,
        "com.amazonaws.ecs.eni.ipv4-addresses": "10.0.0.5/24",
        "com.amazonaws.ecs.eni.subnet-gateway-ipv4-address": "10.0.0.1/24",
    })
}

/// The state that a runtime would write. It has no bundle, and so gets no files.
pub fn state(pause: &Pause, mac: &str) -> String {
    json!({
        "ociVersion": "1.0.2", "id": pause.id, "status": "creating", "pid": pause.pid(),
        "bundle": "/nonexistent", "annotations": annotations(mac),
    })
    .to_string()
}

impl Programs {
    /// A stage of the hook.
    pub fn hook(&self, stage: &str) -> Command {
        let mut command = Command::new(&self.hook);
        command.args([stage, "--log-level=error"]);
        command
    }

    pub fn start_hook(&self, instance: &Instance, pause: &Pause, mac: &str) -> Running {
        start(self.hook("prestart"), &instance.netns, &state(pause, mac))
    }

    pub fn stop_hook(&self, instance: &Instance, pause: &Pause, mac: &str) -> Took {
        complete(self.hook("poststop"), &instance.netns, &state(pause, mac))
    }

    /// A call for a container that is not a task's.
    pub fn not_ours(&self, instance: &Instance) -> Took {
        let state = json!({
            "ociVersion": "1.0.2", "id": "web", "status": "creating", "pid": 1,
            "bundle": "/nonexistent",
            "annotations": {"io.kubernetes.cri.container-name": "web"},
        });
        complete(self.hook("prestart"), &instance.netns, &state.to_string())
    }

    /// The floor, with the address that is so far into the subnet.
    pub fn floor(&self, instance: &Instance, pause: &Pause, eni: &str, number: u32) -> Command {
        let lease = Ipv4Addr::from(u32::from(Ipv4Addr::new(169, 254, 172, 1)) + number);
        let mut command = Command::new(&self.floor);
        command
            .arg(pause.pid().to_string())
            .arg(world::index(&instance.netns, eni).to_string())
            .arg(world::index(&instance.netns, "ecs-bridge").to_string())
            .arg(lease.to_string())
            .arg(&pause.id);
        command
    }

    pub fn start_floor(
        &self,
        instance: &Instance,
        pause: &Pause,
        eni: &str,
        number: u32,
    ) -> Running {
        start(self.floor(instance, pause, eni, number), &instance.netns, "")
    }
}

/// The reference plugins doing the same job: `host-device` for the ENI_MAC, `bridge` with `host-local` for
/// the credentials. As ecs-eni, ecs-bridge and ecs-ipam, they run one after the other.
pub struct Plugins {
    data: tempfile::TempDir,
}

impl Plugins {
    pub fn new() -> Self {
        assert!(Path::new(CNI).join("host-device").exists(), "no plugins in {CNI}");
        Self { data: tempfile::tempdir().expect("a folder") }
    }

    pub fn call(&self, verb: &str, instance: &Instance, pause: &Pause) -> Took {
        let eni = json!({
            "cniVersion": "1.0.0", "name": "eni", "type": "host-device", "hwaddr": ENI_MAC,
            "ipam": {
                "type": "static",
                "addresses": [{"address": "10.0.0.5/24", "gateway": "10.0.0.1"}],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        });
        let credentials = json!({
            "cniVersion": "1.0.0", "name": "credentials", "type": "bridge", "bridge": "cni-bridge",
            "isGateway": true,
            "ipam": {
                "type": "host-local", "dataDir": self.data.path(),
                "ranges": [[{"subnet": "169.254.172.0/22"}]],
                "routes": [{"dst": "169.254.170.2/32"}],
            },
        });
        let plugin = |name: &str, interface: &str, config: &Value| {
            let mut command = Command::new(format!("{CNI}/{name}"));
            command
                .env("CNI_COMMAND", verb)
                .env("CNI_CONTAINERID", &pause.id)
                .env("CNI_NETNS", format!("/proc/{}/ns/net", pause.pid()))
                .env("CNI_IFNAME", interface)
                .env("CNI_PATH", CNI);
            complete(command, &instance.netns, &config.to_string())
        };
        let one = plugin("host-device", "eth0", &eni);
        let two = plugin("bridge", "ecs-eth0", &credentials);
        let time: Duration = one.time + two.time;
        Took { time, memory: one.memory.max(two.memory) }
    }
}
