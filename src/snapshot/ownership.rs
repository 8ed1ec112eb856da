//! Whose a link is. The one place that decides it.
//!
//! A task can write the label on its ENI, so that label is believed about nothing but the link that
//! carries it. The label on the port, the near end of the task's veth, is out of its reach.

use crate::{
    error::{Result, refuse},
    net::{link::Link, mac::Mac},
    snapshot::view::Snapshot,
    task::{CREDENTIAL_INTERFACE, branch::Branch, label::Label, lease::Lease},
};

/// The port on the instance whose far end is in the task's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPort {
    /// The lease that it stands for.
    pub lease: Lease,
    /// What its label says, unless the hook that made it died too early to write one.
    pub label: Option<Label>,
    /// Whether it is switched on.
    pub up: bool,
}

/// The ports of all tasks among these links, each with its label. An ENI that comes home can have any
/// name and any label, but it is no veth on a bridge.
pub fn labelled_ports(links: &[Link]) -> impl Iterator<Item = (&Link, Lease, Label)> {
    links.iter().filter_map(|link| {
        let lease = Lease::of_link(&link.name)?;
        (link.is_veth() && link.controller.is_some()).then_some(())?;
        Some((link, lease, label_of(link)?))
    })
}

/// The ports of tasks in other namespaces than this one.
pub fn others_ports(links: &[Link], netns: u64) -> impl Iterator<Item = (&Link, Label)> {
    let ports = labelled_ports(links).map(|(port, _, label)| (port, label));
    ports.filter(move |(_, label)| label.netns != netns)
}

/// The port that an earlier call for the same container and namespace made.
///
/// # Errors
/// The namespace belongs to another container, or has a credential interface of somebody else's.
pub fn own_port(snapshot: &Snapshot, container: &str, netns: u64) -> Result<Option<OwnPort>> {
    let links = &snapshot.instance.links;
    let labelled = labelled_ports(links).find(|(_, _, label)| label.netns == netns);
    if let Some((link, lease, label)) = labelled {
        if label.container != container {
            return refuse(format!(
                "the network namespace already belongs to the task of container {} \
                 (its veth is {}): stop that one first",
                label.container, link.name
            ));
        }
        return Ok(Some(OwnPort { lease, label: Some(label), up: link.up }));
    }
    let Some(inside) = snapshot.task.link(CREDENTIAL_INTERFACE) else {
        return Ok(None);
    };
    let unlabelled = links.iter().find_map(|link| {
        let lease = Lease::of_link(&link.name)?;
        let joined = link.peer == Some(inside.index) && inside.peer == Some(link.index);
        let fresh = link.alias.is_none() && inside.mac == Some(lease.mac());
        (joined && fresh).then_some(OwnPort { lease, label: None, up: link.up })
    });
    match unlabelled {
        Some(port) => Ok(Some(port)),
        None => refuse(format!(
            "the network namespace already has a {CREDENTIAL_INTERFACE} that this hook did \
             not make: remove it, or use a new namespace"
        )),
    }
}

/// The ENI among these links: by its MAC address, or by its label where a task changed that and the
/// driver reports no permanent one. Never a bridge port, whatever it says: the task's own veth on
/// the instance has the same label. And hardware before anything else: a bridge or a VLAN that a task
/// made of the ENI has its MAC address too.
#[must_use]
pub fn find<'a>(links: &'a [Link], label: &Label) -> Option<&'a Link> {
    let labelled =
        |link: &&Link| link.controller.is_none() && label_of(link).as_ref() == Some(label);
    let candidates = || links.iter().filter(|link| label.describes(link));
    let namesakes = candidates().filter(|link| link.is(label.eni));
    namesakes
        .min_by_key(|link| (link.permanent_mac.is_none(), link.kind.is_some()))
        .or_else(|| candidates().find(labelled))
}

/// The ENIs among these links that came home without us, each with its label. While an ENI is at
/// home, only one that a task is done with has a label: it is put on by the move into a task.
///
/// A task may have rewritten the label, so one that speaks of another interface is not believed.
pub fn strays(links: &[Link]) -> impl Iterator<Item = (&Link, Label)> {
    links.iter().filter_map(|link| {
        let label = label_of(link)?;
        let believed = label.describes(link) && link.is(label.eni) && link.controller.is_none();
        believed.then_some((link, label))
    })
}

/// The label to restore from, if this link is the ENI that no port points to: that it has the MAC
/// address is not enough, a virtual link of anybody's may. Either its label says so too, or its
/// hardware.
#[must_use]
pub fn label_without_port(link: &Link, mac: Mac, container: &str, netns: u64) -> Option<Label> {
    let label = label_of(link)
        .filter(|label| label.eni == mac && label.container == container && label.describes(link));
    let hardware = || {
        let known = link.permanent_mac == Some(mac);
        known.then(|| Label::of_unlabelled(link, mac, container, netns))
    };
    label.filter(|_| link.is(mac)).or_else(hardware)
}

