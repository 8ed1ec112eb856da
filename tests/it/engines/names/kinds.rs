//! Which containers get files, and which of them: what the user and the engine gave a container stays.

use super::log_to_a_file;
use crate::fixtures::{Machine, annotations};
use serde_json::{Value, json};

const HOOK: &str = "/usr/libexec/oci/hooks.d/oci-awsvpc-hook";

/// What a pause container shows whose bundle `adjust` has changed, and what was logged.
fn shown(runtime: &str, command: &str, adjust: impl FnOnce(&Machine, &mut Value)) -> [String; 2] {
    shown_then(runtime, command, &mut String::new(), adjust)
}

/// The same; and what is in the machine's `/run/mine` then.
fn shown_then(
    runtime: &str,
    command: &str,
    left: &mut String,
    adjust: impl FnOnce(&Machine, &mut Value),
) -> [String; 2] {
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
    *left = machine.run("cat /run/mine/* 2>/dev/null; echo /run/mine/*");
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
fn a_folder_that_the_user_mounts_over_etc_stays() {
    for runtime in ["runc", "crun"] {
        for policy in ["missing", "always"] {
            let mut left = String::new();
            let command = "/bin/cat /etc/resolv.conf; echo /etc/*";
            let [shown, log] = shown_then(runtime, command, &mut left, |machine, spec| {
                machine.write("/run/mine/resolv.conf", "nameserver 10.0.0.2\n");
                mount(spec, "/run/mine", "/etc");
                spec["annotations"]["com.amazonaws.ecs.eni.dns-files"] = json!(policy);
            });
            let case = format!("{runtime} {policy}: {shown} {log}");
            assert!(shown.ends_with("\n/etc/resolv.conf"), "{case}");
            assert_eq!(left, "nameserver 10.0.0.2\n/run/mine/resolv.conf", "{case}");
            let (server, logged) = if policy == "always" {
                ("169.254.169.253", "with resolv.conf in ")
            } else {
                ("10.0.0.2", "(its own: resolv.conf, hosts, hostname)")
            };
            assert!(shown.contains(&format!("nameserver {server}\n")), "{case}");
            assert!(log.contains(logged), "{case}");
            // One line for all that the folder does not have.
            let warnings = log.lines().filter(|line| line.contains("warn: ")).count();
            assert_eq!(warnings, usize::from(policy == "always"), "{case}");
        }
    }
}

#[test]
#[ignore = "needs real root: drives runc and crun"]
fn containers_of_every_kind_get_files() {
    for runtime in ["runc", "crun"] {
        let command = format!(
            "{FILES}; echo x >/etc/hosts || echo nobody writes it; read name </proc/sys/kernel/hostname; echo $name of the kernel"
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
        assert!(nameless.contains("\nip-10-0-0-5 of the kernel"), "{nameless}");
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
            machine.bundle(&format!("/run/{id}"), &["/bin/sh", "-c", "/bin/sleep 1; /bin/cat /etc/resolv.conf"], |spec| {
                spec["annotations"] = json!({"com.amazonaws.ecs.container-name": id});
                spec["hooks"] = json!({"prestart": [{"path": HOOK, "args": ["oci-awsvpc-hook", "prestart"]}]});
                let namespaces = spec["linux"]["namespaces"].as_array_mut().expect("a list");
                namespaces.retain(|namespace| namespace["type"] != "network");
                namespaces.push(json!({"type": "network", "path": "/run/task"}));
            });
            format!("{runtime} run --bundle /run/{id} {id} >/run/{id}.log 2>&1 &")
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
