//! Looks into the namespaces that somebody holds.

use crate::{
    error::Result,
    kernel::{
        holders::{Held, Holders},
        sides::Space,
    },
};

/// Calls `look` with each namespace but the instance's own, and with those who hold it, until that gives
/// something. A namespace that nobody holds any more, or that we may not enter, has nothing for us.
pub fn each_namespace<T>(
    instance: &Space,
    held: &Held,
    mut look: impl FnMut(&Space, &Holders) -> Result<Option<T>>,
) -> Result<Option<T>> {
    for (inode, holders) in held {
        if *inode == instance.netns.inode() {
            continue;
        }
        let Some(space) = holders.open(*inode).and_then(|netns| Space::within(netns).ok()) else {
            continue;
        };
        if let Some(found) = look(&space, holders)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
