//! What is noted of an ENI: by what its link shows, and by what a label on it wishes.

use crate::{
    input::request::Request,
    net::{link::Link, mac::Mac, name::InterfaceName, netns_id::NetnsId},
    snapshot::view::Snapshot,
    task::{
        label::{self, Label},
        lease::Lease,
    },
};

/// What the ENI, which is at home and of which there is no record, is called there.
#[must_use]
pub fn label_at_home(link: &Link, request: &Request) -> Label {
    let earlier = label_of(link).filter(|label| {
        label.eni == request.task.mac && label.describes(link) && link.accepts_mtu(label.mtu)
    });
    let offloads = earlier.as_ref().and_then(|label| label.offloads).or(link.offloads);
    let rings = earlier.as_ref().and_then(|label| label.rings).or(link.rings);
    let (name, mtu) = match earlier {
        Some(label) => (wished_name(link, &label), label.mtu),
        None => (link.name.parse().unwrap_or_else(|_| nameless()), link.mtu),
    };
    let name = if Lease::of_link(name.as_str()).is_some() { nameless() } else { name };
    Label { name, mtu, offloads, rings, ..label_of_request(link, request) }.within(label::MAX_LEN)
}

/// What is to be noted of an ENI that an OCI runtime moved into the task before we were called: what it was
/// called on the instance is not known, so it gets the first name there that is free.
#[must_use]
pub fn label_of_adopted(link: &Link, request: &Request, snapshot: &Snapshot) -> Label {
    let is_free = |name: &String| !snapshot.instance.links.iter().any(|link| link.is_called(name));
    let free = (0..1000)
        .map(|number| format!("eth{number}"))
        .find(is_free)
        .and_then(|name| name.parse().ok());
    Label { name: free.unwrap_or_else(nameless), ..label_of_request(link, request) }
}

fn label_of_request(link: &Link, request: &Request) -> Label {
    Label {
        container: request.container.to_owned(),
        eni: request.task.mac,
        name: nameless(),
        mtu: link.mtu,
        netns: request.netns,
        pause: Some(request.pause),
        device: link.device.clone(),
        offloads: link.offloads,
        rings: link.rings,
        opens_metadata: !request.task.block_metadata,
        network: request.credentials.id(),
        branch: None,
    }
}

/// What is to be noted of hardware that was found in some namespace, and that no record speaks of: its own
/// label is no more than a wish.
#[must_use]
pub fn label_of_found(link: &Link, eni: Mac) -> Label {
    let wish = label_of(link).filter(|label| label.eni == eni && label.branch.is_none());
    let name = wish.as_ref().map_or_else(nameless, |label| wished_name(link, label));
    let mtu = wish.as_ref().map_or(link.mtu, |label| label.mtu);
    Label {
        container: String::new(),
        eni,
        name,
        mtu,
        netns: NetnsId { inode: 0, cookie: None },
        pause: None,
        device: link.device.clone(),
        offloads: wish.as_ref().and_then(|label| label.offloads),
        rings: wish.and_then(|label| label.rings),
        opens_metadata: false,
        network: None,
        branch: None,
    }
}

/// The name that a label wishes for, if it looks like an interface's own, else the one that the link has, if
/// that does.
pub fn wished_name(link: &Link, label: &Label) -> InterfaceName {
    let current = || link.name.parse().ok().filter(|_| looks_own(&link.name));
    Some(label.name.clone())
        .filter(|name| looks_own(name.as_str()))
        .or_else(current)
        .unwrap_or_else(nameless)
}

/// Whether the kernel or udev may have given this name to an Ethernet interface of hardware
/// (systemd.net-naming-scheme(7)); what else is called so is its own fault.
#[must_use]
pub fn looks_own(name: &str) -> bool {
    ["eth", "en", "dev"].iter().any(|stem| {
        let rest = name.strip_prefix(stem).unwrap_or_default();
        rest.contains(|digit: char| digit.is_ascii_digit())
    })
}

/// The name of an ENI of which none is known.
fn nameless() -> InterfaceName {
    InterfaceName::known("eni0".to_owned())
}

/// What the label on a link says, which may be a task's own writing.
#[must_use]
pub fn label_of(link: &Link) -> Option<Label> {
    Label::parse(link.alias.as_deref()?)
}
