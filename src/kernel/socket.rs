//! The socket: one request, its answers, and no waiting for ever.
//!
//! Messages are decoded here only as far as the netlink header. What is in them is decoded by those
//! who asked, because not everything decodes: a task with `CAP_NET_ADMIN` can give its ENI a name or
//! a label that is no text, and libraries drop such a message, or wait for one that they dropped.
//!
//! The kernel does the work while it takes the request, so nothing is gained by not waiting.

use crate::{
    error::{Doing, KernelError, Result},
    kernel::{
        error::{Answer, refusal},
        netns::Netns,
    },
};
use nix::{
    errno::Errno,
    getsockopt_impl, libc, sockopt_impl,
    sys::{
        socket::{getsockopt, setsockopt, sockopt::ReceiveTimeout},
        time::TimeVal,
    },
};
use rtnetlink::{
    packet_core::{
        NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
        NLMSG_OVERRUN, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable,
    },
    packet_route::RouteNetlinkMessage,
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};
use std::{
    cell::{Cell, RefCell},
    thread,
    time::Duration,
};

/// How often a dump that changed under our hands is made, later each time: for 160 ms in all, because a task
/// that is taken down may be busy making links.
pub const DUMP_TRIES: u32 = 40;

/// How long the kernel may take for one answer, in seconds. It takes milliseconds; whatever is wrong
/// after this, waiting longer will not mend it, and the runtime's own patience is not for waiting.
const ANSWER_TIMEOUT: i64 = 5;

/// More than any answer, in bytes: a link with hundreds of alternative names takes 64 KiB, and no attribute takes more.
/// Memory costs nothing until it is written to.
const LONGEST_ANSWER: usize = 1 << 20;

/// `struct nlmsghdr` (linux/netlink.h): length, type, flags, sequence number, port.
const HEADER_LEN: usize = 16;

sockopt_impl!(
    /// The cookie of the namespace that a socket is in (Linux 5.14).
    NetnsCookie,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_NETNS_COOKIE,
    u64
);

/// Opens a socket of a family between us and the kernel. Nobody else can send anything to it: a task that may change
/// its network could otherwise answer in the kernel's place (`netlink_getsockbyportid`, `net/netlink/af_netlink.c`).
///
/// # Errors
/// The kernel does not let us.
pub fn with_kernel(family: isize) -> Answer<Socket> {
    let mut socket = Socket::new(family)?;
    socket.bind_auto()?;
    // Its own address among netlink sockets (netlink(7)).
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// Waits before this attempt at a dump; not before the first.
pub fn wait_for_quiet(attempt: u32) {
    if attempt > 0 {
        thread::sleep(Duration::from_micros(200) * attempt);
    }
}

/// A routing socket in one namespace; within this wing, one of another family.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: Cell<u32>,
    /// What came last.
    answer: RefCell<Vec<u8>>,
}

/// A message, as the kernel writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) kind: u16,
    pub(super) payload: Vec<u8>,
}

/// What came for a request.
#[derive(Default)]
struct Answers {
    messages: Vec<Raw>,
    /// Whether something changed while the kernel listed it (`NLM_F_DUMP_INTR`).
    torn: bool,
}

impl Raw {
    /// The message, where it decodes.
    pub(super) fn decode(&self) -> Option<RouteNetlinkMessage> {
        let mut header = NetlinkHeader::default();
        header.message_type = self.kind;
        RouteNetlinkMessage::deserialize(&header, &self.payload).ok()
    }
}

impl Netlink {
    /// Opens a socket in this thread's own namespace.
    pub fn here() -> Result<Self> {
        Self::of(NETLINK_ROUTE).doing(|| "opening a routing socket")
    }

    /// Opens a socket in another namespace.
    ///
    /// # Errors
    /// The namespace cannot be entered, or the kernel does not give us a socket.
    pub fn within(netns: &Netns) -> Result<Self> {
        netns.within(Self::here)
    }

    /// The cookie of the socket's namespace; none before Linux 5.14.
    #[must_use]
    pub fn netns_cookie(&self) -> Option<u64> {
        getsockopt(&self.socket, NetnsCookie).ok()
    }