/// What the ENI, which is at home, is called there: what its label says if it came home without us,
/// else what it is called now.
#[must_use]
pub fn label_at_home(link: &Link, mac: Mac, container: &str, netns: u64) -> Label {
    let earlier = label_of(link)
        .filter(|label| label.eni == mac && label.describes(link) && link.accepts_mtu(label.mtu));
    match earlier {
        Some(label) => Label { container: container.to_owned(), netns, ..label },
        None => Label::of_unlabelled(link, mac, container, netns),
    }
}

/// What is known of the ENI that is in the task already; `None` if it is not one that we put there.
#[must_use]
pub fn label_inside(
    link: &Link,
    own: Option<&OwnPort>,
    eni: (Mac, Option<Branch>),
    netns: u64,
) -> Option<Label> {
    let of_port = own.and_then(|port| port.label.clone());
    let known = of_port.or_else(|| label_of(link).filter(|label| label.netns == netns));
    known.filter(|label| (label.eni, label.branch) == eni)
}

/// Whether a link says of itself that it is this branch.
#[must_use]
pub fn is_labelled_as(link: &Link, branch: Branch) -> bool {
    label_of(link).is_some_and(|label| label.branch == Some(branch))
}

/// Whether any task has a branch of the trunk with this MAC address.
#[must_use]
pub fn has_branches(links: &[Link], trunk: Mac) -> bool {
    let is_on = |label: &Label| label.branch.is_some_and(|branch| branch.trunk == trunk);
    labelled_ports(links).any(|(_, _, label)| is_on(&label))
}

fn label_of(link: &Link) -> Option<Label> {
    Label::parse(link.alias.as_deref()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::link;

    fn eni() -> Mac {
        "02:5a:a1:1a:43:42".parse().expect("a MAC")
    }

    fn port(label: &Label) -> Link {
        let alias = Some(label.to_string());
        Link { kind: Some("veth".to_owned()), controller: Some(4), alias, ..link(5, "ecsa9feac0c") }
    }

    #[test]
    fn what_a_task_makes_of_its_eni_is_not_taken_for_it() {
        let hardware = Link { mac: Some(eni()), ..link(9, "eth0") };
        let label = Label::of_unlabelled(&hardware, eni(), "abc", 1);
        let kind = |kind: &str| Some(kind.to_owned());
        let bridge = Link { kind: kind("bridge"), mac: Some(eni()), ..link(2, "br0") };
        let vlan = "5".parse().ok();
        let vlan = Link { kind: kind("vlan"), vlan, mac: Some(eni()), ..link(3, "eth0.5") };
        let links = [bridge, vlan.clone(), hardware.clone()];
        assert_eq!(find(&links, &label), Some(&hardware));
        // A VLAN is not even taken for want of anything better.
        assert_eq!(find(&[vlan], &label), None);
    }

    #[test]
    fn a_port_is_a_veth_on_a_bridge_with_a_label() {
        let hardware = Link { mac: Some(eni()), ..link(9, "eth0") };
        let label = Label::of_unlabelled(&hardware, eni(), "abc", 7);
        let port = port(&label);
        let known = |other: &Link| labelled_ports(std::slice::from_ref(other)).count();
        assert_eq!(known(&port), 1);
        for other in [
            Link { kind: None, ..port.clone() },
            Link { controller: None, ..port.clone() },
            Link { alias: None, ..port.clone() },
            Link { name: "eth7".to_owned(), ..port.clone() },
        ] {
            assert_eq!(known(&other), 0, "{other:?}");
        }
        let other = |netns| others_ports(std::slice::from_ref(&port), netns).count();
        assert_eq!((other(7), other(8)), (0, 1));
    }

    #[test]
    fn a_stray_is_labelled_as_what_it_is() {
        let home = Link { mac: Some(eni()), ..link(9, "dev3") };
        let label = Label::of_unlabelled(&link(9, "eth1"), eni(), "abc", 1);
        let stray = Link { alias: Some(label.to_string()), ..home.clone() };
        assert_eq!(strays(std::slice::from_ref(&stray)).next(), Some((&stray, label)));
        for other in [
            home,
            Link { mac: "02:5a:a1:1a:43:43".parse().ok(), ..stray.clone() },
            Link { controller: Some(4), ..stray.clone() },
            Link { vlan: "5".parse().ok(), ..stray },
        ] {
            assert_eq!(strays(&[other]).count(), 0);
        }
    }

    #[test]
    fn an_eni_without_a_port_is_told_by_its_label_or_its_hardware() {
        let plain = Link { mac: Some(eni()), ..link(9, "eth1") };
        let label = Label::of_unlabelled(&plain, eni(), "abc", 1);
        let labelled = Link { alias: Some(label.to_string()), ..plain.clone() };
        let hardware = Link { permanent_mac: Some(eni()), mac: None, ..plain.clone() };
        let told = |link: &Link| label_without_port(link, eni(), "abc", 0).map(|label| label.netns);
        assert_eq!(told(&labelled), Some(1));
        assert_eq!(told(&hardware), Some(0));
        assert_eq!(told(&plain), None);
        assert_eq!(label_without_port(&labelled, eni(), "other", 0), None);
    }
}
