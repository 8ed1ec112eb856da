//! At the metadata service again, this time by the task's own ENI: where nothing of the instance is in the way.
//!
//! Each way is shown to lead there where the task may reach it; and to lead nowhere by default, with the routes that
//! lead nowhere and without them, which root of the task can delete, or have somebody delete.

mod frames;
mod life;
mod sockets;

use super::{LATE, SOON};
use crate::fixtures::{Call, Frame, Instance, Netns, Pause, Server, Wire, mac};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const METADATA6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
/// The task's own addresses, and its routers'.
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const OWN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const ROUTER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    /// Nothing.
    Off,
    /// What the hook makes by default.
    Default,
    /// The rules alone.
    WithoutRoutes,
}

/// A task with an ENI of both families, and the metadata service where it is.
struct Subnet {
    instance: Instance,
    pause: Pause,
    task: Netns,
    /// What leaves the task by the ENI.
    wire: Wire,
    _servers: [Server; 2],
    folder: tempfile::TempDir,
}

impl Subnet {
    fn new(block: Block) -> Self {
        let (instance, pause) = (Instance::new(), Pause::new());
        let router = &instance.router;
        router.ip("addr add 169.254.169.254/32 dev lo");
        router.ip("-6 addr add fd00:ec2::254/128 dev lo nodad");
        let servers = ["169.254.169.254:80", "[fd00:ec2::254]:80"];
        let subnet = Self {
            _servers: servers.map(|at| Server::start(router, at, "metadata")),
            wire: Wire::open(router, "eni"),
            task: pause.netns(),
            folder: tempfile::tempdir().expect("a folder"),
            instance,
            pause,
        };
        let call = subnet.call("prestart");
        match block {
            Block::Off => call.eni("block-instance-metadata", "false"),
            _ => call,
        }
        .on(&subnet.instance)
        .silently();
        if block == Block::WithoutRoutes {
            subnet.task.ip("route del blackhole 169.254.169.254");
            subnet.task.ip("-6 route del blackhole fd00:ec2::254");
        }
        // Where the group of nobody is none, root's.
        let path = "/proc/sys/net/ipv4/ping_group_range";
        subnet.task.run(&format!("echo 0 2147483647 >{path} || echo 0 0 >{path}"));
        subnet
    }

    fn call(&self, stage: &str) -> Call {
        self.pause
            .call(stage)
            .eni("ipv6-addresses", "2001:db8::5")
            .eni("subnet-gateway-ipv6-address", "2001:db8::1")
    }

    /// The index of the ENI in the task.
    fn index(&self) -> u32 {
        let link = self.task.link("eth0").expect("the ENI");
        u32::try_from(link["ifindex"].as_u64().expect("a number")).expect("small")
    }

    /// Whether a packet to the metadata service leaves the task, in time.
    fn sees_a_packet(&self, patience: Duration) -> bool {
        self.wire.sees(patience, |frame| {
            let to = |bytes: &[u8], at: usize| frame.get(at..at + bytes.len()) == Some(bytes);
            to(&[8, 0], 12) && to(&METADATA.octets(), 30)
                || to(&[0x86, 0xdd], 12) && to(&METADATA6.octets(), 38)
        })
    }

    /// Sends frames from the task's ENI to the router.
    fn between(&self, frame: Frame) -> Frame {
        let of = |netns: &Netns, name: &str| {
            mac(netns.link(name).expect(name)["address"].as_str().expect("text"))
        };
        frame.between(of(&self.task, "eth0"), of(&self.instance.router, "eni"))
    }
}
