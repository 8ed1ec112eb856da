//! What this process may do: no more than its work needs, so that a fault in it does less harm.

use crate::error::{Doing, Result};
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;

/// Links, addresses, routes and rules; `setns` and a sysfs; and the way into a namespace through a process of
/// another user (`/proc/PID/ns/net`, ptrace(2)).
const NEEDED: [Capability; 3] =
    [Capability::CAP_NET_ADMIN, Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_PTRACE];

/// Gives up what is not needed, for good: this process cannot get it back. To be called when all
/// files are read, while there is only one thread. Where it is not possible, the log says so.
pub fn drop_unneeded() {
    if let Err(error) = try_drop_unneeded() {
        log::warn!("going on with all privileges: {}", error.line());
    }
}

fn try_drop_unneeded() -> Result<()> {
    prctl::set_no_new_privs().doing(|| "setting no_new_privs")?;
    let held = caps::read(None, CapSet::Permitted).doing(|| "reading capabilities")?;
    let kept: CapsHashSet = NEEDED.into_iter().filter(|needed| held.contains(needed)).collect();
    if held.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::all().difference(&kept) {
            // A kernel that does not know one has not got it either.
            caps::drop(None, CapSet::Bounding, *capability).ok();
        }
    }
    let doing = || "dropping capabilities";
    caps::clear(None, CapSet::Inheritable).doing(doing)?;
    caps::set(None, CapSet::Effective, &kept).doing(doing)?;
    caps::set(None, CapSet::Permitted, &kept).doing(doing)
}
