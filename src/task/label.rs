//! What we write into aliases: whose a link is, and what must be put back at the end.
//!
//! The same label stands on two links. On the task's port, the end of the veth that stays on the
//! instance, it says which container has the lease and the ENI: a task cannot rewrite it, only delete
//! it together with the veth. On the ENI it stays through the move into the task, the end of the
//! namespace and the move back, and says what the ENI was called. A task with `CAP_NET_ADMIN` can
//! rewrite that one, so it is parsed as strictly as any input, and used for nothing but the link that
//! carries it.

use crate::{
    net::{link::Link, mac::Mac, name::InterfaceName},
    task::{branch::Branch, hash::fnv1a, lease::Lease},
};
use std::fmt;

/// The first word of every alias that we write.
const MAGIC: &str = "awsvpc";

/// The longest id that is kept as it is; with it an alias stays below the kernel's 255 bytes
/// (`IFALIASZ` less the terminator, linux/if.h).
const MAX_ID_LEN: usize = 112;

/// One label: a container, its ENI, and its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The container's id, shortened by [`short_id`].
    pub container: String,
    /// The MAC address of the ENI.
    pub eni: Mac,
    /// What the ENI is called on the instance; of a branch, what its trunk is.
    pub name: InterfaceName,
    /// The MTU of the ENI, or of its trunk, on the instance, in bytes.
    pub mtu: u32,
    /// The inode of the task's network namespace.
    pub netns: u64,
    /// Where the ENI is, if it is a branch: then nothing of it is on the instance.
    pub branch: Option<Branch>,
}

impl Label {
    /// The label for an ENI that has none: its present name and MTU are those to restore. Where its name
    /// cannot stand in a label, because an earlier task left it one, it is `eni0`.
    #[must_use]
    pub fn of_unlabelled(link: &Link, eni: Mac, container: &str, netns: u64) -> Self {
        let name = link.name.parse().ok();
        let name = name.filter(|_| Lease::of_link(&link.name).is_none());
        Self {
            container: container.to_owned(),
            eni,
            name: name.unwrap_or_else(|| InterfaceName::known("eni0".to_owned())),
            mtu: link.mtu,
            netns,
            branch: None,
        }
    }

    /// Whether the link's VLAN is the one of this label: the branch's, or none if the ENI is no branch.
    #[must_use]
    pub fn describes(&self, link: &Link) -> bool {
        link.vlan == self.branch.map(|branch| branch.vlan)
    }

    /// Reads an alias; `None` if it is not exactly what we write.
    #[must_use]
    pub fn parse(alias: &str) -> Option<Self> {
        let mut words = alias.split(' ');
        (words.next()? == MAGIC).then_some(())?;
        let mut value = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=');
        let mut label = Self {
            container: value("container")?.to_owned(),
            eni: value("eni")?.parse().ok()?,
            name: value("name")?.parse().ok()?,
            mtu: value("mtu")?.parse().ok()?,
            netns: value("netns")?.parse().ok()?,
            branch: None,
        };
        if let Some(trunk) = value("trunk") {
            let (trunk, vlan) = (trunk.parse().ok()?, value("vlan")?.parse().ok()?);
            label.branch = Some(Branch { trunk, vlan });
        }
        // The name of a lease is no ENI's, whoever says so.
        let genuine = label.to_string() == alias && Lease::of_link(label.name.as_str()).is_none();
        let printable = alias.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        (genuine && printable).then_some(label)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{MAGIC} container={} eni={} name={} mtu={} netns={}",
            self.container, self.eni, self.name, self.mtu, self.netns
        )?;
        match &self.branch {
            Some(Branch { trunk, vlan }) => write!(f, " trunk={trunk} vlan={vlan}"),
            None => Ok(()),
        }
    }
}

/// The id as it stands in an alias: a long one is cut, and a hash of the whole put behind a `~`,
/// which no id contains.
#[must_use]
pub fn short_id(id: &str) -> String {
    if id.len() <= MAX_ID_LEN {
        return id.to_owned();
    }
    let kept: String = id.chars().take(MAX_ID_LEN - 17).collect();
    format!("{kept}~{:016x}", fnv1a(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label() -> Label {
        Label {
            container: short_id("7d7b7fbc30b9"),
            eni: "02:5a:a1:1a:43:42".parse().expect("a MAC"),
            name: "eth12".parse().expect("a name"),
            mtu: 9001,
            netns: 4_026_532_177,
            branch: None,
        }
    }

    fn branch() -> Branch {
        let trunk = "02:00:00:00:00:99".parse().expect("a MAC");
        Branch { trunk, vlan: "4094".parse().expect("a VLAN") }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let alias = label().to_string();
        assert_eq!(
            alias,
            "awsvpc container=7d7b7fbc30b9 eni=02:5a:a1:1a:43:42 name=eth12 mtu=9001 \
             netns=4026532177"
        );
        assert_eq!(Label::parse(&alias), Some(label()));

        let of_branch = Label { branch: Some(branch()), ..label() };
        let alias = of_branch.to_string();
        assert!(alias.ends_with(" netns=4026532177 trunk=02:00:00:00:00:99 vlan=4094"), "{alias}");
        assert_eq!(Label::parse(&alias), Some(of_branch));
    }

    #[test]
    fn anything_else_is_not_ours() {
        let good = label().to_string();
        for bad in [
            String::new(),
            "my uplink".to_owned(),
            format!("{good} "),
            format!("{good} more=1"),
            format!("{good} trunk=02:00:00:00:00:99"),
            format!("{good} trunk=02:00:00:00:00:99 vlan=0"),
            format!("{good} vlan=7"),
            good.replace("eth12", "../../etc"),
            good.replace("eth12", "eth%d"),
            good.replace("eth12", "ecsa9feac0c"),
            good.replace("9001", "+9001"),
            good.replace("9001", "99999999999"),
            good.replace("02:5a", "01:5a"),
            good.replace("container=", "id="),
        ] {
            assert_eq!(Label::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn the_longest_id_fits_and_stays_distinct() {
        let (one, two) = ("a".repeat(254) + "1", "a".repeat(254) + "2");
        assert_ne!(short_id(&one), short_id(&two));
        let alias = Label {
            container: short_id(&one),
            name: "fifteen-bytes-x".parse().expect("a name"),
            mtu: u32::MAX,
            netns: u64::MAX,
            branch: Some(branch()),
            ..label()
        }
        .to_string();
        assert!(alias.len() <= 255, "{}", alias.len());
        assert!(Label::parse(&alias).is_some());
    }
}
