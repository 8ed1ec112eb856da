//! One step made to happen, and undone: which request to the kernel each step is.

use crate::{
    eni,
    error::{Cause, Doing, Error, Result},
    limits::Limits,
    link::InterfaceName,
    netlink::{Answer, LinkChange, Netlink, Vlan},
    netns::Netns,
    nft::{self, Family},
    step::{Side, Step},
    tag::Tag,
};
use std::{cell::RefCell, collections::BTreeMap, time::Duration};

/// The two namespaces that a task lives in, and a routing socket in each.
#[derive(Debug)]
pub struct Kernel {
    /// The instance's namespace.
    pub instance_ns: Netns,
    /// A socket in it.
    pub instance: Netlink,
    /// The task's namespace.
    pub task_ns: Netns,
    /// A socket in it.
    pub task: Netlink,
    /// How long to wait for one link to be operationally up.
    pub link_up_timeout: Duration,
    /// The indices of links that were asked for.
    pub(crate) indices: RefCell<BTreeMap<(Side, InterfaceName), u32>>,
}

/// What applying a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It made the change.
    Changed,
    /// It was so already.
    Already,
}

/// The result of something that the kernel refused, or that we did.
pub type Outcome<T> = Result<T, Cause>;

impl Kernel {
    /// Opens both sides: ours and the task's.
    ///
    /// # Errors
    /// A namespace cannot be entered, or the kernel does not give us a socket.
    pub fn open(instance_ns: Netns, task_ns: Netns, link_up_timeout: Duration) -> Result<Self> {
        let (instance, task) = (Netlink::here()?, Netlink::within(&task_ns)?);
        let indices = RefCell::default();
        Ok(Self { instance_ns, instance, task_ns, task, link_up_timeout, indices })
    }

    /// The index of a link, which is asked for once.
    pub(crate) async fn index(&self, side: Side, link: &InterfaceName) -> Answer<u32> {
        let key = (side, link.clone());
        if let Some(index) = self.indices.borrow().get(&key) {
            return Ok(*index);
        }
        let index = self.side(side).0.index(link).await?;
        self.indices.borrow_mut().insert(key, index);
        Ok(index)
    }

    /// The socket and the namespace of one side.
    pub(crate) fn side(&self, side: Side) -> (&Netlink, &Netns) {
        match side {
            Side::Instance => (&self.instance, &self.instance_ns),
            Side::Task => (&self.task, &self.task_ns),
        }
    }

    /// Ensures one step: what is so already is fine, the same thing in another form is an error,
    /// and a step that fails has changed nothing.
    ///
    /// # Errors
    /// The kernel's refusal, or our own.
    pub async fn apply(&self, step: &Step, limits: &Limits) -> Outcome<Applied> {
        match step {
            Step::InstallRules { ruleset } => {
                nft::install(ruleset)?;
                Ok(Applied::Changed)
            }
            Step::CreateBridge { bridge, mac, mtu } => self.ensure_bridge(bridge, *mac, *mtu).await,
            Step::SetMac { side, link, mac } => {
                let change = LinkChange { mac: Some(*mac), ..LinkChange::default() };
                self.change(*side, link, &change).await
            }
            Step::CreateVeth { lease, bridge, inside, mtu } => {
                self.create_veth(*lease, bridge, inside, *mtu).await
            }
            Step::ConfigurePort { lease, tag, isolated } => {
                self.configure_port(*lease, tag, *isolated).await
            }
            Step::AddFdbEntry { lease } => self.ensure_fdb_entry(*lease).await,
            Step::DeleteRule { rule } => match self.instance.delete_rule(rule).await {
                Err(error) if error.is_absent() => Ok(Applied::Already),
                deleted => changed(deleted),
            },
            Step::MoveIn { index, home, was_up, inside, mtu } => {
                let to = &self.task_ns;
                match eni::move_in(&self.instance, *index, to, home, inside, *mtu).await {
                    Err(error) if error.is_no_device() => {
                        Err(Error::Overtaken("it has left the instance".to_owned()).into())
                    }
                    moved => {
                        if moved.is_err() {
                            self.bring_home(home, *was_up).await?;
                        }
                        changed(moved)
                    }
                }
            }
            Step::DeleteLeftover { index, .. } => match self.instance.delete_link(*index).await {
                Err(error) if error.is_no_device() => Ok(Applied::Already),
                deleted => changed(deleted),
            },
            Step::CreateBranch { trunk, branch, mac, inside, mtu } => {
                let (trunk, netns, vlan) = (*trunk, &self.task_ns, branch.vlan);
                let link = Vlan { trunk, vlan, netns, mac: *mac, mtu: *mtu };
                self.create_branch(*branch, &link, inside).await
            }
            Step::Label { link, tag } => {
                let change = LinkChange { alias: Some(tag.to_string()), ..LinkChange::default() };
                self.change(Side::Task, link, &change).await
            }
            Step::SetOption { side, family, link, option, value } => {
                self.ensure_option(*side, family, link, option, value)
            }
            Step::AddAddress { side, link, address, subnet_route } => {
                self.ensure_address(*side, link, *address, *subnet_route).await
            }
            Step::AddRoute { route } => self.ensure_route(route).await,
            Step::DeleteRoute { route } => match self.delete_route(route).await {
                Err(error) if error.is_absent() => Ok(Applied::Already),
                deleted => changed(deleted),
            },
            Step::BlockPackets { ruleset } => self.ensure_block(ruleset, nft::install),
            Step::BlockFrames { ruleset, .. } => {
                self.ensure_block(ruleset, nft::install_if_possible)
            }
            Step::Unblock => self.unblock(nft::TASK),
            Step::AddNeighbour { side, link, address, mac } => {
                self.ensure_neighbour(*side, link, *address, *mac).await
            }
            Step::SetUp { side, link } => self.change(*side, link, &switched(true)).await,
            Step::AwaitRunning { side, link } => self.await_running(*side, link, limits).await,
        }
    }

