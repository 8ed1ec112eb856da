//! Who keeps a network namespace alive, and so the ways into it.

use crate::{
    error::{Doing, Result},
    kernel::netns::Netns,
};
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

    /// The pids, for a message.
    #[must_use]
    pub fn pids(&self) -> String {
        if self.pids.is_empty() {
            return "none".to_owned();
        }
        let pids: Vec<String> = self.pids.iter().map(ToString::to_string).collect();
        pids.join(" ")
    }
}

/// The namespaces that processes are in, with whichever thread, and that are mounted here. That is nearly
/// always enough.
///
/// # Errors
/// `/proc` cannot be read.
pub fn of_threads_and_mounts() -> Result<Held> {
    let mut held = Held::new();
    for pid in pids()? {
        for thread in numbers(&PathBuf::from(format!("/proc/{pid}/task"))) {
            let path = PathBuf::from(format!("/proc/{pid}/task/{thread}/ns/net"));
            note(&mut held, path, Some(pid));
        }
    }
    mounts(&mut held, Path::new("/proc/thread-self/mountinfo"), Path::new("/"), None);
    Ok(held)
}

/// The same, and those that processes have open, or that are mounted in other mount namespaces: what
/// somebody does who hides something.
///
/// # Errors
/// `/proc` cannot be read.
pub fn of_everything() -> Result<Held> {
    let mut held = of_threads_and_mounts()?;
    let mut seen = BTreeSet::new();
    for pid in pids()? {
        let of_pid = PathBuf::from(format!("/proc/{pid}"));
        for descriptor in numbers(&of_pid.join("fd")) {
            let path = of_pid.join("fd").join(descriptor.to_string());
            let is_netns =
                |target: PathBuf| target.as_os_str().as_encoded_bytes().starts_with(b"net:[");
            if fs::read_link(&path).is_ok_and(is_netns) {
                note(&mut held, path, Some(pid));
            }
        }
        let mount_namespace = fs::metadata(of_pid.join("ns/mnt")).map(|metadata| metadata.ino());
        if mount_namespace.is_ok_and(|inode| seen.insert(inode)) {
            mounts(&mut held, &of_pid.join("mountinfo"), &of_pid.join("root"), Some(pid));
        }
    }
    Ok(held)
}

fn note(held: &mut Held, path: PathBuf, pid: Option<i32>) {
    if let Ok(metadata) = fs::metadata(&path) {
        let holders = held.entry(metadata.ino()).or_default();
        holders.pids.extend(pid);
        holders.paths.push(path);
    }
}

fn mounts(held: &mut Held, mountinfo: &Path, root: &Path, pid: Option<i32>) {
    // A process that is gone has no mounts.
    let text = fs::read(mountinfo).unwrap_or_default();
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
    let root = std::str::from_utf8(fields.next()?).ok()?;
    let inode = root.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()?;
    Some((inode, PathBuf::from(std::ffi::OsString::from_vec(unescaped(fields.next()?)))))
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
        let held = of_everything().expect("the holders");
        let holders = &held[&own.inode()];
        assert!(holders.pids.contains(&std::process::id().cast_signed()));
        assert_eq!(holders.open(own.inode()).map(|netns| netns.inode()), Some(own.inode()));
    }
}
