//! The neighbour entries of tasks that are gone.

use crate::{
    error::{Doing, Result},
    input::config::credentials::CredentialNetwork,
    kernel::{error::Answer, socket::Netlink},
    task::lease::Lease,
};
use nix::net::if_::if_nametoindex;
use std::net::IpAddr;

/// The bridge's neighbour entries whose tasks are gone, and those of a task that is taken down, of which
/// the lease and the index of its port are given. A veth is there before
/// its entry, so an entry seen now whose veth is not there afterwards is nobody's.
///
/// # Errors
/// The kernel does not tell.
pub fn of_nobody(
    instance: &Netlink,
    credentials: &CredentialNetwork,
    taken_down: Option<(Lease, u32)>,
) -> Result<Vec<(IpAddr, Lease)>> {
    let look = || -> Answer<_> {
        let bridge = instance.index(&credentials.bridge)?;
        let entries = instance.permanent_neighbours(bridge)?.into_iter();
        // One with another MAC address is somebody else's.
        let entries = entries.filter_map(|(address, mac)| {
            let lease = credentials.lease_of(address).filter(|lease| mac == Some(lease.mac()));
            Some((address, lease?))
        });
        Ok(entries.filter(|(_, lease)| !is_held(*lease, taken_down)).collect())
    };
    match look() {
        Err(error) if error.is_no_device() => Ok(Vec::new()), // no bridge yet
        found => found.doing(|| "looking for neighbour entries of tasks that are gone"),
    }
}

/// Deletes these of the bridge's neighbour entries; gives the number of those that were there. If another task takes
/// the lease of one in this very moment, that one gets the entry back.
///
/// # Errors
/// The kernel does not let us.
pub fn forget(
    instance: &Netlink,
    credentials: &CredentialNetwork,
    entries: &[(IpAddr, Lease)],
    taken_down: Option<(Lease, u32)>,
) -> Result<usize> {
    let forget = || -> Answer<usize> {
        let mut forgotten = 0;
        if entries.is_empty() {
            return Ok(forgotten);
        }
        let bridge = instance.index(&credentials.bridge)?;
        for (address, lease) in entries {
            match instance.delete_neighbour(bridge, *address) {
                Ok(()) => forgotten += 1,
                // Its own poststop was faster.
                Err(error) if error.is_absent() => {}
                Err(error) => return Err(error),
            }
            if is_held(*lease, taken_down) {
                instance.add_neighbour(bridge, *address, lease.mac(), true)?;
            }
        }
        Ok(forgotten)
    };
    match forget() {
        Err(error) if error.is_no_device() => Ok(0), // no bridge any more
        forgotten => forgotten.doing(|| "deleting the neighbour entries of tasks that are gone"),
    }
}

/// Whether a task has the lease: not the one that is taken down, of whose port the index is known.
fn is_held(lease: Lease, taken_down: Option<(Lease, u32)>) -> bool {
    let port = if_nametoindex(lease.link_name().as_str()).ok();
    port.is_some_and(|index| taken_down != Some((lease, index)))
}
