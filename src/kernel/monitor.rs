//! Events: to wait for something without asking again and again.

use crate::{
    error::{Doing, Result},
    kernel::{error::Answer, netns::Netns},
};
use rtnetlink::{
    MulticastGroup,
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};
use std::os::fd::{AsFd, BorrowedFd};

/// What one can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Events {
    /// Links come, go and change.
    Links,
    /// IPv6 routes come and go.
    Ipv6Routes,
}

/// A subscription to events of one namespace. Its descriptor can be read when there was one.
///
/// Subscribe, look, wait, look again: what changes between the look and the wait is then waiting
/// in the socket. An event says only *that* something changed; what is so, a look must tell. That
/// also covers events that were lost because the socket's buffer was full.
#[derive(Debug)]
pub struct Monitor(Socket);

impl Monitor {
    /// Subscribes in a namespace.
    ///
    /// # Errors
    /// The namespace cannot be entered, or the kernel does not give us a socket.
    pub fn within(netns: &Netns, events: Events) -> Result<Self> {
        let (group, what) = match events {
            Events::Links => (MulticastGroup::Link, "links"),
            Events::Ipv6Routes => (MulticastGroup::Ipv6Route, "IPv6 routes"),
        };
        netns.within(|| subscribe(group).doing(|| format!("subscribing to events of {what}")))
    }

    /// Takes all events that have queued up.
    pub fn drain(&self) {
        // EAGAIN: that was all. ENOBUFS: some were lost, and the next look tells.
        let mut event = Vec::with_capacity(1);
        while self.0.recv(&mut event, 0).is_ok() {
            event.clear();
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn subscribe(group: MulticastGroup) -> Answer<Monitor> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, 1 << (group as u32 - 1)))?;
    socket.set_non_blocking(true)?;
    Ok(Monitor(socket))
}
