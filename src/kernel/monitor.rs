//! Link events: to wait for something without asking again and again.

use crate::{
    error::{Doing, Result},
    kernel::{netns::Netns, socket::Raw},
};
use futures_util::{FutureExt, StreamExt, stream::BoxStream};
use rtnetlink::{
    MulticastGroup,
    proto::{Connection, new_connection},
    sys::{AsyncSocket, SocketAddr, protocols::NETLINK_ROUTE},
};
use std::io;

/// A subscription to the link events of one namespace.
///
/// Subscribe, look, wait, look again: what changes between the look and the wait is then waiting
/// in the socket. An event says only *that* something changed; what is so, a look must tell. That
/// also covers events that were lost because the socket's buffer was full.
pub struct Monitor {
    events: BoxStream<'static, ()>,
}

impl Monitor {
    /// Subscribes in a namespace.
    ///
    /// # Errors
    /// The namespace cannot be entered, or the kernel does not give us a socket.
    pub fn within(netns: &Netns) -> Result<Self> {
        let runtime = tokio::runtime::Handle::current();
        netns.within(move || {
            let _entered = runtime.enter();
            subscribe().doing(|| "subscribing to link events")
        })
    }

    /// Waits for an event since the last call, and takes all that have queued up.
    pub async fn event(&mut self) {
        if self.events.next().await.is_none() {
            // The socket is gone. Never return: the caller's limits end the wait.
            std::future::pending::<()>().await;
        }
        while self.events.next().now_or_never().flatten().is_some() {}
    }
}

fn subscribe() -> io::Result<Monitor> {
    let (mut connection, _, events): (Connection<Raw>, _, _) = new_connection(NETLINK_ROUTE)?;
    let groups = 1 << (MulticastGroup::Link as u32 - 1);
    connection.socket_mut().socket_mut().bind(&SocketAddr::new(0, groups))?;
    tokio::spawn(connection);
    Ok(Monitor { events: events.map(|_| ()).boxed() })
}
