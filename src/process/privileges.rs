//! What this process may do: no more than its work needs, so that a fault in it does less harm.

use crate::error::{Doing, Result};
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;

/// Links, addresses, routes and rules; `setns` and a sysfs; and the way into a namespace through a process of
/// another user (`/proc/PID/ns/net`, ptrace(2)).
const NEEDED: [Capability; 3] =
    [Capability::CAP_NET_ADMIN, Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_PTRACE];

/// Into a mount namespace, and into folders of a container whose root is another user: needed only while files are
/// mounted there ([`with_all`]).
const NEEDED_FOR_FILES: [Capability; 2] =
    [Capability::CAP_SYS_CHROOT, Capability::CAP_DAC_OVERRIDE];

/// Gives up what is not needed, for good: this process cannot get it back. To be called when all
/// files are read, while there is only one thread. Where it is not possible, the log says so.
pub fn drop_unneeded() {
    warn(try_drop_but(&[]));
}

/// The same of a call that will mount files in a container: what only that needs is laid aside, until [`with_all`].
pub fn drop_but_for_files() {
    warn(try_drop_but(&NEEDED_FOR_FILES));
}

fn warn(outcome: Result<()>) {
    if let Err(error) = outcome {
        log::warn!("going on with all privileges: {}", error.line());
    }
}

/// Runs `work` with what was laid aside.
///
/// # Errors
/// Those of `work`, or the kernel does not let us.
pub fn with_all<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let doing = || "raising capabilities";
    let all = caps::read(None, CapSet::Permitted).doing(doing)?;
    let before = caps::read(None, CapSet::Effective).doing(doing)?;
    caps::set(None, CapSet::Effective, &all).doing(doing)?;
    let outcome = work();
    caps::set(None, CapSet::Effective, &before).doing(|| "dropping capabilities")?;
    outcome
}

fn try_drop_but(aside: &[Capability]) -> Result<()> {
    prctl::set_no_new_privs().doing(|| "setting no_new_privs")?;
    let held = caps::read(None, CapSet::Permitted).doing(|| "reading capabilities")?;
    let of_held = |wanted: &[Capability]| -> CapsHashSet {
        wanted.iter().copied().filter(|wanted| held.contains(wanted)).collect()
    };
    let effective = of_held(&NEEDED);
    let kept: CapsHashSet = effective.union(&of_held(aside)).copied().collect();
    if held.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::all().difference(&kept) {
            // A kernel that does not know one has not got it either.
            caps::drop(None, CapSet::Bounding, *capability).ok();
        }
    }
    let doing = || "dropping capabilities";
    caps::clear(None, CapSet::Inheritable).doing(doing)?;
    caps::set(None, CapSet::Effective, &effective).doing(doing)?;
    caps::set(None, CapSet::Permitted, &kept).doing(doing)
}
