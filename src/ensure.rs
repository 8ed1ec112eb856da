//! The steps that are more than one request: look, compare, wait.

use crate::{
    branch::Branch,
    error::{Doing, Error, Result, refuse},
    kernel::{Applied, Kernel, Outcome, changed, ensured},
    lease::Lease,
    limits::Limits,
    link::{InterfaceName, Link, Mac},
    netlink::{Answer, KernelError, LinkChange, Monitor, PortFlags, Veth, Vlan},
    nft::{self, Family, Ruleset, State},
    snapshot::tagged_veths,
    step::{Route, Side},
    tag::Tag,
};
use ipnetwork::IpNetwork;
use nix::errno::Errno;
use std::{fs, net::IpAddr, time::Instant};

impl Kernel {
    /// The bridge, made by us or, in the same moment, by another hook.
    pub(crate) async fn ensure_bridge(
        &self,
        name: &InterfaceName,
        mac: Mac,
        mtu: u32,
    ) -> Outcome<Applied> {
        let added = self.instance.add_bridge(name, mac, mtu).await;
        if added.as_ref().is_err_and(KernelError::is_exists) {
            let link = self.instance.link(name).await?;
            if link.is_none_or(|link| link.kind.as_deref() != Some("bridge")) {
                return refuse(format!("{name} is there, but not a bridge")).map_err(Into::into);
            }
        }
        ensured(added)
    }

    /// The task's veth. Its name is the lease, so EEXIST means that another task was faster.
    pub(crate) async fn create_veth(
        &self,
        lease: Lease,
        bridge: &InterfaceName,
        inside: &InterfaceName,
        mtu: u32,
    ) -> Outcome<Applied> {
        let (name, netns) = (&lease.link_name(), &self.task_ns);
        let bridge = self.index(Side::Instance, bridge).await?;
        let veth = Veth { name, bridge, netns, inside, mac: lease.mac(), mtu };
        match self.instance.add_veth(&veth).await {
            Err(error) if error.is_exists() && self.instance.link(name).await?.is_some() => {
                Err(Error::Overtaken(format!("another task took {lease}")).into())
            }
            // BR_MAX_PORTS, net/bridge/br_private.h.
            Err(error) if error.errno == Errno::EXFULL => {
                Err(Error::Refused("the bridge has all the 1023 ports it can have".to_owned())
                    .into())
            }
            added => changed(added),
        }
    }

    /// A branch ENI. The kernel allows one link a VLAN, wherever it is, so EEXIST means that another
    /// task was faster; or that somebody has it whom we do not know.
    pub(crate) async fn create_branch(
        &self,
        branch: Branch,
        link: &Vlan<'_>,
        name: &InterfaceName,
    ) -> Outcome<Applied> {
        match self.add_branch(link, name).await {
            Err(error) if error.is_no_device() => {
                Err(Error::Overtaken("the trunk has left the instance".to_owned()).into())
            }
            Err(error) if error.errno == Errno::EOPNOTSUPP => {
                Err(Error::Refused("this kernel has no VLANs (module 8021q)".to_owned()).into())
            }
            Err(error) if error.is_exists() => {
                let own = self.task_ns.inode();
                let is_faster = |tag: &Tag| tag.branch == Some(branch) && tag.netns != own;
                let links = self.instance.links().await?;
                Err(if tagged_veths(&links).any(|(_, _, tag)| is_faster(&tag)) {
                    Error::Overtaken(format!("another task took {branch}")).into()
                } else {
                    Error::Refused(
                        "a link in a namespace that this hook does not know of has that VLAN"
                            .to_owned(),
                    )
                    .into()
                })
            }
            added => changed(added),
        }
    }

