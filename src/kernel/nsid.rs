//! Which number a namespace knows another one by.

use crate::kernel::{error::Answer, netns::Netns, socket::Netlink};
use rtnetlink::packet_route::{
    RouteNetlinkMessage,
    nsid::{NsidAttribute, NsidMessage},
};
use std::os::fd::AsRawFd;

impl Netlink {
    /// The number by which links of this namespace name another one as that of their peer
    /// (`IFLA_LINK_NETNSID`); `None` if it has none, and so no link of this namespace leads there.
    pub fn number_of(&self, netns: &Netns) -> Answer<Option<i32>> {
        let mut message = NsidMessage::default();
        message.attributes.push(NsidAttribute::Fd(netns.as_raw_fd().cast_unsigned()));
        let answer = self.get(&RouteNetlinkMessage::GetNsId(message))?;
        let Some(RouteNetlinkMessage::NewNsId(found)) = answer.and_then(|raw| raw.decode()) else {
            return Ok(None);
        };
        Ok(found.attributes.iter().find_map(|attribute| match attribute {
            NsidAttribute::Id(number) if *number >= 0 => Some(*number),
            _ => None,
        }))
    }
}
