//! The neighbour entries of tasks that are gone.

use crate::{
    error::{Doing, Result},
    input::config::credentials::CredentialNetwork,
    kernel::{error::Answer, socket::Netlink},
    task::lease::Lease,
};
use nix::net::if_::if_nametoindex;

/// Deletes the bridge's neighbour entries whose tasks are gone, and those of a task that is taken down; gives
/// their number. A veth is there before its entry, so an entry seen now whose veth is not there afterwards is
/// nobody's; if another task takes its lease in this very moment, that one gets the entry back.
pub fn forget(
    instance: &Netlink,
    credentials: &CredentialNetwork,
    taken_down: Option<Lease>,
) -> Result<usize> {
    match try_forget(instance, credentials, taken_down) {
        Err(error) if error.is_no_device() => Ok(0), // no bridge yet
        forgotten => forgotten.doing(|| "deleting the neighbour entries of tasks that are gone"),
    }
}

fn try_forget(
    instance: &Netlink,
    credentials: &CredentialNetwork,
    taken_down: Option<Lease>,
) -> Answer<usize> {
    let bridge = instance.index(&credentials.bridge)?;
    let mut forgotten = 0;
    for (address, mac) in instance.permanent_neighbours(bridge)? {
        // One with another MAC address is somebody else's.
        let lease = credentials.lease_of(address).filter(|lease| mac == Some(lease.mac()));
        let Some(lease) = lease else { continue };
        let is_held =
            || taken_down != Some(lease) && if_nametoindex(lease.link_name().as_str()).is_ok();
        if is_held() {
            continue;
        }
        match instance.delete_neighbour(bridge, address) {
            Ok(()) => forgotten += 1,
            // Its own poststop was faster.
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error),
        }
        if is_held() {
            instance.add_neighbour(bridge, address, lease.mac(), true)?;
        }
    }
    Ok(forgotten)
}
