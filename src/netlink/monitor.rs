//! Link events: to wait for something without asking again and again.

use crate::{
    error::{Doing, Result},
    netns::Netns,
};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rtnetlink::MulticastGroup;

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
            let (connection, _, events) =
                rtnetlink::new_multicast_connection(&[MulticastGroup::Link])
                    .doing(|| "subscribing to link events")?;
            tokio::spawn(connection);
            Ok(Self { events: events.map(|_| ()).boxed() })
        })
    }

    /// Waits until something changed since the last call, and takes all that has queued up.
    pub async fn changed(&mut self) {
        if self.events.next().await.is_none() {
            // The socket is gone. Never return: the caller's deadline ends the wait.
            std::future::pending::<()>().await;
        }
        while futures_util::FutureExt::now_or_never(self.events.next()).flatten().is_some() {}
    }
}
