//! An application's files: its task's, which its pause container has.

use super::{
    content,
    giving::{FILES, Outcome, Receiver, report},
};
use crate::{
    error::{Result, refuse},
    input::{bundle::read_linked_file, container::Container},
    kernel::{
        mountinfo::Mounts,
        mounts::{self, MountSpace, clone_of},
        netns::Netns,
        process,
        rootfs::Rootfs,
        sides::Space,
        uts,
    },
    net::process::Process,
    nft::records::Records,
    process::privileges,
    snapshot::ownership::records_of_ports,
    task::{
        names::{HostName, Policy},
        record::Record,
    },
};
use std::{
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

/// The task whose network namespace a container has joined. `None`: no task's, so it is a stranger, or there is
/// nothing that can be known of it.
#[must_use]
pub fn task_of(container: &Container) -> Option<Record> {
    let netns = Netns::of_pid(container.pid.filter(|pid| *pid > 0)?).ok()?;
    if Netns::current().is_ok_and(|own| own.inode() == netns.inode()) {
        return None;
    }
    let netns = Space::within(netns).ok()?.id();
    let is_its = |record: &Record| record.label.netns == netns;
    let recorded = Records::open().and_then(|records| records.all()).unwrap_or_default();
    // Where there is no record, what the instance wrote on the task's port says the same.
    recorded.into_iter().find(is_its).or_else(|| {
        let links = Space::here().ok()?.netlink.links().ok()?;
        records_of_ports(&links).into_iter().find(is_its)
    })
}

/// Gives an application its task's files. Whatever cannot be done is one warning; gives a summary of what was, or
/// nothing, if nothing was to be.
#[must_use]
pub fn give(container: &Container, task: &Record, policy: Policy) -> Option<String> {
    let outcome = privileges::with_all(|| try_give(container, task, policy));
    report(&container.id, outcome)
}

fn try_give(container: &Container, task: &Record, policy: Policy) -> Result<Option<Outcome>> {
    let Some(pause) = task.label.pause.filter(|pause| Some(pause.pid) != container.pid) else {
        return Ok(None);
    };
    let Some(receiver) = Receiver::of(container, policy)? else { return Ok(None) };
    let mut files = files_of(pause)?;
    if files.is_empty() {
        return Ok(None);
    }
    let named = name(container, &receiver, &files);
    files.retain(|file| receiver.wants(file.name));
    let own = receiver.bundle.hostname.as_ref();
    let files: Result<Vec<_>> =
        files.into_iter().map(|file| Ok((file.name, for_one(file, own)?))).collect();
    let mut outcome = receiver.give(&files?)?;
    outcome.failures.extend(named.err());
    Ok(Some(outcome))
}

/// Tells a container that nobody has named its task's name, by which its hosts know it: it would have the instance's.
fn name(container: &Container, receiver: &Receiver, files: &[File]) -> Result<bool> {
    let file = files.iter().find(|file| file.name == "hostname");
    let (Some(file), Some(pid), true) = (file, container.pid, receiver.bundle.is_nameless) else {
        return Ok(false);
    };
    match HostName::own(file.text().trim_end()) {
        Ok(name) => uts::name(pid, name.as_str()),
        Err(_) => Ok(false),
    }
}

/// A file of a pause container.
struct File {
    name: &'static str,
    /// What it is there.
    open: OwnedFd,
    /// Another mount of it.
    mount: OwnedFd,
}

impl File {
    /// What it says; nothing, if a task made something else of it.
    fn text(&self) -> String {
        read_linked_file(Path::new(&format!("/proc/self/fd/{}", self.open.as_raw_fd())))
    }
}

/// The file as an application gets it: if the engine gave that a name of its own, its hosts know it by that, too.
fn for_one(file: File, own: Option<&HostName>) -> Result<OwnedFd> {
    let Some(own) = own.filter(|_| file.name == "hosts") else { return Ok(file.mount) };
    match content::with_name(&file.text(), own) {
        Some(text) => {
            let mut mounts = mounts::files(&[(file.name, &text)])?;
            Ok(mounts.pop().unwrap_or(file.mount))
        }
        None => Ok(file.mount),
    }
}

/// More mounts of the files that a pause container has of us. What it has put in their places is not handed on.
fn files_of(pause: Process) -> Result<Vec<File>> {
    let (space, mounts) = (MountSpace::of_pid(pause.pid)?, Mounts::of_pid(pause.pid)?);
    // Opened, it is the one of whoever had the number then.
    if !process::is_alive(pause) {
        return refuse("the task's pause container is gone");
    }
    if space.is(MountSpace::home()?) {
        return Ok(Vec::new());
    }
    space.within(|| {
        let (root, mut files) = (Rootfs::open(Path::new("/"))?, Vec::new());
        for name in FILES {
            let Ok(Some(open)) = root.find(name) else { continue };
            if mounts.of(&open)?.is_some_and(|mount| mount.is_ours) {
                let mount = clone_of(&open)?;
                files.push(File { name, open, mount });
            }
        }
        Ok(files)
    })
}
