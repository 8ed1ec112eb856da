//! The netfilter socket of this thread's namespace: a transaction, questions with one answer each, and dumps.
//!
//! The kernel does its work while it takes a request, and the answers are there when it lets us go on: so
//! nothing here waits.

use super::message::{Message, transaction};
use crate::{
    error::KernelError,
    kernel::{
        error::{Answer, refusal},
        socket::{DUMP_TRIES, wait_for_quiet, with_kernel},
    },
};
use nix::{
    errno::Errno,
    sys::socket::{setsockopt, sockopt::SndBufForce},
};
use rtnetlink::{
    packet_core::{DecodeError, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer},
    sys::{Socket, protocols::NETLINK_NETFILTER},
};

/// More than the kernel puts into one part of a dump (32 KiB: `netlink_recvmsg`, `net/netlink/af_netlink.c`).
const PART: usize = 1 << 16;

/// What a socket takes by default, less what the kernel adds, in bytes (`net.core.wmem_default`).
const SMALL: usize = 200_000;

/// `struct nfgenmsg`, linux/netfilter/nfnetlink.h, in bytes.
const GENERAL: usize = 4;

/// A netfilter socket.
#[derive(Debug)]
pub(super) struct Netfilter(Socket);

/// One message of an answer: the attributes of an object; an error or, without one, that all is done.
enum Reply {
    Object(Vec<u8>),
    End(Option<KernelError>),
}

impl Netfilter {
    /// Opens one in this thread's namespace.
    pub(super) fn open() -> Answer<Self> {
        let socket = with_kernel(NETLINK_NETFILTER)?;
        // The kernel's sentence about what was wrong, and without our request in front of it.
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        socket.set_non_blocking(true)?;
        Ok(Self(socket))
    }

    /// Makes a transaction happen, as a whole or not at all.
    pub(super) fn commit(&self, messages: Vec<Message>, seen: Option<u32>) -> Answer<()> {
        // The first answer is what was wrong first, if anything was.
        let (replies, _) = self.ask(&transaction(messages, seen), |replies| !replies.is_empty())?;
        match replies.into_iter().next() {
            Some(Reply::End(None)) => Ok(()),
            Some(Reply::End(Some(error))) => Err(error),
            _ => Err(Errno::EPROTO.into()),
        }
    }

    /// Asks for objects; gives the attributes of each, `None` where there is no such object.
    pub(super) fn get(&self, requests: &[Message]) -> Answer<Vec<Option<Vec<u8>>>> {
        // Who may not ask is told once.
        let is_denied =
            |reply: &Reply| matches!(reply, Reply::End(Some(error)) if error.is_denied());
        let is_enough =
            |replies: &[Reply]| replies.len() == requests.len() || replies.iter().any(is_denied);
        let (replies, _) = self.ask(requests, is_enough)?;
        let object = |reply| match reply {
            Reply::Object(object) => Ok(Some(object)),
            Reply::End(Some(error)) if error.errno != Errno::ENOENT => Err(error),
            Reply::End(_) => Ok(None),
        };
        replies.into_iter().map(object).collect()
    }

    /// Asks for all objects of a kind; gives the attributes of each. A dump that was torn by a transaction in
    /// the meantime may lack what it should show, and is made again.
    pub(super) fn dump(&self, request: &Message) -> Answer<Vec<Vec<u8>>> {
        let is_whole = |replies: &[Reply]| matches!(replies.last(), Some(Reply::End(_)));
        for attempt in 0..DUMP_TRIES {
            wait_for_quiet(attempt);
            let (replies, torn) = self.ask(std::slice::from_ref(request), is_whole)?;
            let mut objects = Vec::with_capacity(replies.len());
            for reply in replies {
                match reply {
                    Reply::Object(object) => objects.push(object),
                    Reply::End(Some(error)) => return Err(error),
                    Reply::End(None) => {}
                }
            }
            if !torn {
                return Ok(objects);
            }
        }
        Err(Errno::EINTR.into())
    }

    /// Sends messages in one go, and reads until it is enough. Also says whether a dump was torn.
    fn ask(
        &self,
        messages: &[Message],
        is_enough: impl Fn(&[Reply]) -> bool,
    ) -> Answer<(Vec<Reply>, bool)> {
        let mut request = Vec::new();
        for message in messages {
            message.append_to(&mut request);
        }
        if request.len() > SMALL {
            // Where we may not, sending fails.
            setsockopt(&self.0, SndBufForce, &(2 * request.len())).ok();
        }
        self.0.send(&request, 0)?;
        let (mut replies, mut torn) = (Vec::new(), false);
        let mut part = Vec::with_capacity(PART);
        while !is_enough(&replies) {
            part.clear();
            self.0.recv(&mut part, 0)?;
            torn |= read(&part, &mut replies)?;
        }
        Ok((replies, torn))
    }
}

/// Reads the messages in one part of an answer. Says whether it is of a torn dump.
fn read(mut part: &[u8], replies: &mut Vec<Reply>) -> Answer<bool> {
    let malformed = |_: DecodeError| KernelError::from(Errno::EBADMSG);
    let mut torn = false;
    while !part.is_empty() {
        let message = NetlinkBuffer::new_checked(part).map_err(malformed)?;
        let payload = message.payload();
        torn |= message.flags() & NLM_F_DUMP_INTR != 0;
        replies.push(match message.message_type() {
            // A dump ends with a code, too, and then with nothing that we asked for (`netlink_dump_done`).
            NLMSG_DONE | NLMSG_ERROR => Reply::End(refusal(payload)),
            _ => Reply::Object(payload.get(GENERAL..).unwrap_or_default().to_owned()),
        });
        let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
        part = part.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(torn)
}
