//! The order of an ENI's addresses, which decides on the source of new connections.

use crate::{
    plan::{carry_out, planned},
    scenario::{Scenario, scenario},
};
use proptest::{prelude::*, sample::Index};

proptest! {
    #[test]
    fn the_first_ipv6_address_is_the_source_whatever_became_of_the_others(
        scenario in scenario(),
        lost: u8,
        turned: Index,
    ) {
        let Scenario { task, mut world, .. } = scenario.clone();
        prop_assume!(!task.stay_down && task.has_ipv6());
        let steps = planned(&scenario, &world)?.steps;
        carry_out(&mut world, &steps)?;
        let own = &mut world.task.get(task.interface.as_str()).expect("the ENI").addresses;
        let wanted = own.clone();
        let v6 = own.iter().filter(|(address, _)| address.is_ipv6()).count();
        own[..v6].rotate_left(turned.index(v6));
        let mut place = 0;
        own.retain(|(address, _)| {
            place += 1;
            address.is_ipv4() || lost & (1 << (place - 1)) == 0
        });
        let steps = planned(&scenario, &world)?.steps;
        carry_out(&mut world, &steps)?;
        prop_assert_eq!(&world.task.devices[task.interface.as_str()].addresses, &wanted);
        let again = planned(&scenario, &world)?.steps;
        prop_assert!(carry_out(&mut world, &again)?.is_empty());
    }
}