    /// Creates the link of a branch. Its name may be taken on the instance, where the kernel should not
    /// care, but does; then the kernel completes a name in the task, and mostly it is the right one.
    async fn add_branch(&self, link: &Vlan<'_>, name: &InterfaceName) -> Answer<()> {
        if let Some(unfinished) = self.branch_inside(link).await? {
            self.task.delete_link(unfinished.index).await?;
        }
        let added = self.instance.add_vlan(link, name.as_str()).await;
        if !added.as_ref().is_err_and(KernelError::is_exists)
            || self.instance.link(name).await?.is_none()
        {
            return added;
        }
        self.instance.add_vlan(link, &name.pattern()).await?;
        let Some(made) = self.branch_inside(link).await? else {
            return Err(Errno::ENODEV.into()); // the trunk has left, and it with it
        };
        if made.name == name.as_str() {
            return Ok(());
        }
        let named = LinkChange { name: Some(name.to_string()), ..LinkChange::default() };
        let renamed = self.task.change_link(made.index, &named).await;
        if renamed.is_err() {
            self.task.delete_link(made.index).await?;
        }
        renamed
    }

    /// The link of this VLAN in the task.
    async fn branch_inside(&self, vlan: &Vlan<'_>) -> Answer<Option<Link>> {
        let is_it = |link: &Link| link.vlan == Some(vlan.vlan) && link.peer == Some(vlan.trunk);
        Ok(self.task.links().await?.into_iter().find(is_it))
    }

    pub(crate) async fn configure_port(
        &self,
        lease: Lease,
        tag: &Tag,
        isolated: bool,
    ) -> Outcome<Applied> {
        let index = self.index(Side::Instance, &lease.link_name()).await?;
        let flags = if isolated { PortFlags::Isolated } else { PortFlags::Default };
        self.instance.configure_port(index, &tag.to_string(), flags).await?;
        if isolated {
            let port = self.instance.link(&lease.link_name()).await?;
            if port.is_some_and(|port| port.locked != Some(true)) {
                log::warn!(
                    "this kernel has no locked bridge ports (Linux 5.18): tasks are isolated from \
                     each other, but can pretend to have another MAC address"
                );
            }
        }
        Ok(Applied::Changed)
    }

    pub(crate) async fn ensure_fdb_entry(&self, lease: Lease) -> Outcome<Applied> {
        let index = self.index(Side::Instance, &lease.link_name()).await?;
        let added = self.instance.add_fdb_entry(index, lease.mac(), false).await;
        if added.as_ref().is_err_and(KernelError::is_exists) {
            // Perhaps at another port, which learned it from a task that pretended.
            self.instance.add_fdb_entry(index, lease.mac(), true).await?;
        }
        ensured(added)
    }

    pub(crate) async fn ensure_address(
        &self,
        side: Side,
        link: &InterfaceName,
        address: IpNetwork,
        subnet_route: bool,
    ) -> Outcome<Applied> {
        let (netlink, _) = self.side(side);
        let index = self.index(side, link).await?;
        ensured(netlink.add_address(index, address, subnet_route).await)
    }

    pub(crate) async fn delete_address(
        &self,
        side: Side,
        link: &InterfaceName,
        address: IpNetwork,
    ) -> Answer<()> {
        let (netlink, _) = self.side(side);
        netlink.delete_address(self.index(side, link).await?, address).await
    }

    pub(crate) async fn ensure_route(&self, route: &Route) -> Outcome<Applied> {
        let index = self.index_of(route).await?;
        let added = self.task.add_route(route, index).await;
        if added.as_ref().is_err_and(KernelError::is_exists)
            && !self.task.has_route(route, index).await?
        {
            return refuse("another route to the same destination is there").map_err(Into::into);
        }
        ensured(added)
    }

    pub(crate) async fn delete_route(&self, route: &Route) -> Answer<()> {
        let index = self.index_of(route).await?;
        self.task.delete_route(route, index).await
    }

    /// Rules in the task's namespace, which a task that may can change: so they are looked at whole. Where
    /// others of ours are replaced, that is not undone: what was blocked stays so.
    pub(crate) fn ensure_block(
        &self,
        ruleset: &Ruleset,
        install: impl FnOnce(&Ruleset) -> Result<()>,
    ) -> Outcome<Applied> {
        let before = self.task_ns.within(|| nft::ensure(ruleset, install))?;
        Ok(if before == State::Absent { Applied::Changed } else { Applied::Already })
    }

