//! The socket: one request, its answers, and no waiting for ever.
//!
//! Messages are decoded here only as far as the netlink header. What is in them is decoded by those
//! who asked, because not everything decodes: a task with `CAP_NET_ADMIN` can give its ENI a name or
//! a label that is no text, and libraries drop such a message, or wait for one that they dropped.

use crate::{
    error::{Doing, KernelError, Result},
    kernel::{error::Answer, netns::Netns},
};
use futures_util::StreamExt;
use nix::errno::Errno;
use rtnetlink::{
    packet_core::{
        DecodeError, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable,
        NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
    },
    packet_route::RouteNetlinkMessage,
    proto::{Connection, ConnectionHandle, new_connection},
    sys::{AsyncSocket, SocketAddr, protocols::NETLINK_ROUTE},
};
use std::{io, time::Duration};

/// How often a dump that changed under our hands is made again.
const DUMP_TRIES: usize = 10;

/// How long the kernel may take for one answer. It takes milliseconds; whatever is wrong after
/// this, waiting longer will not mend it, and the runtime's own patience is not for waiting.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A routing socket in one namespace.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: ConnectionHandle<Raw>,
}

/// A message of the routing family, as the kernel writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) kind: u16,
    pub(super) payload: Vec<u8>,
}

impl Raw {
    /// The message, where it decodes.
    pub(super) fn decode(&self) -> Option<RouteNetlinkMessage> {
        let mut header = NetlinkHeader::default();
        header.message_type = self.kind;
        RouteNetlinkMessage::deserialize(&header, &self.payload).ok()
    }
}

impl From<RouteNetlinkMessage> for Raw {
    fn from(message: RouteNetlinkMessage) -> Self {
        let mut payload = vec![0; NetlinkSerializable::buffer_len(&message)];
        message.serialize(&mut payload);
        Self { kind: message.message_type(), payload }
    }
}

impl NetlinkSerializable for Raw {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.payload.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.payload);
    }
}

impl NetlinkDeserializable for Raw {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self { kind: header.message_type, payload: payload.to_owned() })
    }
}

impl Netlink {
    /// Opens a socket in this thread's own namespace.
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
            Self::here()
        })
    }

    /// Asks for a change; `flags` beyond those that every change has.
    pub(super) async fn change(&self, request: RouteNetlinkMessage, flags: u16) -> Answer<()> {
        self.ask(request, NLM_F_ACK | flags).await.map(|_| ())
    }

    /// Asks for one object.
    pub(super) async fn get(&self, request: RouteNetlinkMessage) -> Answer<Option<Raw>> {
        Ok(self.ask(request, 0).await?.0.into_iter().next())
    }

    /// Asks for everything that matches, whole: a dump that was torn by a change in the meantime
    /// (`NLM_F_DUMP_INTR`) may lack what it should show, and is made again.
    pub(super) async fn dump(&self, request: RouteNetlinkMessage) -> Answer<Vec<Raw>> {
        let mut answer = Vec::new();
        for _ in 0..DUMP_TRIES {
            let torn;
            (answer, torn) = self.ask(request.clone(), NLM_F_DUMP).await?;
            if !torn {
                break;
            }
        }
        Ok(answer)
    }

    async fn ask(&self, request: RouteNetlinkMessage, flags: u16) -> Answer<(Vec<Raw>, bool)> {
        let exchange = async {
            let mut header = NetlinkHeader::default();
            header.flags = NLM_F_REQUEST | flags;
            let payload = NetlinkPayload::InnerMessage(Raw::from(request));
            let message = NetlinkMessage::new(header, payload);
            let sent = self.handle.request(message, SocketAddr::new(0, 0));
            let mut stream = sent.map_err(|_| KernelError::from(Errno::EPIPE))?;
            let (mut answers, mut torn) = (Vec::new(), false);
            while let Some(message) = stream.next().await {
                torn |= message.header.flags & NLM_F_DUMP_INTR != 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(error.into());
                    }
                    NetlinkPayload::Overrun(_) => return Err(Errno::ENOBUFS.into()),
                    _ => {}
                }
            }
            Ok((answers, torn))
        };
        let late = |_| Err(KernelError::from(Errno::ETIMEDOUT));
        tokio::time::timeout(ANSWER_TIMEOUT, exchange).await.unwrap_or_else(late)
    }
}

/// Makes the socket; it belongs to the namespace that the thread is in now.
fn open() -> io::Result<Netlink> {
    let (mut connection, handle, _): (Connection<Raw>, _, _) = new_connection(NETLINK_ROUTE)?;
    let socket = connection.socket_mut().socket_mut();
    // What we ask for in a dump is what we get, or an error.
    socket.set_netlink_get_strict_chk(true)?;
    // The kernel's sentence about what was wrong, and without our request in front of it.
    socket.set_ext_ack(true)?;
    socket.set_cap_ack(true)?;
    tokio::spawn(connection);
    Ok(Netlink { handle })
}
