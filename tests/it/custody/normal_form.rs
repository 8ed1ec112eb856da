//! What a task sets on its ENI is not there for the next one.

use super::{EVERY_END, End, First, Handover, after_each};
use crate::fixtures::{ENI_MAC, xdp};

/// By `poststop`; by `gc`; and by the next `prestart`, where nobody has called either.
const ENDS: [End; 3] = [End::Poststop, End::Home(First::Gc), End::Home(First::Next)];

/// The hostile task runs this.
#[track_caller]
fn after(line: &str) {
    after_each(&ENDS, |handover| drop(handover.hostile.does(line)));
}

/// Shows that all this finds nothing where there was no attack.
#[test]
fn nothing_done() {
    after_each(&ENDS, |_| ());
    after_each(&[End::Survived(First::Poststop), End::Home(First::Poststop)], |_| ());
}

#[test]
fn arp_off() {
    after("ip link set eth0 arp off");
}

#[test]
fn mode_dormant() {
    after("ip link set eth0 mode dormant");
}

#[test]
fn a_broadcast_address() {
    after("ip link set eth0 broadcast 02:00:00:00:00:99");
}

#[test]
fn promiscuous() {
    after("ip link set eth0 promisc on");
}

#[test]
fn all_multicast() {
    after("ip link set eth0 allmulticast on");
}

#[test]
fn multicast_off() {
    after("ip link set eth0 multicast off");
}

#[test]
fn a_queue_length() {
    after("ip link set eth0 txqueuelen 1");
}

#[test]
fn a_group() {
    after("ip link set eth0 group 77");
}

#[test]
fn sizes_of_segments() {
    after("ip link set eth0 gso_max_size 1000 gso_max_segs 1 gro_max_size 1000");
}

#[test]
fn flags_without_a_meaning() {
    after("ip link set eth0 dynamic on trailers off");
}

#[test]
fn generation_of_addresses() {
    after("ip link set eth0 addrgenmode none");
}

#[test]
fn offloads() {
    after("ethtool -K eth0 tx off rx off sg off tso off gso off gro off rxvlan off txvlan off");
}

#[test]
fn queues() {
    after("ethtool -L eth0 rx 1 tx 1");
}

#[test]
#[ignore = "needs real root: loads a BPF program"]
fn a_program_that_drops_every_frame() {
    after_each(&ENDS, |handover| xdp::drop_all(&handover.hostile.netns(), "eth0"));
}

#[test]
fn everything_at_once() {
    after_each(&EVERY_END, |handover| {
        handover.hostile.does(
            "ip link set eth0 arp off promisc on allmulticast on multicast off txqueuelen 1 group 77
             ip link set eth0 gso_max_size 1000 gso_max_segs 1 gro_max_size 1000
             ip link set eth0 mode dormant addrgenmode none mtu 1280
             ip link set eth0 broadcast 02:00:00:00:00:99
             ip link property add dev eth0 altname ens5 altname ecs-bridge
             ethtool -K eth0 tx off rx off sg off tso off gso off gro off
             ip link set eth0 down
             ip link set eth0 address 02:66:66:66:66:66 alias ''
             ip link set eth0 up",
        );
    });
}

/// Then nothing but the label on the ENI tells what they were.
#[test]
fn offloads_without_a_record() {
    for first in [First::Next, First::Gc] {
        let handover = Handover::new();
        handover.hostile.does("ethtool -K eth0 tx off sg off tso off gso off gro off");
        let element = format!("inet oci_awsvpc_tasks tasks {{ {ENI_MAC} }}");
        handover.instance.netns.run(&format!("nft delete element {element}"));
        handover.hand_over(End::Home(first));
    }
}
