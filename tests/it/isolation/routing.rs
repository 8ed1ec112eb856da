//! Through the instance, where it is a router: as it is with Docker on it.

use super::{
    arena::{Arena, BRIDGE, GATEWAY, ROUTER, UDP_PORT},
    not_stopped_by_flags, try_all,
};
use crate::fixtures::{Frame, Server};

fn forwarding(arena: &Arena) {
    arena.forward();
}

fn to_the_vpc(arena: &Arena) -> bool {
    let ear = arena.ear(&arena.instance.router);
    let frame = Frame::udp(arena.a.ip, ROUTER, UDP_PORT, "through the instance");
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    ear.hears("through the instance")
}

/// Routed, so that it leaves by the instance and not by a port that is kept apart from B's.
fn hairpin(arena: &Arena) -> bool {
    let ear = arena.ear(&arena.b.netns);
    let frame = Frame::udp(arena.a.ip, arena.b.ip, UDP_PORT, "by hairpin");
    arena.a.wire.send(&frame.between(arena.a.mac, BRIDGE));
    ear.hears("by hairpin")
}

/// From the VPC, somebody routes what is for tasks to the instance.
fn from_the_vpc(arena: &Arena) -> bool {
    arena.instance.router.ip("route replace 169.254.172.0/22 via 10.0.9.2");
    let frame = Frame::udp(ROUTER, arena.b.ip, UDP_PORT, "from the VPC");
    let own = arena.instance.router.link("own").expect("its interface");
    let from = crate::fixtures::mac(own["address"].as_str().expect("text"));
    let wire = crate::fixtures::Wire::open(&arena.instance.router, "own");
    let ear = arena.ear(&arena.b.netns);
    wire.send(&frame.between(from, [2, 0, 0, 0, 0, 1]));
    ear.hears("from the VPC")
}

/// As Docker publishes a container's port: on every address of the instance, whoever asks.
fn published(arena: &Arena) {
    arena.forward();
    arena.instance.netns.run(
        "nft -f - <<.\n\
         add table ip docker\n\
         delete table ip docker\n\
         table ip docker {\n\
            chain prerouting {\n\
                type nat hook prerouting priority -100;\n\
                fib daddr type local tcp dport 8080 dnat to 10.0.9.1:8081\n\
            }\n\
            chain postrouting {\n\
                type nat hook postrouting priority 100;\n\
                oifname eth0 masquerade\n\
            }\n\
         }\n.",
    );
}

fn to_a_published_port(arena: &Arena) -> bool {
    let container = Server::start(&arena.instance.router, &format!("{ROUTER}:8081"), "a container");
    let published = container.at(&format!("{GATEWAY}:8080"));
    arena.soon(|| published.ask_from(&arena.a.netns).is_some())
}

/// Loose source routing (RFC 791): to the instance, and from there to B.
fn source_routed(arena: &Arena) -> bool {
    let ear = arena.ear(&arena.b.netns);
    let frame = Frame::udp(arena.a.ip, arena.b.ip, UDP_PORT, "by source route");
    let frame = frame.source_routed(GATEWAY).between(arena.a.mac, BRIDGE);
    arena.a.wire.send(&frame);
    ear.hears("by source route")
}

fn forwarding_source_routes(arena: &Arena) {
    arena.forward();
    let accept = "for c in /proc/sys/net/ipv4/conf/*/accept_source_route; do echo 1 >$c; done";
    arena.instance.netns.run(accept);
    arena.b.netns.run(accept);
}

#[test]
fn the_instance_is_no_router_for_tasks() {
    try_all(
        &[
            not_stopped_by_flags("through the instance to the VPC", to_the_vpc).staged(forwarding),
            not_stopped_by_flags("through the instance to B", hairpin).staged(forwarding),
            not_stopped_by_flags("through the instance to B by source route", source_routed)
                .staged(forwarding_source_routes),
            not_stopped_by_flags("to a port that Docker publishes", to_a_published_port)
                .staged(published),
            not_stopped_by_flags("from the VPC through the instance to B", from_the_vpc)
                .staged(forwarding),
        ],
        "",
    );
}
