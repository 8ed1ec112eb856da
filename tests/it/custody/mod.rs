//! An ENI that changes hands. Between `prestart` and `poststop` it is in hands that are not trusted, and
//! then it goes into the next ones: what a task can write decides nothing, and harms nobody.
//!
//! The attacker is root in a user namespace of its own. Here the ENI is a veth whose other end is at the
//! router, and "the kernel sends it home" is staged; `tests/vm/guest/custody.sh` has real interfaces.

mod anything;
mod handover;
mod hidden;
mod names;
mod normal_form;
mod races;
mod records;
mod release;
mod stacked;
mod strangers;
mod uplink;

use handover::{
    EVERY_END, End, First, Handover, NEIGHBOUR_MAC, after_each, refused, refused_without_a_trace,
};
