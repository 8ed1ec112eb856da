//! The mounts that a process has, as `/proc/PID/mountinfo` shows them (proc(5)).

use crate::{
    error::{Doing, Result, refuse},
    kernel::mounts::{KIND, SOURCE, errno},
};
use rustix::fs::{AtFlags, StatxFlags, statx};
use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsFd,
    path::Path,
};

/// Room for the mounts of most containers, in bytes.
const ROOM: usize = 8 << 10;

/// How much of a process's mounts is read, in bytes: a hundred thousand can have paths of any length.
const LIMIT: usize = 4 << 20;

/// The mounts of a process at one moment.
#[derive(Debug)]
pub struct Mounts(String);

/// One mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Whether it is a file of ours.
    pub is_ours: bool,
    /// Whether what is mounted on it is so elsewhere, too.
    pub is_shared: bool,
}

impl Mounts {
    /// Those of a process.
    ///
    /// # Errors
    /// It is gone.
    pub fn of_pid(pid: i32) -> Result<Self> {
        let path = format!("/proc/{pid}/mountinfo");
        let text = read(&path).doing(|| format!("reading {path}"))?;
        if text.len() == LIMIT {
            return refuse(format!("{path} is longer than {} MiB", LIMIT >> 20));
        }
        Ok(Self(String::from_utf8_lossy(&text).into_owned()))
    }

    /// The mount that an open file is on; `None` if it is not among them.
    ///
    /// # Errors
    /// The kernel does not tell which one it is (before Linux 5.8).
    pub fn of(&self, file: &impl AsFd) -> Result<Option<Mount>> {
        let id = mount_id(file)?.to_string();
        Ok(self.0.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut fields = before.split(' ');
            if fields.next() != Some(&id) {
                return None;
            }
            let is_shared = fields.skip(5).any(|field| field.starts_with("shared:"));
            let mut what = after.split(' ');
            let is_ours = what.next() == Some(KIND) && what.next() == Some(SOURCE);
            Some(Mount { is_ours, is_shared })
        }))
    }
}

/// A file of this kind, as far as it is read.
pub(super) fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    // Some containers have fifty: not by a few lines at a time.
    let mut text = Vec::with_capacity(ROOM);
    File::open(path)?.take(LIMIT as u64).read_to_end(&mut text)?;
    Ok(text)
}

/// The number of the mount that an open file is on.
///
/// # Errors
/// The kernel does not tell (before Linux 5.8).
pub fn mount_id(file: &impl AsFd) -> Result<u64> {
    let data = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map_err(errno)?;
    Ok(data.stx_mnt_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_found_by_its_number() {
        let file = File::open("/proc/self/status").expect("a file");
        let id = mount_id(&file).expect("its number");
        let of =
            |rest: &str| Mounts(format!("1{id} 1 0:1 / / rw - ext4 x rw\n{id} {rest}\n")).of(&file);
        let mount = |is_ours, is_shared| Some(Mount { is_ours, is_shared });
        for (rest, expected) in [
            ("1 0:9 /hosts /etc/hosts rw - tmpfs oci-awsvpc-hook ro", mount(true, false)),
            ("1 0:9 / /a rw shared:7 master:1 - tmpfs oci-awsvpc-hook ro", mount(true, true)),
            ("1 0:9 / /shared:1 rw master:1 - tmpfs tmpfs ro", mount(false, false)),
            ("1 0:9 / /x rw - fuse oci-awsvpc-hook rw", mount(false, false)),
        ] {
            assert_eq!(of(rest).expect("read"), expected, "{rest}");
        }
        assert_eq!(Mounts(String::new()).of(&file).expect("read"), None);
        let own = Mounts::of_pid(std::process::id().cast_signed()).expect("read");
        assert!(own.of(&file).expect("read").is_some());
    }
}
