//! The instance, as it must be when tasks are gone: their ENIs at home, and nothing of them left.
//! What `poststop` and `gc` have in common.

use crate::{
    config::Credentials,
    eni,
    error::{Doing, Result},
    link::Link,
    netlink::{KernelError, Netlink},
    netns::Netns,
    tag::Tag,
};
use nix::net::if_::if_nametoindex;

/// The instance that this hook runs on.
#[derive(Debug)]
pub struct Instance<'a> {
    /// Its namespace.
    pub netns: Netns,
    /// A socket in it.
    pub netlink: Netlink,
    /// Its side of the credential path.
    pub credentials: &'a Credentials,
}

impl<'a> Instance<'a> {
    /// Opens it.
    ///
    /// # Errors
    /// The kernel does not give us a socket.
    pub fn open(credentials: &'a Credentials) -> Result<Self> {
        Ok(Self { netns: Netns::current()?, netlink: Netlink::here()?, credentials })
    }

    /// Its links.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn links(&self) -> Result<Vec<Link>> {
        self.netlink.links().await.doing(|| "listing the instance's links")
    }

    /// Its links that belong to no bridge or bond: all but other tasks'.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn free_links(&self) -> Result<Vec<Link>> {
        self.netlink.free_links().await.doing(|| "listing the instance's links")
    }

    /// Makes an ENI that is at home what it was, and deletes what is left of a branch. Says what came
    /// of it.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn restore(&self, link: Option<&Link>, home: &Tag) -> Result<String> {
        if let Some(branch) = home.branch {
            if let Some(link) = link {
                let doing = || format!("deleting {}, {branch}", link.name);
                match self.netlink.delete_link(link.index).await {
                    Err(error) if error.is_no_device() => {}
                    deleted => deleted.doing(doing)?,
                }
            }
            return Ok(format!("branch ENI {}, {branch}, is deleted", home.eni));
        }
        let name = match link {
            Some(link) => eni::restore(&self.netlink, link, home, false).await?,
            None => None,
        };
        Ok(match name {
            Some(name) => format!("ENI {} is home as {name}", home.eni),
            None => format!("ENI {} is no longer attached", home.eni),
        })
    }

    /// Deletes the bridge's neighbour entries whose tasks are gone; gives their number. A veth is
    /// there before its entry, so an entry seen now whose veth is not there afterwards is nobody's;
    /// if another task takes its lease in this very moment, that one gets the entry back.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn forget_neighbours(&self) -> Result<usize> {
        match self.try_forget_neighbours().await {
            Err(error) if error.is_no_device() => Ok(0), // no bridge yet
            forgotten => {
                forgotten.doing(|| "deleting the neighbour entries of tasks that are gone")
            }
        }
    }

    async fn try_forget_neighbours(&self) -> Result<usize, KernelError> {
        let bridge = self.netlink.index(&self.credentials.bridge).await?;
        let mut forgotten = 0;
        for address in self.netlink.permanent_neighbours(bridge).await? {
            let Some(lease) = self.credentials.lease_of(address) else { continue };
            let is_held = || if_nametoindex(lease.link_name().as_str()).is_ok();
            if is_held() {
                continue;
            }
            match self.netlink.delete_neighbour(bridge, address).await {
                Err(error) if !error.is_absent() => return Err(error),
                _ => forgotten += 1,
            }
            if is_held() {
                self.netlink.add_neighbour(bridge, address, lease.mac(), true).await?;
            }
        }
        Ok(forgotten)
    }
}

/// The ENIs among these links that came home without us, each with its label. While an ENI is at
/// home, only one that a task is done with has a label: it is put on by the move into a task.
///
/// A task may have rewritten the label, so one that speaks of another interface is not believed.
pub fn strays(links: &[Link]) -> impl Iterator<Item = (&Link, Tag)> {
    links.iter().filter_map(|link| {
        let tag = Tag::parse(link.alias.as_deref()?)?;
        let believed = tag.describes(link) && link.is(tag.eni) && link.controller.is_none();
        believed.then_some((link, tag))
    })
}
