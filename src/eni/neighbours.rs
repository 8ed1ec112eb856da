//! The neighbour entries of tasks that are gone.

use crate::{
    error::{Doing, Result},
    input::config::credentials::CredentialNetwork,
    kernel::{error::Answer, socket::Netlink},
    task::lease::Lease,
};
use nix::net::if_::if_nametoindex;

/// Deletes the bridge's neighbour entries whose tasks are gone; gives their number. A veth is
/// there before its entry, so an entry seen now whose veth is not there afterwards is nobody's;
/// if another task takes its lease in this very moment, that one gets the entry back.
pub fn forget(instance: &Netlink, credentials: &CredentialNetwork) -> Result<usize> {
    match try_forget(instance, credentials) {
        Err(error) if error.is_no_device() => Ok(0), // no bridge yet
        forgotten => forgotten.doing(|| "deleting the neighbour entries of tasks that are gone"),
    }
}

/// Deletes the bridge's neighbour entries of a task that is taken down.
pub fn forget_lease(
    instance: &Netlink,
    credentials: &CredentialNetwork,
    lease: Lease,
) -> Result<()> {
    match try_forget_lease(instance, credentials, lease) {
        Err(error) if error.is_no_device() => Ok(()), // no bridge any more
        forgotten => forgotten.doing(|| format!("deleting the neighbour entries of {lease}")),
    }
}

fn try_forget_lease(
    instance: &Netlink,
    credentials: &CredentialNetwork,
    lease: Lease,
) -> Answer<()> {
    let bridge = instance.index(&credentials.bridge)?;
    for (address, mac) in instance.permanent_neighbours(bridge)? {
        if credentials.lease_of(address) != Some(lease) || mac != Some(lease.mac()) {
            continue;
        }
        match instance.delete_neighbour(bridge, address) {
            Err(error) if !error.is_absent() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn try_forget(instance: &Netlink, credentials: &CredentialNetwork) -> Answer<usize> {
    let bridge = instance.index(&credentials.bridge)?;
    let mut forgotten = 0;
    for (address, mac) in instance.permanent_neighbours(bridge)? {
        // One with another MAC address is somebody else's.
        let lease = credentials.lease_of(address).filter(|lease| mac == Some(lease.mac()));
        let Some(lease) = lease else { continue };
        let is_held = || if_nametoindex(lease.link_name().as_str()).is_ok();
        if is_held() {
            continue;
        }
        match instance.delete_neighbour(bridge, address) {
            Err(error) if !error.is_absent() => return Err(error),
            _ => forgotten += 1,
        }
        if is_held() {
            instance.add_neighbour(bridge, address, lease.mac(), true)?;
        }
    }
    Ok(forgotten)
}
