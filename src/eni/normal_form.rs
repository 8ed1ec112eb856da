//! The one normal form of an ENI: put on before it goes into a task, and when it comes home.

use crate::{
    kernel::{error::Answer, ethtool::Ethtool, offloads, rings, socket::Netlink},
    net::{form::Form, offloads::Offloads, rings::Rings},
};

/// Gives a link its normal form, as far as it has another one, and takes its alternative names away.
pub fn put_on(
    netlink: &Netlink,
    index: u32,
    form: &Form,
    alternative_names: &[String],
) -> Answer<()> {
    if !alternative_names.is_empty() {
        netlink.delete_alternative_names(index, alternative_names)?;
    }
    if form.oddities().is_empty() {
        return Ok(());
    }
    netlink.set_form(index, form, &form.normal())
}

/// Gives a link of this thread's own namespace the offloads that it had before, as far as others are wanted
/// now: what its driver would have it do by default, nobody tells. Gives those that stay as they are.
pub fn put_offloads_back(index: u32, before: Offloads) -> Answer<Offloads> {
    let ethtool = Ethtool::here()?;
    let differing = offloads::features(&ethtool, index)?.differing_from(before);
    if differing == Offloads(0) {
        return Ok(differing);
    }
    offloads::want(&ethtool, index, before, differing)?;
    offloads::features(&ethtool, index).map(|features| features.differing_from(before))
}

/// Gives a link of this thread's own namespace rings of the sizes that they had before, if it has rings.
pub fn put_rings_back(index: u32, before: Rings) -> Answer<()> {
    let ethtool = Ethtool::here()?;
    match rings::of(&ethtool, index)? {
        Some(now) if now != before => rings::set(&ethtool, index, before),
        _ => Ok(()),
    }
}
