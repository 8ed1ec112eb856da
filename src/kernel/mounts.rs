//! Mount namespaces, and mounts that are nowhere yet.

use crate::error::{Doing, KernelError, Result};
use nix::{
    errno::Errno,
    sched::{CloneFlags, setns, unshare},
};
use rustix::{
    fs::{CWD, Mode, OFlags, fchmod, openat},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
        OpenTreeFlags, fsconfig_create, fsconfig_reconfigure, fsconfig_set_flag,
        fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree,
    },
};
use std::{
    fs::File,
    io::Write,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    sync::OnceLock,
};

/// What our file systems are called in `/proc/PID/mountinfo`.
pub const SOURCE: &str = "oci-awsvpc-hook";

/// What they are.
pub const KIND: &str = "tmpfs";

/// The errno of an error of rustix's.
pub(super) fn errno(error: rustix::io::Errno) -> KernelError {
    Errno::from_raw(error.raw_os_error()).into()
}

/// An open mount namespace.
#[derive(Debug)]
pub struct MountSpace {
    file: File,
    inode: u64,
}

impl MountSpace {
    /// That of this process, which every visit to another one comes back to; opened once.
    ///
    /// # Errors
    /// `/proc` is not there.
    pub fn home() -> Result<&'static Self> {
        static HOME: OnceLock<MountSpace> = OnceLock::new();
        if let Some(home) = HOME.get() {
            return Ok(home);
        }
        let home = Self::open("/proc/thread-self/ns/mnt")?;
        Ok(HOME.get_or_init(|| home))
    }

    /// That of a process.
    ///
    /// # Errors
    /// There is no such process, or it is none of our business.
    pub fn of_pid(pid: i32) -> Result<Self> {
        Self::open(&format!("/proc/{pid}/ns/mnt"))
            .doing(|| format!("opening the mount namespace of pid {pid}"))
    }

    fn open(path: &str) -> Result<Self> {
        let file = File::open(path).map_err(KernelError::from)?;
        let inode = file.metadata()?.ino();
        Ok(Self { file, inode })
    }

    /// Whether both are the same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.inode == other.inode
    }

    /// Runs `work` in the namespace; what is opened there stays what it is. Its root folder is this thread's while
    /// `work` runs. There must be one thread only.
    ///
    /// # Errors
    /// The namespace cannot be entered, or `work` fails.
    pub fn within<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let visit = Visit::begin()?;
        setns(&self.file, CloneFlags::CLONE_NEWNS)
            .map_err(KernelError::from)
            .doing(|| "entering the mount namespace")?;
        let outcome = work();
        drop(visit);
        outcome
    }
}

/// A thread that may be in another mount namespace than its own.
struct Visit {
    home: &'static MountSpace,
}

impl Visit {
    /// Makes sure of the way back, which asks for more than the way there (`mntns_install`, fs/namespace.c). This moves
    /// nothing.
    fn begin() -> Result<Self> {
        let home = MountSpace::home()?;
        setns(&home.file, CloneFlags::CLONE_NEWNS)
            .map_err(KernelError::from)
            .doing(|| "making sure of the way back to the instance's mount namespace")?;
        Ok(Self { home })
    }
}

impl Drop for Visit {
    /// Comes back. Whatever this thread did next in the wrong namespace would be worse than an end.
    fn drop(&mut self) {
        if let Err(errno) = setns(&self.home.file, CloneFlags::CLONE_NEWNS) {
            let why = KernelError::from(errno);
            log::error!("coming back to the instance's mount namespace: {why}");
            std::process::abort();
        }
    }
}

/// Files with these names and texts, each as a mount of its own that is nowhere yet. They cannot be written. Where the
/// container's files have a label (`SELinux`), these have the same: it could not read them otherwise.
///
/// The file system is attached for an instant, in a mount namespace that nobody else sees: only what is attached can
/// be cloned (before Linux 6.15).
///
/// # Errors
/// The kernel does not let us.
pub fn files(texts: &[&(&str, String)], label: Option<&str>) -> Result<Vec<OwnedFd>> {
    let visit = Visit::begin()?;
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(KernelError::from)
        .doing(|| "making a mount namespace")?;
    let outcome = make(texts, label);
    drop(visit);
    outcome.doing(|| "making a file system")
}

fn make(texts: &[&(&str, String)], label: Option<&str>) -> Result<Vec<OwnedFd>, KernelError> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(errno)?;
    let context = fsopen(KIND, FsOpenFlags::FSOPEN_CLOEXEC).map_err(errno)?;
    let options = [("source", SOURCE), ("size", "1m"), ("mode", "0755")];
    // mount(8): `context`.
    for (key, value) in options.into_iter().chain(label.map(|label| ("context", label))) {
        fsconfig_set_string(&context, key, value).map_err(errno)?;
    }
    fsconfig_create(&context).map_err(errno)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(errno)?;
    // Where there certainly is a folder.
    move_mount(&mount, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(errno)?;
    for (name, text) in texts {
        write(&mount, name, text)?;
    }
    fsconfig_set_flag(&context, "ro").map_err(errno)?;
    fsconfig_reconfigure(&context).map_err(errno)?;
    texts.iter().map(|(name, _)| clone(&mount, name)).collect()
}

fn write(folder: &OwnedFd, name: &str, text: &str) -> Result<(), KernelError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(folder, name, flags, Mode::from_raw_mode(0o644)).map_err(errno)?;
    // Whatever this process's umask is.
    fchmod(&file, Mode::from_raw_mode(0o644)).map_err(errno)?;
    Ok(File::from(file).write_all(text.as_bytes())?)
}

fn clone(folder: &OwnedFd, name: &str) -> Result<OwnedFd, KernelError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(folder, name, flags).map_err(errno)
}

/// Mounts what is nowhere yet over an open file.
///
/// # Errors
/// The kernel does not let us.
pub fn attach(mount: &OwnedFd, target: &impl AsFd) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", target, "", flags).map_err(errno)?)
}
