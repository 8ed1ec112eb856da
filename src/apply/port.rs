//! The bridge, and the task's port on it.

use crate::{
    apply::{
        attempt::Attempt,
        outcome::{Applied, ensured, gone, outcome_of},
    },
    error::{Error, KernelError, Result, refuse},
    kernel::link::{PortFlags, Veth},
    net::{mac::Mac, name::InterfaceName, side::Side},
    task::{CREDENTIAL_INDEX, label::Label, lease::Lease},
};
use nix::errno::Errno;
use std::hash::{BuildHasher, RandomState};

/// The bridge, made by us or, in the same moment, by another hook.
pub fn ensure_bridge(
    attempt: &Attempt<'_>,
    name: &InterfaceName,
    mac: Mac,
    mtu: u32,
) -> Result<Applied> {
    let added = attempt.instance().add_bridge(name, mac, mtu);
    if added.as_ref().is_err_and(KernelError::is_exists) {
        let link = attempt.instance().link(name)?;
        if let Some(link) = link.filter(|link| link.kind.as_deref() != Some("bridge")) {
            return refuse(format!("{name} is {} already, which is no bridge", link.name));
        }
    }
    ensured(added)
}

/// The task's veth. Its name is the lease, so EEXIST means that another task was faster.
pub fn create_veth(
    attempt: &Attempt<'_>,
    lease: Lease,
    port_mac: Mac,
    bridge: &InterfaceName,
    inside: &InterfaceName,
    mtu: u32,
) -> Result<Applied> {
    let (name, netns) = (&lease.link_name(), &attempt.sides.task()?.netns);
    let bridge = attempt.index(Side::Instance, bridge)?;
    let indexes = Some([port_index(), CREDENTIAL_INDEX]);
    let veth = Veth { name, port_mac, bridge, netns, inside, mac: lease.mac(), mtu, indexes };
    let instance = attempt.instance();
    let is_taken = || instance.link(name).map(|link| link.is_some());
    let overtaken = || Err(Error::Overtaken(format!("another task took {lease}")));
    // Given an index, the kernel looks for the name when it has made the far end, and takes 20 ms to unmake it.
    if is_taken()? {
        return overtaken();
    }
    let mut added = instance.add_veth(&veth);
    if let Err(error) = &added
        && (error.errno == Errno::EBUSY || error.is_exists() && !is_taken()?)
    {
        // Perhaps an index is taken. The order of interfaces is no reason to refuse a start.
        added = instance.add_veth(&Veth { indexes: None, ..veth });
    }
    match added {
        Err(error) if error.is_exists() && is_taken()? => overtaken(),
        // BR_MAX_PORTS, net/bridge/br_private.h.
        Err(error) if error.errno == Errno::EXFULL => {
            Err(Error::Refused("the bridge has all the 1023 ports it can have".to_owned()))
        }
        added => outcome_of(added),
    }
}

/// An index for a port. A new one each time, as the kernel's own are: a port is deleted by its index, and must
/// not be taken for an earlier one of the same name. Where the kernel does not get to by counting.
fn port_index() -> u32 {
    let [a, b, c, d, ..] = RandomState::new().hash_one(()).to_ne_bytes();
    1 << 30 | u32::from_ne_bytes([a, b, c, d]) >> 2
}

/// Deletes the port, and so both ends of the veth.
pub fn delete_veth(attempt: &Attempt<'_>, lease: Lease) -> Result<()> {
    match attempt.instance().link(&lease.link_name())? {
        Some(port) => gone(attempt.instance().delete_link(port.index)),
        None => Ok(()),
    }
}

/// Makes the veth a port again.
pub fn join_bridge(attempt: &Attempt<'_>, lease: Lease, bridge: &InterfaceName) -> Result<Applied> {
    let bridge = attempt.index(Side::Instance, bridge)?;
    let index = attempt.index(Side::Instance, &lease.link_name())?;
    outcome_of(attempt.instance().join_bridge(index, bridge))
}

/// Labels the port, sets its flags, and switches it on.
pub fn configure_port(
    attempt: &Attempt<'_>,
    lease: Lease,
    label: &Label,
    isolated: bool,
) -> Result<Applied> {
    let index = attempt.index(Side::Instance, &lease.link_name())?;
    let flags = if isolated { PortFlags::Isolated } else { PortFlags::Default };
    outcome_of(attempt.instance().configure_port(index, &label.to_string(), flags))
}

/// Binds the task's MAC address to the port.
pub fn ensure_fdb_entry(attempt: &Attempt<'_>, lease: Lease) -> Result<Applied> {
    let index = attempt.index(Side::Instance, &lease.link_name())?;
    let added = attempt.instance().add_fdb_entry(index, lease.mac(), false);
    if added.as_ref().is_err_and(KernelError::is_exists) {
        // Perhaps at another port, which learned it from a task that pretended.
        attempt.instance().add_fdb_entry(index, lease.mac(), true)?;
    }
    ensured(added)
}
