//! How a container gets files: which of them, and where they are mounted.

use crate::{
    error::{Doing, Error, Result, refuse},
    input::{
        bundle::{Bundle, Origin, read_file},
        container::Container,
        resolver,
    },
    kernel::{
        mountinfo::{Mounts, mount_id},
        mounts::{self, MountSpace, attach},
        rootfs::Rootfs,
    },
    task::names::Policy,
};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// The files, by their names in `/etc`.
pub const FILES: [&str; 3] = ["resolv.conf", "hosts", "hostname"];

/// A container that is to get files.
#[derive(Debug)]
pub struct Receiver {
    pid: i32,
    /// What its bundle says.
    pub bundle: Bundle,
    space: MountSpace,
    policy: Policy,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Outcome {
    given: Vec<&'static str>,
    kept: Vec<&'static str>,
    /// What could not be done.
    pub failures: Vec<Error>,
}

/// What became of one file.
enum Fate {
    Given,
    Kept,
}

impl Receiver {
    /// `None`: the container has no mount namespace or no root filesystem of its own, or its bundle is not known; or
    /// it is not to get any.
    ///
    /// # Errors
    /// It is gone, or its `config.json` cannot be read.
    pub fn of(container: &Container, policy: Policy) -> Result<Option<Self>> {
        let (Some(pid), Some(folder)) = (container.pid.filter(|pid| *pid > 0), container.bundle())
        else {
            return Ok(None);
        };
        if policy == Policy::Never {
            return Ok(None);
        }
        let space = MountSpace::of_pid(pid)?;
        let is_first = MountSpace::of_pid(1).is_ok_and(|first| first.is(&space));
        if space.is(MountSpace::home()?) || is_first {
            return Ok(None);
        }
        let bundle = Bundle::read(folder)?.filter(|bundle| bundle.rootfs != Path::new("/"));
        Ok(bundle.map(|bundle| Self { pid, bundle, space, policy }))
    }

    fn origin(&self, name: &str) -> Origin {
        self.bundle.origin_of(&path(name))
    }

    /// What the engine's file says, if it has given the container one.
    #[must_use]
    pub fn engines(&self, name: &str) -> Option<String> {
        match self.origin(name) {
            Origin::Engine(source) => Some(read_file(&source)),
            Origin::Image | Origin::User => None,
        }
    }

    /// Whether it is to get this file: not if the user has given it one, or the engine one that names a server which
    /// somebody chose.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        match self.origin(name) {
            _ if self.policy == Policy::Always => true,
            Origin::User => false,
            Origin::Engine(path) => {
                name != "resolv.conf" || !resolver::is_chosen(&path, &read_file(&path))
            }
            Origin::Image => true,
        }
    }

    /// Mounts files with these texts over what is there, where it wants them.
    ///
    /// # Errors
    /// They cannot be made, or its root filesystem cannot be reached.
    pub fn give(&self, texts: &[(&'static str, String)]) -> Result<Outcome> {
        let (wanted, kept): (Vec<_>, Vec<_>) = FILES.iter().partition(|name| self.wants(name));
        let wanted: Vec<_> = texts.iter().filter(|(name, _)| wanted.contains(name)).collect();
        let files = mounts::files(&wanted, self.bundle.mount_label.as_deref())?;
        let files = wanted.iter().map(|(name, _)| name).zip(&files);
        let mounts = Mounts::of_pid(self.pid)?;
        let mut outcome = Outcome { kept, ..Outcome::default() };
        self.space.within(|| {
            let rootfs = Rootfs::open(&self.bundle.rootfs)?;
            for (name, mount) in files.clone() {
                let given = self.give_one(&rootfs, &mounts, name, mount);
                match given.doing(|| format!("mounting {}", path(name).display())) {
                    Ok(Fate::Given) => outcome.given.push(name),
                    Ok(Fate::Kept) => outcome.kept.push(name),
                    Err(error) => outcome.failures.push(error),
                }
            }
            Ok(())
        })?;
        Ok(outcome)
    }

    fn give_one(
        &self,
        rootfs: &Rootfs,
        mounts: &Mounts,
        name: &str,
        file: &OwnedFd,
    ) -> Result<Fate> {
        let target = rootfs.find_or_make(name)?;
        match mounts.of(&target)? {
            None => refuse("it is on a mount that the container's process does not have"),
            // An earlier call's.
            Some(mount) if mount.is_ours => Ok(Fate::Given),
            Some(mount) if mount.is_shared => {
                refuse("it is on a mount that is shared: it would be mounted elsewhere, too")
            }
            // Through a link of the image, into what the user has mounted.
            Some(_)
                if self.policy != Policy::Always
                    && self.origin(name) == Origin::Image
                    && mount_id(&target)? != rootfs.mount_id()? =>
            {
                Ok(Fate::Kept)
            }
            Some(_) => attach(file, &target).map(|()| Fate::Given),
        }
    }
}

impl Outcome {
    /// `resolv.conf, hosts, hostname`; what was left as it was is named, too.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut summary = if self.given.is_empty() {
            "none of resolv.conf, hosts and hostname".to_owned()
        } else {
            self.given.join(", ")
        };
        if !self.kept.is_empty() {
            summary.push_str(" (its own: ");
            summary.push_str(&self.kept.join(", "));
            summary.push(')');
        }
        summary
    }
}

/// Warns of what could not be done, in one line; gives a summary of what was.
#[must_use]
pub fn report(id: &str, outcome: Result<Option<Outcome>>) -> Option<String> {
    let (summary, failures) = match outcome {
        Ok(None) => return None,
        Ok(Some(outcome)) => (Some(outcome.summary()), outcome.failures),
        Err(error) => (None, vec![error]),
    };
    if !failures.is_empty() {
        let lines: Vec<String> = failures.iter().map(Error::line).collect();
        log::warn!("container {id} starts without files that name hosts: {}", lines.join("; "));
    }
    summary
}

fn path(name: &str) -> PathBuf {
    Path::new("/etc").join(name)
}
