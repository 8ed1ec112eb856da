//! An application's files: its task's, which its pause container has.

use super::{
    content,
    giving::{FILES, Outcome, Receiver, report},
};
use crate::{
    error::{Result, refuse},
    input::{bundle::read_linked_file, container::Container},
    kernel::{
        mountinfo::Mounts, mounts::MountSpace, netns::Netns, process, rootfs::Rootfs, sides::Space,
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
    let mut texts = texts_of(pause)?;
    if texts.is_empty() {
        return Ok(None);
    }
    let named = name(container, &receiver, &texts);
    for (_, hosts) in texts.iter_mut().filter(|(name, _)| *name == "hosts") {
        // If the engine gave it a name of its own, its hosts know it by that, too.
        let own = receiver.bundle.hostname.as_ref();
        if let Some(more) = own.and_then(|own| content::with_name(hosts, own)) {
            *hosts = more;
        }
    }
    let mut outcome = receiver.give(&texts)?;
    outcome.failures.extend(named.err());
    Ok(Some(outcome))
}

/// Tells a container that nobody has named its task's name, by which its hosts know it: it would have the instance's.
fn name(container: &Container, receiver: &Receiver, texts: &[(&str, String)]) -> Result<bool> {
    let text = texts.iter().find(|(name, _)| *name == "hostname");
    let (Some((_, text)), Some(pid), true) = (text, container.pid, receiver.bundle.is_nameless())
    else {
        return Ok(false);
    };
    match HostName::own(text.trim_end()) {
        Ok(name) => uts::name(pid, name.as_str()),
        Err(_) => Ok(false),
    }
}

/// What the files say that a pause container has of us. What it has put in their places is not handed on.
///
/// Texts, and no more mounts of the same files: those would be peers of the pause container's, if it makes those
/// shared, and get whatever it mounts over them.
fn texts_of(pause: Process) -> Result<Vec<(&'static str, String)>> {
    let (space, mounts) = (MountSpace::of_pid(pause.pid)?, Mounts::of_pid(pause.pid)?);
    // Opened, it is the one of whoever had the number then.
    if !process::is_alive(pause) {
        return refuse("the task's pause container is gone");
    }
    if space.is(MountSpace::home()?) {
        return Ok(Vec::new());
    }
    let files = space.within(|| {
        let (root, mut files) = (Rootfs::open(Path::new("/"))?, Vec::new());
        for name in FILES {
            let Ok(Some(file)) = root.find(name) else { continue };
            if mounts.of(&file)?.is_some_and(|mount| mount.is_ours) {
                files.push((name, file));
            }
        }
        Ok(files)
    })?;
    // It may have mounted a file system of our name, and a pipe in it.
    let text = |file: OwnedFd| {
        read_linked_file(Path::new(&format!("/proc/thread-self/fd/{}", file.as_raw_fd())))
    };
    let texts = files.into_iter().map(|(name, file)| (name, text(file)));
    Ok(texts.filter(|(_, text)| !text.is_empty()).collect())
}
