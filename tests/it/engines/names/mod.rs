//! What containers of a task know of names: with glibc's resolver, against a real name server in the VPC.

mod docker;
mod kinds;
mod sdk;
mod special;

use super::{
    Engine, SLEEP,
    bare::{Bare, Registration},
    containerd::Containerd,
    podman::Podman,
};
use crate::fixtures::{Machine, Netns, eventually};
use std::process::{Child, Command, Stdio};

/// The VPC's resolver. Dropped, it is ended.
struct Resolver(Child);

impl Resolver {
    /// Where it says that AWS is.
    const AWS: &str = "10.1.0.80";

    fn start(router: &Netns) -> Self {
        router.ip("addr add 169.254.169.253/32 dev lo");
        router.ip("addr add fd00:ec2::253/128 dev lo nodad");
        let mut command = Command::new("dnsmasq");
        command.args(["--no-daemon", "--conf-file=/dev/null", "--no-hosts", "--no-resolv"]);
        command.args(["--user=root", "--bind-interfaces", "--listen-address=169.254.169.253"]);
        command
            .args(["--listen-address=fd00:ec2::253", "--host-record=six.internal,2001:db8:1::80"]);
        command.args(["--address=/example.internal/10.0.0.77"]);
        // An answer that does not fit into a datagram of DNS: then resolvers ask again over TCP.
        command.args((0..64).map(|n| format!("--host-record=long.internal,10.1.0.{n}")));
        command.args(["--address=/s3.eu-west-1.amazonaws.com/10.0.0.78", "--local=/internal/"]);
        command.arg(format!("--address=/sts.eu-west-1.amazonaws.com/{}", Self::AWS));
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
         done",
    );
    hosts_file_first(&machine);
    machine
}

/// Lets the image's programs ask its files first, and then name servers.
fn hosts_file_first(machine: &Machine) {
    machine.write("/run/rootfs/etc/nsswitch.conf", "hosts: files dns\n");
}

fn resolve(engine: &impl Engine) {
    let machine = engine.machine();
    let _resolver = Resolver::start(&machine.instance.router);
    engine.start("pause");
    engine.join("app", "pause", SLEEP);
    resolve_in(engine, &["pause", "app"]);
    engine.stop("pause");
    engine.remove(&["app", "pause"]);
    machine.instance.assert_home();
}

/// What these containers of a task know, with a resolver in their VPC.
fn resolve_in(engine: &impl Engine, ids: &[&str]) {
    for id in ids {
        let get = |what: &str| engine.exec(id, &format!("/usr/bin/getent {what}"));
        eventually("the resolver", || get("hosts example.internal").starts_with("10.0.0.77 "));
        let amazon = "ahostsv4 s3.eu-west-1.amazonaws.com";
        let connections = connections(engine, id);
        assert!(get(amazon).starts_with("10.0.0.78 "), "{id}: {}", get(amazon));
        assert_eq!(connections, self::connections(engine, id), "{id}: by UDP");
        let by_tcp = format!("/bin/sh -c 'RES_OPTIONS=use-vc exec /usr/bin/getent {amazon}'");
        assert!(engine.exec(id, &by_tcp).starts_with("10.0.0.78 "), "{id}: by TCP");
        let many = get("ahostsv4 long.internal");
        assert_eq!(many.lines().filter(|line| line.contains("STREAM")).count(), 64, "{id}: {many}");
        assert_eq!(connections + 2, self::connections(engine, id), "{id}: by TCP");
        assert!(get("hosts localhost").starts_with("127.0.0.1 "), "{id}");
        assert_eq!(engine.exec(id, "/bin/hostname -i"), "10.0.0.5", "{id}");
        let mounts = engine.exec(id, "/bin/cat /proc/self/mountinfo");
        let ours = mounts.lines().filter(|line| line.contains(" - tmpfs oci-awsvpc-hook ro"));
        assert_eq!(ours.count(), 3, "{id}: {mounts}");
    }
}

/// How many TCP connections a container's network has opened.
fn connections(engine: &impl Engine, id: &str) -> u32 {
    let text = engine.exec(id, "/bin/cat /proc/net/snmp");
    let numbers = text.lines().filter(|line| line.starts_with("Tcp: ")).nth(1);
    let opened = numbers.and_then(|line| line.split(' ').nth(5));
    opened.and_then(|number| number.parse().ok()).expect("ActiveOpens")
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

#[test]
#[ignore = "needs real root: drives containerd"]
fn a_task_knows_names_under_containerd() {
    resolve(&Containerd::on(machine(), "crun"));
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
