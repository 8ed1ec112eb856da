//! Requests to the kernel's routing socket, one function a request. The only user of rtnetlink.
//!
//! Every function is one verb on one kind of object and fails with a [`KernelError`]: the errno,
//! and the kernel's own sentence where it has one.

mod error;
mod ip;
mod link;
mod monitor;
mod neighbour;
mod rule;
mod socket;

pub use error::KernelError;
pub use link::{LinkChange, PortFlags, Veth, Vlan};
pub use monitor::Monitor;
pub use socket::Netlink;

use rtnetlink::packet_core::NlasIterator;

/// The result of one request.
pub type Answer<T> = Result<T, KernelError>;

/// The attributes of a message: kind and value, as far as they can be made out.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).filter_map(|nla| {
        let (kind, end) = (nla.kind(), usize::from(nla.length()));
        Some((kind, nla.into_inner().get(4..end)?))
    })
}

/// A netlink attribute as the kernel writes it.
#[cfg(test)]
#[allow(clippy::expect_used)]
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("short");
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
