//! A container's root filesystem, which may have been made by somebody who wishes us ill: every path is resolved
//! inside it, whatever links it has, and nothing is followed out of it.

use crate::{
    error::{Doing, KernelError, Result, refuse},
    kernel::{mountinfo::mount_id, mounts::errno},
};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, openat, openat2},
    io::Errno,
};
use std::{os::fd::OwnedFd, path::Path};

/// The folder in which all of our files are.
const FOLDER: &str = "etc";

/// How often a path is resolved anew that changed while it was (openat2(2), EAGAIN).
const ATTEMPTS: u32 = 16;

/// An open root filesystem.
#[derive(Debug)]
pub struct Rootfs(OwnedFd);

impl Rootfs {
    /// Opens it. This path is the engine's, who may use links.
    ///
    /// # Errors
    /// There is none.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS);
        let folder = folder.map_err(errno);
        folder.map(Self).doing(|| format!("opening the root filesystem {}", path.display()))
    }

    /// The number of the mount that it is.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn mount_id(&self) -> Result<u64> {
        mount_id(&self.0)
    }

    /// The file of that name in `/etc`, to mount something over it. `None`: there is none.
    ///
    /// # Errors
    /// There is a folder of that name, or a link that leads nowhere in here.
    pub fn find(&self, name: &str) -> Result<Option<OwnedFd>> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        match self.resolve(&format!("{FOLDER}/{name}"), flags, ResolveFlags::empty()) {
            Ok(file) if type_of(&file)? == FileType::Directory => refuse("it is a folder"),
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(errno(error).into()),
        }
    }

    /// The same; it is made where it is missing, in `/etc`, if that is in the root filesystem itself and not in
    /// something that is mounted there. Of a link that leads to nothing, it is the link: containers may share the
    /// root filesystem, and for another one it leads somewhere.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn find_or_make(&self, name: &str) -> Result<OwnedFd> {
        if let Some(found) = self.find(name)? {
            return Ok(found);
        }
        let folder = self.folder().map_err(errno).doing(|| "opening /etc")?;
        if let Some(link) = link(&folder, name).map_err(errno)? {
            return Ok(link);
        }
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&folder, name, flags, Mode::from_raw_mode(0o644)) {
            // Another container with the same root filesystem was faster.
            Ok(_) | Err(Errno::EXIST) => {}
            Err(error) => return Err(errno(error)).doing(|| "making it"),
        }
        match self.find(name)? {
            Some(found) => Ok(found),
            None => refuse("it is gone again"),
        }
    }

    fn folder(&self) -> Result<OwnedFd, Errno> {
        let open = || {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            self.resolve(FOLDER, flags, ResolveFlags::NO_XDEV)
        };
        match open() {
            Err(Errno::NOENT) => match mkdirat(&self.0, FOLDER, Mode::from_raw_mode(0o755)) {
                // Whatever this process's umask is.
                Ok(()) => {
                    let folder = open()?;
                    fchmod(&folder, Mode::from_raw_mode(0o755))?;
                    Ok(folder)
                }
                Err(Errno::EXIST) => open(),
                Err(error) => Err(error),
            },
            opened => opened,
        }
    }

    fn resolve(&self, path: &str, flags: OFlags, how: ResolveFlags) -> Result<OwnedFd, Errno> {
        let how = how | ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut attempts = 0;
        loop {
            match openat2(&self.0, path, flags, Mode::empty(), how) {
                Err(Errno::AGAIN) if attempts < ATTEMPTS => attempts += 1,
                opened => return opened,
            }
        }
    }
}

/// The link of that name in a folder; `None`: there is something else, or nothing.
fn link(folder: &OwnedFd, name: &str) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(folder, name, flags, Mode::empty()) {
        Ok(file) => {
            let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
            Ok((kind == FileType::Symlink).then_some(file))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn type_of(file: &OwnedFd) -> Result<FileType, KernelError> {
    Ok(FileType::from_raw_mode(fstat(file).map_err(errno)?.st_mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    /// What becomes of a root filesystem that is made so, and of what is beside it.
    fn case(make: impl Fn(&Path)) -> (Result<OwnedFd>, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("etc")).expect("made");
        make(&root);
        (Rootfs::open(&root).expect("opened").find_or_make("hosts"), folder)
    }

    fn is_within(file: &OwnedFd, folder: &tempfile::TempDir, name: &str) -> bool {
        use std::os::unix::fs::MetadataExt;
        let expected = fs::symlink_metadata(folder.path().join(name)).expect(name);
        fstat(file).expect("its data").st_ino == expected.ino()
    }

    #[test]
    fn what_is_missing_is_made_inside() {
        for make in [
            (|_| ()) as fn(&Path),
            |root| fs::remove_dir(root.join("etc")).expect("removed"),
            |root| symlink("/run/nothing", root.join("etc/hosts")).expect("linked"),
            |root| symlink("../../../etc/none", root.join("etc/hosts")).expect("linked"),
        ] {
            let (file, folder) = case(make);
            assert!(is_within(&file.expect("made"), &folder, "root/etc/hosts"));
        }
    }

    #[test]
    fn links_lead_no_further_than_to_the_root() {
        let (file, folder) = case(|root| {
            fs::write(root.join("hosts"), "").expect("written");
            fs::write(root.with_file_name("hosts"), "").expect("written");
            symlink("../../hosts", root.join("etc/hosts")).expect("linked");
        });
        assert!(is_within(&file.expect("found"), &folder, "root/hosts"));
        let (file, folder) = case(|root| {
            fs::remove_dir(root.join("etc")).expect("removed");
            fs::create_dir(root.join("usr")).expect("made");
            symlink("/usr", root.join("etc")).expect("linked");
        });
        assert!(is_within(&file.expect("made"), &folder, "root/usr/hosts"));
    }

    #[test]
    fn what_cannot_be_is_not() {
        for make in [
            (|root| fs::create_dir(root.join("etc/hosts")).expect("made")) as fn(&Path),
            |root| symlink("hosts", root.join("etc/hosts")).expect("linked"),
            |root| {
                fs::remove_dir(root.join("etc")).expect("removed");
                symlink("/nowhere", root.join("etc")).expect("linked");
            },
            |root| {
                fs::remove_dir(root.join("etc")).expect("removed");
                fs::write(root.join("etc"), "").expect("written");
            },
        ] {
            let (file, folder) = case(make);
            assert!(file.is_err());
            assert!(fs::metadata(folder.path().join("nowhere")).is_err());
        }
    }

    #[test]
    fn a_magic_link_is_not_followed() {
        let root = Rootfs(openat(CWD, "/", OFlags::PATH, Mode::empty()).expect("/"));
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let followed = root.resolve("proc/self/root", flags, ResolveFlags::empty());
        assert_eq!(followed.expect_err("magic"), Errno::LOOP);
    }
}
