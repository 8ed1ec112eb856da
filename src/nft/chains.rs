//! Whether our nftables rules are there: one request to the netfilter socket, instead of `nft`, which
//! costs 13 ms a call. Only this reads nftables; [`program`](crate::nft::program) writes.
//!
//! Constants are those of `linux/netfilter.h` and of `nfnetlink.h` and `nf_tables.h` below it.

use crate::{
    kernel::{attributes::attributes, error::Answer},
    nft::ruleset::{Chain, Family, TABLE},
};
use nix::{errno::Errno, libc};
use rtnetlink::{
    packet_core::{NLM_F_REQUEST, NLMSG_ERROR},
    sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER},
};
use std::io;

const NFT_MSG_GETTABLE: u16 = (10 << 8) | 1;
const NFT_MSG_GETCHAIN: u16 = (10 << 8) | 4;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_USE: u16 = 6;
const NFPROTO_INET: u8 = 1;
const NFPROTO_BRIDGE: u8 = 7;
const NLMSGHDR_LEN: usize = 16;
const NFGENMSG_LEN: usize = 4;

/// Whether these chains are all there, in this thread's namespace, with as many rules as they have.
///
/// # Errors
/// The kernel has no nftables, or does not let us ask.
pub fn has_chains(chains: &[Chain]) -> Answer<bool> {
    let request = |chain: &Chain| {
        let name = [text(NFTA_CHAIN_TABLE, TABLE), text(NFTA_CHAIN_NAME, &chain.name)].concat();
        request(NFT_MSG_GETCHAIN, chain.family, &name)
    };
    let answers = ask(&chains.iter().map(request).collect::<Vec<_>>())?;
    let mut as_they_are = answers.len() == chains.len();
    for (chain, answer) in chains.iter().zip(&answers) {
        as_they_are &= rules(answer)? == u32::try_from(chain.len()).ok();
    }
    Ok(as_they_are)
}

/// Whether any of our tables is there.
///
/// # Errors
/// The kernel has no nftables, or does not let us ask.
pub fn has_tables() -> Answer<bool> {
    let request = |family| request(NFT_MSG_GETTABLE, family, &text(NFTA_TABLE_NAME, TABLE));
    let answers = ask(&[Family::Inet, Family::Bridge].map(request))?;
    let mut any = false;
    for answer in &answers {
        any |= body(answer)?.is_some();
    }
    Ok(any)
}

/// Sends requests in one go; gives the answers, one each unless the kernel refuses all of them at once.
fn ask(requests: &[Vec<u8>]) -> Answer<Vec<Vec<u8>>> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.send_to(&requests.concat(), &SocketAddr::new(0, 0), 0)?;
    // The kernel has answered when it lets us go on.
    socket.set_non_blocking(true)?;
    let mut answers = Vec::new();
    while answers.len() < requests.len() {
        match socket.recv_from_full() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            answer => answers.push(answer?.0),
        }
    }
    Ok(answers)
}

fn request(kind: u16, family: Family, attributes: &[u8]) -> Vec<u8> {
    let family = match family {
        Family::Inet => NFPROTO_INET,
        Family::Bridge => NFPROTO_BRIDGE,
    };
    let length = u32::try_from(NLMSGHDR_LEN + NFGENMSG_LEN + attributes.len()).unwrap_or(u32::MAX);
    let header = [
        &length.to_ne_bytes()[..],
        &kind.to_ne_bytes(),
        &NLM_F_REQUEST.to_ne_bytes(),
        &[0; 8], // sequence number and port
        &[family, 0, 0, 0],
        attributes,
    ];
    header.concat()
}

fn text(kind: u16, text: &str) -> Vec<u8> {
    let length = u16::try_from(4 + text.len() + 1).unwrap_or(u16::MAX);
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), text.as_bytes()].concat();
    bytes.resize(usize::from(length).next_multiple_of(4), 0);
    bytes
}

/// The attributes in an answer; `None` if there is no such thing.
fn body(answer: &[u8]) -> Answer<Option<&[u8]>> {
    let kind = answer.get(4..6).map(|kind| u16::from_ne_bytes([kind[0], kind[1]]));
    let body = answer.get(NLMSGHDR_LEN..).unwrap_or_default();
    if kind == Some(NLMSG_ERROR) {
        let code = body.get(..4).and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes);
        return match Errno::from_raw(-code.unwrap_or(-libc::EIO)) {
            Errno::ENOENT => Ok(None),
            errno => Err(errno.into()),
        };
    }
    Ok(Some(body.get(NFGENMSG_LEN..).unwrap_or_default()))
}

/// How many rules the chain in an answer has; `None` if there is no such chain.
fn rules(answer: &[u8]) -> Answer<Option<u32>> {
    let used = |body| attributes(body).find(|(kind, _)| *kind == NFTA_CHAIN_USE);
    let number = body(answer)?.and_then(used);
    Ok(number.and_then(|(_, number)| Some(u32::from_be_bytes(number.try_into().ok()?))))
}
