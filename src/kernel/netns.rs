//! Network namespaces: open, compare, enter. The only user of `setns`.

use crate::error::{Doing, KernelError, Result};
use nix::sched::{CloneFlags, setns};
use std::{
    collections::BTreeMap,
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
        open()
            .map_err(|error: io::Error| KernelError::from(error))
            .doing(|| path.display().to_string())
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
        setns(&self.file, CloneFlags::CLONE_NEWNET)
            .map_err(KernelError::from)
            .doing(|| "entering the network namespace")?;
        let visit = Visit { home };
        let outcome = work();
        drop(visit);
        outcome
    }
}

/// A thread that is in another namespace than its own.
struct Visit {
    home: Netns,
}

impl Drop for Visit {
    /// Comes back. Whatever this thread did next in the wrong namespace would be worse than an end.
    fn drop(&mut self) {
        if setns(&self.home.file, CloneFlags::CLONE_NEWNET).is_err() {
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
    inode_of(&path_of(1)) == Some(inode)
}

/// Who keeps a namespace alive, and so the ways into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// The processes in it.
    pub pids: Vec<i32>,
    /// The places where it is mounted.
    pub mounts: Vec<PathBuf>,
}

impl Holders {
    /// Opens the namespace with this inode through one of them. `None`: they are gone meanwhile, or
    /// may not be used.
    #[must_use]
    pub fn open(&self, inode: u64) -> Option<Netns> {
        let paths = self.pids.iter().map(|pid| path_of(*pid)).chain(self.mounts.iter().cloned());
        paths.filter_map(|path| Netns::open(&path).ok()).find(|netns| netns.inode == inode)
    }
}

/// All the namespaces that somebody keeps, by inode. One that is not among them is dying: the
/// kernel is about to send its interfaces home. (Or something keeps a bare descriptor of it.)
///
/// # Errors
/// `/proc` cannot be read.
pub fn holders() -> Result<BTreeMap<u64, Holders>> {
    let mut holders: BTreeMap<u64, Holders> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").doing(|| "listing /proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(pid) = pid
            && let Some(inode) = inode_of(&path_of(pid))
        {
            holders.entry(inode).or_default().pids.push(pid);
        }
    }
    let mounts =
        std::fs::read_to_string("/proc/thread-self/mountinfo").doing(|| "listing the mounts")?;
    for (inode, path) in mounts.lines().filter_map(mounted) {
        holders.entry(inode).or_default().mounts.push(path);
    }
    Ok(holders)
}

/// `36 25 0:4 net:[4026532177] /run/netns/blue rw - nsfs nsfs rw`: proc(5), mountinfo.
fn mounted(line: &str) -> Option<(u64, PathBuf)> {
    let mut fields = line.split(' ').skip(3);
    let inode = fields.next()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()?;
    Some((inode, PathBuf::from(fields.next()?)))
}

fn path_of(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}

fn inode_of(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|metadata| metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounted_namespaces_are_found_among_mounts() {
        let line = "36 25 0:4 net:[4026532177] /run/netns/blue rw shared:2 - nsfs nsfs rw";
        assert_eq!(mounted(line), Some((4_026_532_177, PathBuf::from("/run/netns/blue"))));
        for other in ["", "36 25 0:4 / /proc rw - proc proc rw", "36 25 0:4 mnt:[7] /run/mnt rw"] {
            assert_eq!(mounted(other), None);
        }
    }
}
