//! The two namespaces that a task lives in, with a routing socket in each.

use crate::{
    error::{Result, refuse},
    kernel::{netns::Netns, socket::Netlink},
    net::{netns_id::NetnsId, side::Side},
};

/// One namespace, and a routing socket in it.
#[derive(Debug)]
pub struct Space {
    /// The namespace.
    pub netns: Netns,
    /// The socket.
    pub netlink: Netlink,
}

/// Both of them.
#[derive(Debug)]
pub struct Sides {
    /// The instance's.
    pub instance: Space,
    /// The task's; none where what is done is about no task.
    pub task: Option<Space>,
}

impl Space {
    /// The namespace of this thread.
    ///
    /// # Errors
    /// `/proc` is not there, or the kernel does not give us a socket.
    pub fn here() -> Result<Self> {
        Ok(Self { netns: Netns::current()?, netlink: Netlink::here()? })
    }

    /// Which namespace it is.
    #[must_use]
    pub fn id(&self) -> NetnsId {
        NetnsId { inode: self.netns.inode(), cookie: self.netlink.netns_cookie() }
    }

    /// Another namespace.
    ///
    /// # Errors
    /// It cannot be entered, or the kernel does not give us a socket.
    pub fn within(netns: Netns) -> Result<Self> {
        let netlink = Netlink::within(&netns)?;
        Ok(Self { netns, netlink })
    }
}

impl Sides {
    /// The task's.
    ///
    /// # Errors
    /// There is no task here.
    pub fn task(&self) -> Result<&Space> {
        self.task.as_ref().map_or_else(|| refuse("there is no task to do this in"), Ok)
    }

    /// One of the two.
    ///
    /// # Errors
    /// It is the task's, and there is no task here.
    pub fn of(&self, side: Side) -> Result<&Space> {
        match side {
            Side::Instance => Ok(&self.instance),
            Side::Task => self.task(),
        }
    }
}
