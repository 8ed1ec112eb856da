//! Looks into the namespaces that somebody holds.

use crate::{
    error::Result,
    kernel::{
        holders::{self, Held, Holders},
        netns::Netns,
        sides::Space,
    },
    task::label::Label,
};

/// The task's own namespace, if somebody holds it: looked for where it costs least first, for reading all of
/// `/proc` takes milliseconds.
pub fn own_namespace(instance: &Space, label: &Label) -> Result<Option<Space>> {
    let inode = label.netns.inode;
    let own = |netns: Netns| {
        let space = Space::within(netns).ok()?;
        (space.id() == label.netns && inode != instance.netns.inode()).then_some(space)
    };
    let by = |held: Held| held.get(&inode)?.open(inode).and_then(own);
    let pause = label.pause.and_then(|pause| Netns::of_pid(pause.pid).ok());
    match pause.and_then(own).or_else(|| by(holders::of_mounts())) {
        None => Ok(by(holders::of_threads_and_mounts()?)),
        found => Ok(found),
    }
}

/// Calls `look` with each namespace but the instance's own, and with those who hold it, until that gives
/// something. A namespace that nobody holds any more, or that we may not enter, has nothing for us.
pub fn each_namespace<T>(
    instance: &Space,
    held: &Held,
    mut look: impl FnMut(Space, &Holders) -> Result<Option<T>>,
) -> Result<Option<T>> {
    for (inode, holders) in held {
        if *inode == instance.netns.inode() {
            continue;
        }
        let Some(space) = holders.open(*inode).and_then(|netns| Space::within(netns).ok()) else {
            continue;
        };
        if let Some(found) = look(space, holders)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