    pub(crate) fn unblock(&self, families: &[Family]) -> Outcome<Applied> {
        let remove = || nft::remove(families).doing(|| "removing our tables");
        let were_there = self.task_ns.within(remove)?;
        Ok(if were_there { Applied::Changed } else { Applied::Already })
    }

    async fn index_of(&self, route: &Route) -> Answer<Option<u32>> {
        Ok(match route {
            Route::Link { link, .. } | Route::Via { link, .. } => {
                Some(self.index(Side::Task, link).await?)
            }
            Route::Blackhole { .. } => None,
        })
    }

    /// A neighbour's MAC address follows from its address, so one that is there is replaced, and
    /// that is no change that would have to be undone.
    pub(crate) async fn ensure_neighbour(
        &self,
        side: Side,
        link: &InterfaceName,
        address: IpAddr,
        mac: Mac,
    ) -> Outcome<Applied> {
        let (netlink, _) = self.side(side);
        let index = self.index(side, link).await?;
        let added = netlink.add_neighbour(index, address, mac, false).await;
        if added.as_ref().is_err_and(KernelError::is_exists) {
            netlink.add_neighbour(index, address, mac, true).await?;
        }
        ensured(added)
    }

    pub(crate) async fn delete_neighbour(
        &self,
        side: Side,
        link: &InterfaceName,
        address: IpAddr,
    ) -> Answer<()> {
        let (netlink, _) = self.side(side);
        netlink.delete_neighbour(self.index(side, link).await?, address).await
    }

    pub(crate) async fn change(
        &self,
        side: Side,
        link: &InterfaceName,
        change: &LinkChange,
    ) -> Outcome<Applied> {
        let (netlink, _) = self.side(side);
        changed(netlink.change_link(self.index(side, link).await?, change).await)
    }

    pub(crate) async fn delete_veth(&self, name: InterfaceName) -> Answer<()> {
        self.instance.delete_link(self.index(Side::Instance, &name).await?).await
    }

    /// `/proc/sys/net` shows the namespace of the thread that opens it.
    pub(crate) fn ensure_option(
        &self,
        side: Side,
        family: &str,
        link: &InterfaceName,
        option: &str,
        value: &str,
    ) -> Outcome<Applied> {
        let path = format!("/proc/sys/net/{family}/conf/{link}/{option}");
        let ensure = || -> Result<Applied> {
            if fs::read_to_string(&path).doing(|| format!("reading {path}"))?.trim() == value {
                return Ok(Applied::Already);
            }
            fs::write(&path, value).doing(|| format!("writing {path}"))?;
            Ok(Applied::Changed)
        };
        Ok(match side {
            Side::Instance => ensure()?,
            Side::Task => self.task_ns.within(ensure)?,
        })
    }

    /// Waits until frames flow over a link. Nothing is subscribed to where they do already.
    pub(crate) async fn await_running(
        &self,
        side: Side,
        name: &InterfaceName,
        limits: &Limits,
    ) -> Outcome<Applied> {
        let (netlink, netns) = self.side(side);
        let running = async || -> Outcome<bool> {
            let link = netlink.link(name).await?;
            Ok(link.ok_or_else(|| Error::Refused("it is gone".to_owned()))?.running)
        };
        if running().await? {
            return Ok(Applied::Already);
        }
        let mut monitor = Monitor::within(netns)?;
        let until = Instant::now() + self.link_up_timeout;
        while !running().await? {
            if !limits.change(&mut monitor, until).await? {
                return refuse(format!(
                    "it has no carrier after {:.0?} (link-up-timeout-seconds in config.toml)",
                    self.link_up_timeout
                ))
                .map_err(Into::into);
            }
        }
        Ok(Applied::Already)
    }
}