    /// Opens a socket of a family. It belongs to the namespace that the thread is in now.
    pub(super) fn of(family: isize) -> Answer<Self> {
        let socket = with_kernel(family)?;
        // What we ask for in a dump is what we get, or an error.
        socket.set_netlink_get_strict_chk(true)?;
        // The kernel's sentence about what was wrong, and without our request in front of it.
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::new(ANSWER_TIMEOUT, 0))?;
        let answer = RefCell::new(Vec::with_capacity(LONGEST_ANSWER));
        Ok(Self { socket, sequence: Cell::new(0), answer })
    }

    /// Asks for a change; `flags` beyond those that every change has.
    pub(super) fn change(&self, request: &impl NetlinkSerializable, flags: u16) -> Answer<()> {
        self.ask(request, NLM_F_ACK | flags).map(|_| ())
    }

    /// Asks for one object.
    pub(super) fn get(&self, request: &impl NetlinkSerializable) -> Answer<Option<Raw>> {
        Ok(self.ask(request, 0)?.messages.into_iter().next())
    }

    /// Asks for everything that matches, whole: a dump that was torn by a change in the meantime may
    /// lack what it should show, and is made again.
    pub(super) fn dump(&self, request: &RouteNetlinkMessage) -> Answer<Vec<Raw>> {
        for attempt in 0..DUMP_TRIES {
            wait_for_quiet(attempt);
            let answers = self.ask(request, NLM_F_DUMP)?;
            if !answers.torn {
                return Ok(answers.messages);
            }
        }
        Err(KernelError {
            errno: Errno::EINTR,
            sentence: Some(format!("it changed {DUMP_TRIES} times while it was listed")),
        })
    }

    fn ask(&self, request: &impl NetlinkSerializable, flags: u16) -> Answer<Answers> {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        let mut bytes = vec![0; HEADER_LEN + request.buffer_len()];
        let length = u32::try_from(bytes.len()).map_err(|_| Errno::EMSGSIZE)?;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes[4..6].copy_from_slice(&request.message_type().to_ne_bytes());
        bytes[6..8].copy_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
        bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        request.serialize(&mut bytes[HEADER_LEN..]);
        self.socket.send(&bytes, 0)?;
        let mut answers = Answers::default();
        let is_single = flags & (NLM_F_ACK | NLM_F_DUMP) == 0;
        let mut bytes = self.answer.borrow_mut();
        loop {
            bytes.clear();
            if self.socket.recv(&mut *bytes, libc::MSG_TRUNC)? > LONGEST_ANSWER {
                return Err(Errno::EMSGSIZE.into());
            }
            if answers.take(&bytes, sequence)? || (is_single && !answers.messages.is_empty()) {
                return Ok(answers);
            }
        }
    }
}

impl Answers {
    /// Takes the messages of one datagram; true when the last one has come. What is left of an earlier
    /// request, whose answer came too late, is passed over.
    fn take(&mut self, mut bytes: &[u8], sequence: u32) -> Answer<bool> {
        let truncated = || KernelError::from(Errno::EBADMSG);
        while !bytes.is_empty() {
            let number =
                |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
            let half =
                |at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
            let length = number(0).and_then(|length| usize::try_from(length).ok());
            let length = length.ok_or_else(truncated)?;
            let payload = bytes.get(HEADER_LEN..length).ok_or_else(truncated)?;
            let (kind, flags) = half(4).zip(half(6)).ok_or_else(truncated)?;
            if number(8) == Some(sequence) {
                self.torn |= flags & NLM_F_DUMP_INTR != 0;
                match kind {
                    // A dump may fail at its end.
                    NLMSG_ERROR | NLMSG_DONE => return refusal(payload).map_or(Ok(true), Err),
                    NLMSG_OVERRUN => return Err(Errno::ENOBUFS.into()),
                    _ => self.messages.push(Raw { kind, payload: payload.to_owned() }),
                }
            }
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER_LEN + payload.len()).expect("short");
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend([kind.to_ne_bytes(), flags.to_ne_bytes()].concat());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn answers_end_with_an_error_or_with_the_last_one() {
        let mut answers = Answers::default();
        let two = [message(16, 2, 7, b"one"), message(16, NLM_F_DUMP_INTR, 7, b"two")].concat();
        assert_eq!(answers.take(&two, 7), Ok(false));
        assert_eq!((answers.messages.len(), answers.torn), (2, true));
        assert_eq!(answers.take(&message(NLMSG_DONE, 0, 6, &[0; 4]), 7), Ok(false), "another's");
        assert_eq!(answers.take(&message(NLMSG_DONE, 0, 7, &[0; 4]), 7), Ok(true));
        assert_eq!(answers.take(&message(NLMSG_ERROR, 0, 7, &[0; 20]), 7), Ok(true));
        let refused = message(NLMSG_ERROR, 0, 7, &(-17_i32).to_ne_bytes());
        assert_eq!(answers.take(&refused, 7), Err(Errno::EEXIST.into()));
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        let whole = message(16, 0, 7, b"payload");
        for len in 1..HEADER_LEN + 7 {
            assert!(Answers::default().take(&whole[..len], 7).is_err(), "{len}");
        }
    }
}
