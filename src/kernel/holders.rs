//! Who keeps a network namespace alive, and so the ways into it.

use crate::{
    error::{Doing, Result},
    kernel::{mountinfo, netns::Netns},
};
use nix::{errno::Errno, libc};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

/// Who holds one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// The processes that are in it, at least with one thread, or have it open.
    pub pids: BTreeSet<i32>,
    /// Paths that lead to it.
    pub paths: Vec<PathBuf>,
}

/// All namespaces that somebody holds, by inode. One that is not among them is dying: the kernel is about
/// to send its interfaces home. (Or a descriptor of it is on its way through a socket.)
pub type Held = BTreeMap<u64, Holders>;

impl Holders {
    /// Opens the namespace with this inode by one of the ways. `None`: they are gone meanwhile, or may not
    /// be used.
    #[must_use]
    pub fn open(&self, inode: u64) -> Option<Netns> {
        let found = self.paths.iter().filter_map(|path| Netns::open(path).ok());
        found.into_iter().find(|netns| netns.inode() == inode)
    }

    /// Those of other processes than this one, which may have opened the namespace itself.
    fn others(&self) -> impl Iterator<Item = i32> {
        let own = std::process::id();
        self.pids.iter().copied().filter(move |pid| pid.unsigned_abs() != own)
    }

    /// Whether there is another process.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.others().next().is_some()
    }

    /// The pids of others, for a message.
    #[must_use]
    pub fn pids(&self) -> String {
        if !self.has_others() {
            return "none".to_owned();
        }
        let pids: Vec<String> = self.others().map(|pid| pid.to_string()).collect();
        pids.join(" ")
    }
}

/// The namespaces that are mounted where this thread sees them.
#[must_use]
pub fn of_mounts() -> Held {
    let mut held = Held::new();
    mounts(&mut held, Path::new("/proc/thread-self/mountinfo"), Path::new("/"), None);
    held
}

/// The namespaces that processes are in, with whichever thread, and that are mounted here. That is nearly
/// always enough.
///
/// # Errors
/// `/proc` cannot be read.
pub fn of_threads_and_mounts() -> Result<Held> {
    let mut held = of_mounts();
    for pid in pids()? {
        for thread in threads(pid) {
            note(&mut held, thread.path.join("ns/net"), pid);
        }
    }
    Ok(held)
}

/// The same, and those that processes have open, or that are mounted in other mount namespaces: what
/// somebody does who hides something. Threads can have files, a root and a mount namespace of their own.
///
/// # Errors
/// `/proc` cannot be read.
pub fn of_everything() -> Result<Held> {
    let mut held = of_mounts();
    let mut seen = BTreeSet::new();
    for pid in pids()? {
        for Thread { tid, path } in threads(pid) {
            note(&mut held, path.join("ns/net"), pid);
            if tid == pid || has_own_files(pid, tid) {
                for descriptor in numbers(&path.join("fd")) {
                    note(&mut held, path.join(format!("fd/{descriptor}")), pid);
                }
            }
            let view = [path.join("ns/mnt"), path.join("root")].map(fs::read_link);
            if let [Ok(namespace), Ok(root)] = view
                && seen.insert((namespace, root))
            {
                mounts(&mut held, &path.join("mountinfo"), &path.join("root"), Some(pid));
            }
        }
    }
    Ok(held)
}

/// A thread of a process, and what `/proc` shows of it.
struct Thread {
    tid: i32,
    path: PathBuf,
}

fn threads(pid: i32) -> Vec<Thread> {
    let path = PathBuf::from(format!("/proc/{pid}"));
    let folder = path.join("task");
    // Each thread is a link to this folder, beside the usual two (`proc_task_getattr`, fs/proc/base.c).
    if fs::metadata(&folder).is_ok_and(|folder| folder.nlink() == 3) {
        return vec![Thread { tid: pid, path }];
    }
    let of = |tid: i32| Thread { tid, path: folder.join(tid.to_string()) };
    numbers(&folder).into_iter().map(of).collect()
}

/// Whether a thread may have files open that its process's first one has not. If we may not compare them, we may
/// not see them either.
fn has_own_files(pid: i32, tid: i32) -> bool {
    const KCMP_FILES: libc::c_int = 2; // linux/kcmp.h
    // SAFETY: it takes numbers only.
    match Errno::result(unsafe { libc::syscall(libc::SYS_kcmp, pid, tid, KCMP_FILES, 0, 0) }) {
        Ok(order) => order != 0,
        Err(error) => error == Errno::ENOSYS,
    }
}

