//! Requests to the kernel's routing socket, one function a request. The only user of rtnetlink.
//!
//! Every function is one verb on one kind of object and fails with a [`KernelError`]: the errno,
//! and the kernel's own sentence where it has one.

mod error;
mod ip;
mod link;
mod monitor;
mod rule;

pub use error::KernelError;
pub use link::{LinkChange, PortFlags, Veth};
pub use monitor::Monitor;

use crate::{
    error::{Doing, Result},
    netns::Netns,
};
use futures_util::StreamExt;
use rtnetlink::packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::{Handle, sys::AsyncSocket};
use std::io;

/// The result of one request.
pub type Answer<T> = std::result::Result<T, KernelError>;

/// How often a dump that changed under our hands is made again.
const DUMP_TRIES: usize = 10;

/// A routing socket in one namespace.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: Handle,
}

impl Netlink {
    /// Opens a socket in this thread's own namespace.
    ///
    /// # Errors
    /// The kernel does not give us a socket.
    pub fn here() -> Result<Self> {
        open().doing(|| "opening a routing socket")
    }

    /// Opens a socket in another namespace.
    ///
    /// # Errors
    /// The namespace cannot be entered, or the kernel does not give us a socket.
    pub fn within(netns: &Netns) -> Result<Self> {
        let runtime = tokio::runtime::Handle::current();
        netns.within(move || {
            let _entered = runtime.enter();
            open().doing(|| "opening a routing socket")
        })
    }

    /// A dump of everything that matches the request, whole: one that was torn by a change in the
    /// meantime (`NLM_F_DUMP_INTR`) may lack what it should show, and is made again.
    async fn dump(&self, request: RouteNetlinkMessage) -> Answer<Vec<RouteNetlinkMessage>> {
        let mut answer = Vec::new();
        for _ in 0..DUMP_TRIES {
            let torn;
            (answer, torn) = self.dump_once(request.clone()).await?;
            if !torn {
                break;
            }
        }
        Ok(answer)
    }

    async fn dump_once(
        &self,
        request: RouteNetlinkMessage,
    ) -> Answer<(Vec<RouteNetlinkMessage>, bool)> {
        let mut message = NetlinkMessage::from(request);
        message.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut stream = self.handle.clone().request(message)?;
        let (mut answer, mut torn) = (Vec::new(), false);
        while let Some(message) = stream.next().await {
            torn |= message.header.flags & NLM_F_DUMP_INTR != 0;
            match message.payload {
                NetlinkPayload::InnerMessage(inner) => answer.push(inner),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.into()),
                _ => {}
            }
        }
        Ok((answer, torn))
    }
}

/// Makes the socket; it belongs to the namespace that the thread is in now.
fn open() -> io::Result<Netlink> {
    let (mut connection, handle, _) = rtnetlink::new_connection_with_strict_check()?;
    let socket = connection.socket_mut().socket_mut();
    // The kernel's sentence about what was wrong, and without our request in front of it.
    socket.set_ext_ack(true)?;
    socket.set_cap_ack(true)?;
    tokio::spawn(connection);
    Ok(Netlink { handle })
}
