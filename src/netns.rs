//! Network namespaces: open, compare, enter. The only user of `setns`.

use crate::error::{Cause, Doing, Error, Result};
use nix::sched::{CloneFlags, setns};
use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

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
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// The namespace of a process.
    ///
    /// # Errors
    /// There is no such process, or it is none of our business.
    pub fn of_pid(pid: i32) -> Result<Self> {
        Self::open(&path_of(pid)).doing(|| format!("opening the network namespace of pid {pid}"))
    }

    fn open(path: &Path) -> Result<Self> {
        let open = || {
            let file = File::open(path)?;
            let inode = file.metadata()?.ino();
            Ok(Self { file, inode })
        };
        open().map_err(|error: io::Error| Error::Failed {
            doing: path.display().to_string(),
            source: Cause::from(error),
        })
    }

    /// Its inode, which is its identity as long as it lives.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Runs `work` in the namespace, on a thread that ends there, so that there is nothing to go
    /// back from. A socket made by `work` stays in the namespace wherever it is used.
    ///
    /// # Errors
    /// The namespace cannot be entered, or `work` fails.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let run = || {
                setns(&self.file, CloneFlags::CLONE_NEWNET)
                    .doing(|| "entering the network namespace (it needs CAP_SYS_ADMIN)")?;
                work()
            };
            std::thread::Builder::new()
                .spawn_scoped(scope, run)
                .doing(|| "starting a thread")?
                .join()
                .unwrap_or_else(|_| Err(Error::Refused("a thread ended early".to_owned())))
        })
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
    inode_of(&path_of(1)) == Some(inode)
}

/// A way into a namespace that nobody gave us.
#[derive(Debug)]
pub enum Entrance {
    /// Through a process that is in it.
    Process(i32, Netns),
    /// Through a place where it is mounted.
    Mount(PathBuf, Netns),
}

impl Entrance {
    /// The namespace behind it.
    #[must_use]
    pub fn netns(&self) -> &Netns {
        match self {
            Self::Process(_, netns) | Self::Mount(_, netns) => netns,
        }
    }
}

/// Finds a way into the namespace with this inode: a process that is in it, or a mount of it.
/// `None`: nobody keeps it, so it is dying.
///
/// # Errors
/// `/proc` cannot be read.
pub fn find(inode: u64) -> Result<Option<Entrance>> {
    let processes = std::fs::read_dir("/proc").doing(|| "listing /proc")?;
    for entry in processes.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if inode_of(&path_of(pid)) == Some(inode)
            && let Ok(netns) = Netns::of_pid(pid)
            && netns.inode == inode
        {
            return Ok(Some(Entrance::Process(pid, netns)));
        }
    }
    let mounts =
        std::fs::read_to_string("/proc/thread-self/mountinfo").doing(|| "listing the mounts")?;
    let mounted = mounts.lines().filter_map(|line| {
        // "36 25 0:4 net:[4026532177] /run/netns/blue rw - nsfs nsfs rw", proc(5).
        let mut fields = line.split(' ').skip(3);
        (fields.next()? == format!("net:[{inode}]")).then_some(())?;
        let path = PathBuf::from(fields.next()?);
        let netns = Netns::open(&path).ok().filter(|netns| netns.inode == inode)?;
        Some(Entrance::Mount(path, netns))
    });
    Ok({ mounted }.next())
}

fn path_of(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}

fn inode_of(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|metadata| metadata.ino())
}
