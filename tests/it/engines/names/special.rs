//! Tasks that are not like most: with IPv6 only, in a user namespace, with a name of their own, or without a record.

use super::{Resolver, machine, resolve_in};
use crate::{
    engines::{
        Engine, PAUSE, SLEEP,
        bare::{Bare, Registration},
        options,
        podman::Podman,
    },
    fixtures::{ENI_MAC, annotations, eventually},
};
use serde_json::json;
use std::time::{Duration, Instant};

fn ask_by_ipv6(engine: &impl Engine) {
    let instance = &engine.machine().instance;
    let _resolver = Resolver::start(&instance.router);
    let annotations = json!({
        "com.amazonaws.ecs.container-name": "~internal~ecs~pause",
        "com.amazonaws.ecs.eni.mac-address": ENI_MAC,
        "com.amazonaws.ecs.eni.ipv6-addresses": "2001:db8::5",
        "com.amazonaws.ecs.eni.subnet-gateway-ipv6-address": "2001:db8::1",
    });
    engine.try_start("pause", &annotations).expect("it starts");
    engine.join("app", "pause", SLEEP);
    for id in ["pause", "app"] {
        let get = |what: &str| engine.exec(id, &format!("/usr/bin/getent {what}"));
        eventually("the resolver", || get("ahostsv6 six.internal").starts_with("2001:db8:1::80 "));
        let by_tcp = "/bin/sh -c 'RES_OPTIONS=use-vc exec /usr/bin/getent ahostsv6 six.internal'";
        assert!(engine.exec(id, by_tcp).starts_with("2001:db8:1::80 "), "{id}");
        assert!(get("hosts localhost").starts_with("::1 "), "{id}: {}", get("hosts localhost"));
        assert_eq!(engine.exec(id, "/bin/hostname -i"), "2001:db8::5", "{id}");
        let file = engine.exec(id, "/bin/cat /etc/resolv.conf");
        assert!(file.ends_with("nameserver fd00:ec2::253"), "{id}: {file}");
    }
    engine.stop("pause");
    engine.remove(&["app", "pause"]);
    instance.assert_home();
}

#[test]
#[ignore = "needs real root: drives runc and podman"]
fn a_task_with_ipv6_only_asks_by_ipv6() {
    ask_by_ipv6(&Bare::on(machine(), "runc", Registration::Wrapper));
    ask_by_ipv6(&Podman::on(machine(), "crun"));
}

#[test]
#[ignore = "needs real root: drives podman"]
fn a_task_in_a_user_namespace_knows_names() {
    for runtime in ["runc", "crun"] {
        let podman = Podman::on(machine(), runtime);
        let machine = podman.machine();
        let _resolver = Resolver::start(&machine.instance.router);
        let start = "podman run -d --uidmap 0:100000:65536 --gidmap 0:100000:65536";
        let annotations = options("--annotation", &annotations());
        machine.run(&format!("{start} --name pause --network none {annotations} busybox {PAUSE}"));
        let name = "--annotation com.amazonaws.ecs.container-name=app";
        machine.run(&format!(
            "podman run -d --userns container:pause --name app --network container:pause {name} busybox {SLEEP}"
        ));
        resolve_in(&podman, &["pause", "app"]);
        for id in ["pause", "app"] {
            let map = podman.exec(id, "/bin/cat /proc/self/uid_map");
            assert!(map.split_whitespace().eq(["0", "100000", "65536"]), "{id}: {map}");
        }
        // To remove containers in user namespaces, podman 4.3 needs more than one try, with and without the hook.
        podman.stop("pause");
        machine.instance.assert_home();
    }
}

/// The pause container's record is gone, as after `nft flush ruleset` or on a kernel that keeps none: its port tells.
#[test]
#[ignore = "needs real root: drives crun"]
fn an_application_of_a_task_without_a_record_knows_names() {
    let engine = Bare::on(machine(), "crun", Registration::Config("prestart"));
    let _resolver = Resolver::start(&engine.machine().instance.router);
    engine.start("pause");
    engine.machine().run("nft flush ruleset");
    engine.join("app", "pause", SLEEP);
    resolve_in(&engine, &["app"]);
    engine.stop("pause");
    engine.remove(&["app", "pause"]);
}

/// Runtimes tell the kernel the name in `config.json` after hooks have run: the wrapper writes the annotation's there.
#[test]
#[ignore = "needs real root: drives runc and crun"]
fn a_task_is_called_as_its_annotations_say() {
    let mut named = annotations();
    named["com.amazonaws.ecs.eni.hostname"] = json!("web.example.internal");
    for (runtime, registration, own) in [
        ("runc", Registration::Wrapper, "web.example.internal"),
        ("crun", Registration::Wrapper, "web.example.internal"),
        ("runc", Registration::Config("prestart"), "runc"),
        ("crun", Registration::Config("prestart"), "runc"),
    ] {
        let engine = Bare::on(machine(), runtime, registration);
        engine.try_start("pause", &named).expect("it starts");
        assert_eq!(engine.exec("pause", "/bin/hostname"), own, "{runtime}");
        assert_eq!(engine.exec("pause", "/bin/hostname -i"), "10.0.0.5", "{runtime}");
        let file = engine.exec("pause", "/bin/cat /etc/hostname");
        assert_eq!(file, "web.example.internal", "{runtime}");
        let short = engine.exec("pause", "/usr/bin/getent ahostsv4 web");
        assert!(short.starts_with("10.0.0.5 "), "{runtime}: {short}");
        engine.remove(&["pause"]);
    }
}

/// A pause container that may mount can put a file system with our name over its files, or make ours shared.
#[test]
#[ignore = "needs real root: drives runc and crun"]
fn what_a_pause_container_mounts_reaches_applications_as_text_at_most() {
    let forge = |file: &str| {
        format!(
            "busybox mount -t tmpfs oci-awsvpc-hook /dev/shm && cd /dev/shm && {file} && busybox mount -o bind hosts /etc/hosts"
        )
    };
    for runtime in ["runc", "crun"] {
        for (script, is_given) in [
            (forge("busybox mkfifo hosts"), false),
            (forge("busybox mknod hosts c 1 5"), false),
            (forge("busybox truncate -s 100000000000 hosts"), false),
            (forge(r"printf '# oci-awsvpc-hook(1) \377' >hosts"), true),
            ("busybox mount --make-shared /etc/hosts".to_owned(), true),
        ] {
            let engine = Bare::new(runtime, Registration::Config("prestart"));
            engine.start("pause");
            let in_pause = |script: &str| {
                let nsenter = format!("nsenter --mount --target {}", engine.pid("pause"));
                engine.machine().run(&format!("{nsenter} /bin/sh -c \"{script}\""));
            };
            in_pause(&script);
            let begin = Instant::now();
            engine.join("app", "pause", SLEEP);
            assert!(begin.elapsed() < Duration::from_secs(10), "{script}: {:?}", begin.elapsed());
            in_pause("echo evil >/dev/shm/evil && busybox mount -o bind /dev/shm/evil /etc/hosts");
            let file = |name: &str| engine.exec("app", &format!("/bin/cat /etc/{name}"));
            assert!(file("resolv.conf").contains("oci-awsvpc-hook(1)"), "{script}");
            let hosts = file("hosts");
            assert_eq!(hosts.contains("oci-awsvpc-hook(1)"), is_given, "{script}: {hosts}");
            assert!(!hosts.contains("evil"), "{script}: {hosts}");
            engine.stop("pause");
            engine.remove(&["app", "pause"]);
        }
    }
}
