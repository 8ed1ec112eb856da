//! An instance with two tasks on it, of which one is hostile, and all that it could want to reach.

use crate::fixtures::{ENI_MAC, Instance, Mac, Netns, Pause, Server, Wire, eventually, mac};
use std::{
    net::{Ipv4Addr, ToSocketAddrs, UdpSocket},
    time::{Duration, Instant},
};

/// The instance's own address, in the VPC.
pub const INSTANCE: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 2);
/// The router of the VPC, as the instance sees it.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 1);
/// The bridge's own address.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 172, 1);
/// The bridge's own MAC address.
pub const BRIDGE: Mac = [0x0a, 0x58, 169, 254, 172, 1];
/// Where tasks find their credentials.
pub const ENDPOINT: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// Where every host of the arena takes UDP datagrams.
pub const UDP_PORT: u16 = 7777;

/// What stands in the attacker's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defence {
    /// Nothing: a flat bridge and the redirect, as the peers have it.
    None,
    /// The flags of the bridge's ports, and no rules.
    FlagsOnly,
    /// What the hook makes without a configuration.
    Default,
    /// The same on a kernel that has no locked ports (Amazon Linux 2 runs 5.10) and, to go further,
    /// as if ports learned.
    NoLocks,
}

/// A task of the arena.
pub struct Task {
    pub netns: Netns,
    /// Its address on the bridge.
    pub ip: Ipv4Addr,
    /// The MAC address that goes with it.
    pub mac: Mac,
    /// Its interface to the bridge, from below.
    pub wire: Wire,
    /// Its port on the bridge.
    pub port: String,
    _pause: Pause,
}

/// The whole of it.
pub struct Arena {
    pub instance: Instance,
    /// The attacker.
    pub a: Task,
    /// The task that is attacked.
    pub b: Task,
    /// The bridge itself, as the instance sees it.
    pub bridge: Wire,
    /// How long to wait for an attack's success.
    pub patience: Duration,
    agent: Server,
    vpc: [Server; 2],
    names: Echo,
    // What listens on the instance; the introspection server is the ECS agent's.
    _services: [Server; 2],
    _folder: tempfile::TempDir,
}

/// The rules of ecs-init, which tasks need where the hook's own are switched off.
/// <https://github.com/aws/amazon-ecs-agent/blob/master/ecs-init/exec/iptables/iptables.go>
const PEERS_RULES: &str = "nft -f - <<.\n\
    table ip peers {\n\
        chain prerouting {\n\
            type nat hook prerouting priority -100;\n\
            ip daddr 169.254.170.2 tcp dport 80 dnat to 127.0.0.1:51679\n\
        }\n\
    }\n.\n\
    echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet";

impl Defence {
    fn config(self, more: &str) -> String {
        let isolation = self != Self::None;
        let rules = matches!(self, Self::Default | Self::NoLocks);
        let credentials = format!("[credentials]\nisolation = {isolation}\n{more}\n");
        if rules {
            return format!("[credentials]\n{more}\n");
        }
        credentials + "[host]\nredirect = false\nfilter = false\nsource-checks = false\n"
    }
}

impl Arena {
    /// An instance with both tasks, whose every service works.
    pub fn new(defence: Defence, more: &str, patience: Duration) -> Self {
        let (instance, folder) = (Instance::new(), tempfile::tempdir().expect("a folder"));
        instance.attach("eth2", "02:5a:a1:1a:43:43", "eni2");
        instance.router.ip("addr add 10.0.1.1/24 dev eni2");
        if matches!(defence, Defence::None | Defence::FlagsOnly) {
            instance.netns.run(PEERS_RULES);
        }
        let config = defence.config(more);
        let start = |eni: &str, subnet: &str| {
            let pause = Pause::new();
            let before = instance.ports();
            pause
                .call("prestart")
                .config(&folder, &config)
                .eni("mac-address", eni)
                .eni("ipv4-addresses", format!("{subnet}.5"))
                .eni("subnet-gateway-ipv4-address", format!("{subnet}.1/24"))
                .on(&instance)
                .silently();
            let mut ports = instance.ports().into_iter();
            Task::of(pause, ports.find(|port| !before.contains(port)).expect("its port"))
        };
        let (a, b) = (start(ENI_MAC, "10.0.0"), start("02:5a:a1:1a:43:43", "10.0.1"));
        if defence == Defence::NoLocks {
            for port in [&a.port, &b.port] {
                instance.netns.run(&format!("bridge link set dev {port} locked off learning on"));
            }
        }
        let host = &instance.netns;
        let arena = Self {
            agent: Server::agent(host, "credentials"),
            vpc: ["10.0.0.1:80", "10.0.1.1:80"]
                .map(|at| Server::start(&instance.router, at, "vpc")),
            names: Echo::start(&instance.router),
            _services: ["0.0.0.0:22", "[::]:51678"].map(|at| Server::start(host, at, "service")),
            bridge: Wire::open(host, "ecs-bridge"),
            a,
            b,
            instance,
            patience,
            _folder: folder,
        };
        // The router's end of an ENI may be late.
        eventually("all works", || arena.failing().is_empty());
        arena
    }

    /// Asserts that both tasks get their credentials and reach the VPC, by TCP and by UDP.
    #[track_caller]
    pub fn assert_all_works(&self, after: &str) {
        assert_eq!(self.failing(), Vec::<&str>::new(), "after {after}");
    }

