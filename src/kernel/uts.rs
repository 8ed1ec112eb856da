//! A container's own name for itself, which its kernel tells its programs (uname(2)).

use crate::error::{Doing, KernelError, Result};
use nix::{
    sched::{CloneFlags, setns},
    unistd::sethostname,
};
use std::{fs::File, os::unix::fs::MetadataExt};

/// Names the host that a process is on, if that has a namespace of its own. False: it has none.
///
/// # Errors
/// The kernel does not let us.
pub fn name(pid: i32, hostname: &str) -> Result<bool> {
    let open = |path: &str| File::open(path).map_err(KernelError::from);
    let doing = || "naming the container";
    let (home, file) = (
        open("/proc/thread-self/ns/uts").doing(doing)?,
        open(&format!("/proc/{pid}/ns/uts")).doing(doing)?,
    );
    let inode = |file: &File| file.metadata().map(|data| data.ino());
    let machines = std::fs::metadata("/proc/1/ns/uts").map(|data| data.ino()).ok();
    let own = inode(&file)?;
    if own == inode(&home)? || Some(own) == machines {
        return Ok(false);
    }
    setns(&file, CloneFlags::CLONE_NEWUTS).map_err(KernelError::from).doing(doing)?;
    let outcome = sethostname(hostname);
    if let Err(errno) = setns(&home, CloneFlags::CLONE_NEWUTS) {
        log::error!("coming back to the instance's name: {}", KernelError::from(errno));
        std::process::abort();
    }
    outcome.map_err(KernelError::from).doing(doing)?;
    Ok(true)
}
