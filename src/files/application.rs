//! An application's files: its task's, which its pause container has.

use super::giving::{FILES, Outcome, Receiver, report};
use crate::{
    error::{Result, refuse},
    input::container::Container,
    kernel::{
        mountinfo::Mounts,
        mounts::{MountSpace, clone_of},
        netns::Netns,
        process,
        rootfs::Rootfs,
        sides::Space,
    },
    net::process::Process,
    nft::records::Records,
    process::privileges,
    task::{names::Policy, record::Record},
};
use std::{os::fd::OwnedFd, path::Path};

/// The task whose network namespace a container has joined. `None`: no task's, so it is a stranger, or there is
/// nothing that can be known of it.
#[must_use]
pub fn task_of(container: &Container) -> Option<Record> {
    let netns = Netns::of_pid(container.pid.filter(|pid| *pid > 0)?).ok()?;
    if Netns::current().is_ok_and(|own| own.inode() == netns.inode()) {
        return None;
    }
    let netns = Space::within(netns).ok()?.id();
    let records = Records::open().ok()?.all().ok()?;
    records.into_iter().find(|record| record.label.netns == netns)
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
    files.retain(|(name, _)| receiver.wants(name));
    receiver.give(&files).map(Some)
}

/// More mounts of the files that a pause container has of us. What it has put in their places is not handed on.
fn files_of(pause: Process) -> Result<Vec<(&'static str, OwnedFd)>> {
    let (space, mounts) = (MountSpace::of_pid(pause.pid)?, Mounts::of_pid(pause.pid)?);
    // Opened, it is the one of whoever had the number then.
    if !process::is_alive(pause) {
        return refuse("the task's pause container is gone");
    }
    if space.is(&MountSpace::current()?) {
        return Ok(Vec::new());
    }
    space.within(|| {
        let (root, mut files) = (Rootfs::open(Path::new("/"))?, Vec::new());
        for name in FILES {
            let Ok(Some(file)) = root.find(name) else { continue };
            if mounts.of(&file)?.is_some_and(|mount| mount.is_ours) {
                files.push((name, clone_of(&file)?));
            }
        }
        Ok(files)
    })
}