    fn failing(&self) -> Vec<&'static str> {
        let tasks = [(&self.a, &self.vpc[0]), (&self.b, &self.vpc[1])];
        let failing = tasks.into_iter().flat_map(|(task, vpc)| {
            let credentials = self.credentials_of(task).as_deref() == Some("credentials");
            let tcp = vpc.ask_from(&task.netns).as_deref() == Some("vpc");
            let udp = self.names.answers(&task.netns);
            [(credentials, "credentials"), (tcp, "TCP to the VPC"), (udp, "names by UDP")]
        });
        failing.filter(|(works, _)| !works).map(|(_, what)| what).collect()
    }

    /// What a task gets when it asks for its credentials.
    pub fn credentials_of(&self, task: &Task) -> Option<String> {
        self.agent.ask_from(&task.netns)
    }

    /// The state that a hostile task would like to change: who is where on the bridge, and whom the
    /// tasks and the instance take for whom.
    pub fn what_attacks_change(&self) -> String {
        let host = &self.instance.netns;
        let neighbours = |netns: &Netns, link: &str| {
            ["-4", "-6"].map(|family| netns.ip(&format!("{family} neigh show dev {link}"))).concat()
        };
        // Of the forwarding database, which MAC address is where; the rest is age.
        let database: String =
            host.run("bridge fdb show br ecs-bridge | grep master | sed 's/ used .*//' | sort");
        let routes =
            ["-4", "-6"].map(|family| host.ip(&format!("{family} route show dev ecs-bridge")));
        [
            neighbours(host, "ecs-bridge"),
            neighbours(host, &self.a.port),
            neighbours(host, &self.b.port),
            neighbours(&self.b.netns, "ecs-eth0"),
            database,
            routes.concat(),
        ]
        .join("---\n")
    }

    /// Waits, for as long as an attack is waited for, until something is so.
    pub fn soon(&self, is_so: impl Fn() -> bool) -> bool {
        let until = Instant::now() + self.patience;
        loop {
            if is_so() {
                return true;
            }
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Somebody in a namespace of the arena who takes UDP datagrams.
    pub fn ear(&self, netns: &Netns) -> Ear {
        Ear { socket: bound(netns, ("::", UDP_PORT)), patience: self.patience }
    }

    /// The instance asks somebody in the VPC by UDP, who hears it and is silent. Gives its socket, which
    /// waits as long as for an attack's success, and its port.
    pub fn conversation(&self, with: Ipv4Addr, port: u16) -> (UdpSocket, u16) {
        let silent = bound(&self.instance.router, (with, port));
        let asking = bound(&self.instance.netns, (INSTANCE, 0));
        asking.connect((with, port)).expect("connected");
        asking.send(b"who?").expect("sent");
        silent.recv(&mut [0; 8]).expect("heard");
        asking.set_read_timeout(Some(self.patience)).expect("set");
        let own = asking.local_addr().expect("bound").port();
        (asking, own)
    }

    /// Makes the instance a router, as Docker does.
    pub fn forward(&self) {
        self.instance.netns.run(
            "echo 1 >/proc/sys/net/ipv4/ip_forward && \
             echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
        );
    }
}

impl Task {
    fn of(pause: Pause, port: String) -> Self {
        let netns = pause.netns();
        let link = netns.link("ecs-eth0").expect("the credential interface");
        let mut addresses = link["addr_info"].as_array().expect("a list").iter();
        let ip = addresses.find(|address| address["family"] == "inet").expect("an address");
        Self {
            ip: ip["local"].as_str().expect("text").parse().expect("an address"),
            mac: mac(link["address"].as_str().expect("text")),
            wire: Wire::open(&netns, "ecs-eth0"),
            netns,
            port,
            _pause: pause,
        }
    }
}

/// A UDP socket in a namespace. The one that had the address before may live on for an instant, in a
/// process that another test is about to start.
fn bound(netns: &Netns, at: impl ToSocketAddrs + Copy + Sync) -> UdpSocket {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match netns.within(|| UdpSocket::bind(at)) {
            Err(error) if Instant::now() > until => panic!("binding: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
            Ok(socket) => return socket,
        }
    }
}

/// A UDP socket.
pub struct Ear {
    socket: UdpSocket,
    patience: Duration,
}

impl Ear {
    /// Whether somebody says this, in time.
    pub fn hears(&self, says: &str) -> bool {
        self.socket.set_read_timeout(Some(self.patience)).expect("set");
        let mut datagram = [0; 1500];
        while let Ok(length) = self.socket.recv(&mut datagram) {
            if &datagram[..length] == says.as_bytes() {
                return true;
            }
        }
        false
    }
}

/// Answers UDP datagrams with what they say, as a name server would with more.
struct Echo(UdpSocket);

impl Echo {
    /// One in a namespace that is reached at 10.0.0.1.
    fn start(netns: &Netns) -> Self {
        let socket = netns.within(|| UdpSocket::bind("10.0.0.1:53")).expect("bound");
        let ours = socket.try_clone().expect("a descriptor");
        std::thread::spawn(move || {
            let mut question = [0; 512];
            // An empty datagram ends it.
            while let Ok((1.., from)) = ours.recv_from(&mut question) {
                ours.send_to(&question, from).ok();
            }
        });
        Self(socket)
    }

    /// Whether a client in a namespace gets an answer.
    fn answers(&self, netns: &Netns) -> bool {
        let socket = netns.within(|| UdpSocket::bind("0.0.0.0:0")).expect("bound");
        let server = self.0.local_addr().expect("bound");
        socket.set_read_timeout(Some(Duration::from_secs(1))).expect("set");
        socket.send_to(b"who?", server).is_ok() && socket.recv(&mut [0; 512]).is_ok()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let end = || self.0.send_to(&[], self.0.local_addr()?);
        end().ok();
    }
}
