//! Whether our nftables rules are there: one request to the netfilter socket, instead of `nft`, which
//! costs 13 ms a call. Only this reads nftables; [`crate::nft`] writes.
//!
//! Constants are those of `linux/netfilter.h` and of `nfnetlink.h` and `nf_tables.h` below it.

use super::{Answer, KernelError, attributes};
use crate::ruleset::{Chain, Family, TABLE};
use nix::{errno::Errno, libc};
use rtnetlink::{
    packet_core::{NLM_F_REQUEST, NLMSG_ERROR},
    sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER},
};
use std::io;

const NFT_MSG_GETCHAIN: u16 = (10 << 8) | 4;
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
    let failed = |error: io::Error| {
        KernelError::from(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    };
    let mut socket = Socket::new(NETLINK_NETFILTER).map_err(failed)?;
    socket.bind_auto().map_err(failed)?;
    let requests: Vec<u8> = chains.iter().flat_map(request).collect();
    socket.send_to(&requests, &SocketAddr::new(0, 0), 0).map_err(failed)?;
    // The kernel has answered each when it lets us go on.
    for chain in chains {
        let (answer, _) = socket.recv_from_full().map_err(failed)?;
        if !is(chain, &answer)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn request(chain: &Chain) -> Vec<u8> {
    let family = match chain.family {
        Family::Inet => NFPROTO_INET,
        Family::Bridge => NFPROTO_BRIDGE,
    };
    let attributes = [text(NFTA_CHAIN_TABLE, TABLE), text(NFTA_CHAIN_NAME, &chain.name)].concat();
    let length = u32::try_from(NLMSGHDR_LEN + NFGENMSG_LEN + attributes.len()).unwrap_or(u32::MAX);
    let header = [
        &length.to_ne_bytes()[..],
        &NFT_MSG_GETCHAIN.to_ne_bytes(),
        &NLM_F_REQUEST.to_ne_bytes(),
        &[0; 8], // sequence number and port
        &[family, 0, 0, 0],
    ];
    [header.concat(), attributes].concat()
}

fn text(kind: u16, text: &str) -> Vec<u8> {
    let length = u16::try_from(4 + text.len() + 1).unwrap_or(u16::MAX);
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), text.as_bytes()].concat();
    bytes.resize(usize::from(length).next_multiple_of(4), 0);
    bytes
}

/// Whether an answer shows the chain with all its rules.
fn is(chain: &Chain, answer: &[u8]) -> Answer<bool> {
    let kind = answer.get(4..6).map(|kind| u16::from_ne_bytes([kind[0], kind[1]]));
    let body = answer.get(NLMSGHDR_LEN..).unwrap_or_default();
    if kind == Some(NLMSG_ERROR) {
        let code = body.get(..4).and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes);
        return match Errno::from_raw(-code.unwrap_or(-libc::EIO)) {
            Errno::ENOENT => Ok(false),
            errno => Err(errno.into()),
        };
    }
    let rules = attributes(body.get(NFGENMSG_LEN..).unwrap_or_default())
        .find(|(kind, _)| *kind == NFTA_CHAIN_USE)
        .and_then(|(_, number)| Some(u32::from_be_bytes(number.try_into().ok()?)));
    Ok(rules.is_some() && rules == u32::try_from(chain.len()).ok())
}
