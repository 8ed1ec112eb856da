//! The record: what the instance keeps of a task, out of the task's reach.
//!
//! It is made before the ENI moves, and is the lock on the ENI: two cannot make it. It outlives the task's
//! namespace, and is deleted when the ENI was seen at home, or is gone for good.

use crate::{
    net::name::InterfaceName,
    task::{label::Label, lease::Lease},
};
use std::fmt;

/// What is known of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose it is, and what the ENI was.
    pub label: Label,
    /// The task's lease, and so the name of its port.
    pub lease: Lease,
    /// The bridge that the port is on.
    pub bridge: InterfaceName,
}

/// The longest record, in bytes. nftables takes 256 bytes with an element (`NFT_USERDATA_MAXLEN`,
/// `linux/netfilter/nf_tables.h`), but counts them and one more in a byte (`ext_len` of `nft_set_ext_tmpl`,
/// `net/netfilter/nf_tables.h`), and keeps nothing of 253 bytes of text. Type, length and terminator are three.
pub const MAX_LEN: usize = 251;

impl Record {
    /// The record of a task. Offloads and rings that do not fit are left to the labels on its port and its ENI.
    #[must_use]
    pub fn new(label: Label, lease: Lease, bridge: InterfaceName) -> Self {
        let record = Self { label, lease, bridge };
        let rest = record.to_string().len() - record.label.to_string().len();
        Self { label: record.label.within(MAX_LEN.saturating_sub(rest)), ..record }
    }

    /// Whether both speak of the same task. What they say of its ENI may differ.
    #[must_use]
    pub fn is_of_task(&self, other: &Self) -> bool {
        let task = |label: &Label| (label.container.clone(), label.netns, label.pause);
        task(&self.label) == task(&other.label)
    }

    /// Reads a record; `None` if it is not exactly what we write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, bridge) = text.rsplit_once(" bridge=")?;
        let (label, port) = rest.rsplit_once(" port=")?;
        let record = Self {
            label: Label::parse(label)?,
            lease: Lease::of_link(port)?,
            bridge: bridge.parse().ok()?,
        };
        (record.to_string() == text).then_some(record)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port={} bridge={}", self.label, self.lease.link_name(), self.bridge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_are_written_and_fit() {
        let label = format!(
            "awsvpc container={} eni=02:5a:a1:1a:43:42 name=fifteen-bytes-x mtu=65535 \
             netns=4026532177/99999999 pause=4194304@9999999999 device=pci:0000:00:06.0 \
             metadata=open",
            "f".repeat(32)
        );
        let text = format!("{label} port=ecsa9feac0c bridge=fifteen-bytes-y");
        let record = Record::parse(&text).expect("a record");
        assert_eq!(record.to_string(), text);
        assert!(text.len() <= MAX_LEN, "{}", text.len());
        for bad in [label.clone(), format!("{text} "), text.replace("port=ecsa", "port=ecsA")] {
            assert_eq!(Record::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn offloads_are_left_out_where_they_do_not_fit() {
        let label = |id: usize| {
            let id = "f".repeat(id);
            let text = format!(
                "awsvpc container={id} eni=02:5a:a1:1a:43:42 name=eth1 mtu=9001 \
                 netns=4026532177/99999999 pause=4194304@9999999999 device=pci:0000:00:06.0 \
                 offloads=110a1fd5b29abcde"
            );
            Label::parse(&text).expect("a label")
        };
        let record = |label: Label| {
            let bridge = "ecs-bridge".parse().expect("a name");
            Record::new(label, Lease::of_link("ecsa9feac0c").expect("a lease"), bridge)
        };
        assert_eq!(record(label(12)).label, label(12));
        let long = record(label(64));
        assert_eq!(long.label, Label { offloads: None, ..label(64) });
        assert!(long.to_string().len() <= MAX_LEN);
        assert_eq!(record(long.label.clone()), long);
    }
}
