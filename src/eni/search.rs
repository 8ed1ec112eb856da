//! Looks into the namespaces that somebody holds.

use crate::{
    error::Result,
    kernel::{
        holders::{Held, Holders},
        sides::Space,
    },
    net::link::Link,
};

/// Calls `look` with each namespace but the instance's own: what it is, its links, and who holds it; until
/// that gives something. A namespace that dies meanwhile, or that we may not enter, has nothing for us.
pub fn each_namespace<T>(
    instance: &Space,
    held: &Held,
    mut look: impl FnMut(&Space, &[Link], &Holders) -> Result<Option<T>>,
) -> Result<Option<T>> {
    for (inode, holders) in held {
        if *inode == instance.netns.inode() {
            continue;
        }
        let Some(space) = holders.open(*inode).and_then(|netns| Space::within(netns).ok()) else {
            continue;
        };
        let Ok(links) = space.netlink.links() else { continue };
        if let Some(found) = look(&space, &links, holders)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
