//! Which addresses are handed out, and what follows from them.

use crate::strategies::{id, subnet};
use oci_awsvpc_hook::testing::Lease;
use proptest::prelude::*;
use std::collections::BTreeSet;

proptest! {
    #[test]
    fn nobody_gets_an_address_that_is_taken(
        (subnet, gateway) in subnet(any::<u32>(), 8..=30),
        id in id(),
    ) {
        // Of a /8, as many as there can be ports on a bridge.
        let got: Vec<Lease> = Lease::candidates(subnet, gateway, &id).take(1024).collect();
        for lease in &got {
            let address = lease.address();
            prop_assert!(subnet.contains(address), "{address}");
            prop_assert!(![subnet.network(), subnet.broadcast(), gateway].contains(&address));
        }
        prop_assert_eq!(got.iter().collect::<BTreeSet<_>>().len(), got.len(), "one comes twice");
        let others = (1_usize << (32 - subnet.prefix())) - 3;
        prop_assert_eq!(got.len(), others.min(1024));
    }

    #[test]
    fn everybody_else_gets_one(
        (subnet, gateway) in subnet(any::<u32>(), 20..=30),
        id in id(),
    ) {
        let got: BTreeSet<Lease> = Lease::candidates(subnet, gateway, &id).collect();
        let taken = [subnet.network(), subnet.broadcast(), gateway];
        let free = subnet.iter().filter(|address| !taken.contains(address)).map(Lease::on);
        prop_assert_eq!(got, free.collect());
    }

    #[test]
    fn the_order_depends_on_nothing_but_the_id(
        (subnet, gateway) in subnet(any::<u32>(), 8..=30),
        id in id(),
    ) {
        let once = Lease::candidates(subnet, gateway, &id).take(64);
        prop_assert!(once.eq(Lease::candidates(subnet, gateway, &id).take(64)));
    }

    #[test]
    fn the_name_is_the_lease(address in any::<u32>()) {
        let lease = Lease::on(address.into());
        prop_assert_eq!(Lease::of_link(lease.link_name().as_str()), Some(lease));
    }

    #[test]
    fn no_other_name_is(name in "(ecs)?[0-9a-fA-F+-]{0,9}|\\PC{0,15}") {
        if let Some(lease) = Lease::of_link(&name) {
            prop_assert_eq!(lease.link_name().to_string(), name);
        }
    }

    #[test]
    fn the_mac_address_is_local_and_one_interfaces(address in any::<u32>()) {
        let bytes = Lease::on(address.into()).mac().bytes();
        prop_assert_eq!(bytes[0] & 0b11, 0b10, "locally administered, unicast");
        prop_assert_eq!(&bytes[2..], address.to_be_bytes());
    }
}
