//! Routers that advertise themselves (RFC 4861).

use crate::{
    kernel::{error::Answer, socket::Netlink},
    net::mac::Mac,
};
use nix::errno::Errno;
use rtnetlink::{
    LinkUnspec,
    packet_route::{
        RouteNetlinkMessage,
        link::{AfSpecInet6, AfSpecUnspec, LinkAttribute},
    },
};

impl Netlink {
    /// Makes the kernel solicit routers on a link at once, if that has a link-local address and accepts
    /// advertisements; without one, the kernel will do so as soon as there is one.
    ///
    /// It does when the link gets a *token*, the half of an address that it joins to advertised prefixes
    /// (`inet6_set_iftoken`, net/ipv6/addrconf.c). A socket that could send a solicitation would need
    /// `CAP_NET_RAW`. The token is the half that the link would use by itself.
    pub fn solicit_router(&self, index: u32, mac: Mac) -> Answer<()> {
        let token = AfSpecInet6::Token(mac.interface_identifier());
        let mut message = LinkUnspec::new_with_index(index).build();
        let of_ipv6 = vec![AfSpecUnspec::Inet6(vec![token])];
        message.attributes.push(LinkAttribute::AfSpecUnspec(of_ipv6));
        match self.change(&RouteNetlinkMessage::SetLink(message), 0) {
            // Not to be solicited here (router_solicitations = 0), but routers also advertise themselves unasked.
            Err(error) if error.errno == Errno::EINVAL => Ok(()),
            answer => answer,
        }
    }
}
