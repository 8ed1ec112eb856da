//! The label: whose a link is, and what must be put back at the end.
//!
//! The same label stands on two links, in their aliases. On the task's port, the near end of its veth, it
//! says who holds the lease and the ENI: a task cannot rewrite it, only destroy it with its own end. On the
//! ENI it survives the move, the namespace's death and the journey home. A task may rewrite that one, so it
//! is parsed as strictly as any input, and no more than a wish for a name, an MTU, offloads and rings.
//!
//! What the instance itself keeps is the [`record`](crate::task::record), which has a label in it.

use crate::{
    net::{
        device::Device, link::Link, mac::Mac, name::InterfaceName, netns_id::NetnsId,
        offloads::Offloads, process::Process, rings::Rings,
    },
    task::{branch::Branch, hash::fnv1a, lease::Lease, network::NetworkId},
};
use std::{fmt, str::FromStr};

/// The first word of every alias that we write.
const MAGIC: &str = "awsvpc";

/// The longest label, in bytes: what the kernel takes for an alias (`IFALIASZ` less the terminator,
/// linux/if.h).
pub const MAX_LEN: usize = 255;

/// The longest id that is kept as it is; engines' ids of 64 hexadecimal digits are shortened. With it a label,
/// and a record with a label in it, have room for all but the rarest offloads.
const MAX_ID_LEN: usize = 32;

/// One task: its container, its ENI, and its namespace.
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
    /// The task's network namespace.
    pub netns: NetnsId,
    /// The pause container's process; hooks before 0.2 did not note it.
    pub pause: Option<Process>,
    /// Which hardware the ENI is.
    pub device: Option<Device>,
    /// The offloads that were wanted of the ENI on the instance.
    pub offloads: Option<Offloads>,
    /// The rings that the ENI had on the instance, if its driver has any.
    pub rings: Option<Rings>,
    /// Whether the task may reach the instance metadata service.
    pub opens_metadata: bool,
    /// Which credential network the task is in, if not the usual one.
    pub network: Option<NetworkId>,
    /// Where the ENI is, if it is a branch: then nothing of it is on the instance.
    pub branch: Option<Branch>,
}

impl Label {
    /// Whether this link can be the one that is described: one of the branch's VLAN, or of none.
    #[must_use]
    pub fn describes(&self, link: &Link) -> bool {
        link.vlan == self.branch.map(|branch| branch.vlan)
    }

    /// The label, without the offloads if it would be longer than this with them, and then without the rings.
    #[must_use]
    pub fn within(mut self, length: usize) -> Self {
        let is_longer = |label: &Self| label.to_string().len() > length;
        if is_longer(&self) {
            self.offloads = None;
        }
        if is_longer(&self) {
            self.rings = None;
        }
        self
    }

    /// Reads a label; `None` if it is not exactly what we write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        (words.next()? == MAGIC).then_some(())?;
        let mut words = words.peekable();
        let mut value = |key: &str| {
            let is_it =
                |word: &&str| word.strip_prefix(key).is_some_and(|rest| rest.starts_with('='));
            words.next_if(is_it).map(|word| &word[key.len() + 1..])
        };
        let label = Self {
            container: value("container")?.to_owned(),
            eni: value("eni")?.parse().ok()?,
            name: value("name")?.parse().ok()?,
            mtu: value("mtu")?.parse().ok()?,
            netns: value("netns")?.parse().ok()?,
            pause: parsed(value("pause"))?,
            device: parsed(value("device"))?,
            offloads: parsed(value("offloads"))?,
            rings: parsed(value("rings"))?,
            opens_metadata: value("metadata") == Some("open"),
            network: parsed(value("network"))?,
            branch: match value("trunk") {
                Some(trunk) => {
                    let (trunk, vlan) = (trunk.parse().ok()?, value("vlan")?.parse().ok()?);
                    Some(Branch { trunk, vlan })
                }
                None => None,
            },
        };
        // The name of a lease is no ENI's, whoever says so.
        let genuine = label.to_string() == text && Lease::of_link(label.name.as_str()).is_none();
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        (genuine && printable).then_some(label)
    }
}

