//! At the instance's metadata service, which gives out the instance's own credentials.

use super::{
    arena::{Arena, BRIDGE, GATEWAY},
    not_stopped_by_flags, try_all,
};
use crate::fixtures::{Frame, Server, link_local};

const METADATA: &str = "169.254.169.254";

/// The service, behind the instance's own interface; the instance is a router that hides whom it
/// routes for, as with Docker on it.
fn served(arena: &Arena) {
    arena.forward();
    arena.instance.router.ip("addr replace 169.254.169.254/32 dev lo");
    arena.instance.router.ip("-6 addr replace fd00:ec2::254/128 dev lo");
    arena.instance.router.ip("-6 addr replace fd00:9::1/64 dev own nodad");
    arena.instance.netns.ip("-6 addr replace fd00:9::2/64 dev eth0 nodad");
    arena.instance.netns.ip("-6 route replace fd00:ec2::254 via fd00:9::1");
    arena.instance.netns.run(
        "nft -f - <<.\n\
         add table inet docker\n\
         delete table inet docker\n\
         table inet docker {\n\
            chain postrouting {\n\
                type nat hook postrouting priority 100;\n\
                oifname eth0 masquerade\n\
            }\n\
         }\n.",
    );
}

/// As the credential proxies do that kube2iam and others are: answered on the instance itself.
fn proxied(arena: &Arena) {
    arena.instance.netns.run(
        "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet && nft -f - <<.\n\
         add table ip proxy\n\
         delete table ip proxy\n\
         table ip proxy {\n\
            chain prerouting {\n\
                type nat hook prerouting priority -110;\n\
                ip daddr 169.254.169.254 tcp dport 80 dnat to 127.0.0.1:8181\n\
            }\n\
         }\n.",
    );
}

/// A opens the way that the hook closed, and asks.
fn asks(arena: &Arena, server: &Server) -> bool {
    let task = &arena.a.netns;
    task.run("nft flush ruleset");
    task.ip("route del blackhole 169.254.169.254");
    task.ip(&format!("route add {METADATA} via {GATEWAY} dev ecs-eth0"));
    let answered = arena.soon(|| server.ask_from(task).is_some());
    task.ip(&format!("route del {METADATA}"));
    task.ip("route add blackhole 169.254.169.254");
    answered
}

fn through_the_instance(arena: &Arena) -> bool {
    asks(arena, &Server::start(&arena.instance.router, "169.254.169.254:80", "metadata"))
}

fn from_a_proxy(arena: &Arena) -> bool {
    let proxy = Server::start(&arena.instance.netns, "127.0.0.1:8181", "metadata");
    asks(arena, &proxy.at("169.254.169.254:80"))
}

fn by_a_raw_frame(arena: &Arena) -> bool {
    let metadata = METADATA.parse().expect("an address");
    let _server = Server::start(&arena.instance.router, "169.254.169.254:80", "metadata");
    let frame = Frame::syn(arena.a.ip, 4711, metadata, 80, "").between(arena.a.mac, BRIDGE);
    arena.a.wire.send(&frame);
    // Which is its answer: to this port, SYN and ACK.
    arena
        .a
        .wire
        .sees(arena.patience, |frame| frame[26..30] == metadata.octets() && frame[47] == 0x12)
}

fn over_ipv6(arena: &Arena) -> bool {
    let server = Server::start(&arena.instance.router, "[fd00:ec2::254]:80", "metadata");
    let (task, gateway) = (&arena.a.netns, link_local(&arena.instance.netns, "ecs-bridge"));
    task.ip("-6 addr replace fd00:66::2/64 dev ecs-eth0 nodad");
    arena.instance.netns.ip("-6 route replace fd00:66::/64 dev ecs-bridge");
    task.run("nft flush ruleset");
    task.ip("-6 route del blackhole fd00:ec2::254");
    task.ip(&format!("-6 route add fd00:ec2::254 via {gateway} dev ecs-eth0"));
    let answered = arena.soon(|| server.ask_from(task).is_some());
    task.ip("-6 route del fd00:ec2::254");
    task.ip("-6 route add blackhole fd00:ec2::254");
    arena.instance.netns.ip("-6 route del fd00:66::/64");
    answered
}

#[test]
fn no_way_over_the_bridge_leads_to_the_metadata_service() {
    try_all(
        &[
            not_stopped_by_flags("metadata through the instance", through_the_instance)
                .staged(served),
            not_stopped_by_flags("metadata through the instance, by raw frames", by_a_raw_frame)
                .staged(served),
            not_stopped_by_flags("metadata through the instance over IPv6", over_ipv6)
                .staged(served),
            not_stopped_by_flags("metadata from a proxy", from_a_proxy).staged(proxied),
        ],
        "",
    );
}
