//! Network namespaces: open, enter, lock. The only user of `setns`.

use crate::error::{Doing, KernelError, Result};
use nix::{
    errno::Errno,
    libc,
    sched::{CloneFlags, setns, unshare},
    sys::statfs::{FsType, fstatfs},
};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

/// The file system that namespaces are files of (linux/magic.h).
const NSFS_MAGIC: FsType = FsType(0x6e73_6673);

/// An open network namespace, which lives at least as long as this does.
#[derive(Debug)]
pub struct Netns {
    file: File,
    inode: u64,
}

impl Netns {
    /// The namespace of this thread.
    ///
    /// # Errors
    /// `/proc` is not there.
    pub fn current() -> Result<Self> {
        let path = "/proc/thread-self/ns/net";
        File::open(path).and_then(Self::of_file).map_err(KernelError::from).doing(|| path)
    }

    /// The namespace of a process.
    ///
    /// # Errors
    /// There is no such process, or it is none of our business.
    pub fn of_pid(pid: i32) -> Result<Self> {
        Self::open(&PathBuf::from(format!("/proc/{pid}/ns/net")))
            .doing(|| format!("opening the network namespace of pid {pid}"))
    }

    /// The namespace at a path. What is there may be somebody's who wishes us ill, so it is looked at
    /// before it is opened.
    ///
    /// # Errors
    /// There is no network namespace.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let open = || {
            let place = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)?;
            if fstatfs(&place)?.filesystem_type() != NSFS_MAGIC {
                return Err(Errno::EINVAL.into());
            }
            Self::of_file(File::open(format!("/proc/thread-self/fd/{}", place.as_raw_fd()))?)
        };
        open().map_err(KernelError::from).doing(|| path.display().to_string())
    }

    fn of_file(file: File) -> io::Result<Self> {
        let inode = file.metadata()?.ino();
        Ok(Self { file, inode })
    }

    /// Its inode, which is its identity as long as it lives.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Runs `work` in the namespace. A socket made by `work` stays in the namespace wherever it is
    /// used.
    ///
    /// This thread goes there and comes back, which takes microseconds. A thread of its own would
    /// have nothing to come back from, but waits for a processor: milliseconds on a busy instance.
    ///
    /// # Errors
    /// The namespace cannot be entered, or `work` fails.
    pub fn within<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let home = Self::current()?;
        // Root of a user namespace, as in a rootless engine, may enter what belongs to that, but come back to what
        // belongs to the instance's root it may not: the kernel asks for CAP_SYS_ADMIN where the namespace's owner is
        // (`netns_install`, net/core/net_namespace.c). To enter where one is already asks for the same, and moves
        // nothing.
        setns(&home.file, CloneFlags::CLONE_NEWNET)
            .map_err(KernelError::from)
            .doing(|| "making sure of the way back to the instance's network namespace")?;
        setns(&self.file, CloneFlags::CLONE_NEWNET)
            .map_err(KernelError::from)
            .doing(|| "entering the network namespace")?;
        let visit = Visit { home };
        let outcome = work();
        drop(visit);
        outcome
    }

    /// Runs `work` in a new namespace, which is gone when `work` is done.
    ///
    /// # Errors
    /// There can be none, or `work` fails.
    pub fn within_new<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
        let home = Self::current()?;
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(KernelError::from)
            .doing(|| "making a network namespace")?;
        let visit = Visit { home };
        let outcome = work();
        drop(visit);
        outcome
    }

    /// Takes the lock on the namespace (flock(2)), which this value has as long as it lives. False: somebody else
    /// has it. Every program of this machine that opens a namespace opens the same inode (`ns_get_path`,
    /// fs/nsfs.c); only those who may see a process in there can open it.
    ///
    /// # Errors
    /// The kernel does not let us.
    pub fn try_lock(&self) -> Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(KernelError::from(error).into()),
        }
    }
}

/// A thread that is in another namespace than its own.
struct Visit {
    home: Netns,
}

impl Drop for Visit {
    /// Comes back. Whatever this thread did next in the wrong namespace would be worse than an end.
    fn drop(&mut self) {
        if let Err(errno) = setns(&self.home.file, CloneFlags::CLONE_NEWNET) {
            let why = KernelError::from(errno);
            log::error!("coming back to the instance's network namespace: {why}");
            std::process::abort();
        }
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Netns {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

/// Whether pid 1 is in the namespace with this inode; `false` where we may not know, as in a user
/// namespace of our own.
#[must_use]
pub fn holds_pid_1(inode: u64) -> bool {
    std::fs::metadata("/proc/1/ns/net").is_ok_and(|metadata| metadata.ino() == inode)
}