/// A value that may be missing, but not be wrong.
#[allow(clippy::option_option)] // wrong, missing, there
fn parsed<T: FromStr>(text: Option<&str>) -> Option<Option<T>> {
    text.map_or(Some(None), |text| text.parse().ok().map(Some))
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{MAGIC} container={} eni={} name={} mtu={} netns={}",
            self.container, self.eni, self.name, self.mtu, self.netns
        )?;
        self.pause.map_or(Ok(()), |pause| write!(f, " pause={pause}"))?;
        self.device.as_ref().map_or(Ok(()), |device| write!(f, " device={device}"))?;
        self.offloads.map_or(Ok(()), |offloads| write!(f, " offloads={offloads}"))?;
        self.rings.map_or(Ok(()), |rings| write!(f, " rings={rings}"))?;
        f.write_str(if self.opens_metadata { " metadata=open" } else { "" })?;
        self.network.map_or(Ok(()), |network| write!(f, " network={network}"))?;
        match &self.branch {
            Some(Branch { trunk, vlan }) => write!(f, " trunk={trunk} vlan={vlan}"),
            None => Ok(()),
        }
    }
}

/// The id as it stands in a label: a long one is cut, and a hash of the whole put behind a `~`,
/// which no id contains.
#[must_use]
pub fn short_id(id: &str) -> String {
    if id.len() <= MAX_ID_LEN {
        return id.to_owned();
    }
    let kept: String = id.chars().take(MAX_ID_LEN - 17).collect();
    format!("{kept}~{:016x}", fnv1a(id))
}

/// The MAC address that a container's port is born with, so that it says whose it is from its first moment
/// on: locally administered, and a hash of the id as it stands in a label.
#[must_use]
pub fn port_mac(container: &str) -> Mac {
    Mac::local(fnv1a(container))
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
            netns: "4026532177/41".parse().expect("a namespace"),
            pause: "4711@123456".parse().ok(),
            device: "pci:0000:00:06.0".parse().ok(),
            offloads: Some(Offloads(0x0010_a1fd_5b29)),
            rings: Some(Rings { rx: 1024, tx: 512 }),
            opens_metadata: false,
            network: None,
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
             netns=4026532177/41 pause=4711@123456 device=pci:0000:00:06.0 offloads=10a1fd5b29 \
             rings=1024/512"
        );
        assert_eq!(Label::parse(&alias), Some(label()));

        let of_branch =
            Label { branch: Some(branch()), device: None, offloads: None, rings: None, ..label() };
        let alias = of_branch.to_string();
        assert!(alias.ends_with(" pause=4711@123456 trunk=02:00:00:00:00:99 vlan=4094"), "{alias}");
        assert_eq!(Label::parse(&alias), Some(of_branch));
    }

    #[test]
    fn what_earlier_hooks_wrote_is_read() {
        let alias = "awsvpc container=c eni=02:5a:a1:1a:43:42 name=eth1 mtu=9001 netns=4026532177";
        let label = Label::parse(alias).expect("a label");
        assert_eq!((label.pause, label.device), (None, None));
        assert_eq!((label.offloads, label.rings), (None, None));
        assert_eq!(label.netns.inode, 4_026_532_177);
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
            good.replace("4711@", "x@"),
            good.replace("pci:", "../"),
            good.replace("offloads=1", "offloads=01"),
            good.replace("offloads=1", "offloads=+"),
            good.replace("offloads=1", "offloads=A"),
            good.replace("rings=1", "rings=01"),
            good.replace("/512", ""),
            good.replace("4026532177/41", "4026532177/"),
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
            netns: NetnsId { inode: u32::MAX.into(), cookie: Some(u64::MAX) },
            pause: Some(Process { pid: 4_194_304, started: u64::MAX }),
            branch: Some(branch()),
            opens_metadata: true,
            network: "0badcafe".parse().ok(),
            device: None,
            offloads: None,
            rings: None,
            ..label()
        }
        .to_string();
        assert!(alias.len() <= MAX_LEN, "{}", alias.len());
        assert!(Label::parse(&alias).is_some());
    }

    #[test]
    fn offloads_and_then_rings_are_left_out_where_they_do_not_fit() {
        let length = |label: &Label| label.to_string().len();
        let less = Label { offloads: None, ..label() };
        let bare = Label { rings: None, ..less.clone() };
        assert_eq!(label().within(length(&label())), label());
        assert_eq!(label().within(length(&label()) - 1), less);
        assert_eq!(label().within(length(&less) - 1), bare);
        assert_eq!(bare.clone().within(0), bare);
    }
}
