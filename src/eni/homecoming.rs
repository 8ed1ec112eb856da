//! Clean-up that poststop and gc share.

use crate::{
    eni::restore::restore,
    error::{Doing, KernelError, Result},
    input::config::credentials::CredentialNetwork,
    kernel::sides::Space,
    net::link::Link,
    task::label::Label,
};
use nix::net::if_::if_nametoindex;

/// The instance that this hook runs on.
#[derive(Debug)]
pub struct Instance<'a> {
    /// Its namespace.
    pub space: Space,
    /// Its side of the credential path.
    pub credentials: &'a CredentialNetwork,
}

impl<'a> Instance<'a> {
    /// Opens it.
    pub fn open(credentials: &'a CredentialNetwork) -> Result<Self> {
        Ok(Self { space: Space::here()?, credentials })
    }

    /// Its links.
    pub fn links(&self) -> Result<Vec<Link>> {
        self.space.netlink.links().doing(|| "listing the instance's links")
    }

    /// Its links that belong to no bridge or bond: all but other tasks'.
    pub fn free_links(&self) -> Result<Vec<Link>> {
        self.space.netlink.free_links().doing(|| "listing the instance's links")
    }

    /// Makes an ENI that is at home what it was, and deletes what is left of a branch. Says what came
    /// of it.
    pub fn restore(&self, link: Option<&Link>, label: &Label) -> Result<String> {
        if let Some(branch) = label.branch {
            if let Some(link) = link {
                let doing = || format!("deleting {}, {branch}", link.name);
                match self.space.netlink.delete_link(link.index) {
                    Err(error) if error.is_no_device() => {}
                    deleted => deleted.doing(doing)?,
                }
            }
            return Ok(format!("branch ENI {}, {branch}, is deleted", label.eni));
        }
        let name = match link {
            Some(link) => restore(&self.space.netlink, link, label, false)?,
            None => None,
        };
        Ok(match name {
            Some(name) => format!("ENI {} is home as {name}", label.eni),
            None => format!("ENI {} is no longer attached", label.eni),
        })
    }

    /// Deletes the bridge's neighbour entries whose tasks are gone; gives their number. A veth is
    /// there before its entry, so an entry seen now whose veth is not there afterwards is nobody's;
    /// if another task takes its lease in this very moment, that one gets the entry back.
    pub fn forget_neighbours(&self) -> Result<usize> {
        match self.try_forget_neighbours() {
            Err(error) if error.is_no_device() => Ok(0), // no bridge yet
            forgotten => {
                forgotten.doing(|| "deleting the neighbour entries of tasks that are gone")
            }
        }
    }

    fn try_forget_neighbours(&self) -> Result<usize, KernelError> {
        let bridge = self.space.netlink.index(&self.credentials.bridge)?;
        let mut forgotten = 0;
        for address in self.space.netlink.permanent_neighbours(bridge)? {
            let Some(lease) = self.credentials.lease_of(address) else { continue };
            let is_held = || if_nametoindex(lease.link_name().as_str()).is_ok();
            if is_held() {
                continue;
            }
            match self.space.netlink.delete_neighbour(bridge, address) {
                Err(error) if !error.is_absent() => return Err(error),
                _ => forgotten += 1,
            }
            if is_held() {
                self.space.netlink.add_neighbour(bridge, address, lease.mac(), true)?;
            }
        }
        Ok(forgotten)
    }
}