/// Notes what a link in `/proc` leads to, if that is a network namespace.
fn note(held: &mut Held, path: PathBuf, pid: i32) {
    let target = fs::read_link(&path).unwrap_or_default();
    if let Some(inode) = inode_of(target.as_os_str().as_encoded_bytes()) {
        let holders = held.entry(inode).or_default();
        holders.pids.insert(pid);
        holders.paths.push(path);
    }
}

/// The number in `net:[4026532177]`.
fn inode_of(name: &[u8]) -> Option<u64> {
    let digits = name.strip_prefix(b"net:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn mounts(held: &mut Held, table: &Path, root: &Path, pid: Option<i32>) {
    // A process that is gone has no mounts.
    let text = mountinfo::read(table).unwrap_or_default();
    for (inode, path) in text.split(|byte| *byte == b'\n').filter_map(mounted) {
        let holders = held.entry(inode).or_default();
        holders.pids.extend(pid);
        holders.paths.push(root.join(path.strip_prefix("/").unwrap_or(&path)));
    }
}

/// `36 25 0:4 net:[4026532177] /run/netns/blue rw - nsfs nsfs rw`: proc(5), mountinfo. Blanks and the like
/// in a path are written as octal numbers: `\040`.
fn mounted(line: &[u8]) -> Option<(u64, PathBuf)> {
    let mut fields = line.split(|byte| *byte == b' ').skip(3);
    Some((
        inode_of(fields.next()?)?,
        PathBuf::from(std::ffi::OsString::from_vec(unescaped(fields.next()?))),
    ))
}

fn unescaped(mut field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    while let Some((first, rest)) = field.split_first() {
        let digits = rest
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        plain.push(digits.unwrap_or(*first));
        field = if digits.is_some() { &rest[3..] } else { rest };
    }
    plain
}

fn pids() -> Result<Vec<i32>> {
    // Whether it can be read at all; a process that ends meanwhile is passed over.
    fs::metadata("/proc/thread-self").doing(|| "listing /proc")?;
    Ok(numbers(Path::new("/proc")))
}

/// The entries of a folder that are numbers; none where it cannot be read.
fn numbers(folder: &Path) -> Vec<i32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::{
        sched::{CloneFlags, unshare},
        unistd::gettid,
    };
    use std::{os::fd::AsRawFd, sync::mpsc, thread};

    #[test]
    fn mounted_namespaces_are_found_among_mounts() {
        let line =
            b"36 25 0:4 net:[4026532177] /run/net\\040ns/bl\\134ue rw shared:2 - nsfs nsfs rw";
        assert_eq!(mounted(line), Some((4_026_532_177, PathBuf::from("/run/net ns/bl\\ue"))));
        for other in ["", "36 25 0:4 / /proc rw - proc proc rw", "36 25 0:4 mnt:[7] /run/mnt rw"] {
            assert_eq!(mounted(other.as_bytes()), None);
        }
        assert_eq!(unescaped(b"a\\0"), b"a\\0");
    }

    #[test]
    fn this_process_holds_its_own_namespace() {
        let own = Netns::current().expect("a namespace");
        for held in [of_threads_and_mounts(), of_everything()] {
            let holders = &held.expect("the holders")[&own.inode()];
            assert!(holders.pids.contains(&std::process::id().cast_signed()));
            assert_eq!(holders.open(own.inode()).map(|netns| netns.inode()), Some(own.inode()));
        }
    }

    #[test]
    fn what_a_thread_has_open_is_found_whether_it_shares_its_files_or_not() {
        for flags in [CloneFlags::empty(), CloneFlags::CLONE_FILES] {
            let ((open, is_open), (end, is_over)) = (mpsc::channel(), mpsc::channel::<()>());
            let thread = thread::spawn(move || {
                unshare(flags).expect("files of its own");
                let netns = Netns::current().expect("a namespace");
                open.send((netns.as_raw_fd(), gettid())).expect("heard");
                is_over.recv().ok();
            });
            let (descriptor, tid) = is_open.recv().expect("open");
            let is_own = !flags.is_empty();
            let pid = std::process::id().cast_signed();
            assert_eq!(has_own_files(pid, tid.as_raw()), is_own);
            let held = of_everything().expect("the holders");
            let paths: Vec<&PathBuf> = held.values().flat_map(|holders| &holders.paths).collect();
            let first = PathBuf::from(format!("/proc/{pid}/task/{pid}/fd/{descriptor}"));
            let own = PathBuf::from(format!("/proc/{pid}/task/{tid}/fd/{descriptor}"));
            assert_eq!([paths.contains(&&first), paths.contains(&&own)], [!is_own, is_own]);
            drop(end);
            thread.join().expect("over");
        }
    }
}
