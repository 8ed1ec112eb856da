//! A whole task under real runc: a pause container with the hook in its `config.json`, and two
//! applications that join its namespace.

use crate::fixtures::{ENI_MAC, Instance, Netns, Server, annotations, binary, eventually};
use serde_json::{Value, json};
use std::{path::Path, process::Output};
use tempfile::TempDir;

/// Containers of one test, on one instance. Dropped, they are deleted.
struct Runc<'a> {
    netns: &'a Netns,
    folder: TempDir,
    containers: Vec<String>,
}

impl<'a> Runc<'a> {
    fn new(netns: &'a Netns) -> Self {
        let folder = TempDir::new().expect("a folder");
        let bin = folder.path().join("rootfs/bin");
        std::fs::create_dir_all(&bin).expect("made");
        std::fs::create_dir(folder.path().join("rootfs/etc")).expect("made");
        std::fs::copy("/bin/busybox", bin.join("busybox")).expect("busybox-static installed");
        Self { netns, folder, containers: Vec::new() }
    }

    fn runc(&self, arguments: &str) -> Output {
        let root = self.folder.path().join("state");
        self.netns.try_run(&format!("runc --root {} {arguments}", root.display()))
    }

    /// A bundle that runs a busybox applet, with what `adjust` makes of its configuration.
    fn bundle(&self, id: &str, applet: &str, adjust: impl Fn(&mut Value)) {
        let bundle = self.folder.path().join(id);
        std::fs::create_dir(&bundle).expect("made");
        self.netns.run(&format!("runc spec --bundle {}", bundle.display()));
        let path = bundle.join("config.json");
        let mut spec: Value = std::fs::read_to_string(&path).expect("read").parse().expect("JSON");
        spec["process"]["terminal"] = json!(false);
        spec["process"]["args"] = applet.split(' ').collect();
        // This machine may not let us raise limits.
        spec["process"]["rlimits"] = json!([]);
        spec["root"]["path"] = json!(self.folder.path().join("rootfs"));
        adjust(&mut spec);
        std::fs::write(path, spec.to_string()).expect("written");
    }

    fn pause(&mut self, id: &str, stage: &str, annotations: &Value) -> Output {
        self.bundle(id, "/bin/busybox sleep 1000", |spec| {
            let hook = |stage: &str| {
                json!([{
                    "path": binary(),
                    "args": ["oci-awsvpc-hook", stage],
                    "timeout": 60,
                }])
            };
            spec["hooks"] = json!({stage: hook(stage), "poststop": hook("poststop")});
            spec["annotations"] = annotations.clone();
        });
        self.start(id)
    }

    fn join(&mut self, id: &str, pause: &str, applet: &str) {
        let state: Value = String::from_utf8(self.runc(&format!("state {pause}")).stdout)
            .expect("text")
            .parse()
            .expect("JSON");
        let netns = format!("/proc/{}/ns/net", state["pid"]);
        self.bundle(id, applet, |spec| {
            let namespaces = spec["linux"]["namespaces"].as_array_mut().expect("a list");
            namespaces.retain(|namespace| namespace["type"] != "network");
            namespaces.push(json!({"type": "network", "path": netns}));
        });
        let started = self.start(id);
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    }

    /// Runs a container in the background. Its output goes to a file: a pipe would stay open as
    /// long as it lives.
    fn start(&mut self, id: &str) -> Output {
        self.containers.push(id.to_owned());
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let log = path(&format!("{id}.log"));
        let state = path("state");
        let run = format!("runc --root {state} run -d --bundle {} {id}", path(id));
        let mut output = self.netns.try_run(&format!("exec {run} >{log} 2>&1 </dev/null"));
        output.stderr = std::fs::read(log).expect("a log");
        output
    }

    fn exec(&self, id: &str, line: &str) -> String {
        let output = self.runc(&format!("exec {id} {line}"));
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    fn delete(&self, id: &str) {
        self.runc(&format!("delete --force {id}"));
    }
}

impl Drop for Runc<'_> {
    fn drop(&mut self) {
        for id in self.containers.iter().rev() {
            self.delete(id);
        }
    }
}

fn unique(name: &str) -> String {
    format!(
        "{name}-{}-{}",
        std::process::id(),
        std::thread::current().name().unwrap_or("main").replace("::", "-")
    )
}

const NEEDS_RUNC: &str = "/usr/sbin/runc";

#[test]
#[ignore = "needs real root: drives runc"]
fn a_task_of_three_containers_under_runc() {
    assert!(
        Path::new(NEEDS_RUNC).exists() || Path::new("/usr/bin/runc").exists(),
        "runc is not installed"
    );
    for stage in ["prestart", "createRuntime"] {
        let instance = Instance::new();
        let _credentials = Server::agent(&instance.netns, "credentials");
        let _vpc = Server::start(&instance.router, "10.0.0.1:80", "vpc");
        let mut runc = Runc::new(&instance.netns);
        let (pause, web, app) = (unique("pause"), unique("web"), unique("app"));

        let started = runc.pause(&pause, stage, &annotations());
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        runc.join(&web, &pause, "/bin/busybox nc -ll -p 8080 -e /bin/busybox echo localhost");
        runc.join(&app, &pause, "/bin/busybox sleep 1000");

        for id in [&pause, &web, &app] {
            let links = runc.exec(id, "/bin/busybox ip link show");
            for part in ["lo: ", "ecs-eth0@", "eth0@", "mtu 9001", ENI_MAC] {
                assert!(links.contains(part), "{id}: {part}: {links}");
            }
        }
        let get = |url: &str| {
            runc.exec(
                &app,
                &format!("/bin/busybox timeout 2 /bin/busybox wget -q -O - http://{url}"),
            )
        };
        assert_eq!(get("169.254.170.2/"), "credentials");
        assert_eq!(get("10.0.0.1/"), "vpc");
        assert_eq!(get("169.254.169.254/"), "");
        eventually("the other application on localhost", || {
            runc.exec(&app, "/bin/busybox nc 127.0.0.1 8080") == "localhost\n"
        });

        // The ENI is a veth here and would die with the namespace: an application keeps it.
        for id in [&web, &pause, &app] {
            runc.delete(id);
        }
        instance.assert_home();
    }
}

#[test]
#[ignore = "needs real root: drives runc"]
fn a_container_whose_hook_fails_does_not_start_and_runc_shows_why() {
    let instance = Instance::new();
    let mut runc = Runc::new(&instance.netns);
    let id = unique("pause");
    let mut bad = annotations();
    bad["com.amazonaws.ecs.eni.mtu"] = json!("huge");
    let started = runc.pause(&id, "prestart", &bad);
    let shown = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(!started.status.success());
    assert!(
        shown.contains("com.amazonaws.ecs.eni.mtu is \\\"huge\\\"")
            || shown.contains("com.amazonaws.ecs.eni.mtu is \"huge\""),
        "{shown}"
    );
    instance.assert_home();
}
