//! What containers of a task know of names: with glibc's resolver, against a real name server in the VPC.

use super::{
    Engine, SLEEP,
    bare::{Bare, Registration},
    podman::Podman,
};
use crate::fixtures::{Machine, Netns, annotations, eventually};
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};

/// The VPC's resolver. Dropped, it is ended.
struct Resolver(Child);

impl Resolver {
    fn start(router: &Netns) -> Self {
        router.ip("addr add 169.254.169.253/32 dev lo");
        let mut command = Command::new("dnsmasq");
        command.args(["--no-daemon", "--conf-file=/dev/null", "--no-hosts", "--no-resolv"]);
        command.args(["--user=root", "--bind-interfaces", "--listen-address=169.254.169.253"]);
        command.args(["--address=/example.internal/10.0.0.77"]);
        // An answer that does not fit into a datagram of DNS: then resolvers ask again over TCP.
        command.args((0..64).map(|n| format!("--host-record=long.internal,10.1.0.{n}")));
        command.args(["--address=/s3.eu-west-1.amazonaws.com/10.0.0.78", "--local=/internal/"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        router.enter(&mut command);
        Self(command.spawn().expect("dnsmasq"))
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.0.kill().expect("not reaped yet");
        self.0.wait().expect("ended");
    }
}

/// A machine whose image has glibc's resolver.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.run(
        "cd /run/rootfs && for program in /usr/bin/getent /bin/hostname; do
             for file in $program $(ldd $program | grep -o '/[^ ]*'); do
                 mkdir -p .${file%/*} && cp -L $file .$file
             done
         done && echo 'hosts: files dns' >etc/nsswitch.conf",
    );
    machine
}

fn resolve(engine: &impl Engine) {
    let machine = engine.machine();
    let _resolver = Resolver::start(&machine.instance.router);
    engine.start("pause");
    engine.join("app", "pause", SLEEP);
    for id in ["pause", "app"] {
        let get = |what: &str| engine.exec(id, &format!("/usr/bin/getent {what}"));
        eventually("the resolver", || get("hosts example.internal").starts_with("10.0.0.77 "));
        let amazon = get("hosts s3.eu-west-1.amazonaws.com");
        assert!(amazon.starts_with("10.0.0.78 "), "{id}: {amazon}");
        let many = get("ahostsv4 long.internal");
        assert_eq!(many.lines().filter(|line| line.contains("STREAM")).count(), 64, "{id}: {many}");
        assert!(get("hosts localhost").starts_with("127.0.0.1 "), "{id}");
        assert_eq!(engine.exec(id, "/bin/hostname -i"), "10.0.0.5", "{id}");
        let mounts = engine.exec(id, "/bin/cat /proc/self/mountinfo");
        let ours = mounts.lines().filter(|line| line.contains(" - tmpfs oci-awsvpc-hook ro"));
        assert_eq!(ours.count(), 3, "{id}: {mounts}");
    }
    engine.stop("pause");
    engine.remove(&["app", "pause"]);
    machine.instance.assert_home();
}

#[test]
#[ignore = "needs real root: drives runc and crun"]
fn a_task_knows_names_under_runc_and_crun() {
    for runtime in ["runc", "crun"] {
        for stage in ["prestart", "createRuntime"] {
            resolve(&Bare::on(machine(), runtime, Registration::Config(stage)));
        }
        resolve(&Bare::on(machine(), runtime, Registration::Wrapper));
    }
}

#[test]
#[ignore = "needs real root: drives podman"]
fn a_task_knows_names_under_podman() {
    for runtime in ["runc", "crun"] {
        resolve(&Podman::on(machine(), runtime));
    }
}

/// What becomes of a task whose image is made so: whether it starts, what is logged, and what it shows.
fn hostile(runtime: &'static str, spoil: &str, files: [bool; 2]) {
    let engine = Bare::new(runtime, Registration::Config("prestart"));
    let machine = engine.machine();
    log_to_a_file(machine);
    machine.run(&format!("cd /run/rootfs && {spoil}"));
    let before = machine.run(LOOK);
    engine.start("pause");
    assert_eq!(machine.run(LOOK), before, "{spoil}");
    let log = machine.read("/run/hook.log");
    let warnings = log.lines().filter(|line| line.contains("warn: ")).count();
    assert_eq!(warnings, usize::from(files.contains(&false)), "{spoil}: {log}");
    for (name, is_there) in ["resolv.conf", "hosts"].into_iter().zip(files) {
        let text = engine.exec("pause", &format!("/bin/cat /etc/{name}"));
        assert_eq!(text.contains("oci-awsvpc-hook(1)"), is_there, "{spoil}: {name}: {text}");
    }
    engine.remove(&["pause"]);
}

/// Makes a machine's hook log where a test can read it.
fn log_to_a_file(machine: &Machine) {
    machine.write("/etc/oci-awsvpc-hook/config.toml", "log.target = \"stderr\"\n");
    machine.write("/usr/libexec/oci/hooks.d/logged", LOGGED);
    machine.run(
        "cd /usr/libexec/oci/hooks.d && mv oci-awsvpc-hook real && mv logged oci-awsvpc-hook &&
         chmod 755 oci-awsvpc-hook",
    );
}

/// The hook, with a log that a test can read: runtimes show what it says only when it fails.
const LOGGED: &str = "#!/bin/busybox sh\n\
    exec /usr/libexec/oci/hooks.d/real \"$@\" 2>>/run/hook.log\n";

/// All that an image could wish to change: the machine's own files, and what is beside its root filesystem.
const LOOK: &str = "ls -lAR --time-style=full-iso /etc | sha256sum; ls -A / /run/victim; cat /etc/hosts /run/victim/*;
    findmnt -rn -o TARGET,SOURCE | grep -v /run/containerd | grep oci-awsvpc-hook || :";

#[test]
#[ignore = "needs real root: drives runc and crun"]
fn an_image_cannot_lead_files_out_of_it() {
    let victim = "mkdir -p /run/victim && echo victim >/run/victim/hosts &&";
    for runtime in ["runc", "crun"] {
        for (spoil, files) in [
            ("ln -s /proc/1/root/run/victim/hosts etc/hosts", [true, false]),
            ("rmdir etc && ln -s /proc/1/root/run/victim etc", [false, false]),
            ("rmdir etc && ln -s /proc/self/cwd etc", [false, false]),
            ("ln -s ../../../../../run/victim/hosts etc/hosts", [true, true]),
            ("ln -s /run/victim/hosts etc/hosts", [true, true]),
            (
                "mkdir -p run/victim && echo x >run/victim/hosts && ln -s /run/victim/hosts etc/hosts",
                [true, true],
            ),
            ("rmdir etc && mkdir -p run/victim && ln -s ../../../run/victim etc", [true, true]),
            ("rmdir etc && ln -s /run/victim etc", [false, false]),
            ("rmdir etc && echo >etc", [false, false]),
            ("rmdir etc", [true, true]),
            ("mkdir etc/hosts", [true, false]),
            ("mkfifo etc/hosts", [true, true]),
            ("mknod etc/hosts c 1 5", [true, true]),
            ("ln -s hosts etc/hosts", [true, false]),
            ("echo x >etc/resolv.conf && ln etc/resolv.conf etc/hosts", [true, true]),
        ] {
            hostile(runtime, &format!("({victim} true) && {spoil}"), files);
        }
    }
}

const HOOK: &str = "/usr/libexec/oci/hooks.d/oci-awsvpc-hook";

/// What a pause container shows whose bundle `adjust` has changed, and what was logged.
fn shown(runtime: &str, command: &str, adjust: impl FnOnce(&Machine, &mut Value)) -> [String; 2] {
    let machine = Machine::new();
    log_to_a_file(&machine);
    machine.bundle("/run/pause", &["/bin/sh", "-c", command], |spec| {
        spec["annotations"] = annotations();
        spec["hooks"] =
            json!({"prestart": [{"path": HOOK, "args": ["oci-awsvpc-hook", "prestart"]}]});
        adjust(&machine, spec);
    });
    let output = machine.try_run(&format!("{runtime} run --bundle /run/pause pause 2>&1"));
    let shown = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    [shown, machine.read("/run/hook.log")]
}

const FILES: &str = "/bin/cat /etc/resolv.conf /etc/hosts /etc/hostname";

fn mount(spec: &mut Value, source: &str, destination: &str) {
    let mounts = spec["mounts"].as_array_mut().expect("a list");
    mounts.push(
        json!({"source": source, "destination": destination, "type": "bind", "options": ["bind"]}),
    );
}

#[test]
#[ignore = "needs real root: drives runc and crun"]
fn what_the_user_gave_a_container_stays() {
    let id = "7d7b7fbc30b9".repeat(6)[..64].to_owned();
    for runtime in ["runc", "crun"] {
        for (policy, from, file, text, stays) in [
            ("missing", "/run/mine", "resolv.conf", "nameserver 10.0.0.2", true),
            ("missing", "/run/mine", "hosts", "10.0.0.9 db", true),
            ("always", "/run/mine", "hosts", "10.0.0.9 db", false),
            ("missing", &format!("/run/{id}"), "resolv.conf", "nameserver 10.0.0.2", true),
            ("missing", &format!("/run/{id}"), "resolv.conf", "search engine", false),
            ("always", &format!("/run/{id}"), "resolv.conf", "nameserver 10.0.0.2", false),
            ("never", &format!("/run/{id}"), "hosts", "127.0.0.1 localhost", true),
        ] {
            let [shown, log] = shown(runtime, FILES, |machine, spec| {
                machine.write(&format!("{from}/{file}"), &format!("{text}\n"));
                // Nobody gives it the others where it gets none.
                machine.run("touch /run/rootfs/etc/resolv.conf /run/rootfs/etc/hosts /run/rootfs/etc/hostname");
                mount(spec, &format!("{from}/{file}"), &format!("/etc/{file}"));
                spec["annotations"]["com.amazonaws.ecs.eni.dns-files"] = json!(policy);
            });
            let case = format!("{runtime} {policy} {from} {file}: {shown} {log}");
            assert_eq!(shown.contains(text), stays, "{case}");
            assert_eq!(
                log.contains(&format!("(its own: {file}")),
                stays && policy == "missing",
                "{case}"
            );
            let others =
                if file == "hosts" { "nameserver 169.254.169.253" } else { "10.0.0.5 runc" };
            assert_eq!(shown.contains(others), policy != "never", "{case}");
            assert!(!log.contains("warn: "), "{case}");
        }
        let [shown, log] = shown(runtime, FILES, |machine, spec| {
            machine.write(&format!("/run/{id}/hosts"), "127.0.0.1 runc pause\n10.0.0.9 db\n");
            mount(spec, &format!("/run/{id}/hosts"), "/etc/hosts");
            spec["annotations"]["com.amazonaws.ecs.eni.hostname"] = json!("web");
        });
        assert!(shown.contains("10.0.0.5 web runc\n10.0.0.9 db\nweb"), "{shown} {log}");
        assert!(log.contains("set up with resolv.conf, hosts, hostname in "), "{log}");
    }
}

#[test]
#[ignore = "needs real root: drives runc and crun"]
fn containers_of_every_kind_get_files() {
    for runtime in ["runc", "crun"] {
        let command = format!(
            "{FILES}; echo x >/etc/hosts || echo nobody writes it; /bin/cat /proc/sys/kernel/hostname"
        );
        let check = |kind: &str, [shown, log]: [String; 2]| {
            let case = format!("{runtime}, {kind}: {shown} {log}");
            for part in ["nameserver 169.254.169.253", "10.0.0.5 ", "nobody writes it"] {
                assert!(shown.contains(part), "{case}");
            }
            assert!(
                !log.contains("warn: ") && log.contains("with resolv.conf, hosts, hostname"),
                "{case}"
            );
            shown
        };
        check(
            "read-only",
            shown(runtime, &command, |_, spec| spec["root"]["readonly"] = json!(true)),
        );
        check(
            "writable",
            shown(runtime, &command, |_, spec| spec["root"]["readonly"] = json!(false)),
        );
        let nameless = shown(runtime, &command, |_, spec| {
            spec.as_object_mut().expect("an object").remove("hostname");
        });
        let nameless = check("nameless", nameless);
        assert!(nameless.contains("nobody writes it\nip-10-0-0-5"), "{nameless}");
        let nobody = shown(runtime, &command, |machine, spec| {
            machine.run("chown -R 100000:100000 /run/rootfs");
            let namespaces = spec["linux"]["namespaces"].as_array_mut().expect("a list");
            namespaces.push(json!({"type": "user"}));
            // Of cgroups of version 1, runc does not find its own.
            let mounts = spec["mounts"].as_array_mut().expect("a list");
            mounts.retain(|mount| mount["type"] != "cgroup");
            for map in ["uidMappings", "gidMappings"] {
                spec["linux"][map] = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
            }
        });
        check("user namespace", nobody);
        let twice = shown(runtime, "/bin/cat /proc/self/mountinfo", |_, spec| {
            let hook = spec["hooks"]["prestart"][0].clone();
            spec["hooks"]["createRuntime"] = json!([hook]);
        });
        assert_eq!(twice[0].matches("oci-awsvpc-hook").count(), 3, "{twice:?}");
        let command = "/bin/cat /run/rootfs/etc/hosts || echo none";
        let [shown, log] = shown(runtime, command, |_, spec| {
            spec["root"]["path"] = json!("/");
            spec["mounts"] = json!([{"source": "proc", "destination": "/proc", "type": "proc"}]);
            spec["root"]["readonly"] = json!(false);
        });
        assert!(shown.contains("none") && !log.contains("with resolv.conf"), "{shown} {log}");
    }
}

#[test]
#[ignore = "needs real root: drives runc and crun"]
fn containers_that_share_a_root_filesystem_start_at_once() {
    for runtime in ["runc", "crun"] {
        let machine = Machine::new();
        log_to_a_file(&machine);
        machine.run("ln -s /run/nothing /run/rootfs/etc/resolv.conf");
        let start = |id: &str| {
            // All of one task: what names its files is the same.
            let mut run = String::new();
            machine.bundle(&format!("/run/{id}"), &["/bin/sh", "-c", "/bin/sleep 1; /bin/cat /etc/resolv.conf"], |spec| {
                spec["annotations"] = json!({"com.amazonaws.ecs.container-name": id});
                spec["hooks"] = json!({"prestart": [{"path": HOOK, "args": ["oci-awsvpc-hook", "prestart"]}]});
                let namespaces = spec["linux"]["namespaces"].as_array_mut().expect("a list");
                namespaces.retain(|namespace| namespace["type"] != "network");
                namespaces.push(json!({"type": "network", "path": "/run/task"}));
            });
            run.push_str(&format!("{runtime} run --bundle /run/{id} {id} >/run/{id}.log 2>&1 &"));
            run
        };
        machine.run("cp -a /run/rootfs /run/other");
        machine.bundle("/run/pause", &["/bin/sleep", "1000"], |spec| {
            spec["root"]["path"] = json!("/run/other");
            spec["annotations"] = annotations();
            spec["hooks"] =
                json!({"prestart": [{"path": HOOK, "args": ["oci-awsvpc-hook", "prestart"]}]});
        });
        machine.run(&format!("{runtime} run -d --bundle /run/pause pause >/run/pause.log 2>&1"));
        machine.run(&format!(
            "pid=$({runtime} state pause | grep -o '\"pid\": *[0-9]*' | grep -o '[0-9]*') &&
             touch /run/task && mount --bind /proc/$pid/ns/net /run/task"
        ));
        let ids: Vec<String> = (0..6).map(|n| format!("app{n}")).collect();
        let starts: Vec<String> = ids.iter().map(|id| start(id)).collect();
        machine.run(
            "rm -rf /run/rootfs/etc/resolv.conf; ln -s /run/nothing /run/rootfs/etc/resolv.conf",
        );
        machine.run(&format!("{} wait", starts.join(" ")));
        for id in ids {
            let text = machine.read(&format!("/run/{id}.log"));
            assert!(
                text.contains("nameserver 169.254.169.253"),
                "{runtime}: {id}: {text} {}",
                machine.read("/run/hook.log")
            );
        }
        machine.run(&format!("{runtime} delete --force pause; umount /run/task"));
    }
}
