//! What the kernel showed at one moment, and what follows from it: whose is what, and what we must
//! not touch.

use crate::{
    error::{Result, refuse},
    lease::Lease,
    link::{Link, Mac},
    rule::Rule,
    tag::Tag,
    task::CREDENTIAL_INTERFACE,
};
use ipnetwork::IpNetwork;

/// The links of both namespaces, and what else decides.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The instance's links.
    pub instance: Vec<Link>,
    /// The indices of the instance's links that carry its best default routes.
    pub uplinks: Vec<u32>,
    /// The instance's policy routing rules.
    pub rules: Vec<Rule>,
    /// The addresses of the instance's links, by index; looked up only where a rule could be about
    /// one of them.
    pub addresses: Vec<(u32, IpNetwork)>,
    /// Whether the kernel has IPv6.
    pub has_ipv6: bool,
    /// The task's links.
    pub inside: Vec<Link>,
}

/// Where a task's ENI is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts<'a> {
    /// On the instance, and fit to be moved.
    Home(&'a Link),
    /// In the task's namespace, where an earlier call of ours put it.
    Inside(&'a Link),
    /// In the namespace of another task, which this veth on the instance belongs to.
    Held(&'a Link, Tag),
    /// Nowhere: not attached yet.
    Absent,
}

/// The veth on the instance whose far end is in the task's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnVeth {
    /// The lease that it stands for.
    pub lease: Lease,
    /// What it says of itself, unless the hook that made it died too early.
    pub tag: Option<Tag>,
    /// Whether it is switched on.
    pub up: bool,
}

impl Snapshot {
    /// A link of the instance by name.
    #[must_use]
    pub fn on_instance(&self, name: &str) -> Option<&Link> {
        self.instance.iter().find(|link| link.name == name)
    }

    /// A link of the task by name.
    #[must_use]
    pub fn in_task(&self, name: &str) -> Option<&Link> {
        self.inside.iter().find(|link| link.name == name)
    }

    /// The veth that an earlier call for the same container and namespace made.
    ///
    /// # Errors
    /// The namespace belongs to another container, or has a credential interface of somebody else's.
    pub fn own_veth(&self, container: &str, netns: u64) -> Result<Option<OwnVeth>> {
        let tagged = tagged_veths(&self.instance).find(|(_, _, tag)| tag.netns == netns);
        if let Some((link, lease, tag)) = tagged {
            if tag.container != container {
                return refuse(format!(
                    "the network namespace already belongs to the task of container {} \
                     (its veth is {}): stop that one first",
                    tag.container, link.name
                ));
            }
            return Ok(Some(OwnVeth { lease, tag: Some(tag), up: link.up }));
        }
        let Some(inside) = self.in_task(CREDENTIAL_INTERFACE) else {
            return Ok(None);
        };
        let untagged = self.instance.iter().find_map(|link| {
            let lease = Lease::of_link(&link.name)?;
            let joined = link.peer == Some(inside.index) && inside.peer == Some(link.index);
            let fresh = link.alias.is_none() && inside.mac == Some(lease.mac());
            (joined && fresh).then_some(OwnVeth { lease, tag: None, up: link.up })
        });
        match untagged {
            Some(veth) => Ok(Some(veth)),
            None => refuse(format!(
                "the network namespace already has a {CREDENTIAL_INTERFACE} that this hook did \
                 not make: remove it, or use a new namespace"
            )),
        }
    }

    /// Where the ENI of the task with this namespace is.
    ///
    /// # Errors
    /// It is on the instance, but must not be moved; or several links claim its MAC address.
    pub fn locate(&self, mac: Mac, netns: u64) -> Result<Whereabouts<'_>> {
        let home: Vec<&Link> = self.instance.iter().filter(|link| link.is(mac)).collect();
        match home[..] {
            [link] => {
                return self.check_movable(link, mac).map(|()| Whereabouts::Home(link));
            }
            [] => {}
            _ => {
                let names: Vec<&str> = home.iter().map(|link| link.name.as_str()).collect();
                return refuse(format!(
                    "several links on the instance have the MAC address {mac} ({}): which one is \
                     the ENI cannot be told",
                    names.join(", ")
                ));
            }
        }
        if let Some(link) = self.inside.iter().find(|link| link.is(mac)) {
            return Ok(Whereabouts::Inside(link));
        }
        Ok(tagged_veths(&self.instance)
            .find(|(_, _, tag)| tag.eni == mac && tag.netns != netns)
            .map_or(Whereabouts::Absent, |(link, _, tag)| Whereabouts::Held(link, tag)))
    }

    fn check_movable(&self, link: &Link, mac: Mac) -> Result<()> {
        let is = |kind: &str| link.kind.as_deref() == Some(kind);
        let why = if self.uplinks.contains(&link.index) {
            "carries the instance's default route: moving it would cut the instance off"
        } else if link.loopback {
            "is the loopback interface"
        } else if !link.ethernet {
            "is not an Ethernet interface"
        } else if link.controller.is_some() {
            "belongs to a bridge or bond"
        } else if is("bridge") {
            "is a bridge"
        } else if is("bond") || is("team") {
            "is a bond"
        } else {
            return Ok(());
        };
        refuse(format!("{} ({mac}) {why}", link.name))
    }

    /// The MAC addresses on the instance, for somebody who looks for one that is not there.
    #[must_use]
    pub fn macs(&self) -> String {
        let present: Vec<String> = self
            .instance
            .iter()
            .filter(|link| link.ethernet && Lease::of_link(&link.name).is_none())
            .filter_map(|link| {
                let mac = link.permanent_mac.or(link.mac)?;
                Some(format!("{mac} ({})", link.name))
            })
            .collect();
        if present.is_empty() { "none".to_owned() } else { present.join(", ") }
    }
}

/// The veths of all tasks among these links, each with what it says of itself. An ENI that comes
/// home can have any name and any label, but it is no veth on a bridge.
pub fn tagged_veths(links: &[Link]) -> impl Iterator<Item = (&Link, Lease, Tag)> {
    links.iter().filter_map(|link| {
        let lease = Lease::of_link(&link.name)?;
        (link.is_veth() && link.controller.is_some()).then_some(())?;
        Some((link, lease, Tag::parse(link.alias.as_deref()?)?))
    })
}
