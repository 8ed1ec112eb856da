//! Which number a namespace knows another one by.

use crate::kernel::{
    error::Answer,
    netns::Netns,
    socket::{Netlink, Raw},
};
use nix::errno::Errno;
use rtnetlink::packet_route::{
    RouteNetlinkMessage,
    nsid::{NsidAttribute, NsidMessage},
};
use std::os::fd::AsRawFd;

impl Netlink {
    /// The number by which another namespace knows a third one that this namespace knows by `number`; `None`
    /// if it knows it by none.
    pub fn number_elsewhere(&self, number: i32, other: &Netns) -> Answer<Option<i32>> {
        let target = match self.number_of(other)? {
            Some(target) => target,
            None => match self.give_number(other)? {
                Some(target) => target,
                None => return Ok(None),
            },
        };
        let mut message = NsidMessage::default();
        message.attributes = vec![NsidAttribute::Id(number), NsidAttribute::TargetNsid(target)];
        match self.get(&RouteNetlinkMessage::GetNsId(message)) {
            // There is no such namespace any more.
            Err(error) if matches!(error.errno, Errno::ENOENT | Errno::EINVAL) => Ok(None),
            answer => Ok(answer?.as_ref().and_then(id_of)),
        }
    }

    fn give_number(&self, netns: &Netns) -> Answer<Option<i32>> {
        let mut message = NsidMessage::default();
        message.attributes =
            vec![NsidAttribute::Fd(netns.as_raw_fd().cast_unsigned()), NsidAttribute::Id(-1)];
        match self.change(&RouteNetlinkMessage::NewNsId(message), 0) {
            Err(error) if !error.is_exists() => Err(error),
            _ => self.number_of(netns),
        }
    }

    /// The number by which links of this namespace name another one as that of their peer
    /// (`IFLA_LINK_NETNSID`); `None` if it has none, and so no link of this namespace leads there.
    pub fn number_of(&self, netns: &Netns) -> Answer<Option<i32>> {
        let mut message = NsidMessage::default();
        message.attributes.push(NsidAttribute::Fd(netns.as_raw_fd().cast_unsigned()));
        let answer = self.get(&RouteNetlinkMessage::GetNsId(message))?;
        Ok(answer.as_ref().and_then(id_of))
    }
}

fn id_of(answer: &Raw) -> Option<i32> {
    let RouteNetlinkMessage::NewNsId(found) = answer.decode()? else { return None };
    found.attributes.iter().find_map(|attribute| match attribute {
        NsidAttribute::Id(number) if *number >= 0 => Some(*number),
        _ => None,
    })
}