    /// Undoes one step that [`Kernel::apply`] said it changed. What is gone already is fine.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub async fn revert(&self, step: &Step) -> Outcome<()> {
        match step {
            Step::CreateVeth { lease, .. } => gone(self.delete_veth(lease.link_name()).await),
            Step::DeleteRule { rule } => ensured(self.instance.add_rule(rule).await).map(|_| ()),
            Step::MoveIn { home, was_up, .. } => Ok(self.bring_home(home, *was_up).await?),
            Step::CreateBranch { inside, .. } => match self.task.link(inside).await? {
                Some(link) => gone(self.task.delete_link(link.index).await),
                None => Ok(()),
            },
            Step::AddAddress { side: side @ Side::Task, link, address, .. } => {
                gone(self.delete_address(*side, link, *address).await)
            }
            Step::AddRoute { route } => gone(self.delete_route(route).await),
            Step::DeleteRoute { route } => self.ensure_route(route).await.map(|_| ()),
            Step::BlockPackets { .. } => self.unblock(&[Family::Inet]).map(|_| ()),
            Step::BlockFrames { .. } => self.unblock(&[Family::Netdev]).map(|_| ()),
            Step::AddNeighbour { side, link, address, .. } => {
                gone(self.delete_neighbour(*side, link, *address).await)
            }
            Step::SetUp { side: side @ Side::Task, link } => {
                match self.change(*side, link, &switched(false)).await {
                    Err(_) if self.task.link(link).await?.is_none() => Ok(()),
                    changed => changed.map(|_| ()),
                }
            }
            // The bridge is the instance's, not the task's, and others may use it by now. The rest
            // are properties of a link and go away with it.
            Step::InstallRules { .. }
            | Step::CreateBridge { .. }
            | Step::SetMac { .. }
            | Step::AddAddress { side: Side::Instance, .. }
            | Step::SetUp { side: Side::Instance, .. }
            | Step::ConfigurePort { .. }
            | Step::AddFdbEntry { .. }
            | Step::DeleteLeftover { .. }
            | Step::Label { .. }
            | Step::SetOption { .. }
            | Step::Unblock
            | Step::AwaitRunning { .. } => Ok(()),
        }
    }

    /// Moves the ENI out of the task, if it is in there, and makes it what it was.
    async fn bring_home(&self, home: &Tag, up: bool) -> Result<()> {
        if eni::take_out(&self.task, &self.instance_ns, home).await? {
            let links = self.instance.links().await.doing(|| "listing the instance's links")?;
            if let Some(link) = eni::find(&links, home) {
                eni::restore(&self.instance, link, home, up).await?;
            }
        }
        Ok(())
    }
}

/// A change that is always one.
pub(crate) fn changed(answer: Answer<()>) -> Outcome<Applied> {
    answer.map(|()| Applied::Changed).map_err(Cause::from)
}

/// A change that may have been made already.
pub(crate) fn ensured(answer: Answer<()>) -> Outcome<Applied> {
    match answer {
        Err(error) if error.is_exists() => Ok(Applied::Already),
        answer => changed(answer),
    }
}

/// The removal of something that may be gone already.
fn gone(answer: Answer<()>) -> Outcome<()> {
    match answer {
        Err(error) if !error.is_absent() => Err(error.into()),
        _ => Ok(()),
    }
}

/// A link switched on or off.
fn switched(up: bool) -> LinkChange {
    LinkChange { up: Some(up), ..LinkChange::default() }
}
