//! What `ethtool` asks a link's driver for: by generic netlink (Linux 5.8).
//! <https://docs.kernel.org/networking/ethtool-netlink.html>

use crate::{
    error::KernelError,
    kernel::{
        error::Answer,
        socket::{Netlink, Raw},
    },
};
use netlink_packet_generic::{
    GenlFamily, GenlHeader, GenlMessage,
    ctrl::{GenlCtrl, GenlCtrlCmd, nlas::GenlCtrlAttrs},
};
use nix::errno::Errno;
use rtnetlink::{
    packet_core::{DefaultNla, Emitable, NLA_F_NESTED, ParseableParametrized},
    sys::protocols::NETLINK_GENERIC,
};

// linux/ethtool_netlink.h and, there since Linux 6.15, linux/ethtool_netlink_generated.h.
const ETHTOOL_GENL_NAME: &str = "ethtool";
const ETHTOOL_GENL_VERSION: u8 = 1;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
const ETHTOOL_A_HEADER_FLAGS: u16 = 3;

/// `ETHTOOL_A_FEATURES_HEADER`, and of every other kind of request the same.
const HEADER: u16 = 1;

/// `struct genlmsghdr` (linux/genetlink.h), in bytes.
const GENERAL: usize = 4;

/// A socket for the links of one namespace.
#[derive(Debug)]
pub struct Ethtool {
    socket: Netlink,
    family: u16,
}

impl Ethtool {
    /// Opens one in this thread's own namespace.
    ///
    /// # Errors
    /// The kernel's; ENOENT where it has no such family.
    pub fn here() -> Answer<Self> {
        let socket = Netlink::of(NETLINK_GENERIC)?;
        let name = GenlCtrlAttrs::FamilyName(ETHTOOL_GENL_NAME.to_owned());
        let request = GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: vec![name] };
        let answer = socket.get(&GenlMessage::from_payload(request))?;
        let family = answer.as_ref().and_then(family).ok_or_else(malformed)?;
        Ok(Self { socket, family })
    }

    /// What the kernel tells of one matter of a link.
    ///
    /// # Errors
    /// The kernel's; ENODEV where there is no such link, EOPNOTSUPP where the kernel or the driver knows nothing
    /// of the matter.
    pub(super) fn get(&self, command: u8, index: u32, flags: u32) -> Answer<Raw> {
        let message = self.message(command, vec![header(index, flags)]);
        self.socket.get(&message)?.ok_or_else(malformed)
    }

    /// Changes one matter of a link.
    ///
    /// # Errors
    /// The kernel's; EINVAL where the driver cannot do that.
    pub(super) fn change(
        &self,
        command: u8,
        index: u32,
        flags: u32,
        what: Vec<DefaultNla>,
    ) -> Answer<()> {
        let attributes = [vec![header(index, flags)], what].concat();
        self.socket.change(&self.message(command, attributes), 0)
    }

    /// The attributes of an answer.
    pub(super) fn message_of(answer: &Raw) -> Option<&[u8]> {
        answer.payload.get(GENERAL..)
    }

    fn message(&self, command: u8, attributes: Vec<DefaultNla>) -> GenlMessage<Request> {
        let mut message = GenlMessage::from_payload(Request { command, attributes });
        message.set_resolved_family_id(self.family);
        message
    }
}

/// A request of the ethtool family.
#[derive(Debug)]
struct Request {
    command: u8,
    attributes: Vec<DefaultNla>,
}

impl GenlFamily for Request {
    fn family_name() -> &'static str {
        ETHTOOL_GENL_NAME
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        ETHTOOL_GENL_VERSION
    }
}

impl Emitable for Request {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

pub(super) fn malformed() -> KernelError {
    Errno::EBADMSG.into()
}

fn header(index: u32, flags: u32) -> DefaultNla {
    let parts = [number(ETHTOOL_A_HEADER_DEV_INDEX, index), number(ETHTOOL_A_HEADER_FLAGS, flags)];
    nest(HEADER, &parts)
}

pub(super) fn number(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_ne_bytes().to_vec())
}

pub(super) fn nest(kind: u16, parts: &[DefaultNla]) -> DefaultNla {
    let mut value = vec![0; parts.buffer_len()];
    parts.emit(&mut value);
    DefaultNla::new(kind | NLA_F_NESTED, value)
}

/// The number of the family in the controller's answer.
fn family(answer: &Raw) -> Option<u16> {
    let header = GenlHeader::parse(&answer.payload).ok()?;
    let payload = answer.payload.get(GENERAL..)?;
    let nlas = GenlCtrl::parse_with_param(payload, header).ok()?.nlas;
    nlas.into_iter().find_map(|nla| match nla {
        GenlCtrlAttrs::FamilyId(id) => Some(id),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::attributes::attribute;
    use rtnetlink::packet_core::NetlinkSerializable;

    #[test]
    fn a_request_is_what_the_kernel_documents() {
        let request = Request { command: 16, attributes: vec![header(7, 2), number(6, 1024)] };
        let message = GenlMessage::from_payload(request);
        let mut bytes = vec![0; NetlinkSerializable::buffer_len(&message)];
        message.serialize(&mut bytes);
        let number = |kind, value: u32| attribute(kind, &value.to_ne_bytes());
        let expected = [
            vec![16, 1, 0, 0],
            attribute(0x8001, &[number(1, 7), number(3, 2)].concat()),
            number(6, 1024),
        ];
        assert_eq!(bytes, expected.concat());
    }
}
