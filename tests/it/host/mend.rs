//! What somebody breaks under a running task, `gc` mends.

use crate::fixtures::{Instance, Pause, Server, Stopped, hook, many_tasks, started};
use std::fs::File;

/// What breaks, on the instance or in the task, and the lines that tell of what was mended. `PORT`, `MAC` and
/// `IP` are the task's.
type Damages<'a> = &'a [(&'a str, &'a [&'a str])];

const ON_THE_INSTANCE: Damages<'_> = &[
    (
        "ip link del ecs-bridge",
        &["bridge ecs-bridge is created again", "PORT is a port of ecs-bridge again (of container"],
    ),
    ("ip link set ecs-bridge down", &["ecs-bridge is switched on again"]),
    ("ip addr flush dev ecs-bridge", &["ecs-bridge has 169.254.172.1/22 again"]),
    ("ip link set PORT nomaster", &["PORT is a port of ecs-bridge again", "port PORT is set up"]),
    (
        "ip link add other type bridge && ip link set PORT master other",
        &["PORT is a port of ecs-bridge again"],
    ),
    ("ip link set PORT down", &["port PORT is set up again"]),
    ("ip link set PORT alias ''", &["port PORT is set up again"]),
    ("ip link del PORT", &["veth PORT is created again"]),
    ("bridge link set dev PORT isolated off", &["port PORT is set up again"]),
    ("bridge link set dev PORT learning on", &["port PORT is set up again"]),
    ("bridge link set dev PORT flood on", &["port PORT is set up again"]),
    ("bridge link set dev PORT mcast_flood on", &["port PORT is set up again"]),
    ("bridge link set dev PORT locked off", &["port PORT is set up again"]),
    ("ip link set PORT type bridge_slave group_fwd_mask 0", &["port PORT is set up again"]),
    ("bridge fdb del MAC dev PORT master", &["MAC is bound to port PORT again"]),
    ("bridge fdb replace MAC dev PORT master dynamic", &["MAC is bound to port PORT again"]),
    ("ip neigh del IP dev ecs-bridge", &["ecs-bridge has neighbour IP at MAC again"]),
    (
        "ip neigh replace IP lladdr 02:66:66:66:66:66 nud permanent dev ecs-bridge",
        &["ecs-bridge has neighbour IP at MAC again"],
    ),
    (
        "echo 0 >/proc/sys/net/ipv4/conf/ecs-bridge/route_localnet",
        &["ecs-bridge has route_localnet 1 again"],
    ),
    ("nft delete table inet oci_awsvpc", &["nftables rules are installed again"]),
    ("nft flush ruleset", &["is written again", "nftables rules are installed again"]),
];

const IN_THE_TASK: Damages<'_> = &[
    ("ip link set ecs-eth0 down", &["ecs-eth0 in the task is switched on again"]),
    ("ip addr flush dev ecs-eth0", &["ecs-eth0 in the task has IP/22 again"]),
    ("ip link del ecs-eth0", &["veth PORT is created again"]),
    ("ip route del 169.254.170.2", &["route 169.254.170.2 via"]),
    ("ip neigh del 169.254.172.1 dev ecs-eth0", &["has neighbour 169.254.172.1 at"]),
    ("ip route del blackhole 169.254.169.254", &["route blackhole 169.254.169.254 is there"]),
    (
        "nft flush ruleset",
        &[
            "rules that block packets are there in the task again",
            "eth0 in the task has rules that block frames",
        ],
    ),
];

/// A task that fetches credentials, and what its port is called.
struct Running {
    instance: Instance,
    pause: Pause,
    agent: Server,
    lease: u32,
}

impl Running {
    fn new() -> Self {
        let (instance, pause) = started();
        let agent = Server::agent(&instance.netns, "credentials");
        let lease = u32::from_str_radix(&instance.ports()[0][3..], 16).expect("an address");
        Self { instance, pause, agent, lease }
    }

    /// A line about the task.
    fn line(&self, line: &str) -> String {
        let [a, b, c, d] = self.lease.to_be_bytes();
        line.replace("PORT", &format!("ecs{:08x}", self.lease))
            .replace("MAC", &format!("0a:58:{a:02x}:{b:02x}:{c:02x}:{d:02x}"))
            .replace("IP", &format!("{a}.{b}.{c}.{d}"))
    }

    #[track_caller]
    fn is_mended(&self, damage: &str, lines: &[&str]) {
        let report = hook("gc").on(&self.instance).report();
        for line in lines {
            assert!(report.contains(&self.line(line)), "{damage}: {report}");
        }
        let credentials = self.agent.ask_from(&self.pause.netns());
        assert_eq!(credentials.as_deref(), Some("credentials"), "{damage}: {report}");
        assert_eq!(hook("gc").on(&self.instance).report(), "nothing to do\n", "{damage}");
        self.pause.call("prestart").on(&self.instance).silently();
    }
}

#[test]
fn whatever_is_broken_on_the_instance_is_mended_by_gc() {
    let task = Running::new();
    for (damage, lines) in ON_THE_INSTANCE {
        task.instance.netns.run(&task.line(damage));
        task.is_mended(damage, lines);
    }
    // The other bridge is somebody else's.
    task.instance.netns.run("ip link show other");
}

#[test]
fn whatever_of_ours_is_broken_in_the_task_is_mended_by_gc() {
    let task = Running::new();
    for (damage, lines) in IN_THE_TASK {
        task.pause.netns().run(&task.line(damage));
        task.is_mended(damage, lines);
    }
}

#[test]
fn all_tasks_have_their_credentials_again_after_the_bridge_was_deleted() {
    let (instance, tasks) = many_tasks(20);
    for (pause, mac) in &tasks {
        pause.call("prestart").eni("mac-address", mac.as_str()).on(&instance).silently();
    }
    let agent = Server::agent(&instance.netns, "credentials");
    instance.netns.run("ip link del ecs-bridge");
    // Not more of them than any program may have: no task may need descriptors that others still have.
    let limited = ["prlimit", "--nofile=64"];
    let report = hook("gc").through(&limited).on(&instance).report();
    assert_eq!(report.matches("is a port of ecs-bridge again").count(), 20, "{report}");
    for (pause, _) in &tasks {
        assert_eq!(agent.ask_from(&pause.netns()).as_deref(), Some("credentials"));
    }
}

#[test]
fn host_setup_tells_what_it_mended() {
    let task = Running::new();
    for (damage, line) in [
        ("ip link set ecs-bridge down", "ecs-bridge is switched on\n"),
        ("ip addr flush dev ecs-bridge", "ecs-bridge has 169.254.172.1/22\n"),
        (
            "echo 0 >/proc/sys/net/ipv4/conf/ecs-bridge/route_localnet",
            "ecs-bridge has route_localnet 1\n",
        ),
        ("nft delete table inet oci_awsvpc", "nftables rules are installed\n"),
        ("true", "nothing to do\n"),
    ] {
        task.instance.netns.run(damage);
        assert_eq!(hook("host-setup").on(&task.instance).report(), line, "{damage}");
    }
}

/// One part fails: the others are mended all the same, and the failure is told.
#[test]
fn what_cannot_be_mended_is_told_and_stops_nothing_else() {
    let task = Running::new();
    let squatter = task.line("ip link del PORT && ip link add PORT type bridge");
    task.instance.netns.run(&format!("{squatter} && ip addr flush dev ecs-bridge"));
    let done = hook("gc").on(&task.instance);
    assert_eq!(done.code, Some(1));
    assert_eq!(done.stdout, "ecs-bridge has 169.254.172.1/22 again\n");
    let container = format!("mending the network of container {}", task.pause.id);
    for word in [task.line("PORT is not the task's port any more"), container] {
        assert!(done.stderr.contains(&word), "{}", done.stderr);
    }
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
}

/// After a change of the configuration, the tasks on the bridge of before are seen too.
#[test]
fn a_task_on_another_bridge_than_is_configured_now_is_mended() {
    let task = Running::new();
    task.instance.netns.run(&task.line("ip link set PORT nomaster && ip link set ecs-bridge down"));
    let folder = tempfile::tempdir().expect("a folder");
    let other = "[credentials]\nbridge = \"ecs-other\"\n";
    let report = hook("gc").config(&folder, other).on(&task.instance).report();
    for line in ["ecs-bridge is switched on again", "PORT is a port of ecs-bridge again"] {
        assert!(report.contains(&task.line(line)), "{report}");
    }
    let credentials = task.agent.ask_from(&task.pause.netns());
    assert_eq!(credentials.as_deref(), Some("credentials"), "{report}");
}

/// A start takes milliseconds; what it has not made yet is not broken.
#[test]
fn gc_leaves_tasks_alone_that_start_and_stop_meanwhile() {
    let instance = Instance::new();
    let broken = hook("gc").on(&instance);
    assert_eq!(broken.report(), "nothing to do\n");
    std::thread::scope(|scope| {
        let tasks = scope.spawn(|| {
            for _ in 0..20 {
                let mut pause = Pause::new();
                pause.call("prestart").on(&instance).silently();
                // A veth, which stands for the ENI, dies with its namespace.
                let _namespace = File::open(format!("/proc/{}/ns/net", pause.pid()));
                pause.kill();
                pause.call("poststop").on(&instance).well();
            }
        });
        while !tasks.is_finished() {
            // It may be faster than a poststop.
            let is_expected = |line: &str| {
                line == "nothing to do" || line.contains("is home as") || line.contains("no longer")
            };
            let report = hook("gc").on(&instance).report();
            assert!(report.lines().all(is_expected), "{report}");
        }
        tasks.join().expect("started and stopped");
    });
}

/// What a start has not made yet is not broken, however long it takes. Of what a task can have, the lock on its own
/// namespace, nothing follows.
#[test]
fn gc_leaves_a_task_alone_whose_eni_another_call_has_in_hand() {
    let task = Running::new();
    let namespace = File::open(task.pause.netns().path()).expect("the namespace");
    let second = Stopped::in_custody(task.pause.call("prestart"), &task.instance);
    assert!(second.is_on_its_way);
    task.instance.netns.run(&task.line("bridge link set dev PORT isolated off"));
    assert_eq!(hook("gc").on(&task.instance).report(), "nothing to do\n");
    second.killed();
    namespace.lock().expect("the lock");
    let report = hook("gc").on(&task.instance).report();
    assert!(report.contains(&task.line("port PORT is set up again")), "{report}");
}

/// What a task makes of its own side does not keep gc from setting its port apart again.
#[test]
fn a_port_is_mended_whatever_the_task_has_made_of_its_own_side() {
    let task = Running::new();
    let own = task.line("ip addr flush dev ecs-eth0 && ip addr add IP/32 dev ecs-eth0");
    task.pause.netns().run(&own);
    task.instance.netns.run(&task.line("bridge link set dev PORT isolated off"));
    let done = hook("gc").on(&task.instance);
    assert_eq!(done.code, Some(1));
    assert!(done.stdout.contains(&task.line("port PORT is set up again")), "{}", done.stdout);
    assert!(done.stderr.contains(&task.line("has it as IP/32")), "{}", done.stderr);
}
