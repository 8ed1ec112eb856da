//! The folder of an interface in `/sys/class/net`.
//!
//! Where `/sys` itself is mounted, it may show another namespace's interfaces, or be read-only. So this is a
//! sysfs of its own, of this thread's namespace, that is mounted nowhere (Linux 5.2).

use crate::kernel::error::Answer;
use nix::errno::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use std::{
    fs,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

/// The folder of one link, as long as this lives.
#[derive(Debug)]
pub(super) struct LinkFolder {
    path: PathBuf,
    _sysfs: OwnedFd,
}

impl LinkFolder {
    /// That of a link of this thread's own namespace. `None`: it has left; or we may not have a sysfs, as in a
    /// user namespace.
    pub(super) fn of(index: u32, name: &str) -> Option<Self> {
        let sysfs = sysfs()
            .inspect_err(|error| log::debug!("looking at {name} in a sysfs: {error}"))
            .ok()?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/class/net/{name}", sysfs.as_raw_fd()));
        // The name may be another link's meanwhile.
        let is_it = read(&path.join("ifindex")).is_some_and(|own| own == index.to_string());
        is_it.then_some(Self { path, _sysfs: sysfs })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// What is in a file of a sysfs, without the end of its line.
pub(super) fn read(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// A sysfs of this thread's namespace, by a descriptor of its uppermost folder.
fn sysfs() -> Answer<OwnedFd> {
    let mount = || {
        let context = fsopen("sysfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    mount().map_err(|error: rustix::io::Errno| Errno::from_raw(error.raw_os_error()).into())
}
