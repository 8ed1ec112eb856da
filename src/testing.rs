//! What the tests, the fuzzers and the generators outside of this crate use of its inside.

pub use crate::{
    apply::transact,
    eni::restore::AtHome,
    error::{Error, Result},
    input::{
        annotations::{PREFIX, task_of},
        config::{Config, Detect, Eni, credentials::CredentialNetwork, host::Host},
        container::{Annotations, Container},
        mention::Mention,
        request::Request,
    },
    kernel::{
        netns::Netns,
        process,
        sides::{Sides, Space},
    },
    net::{
        device::Device, form::Form, link::Link, mac::Mac, name::InterfaceName, netns_id::NetnsId,
        offloads::Offloads, process::Process, rings::Rings, route::Route, rule::Rule, side::Side,
        vlan::VlanId,
    },
    nft::Ruleset,
    plan::{Plan, plan, step::Step},
    process::{limits::Limits, timings::Timings},
    snapshot::{
        labels::wished_name,
        look::snapshot,
        view::{InstanceSnapshot, Snapshot, TaskSnapshot},
    },
    task::{
        CREDENTIAL_INDEX, CREDENTIAL_INTERFACE, Gateway, METADATA, RouterPatience, Task,
        branch::Branch,
        label::{Label, port_mac, short_id},
        lease::Lease,
        network::NetworkId,
        record::Record,
    },
};

/// A link of hardware with the MTU of an ENI, switched off.
#[must_use]
pub fn link(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.to_owned(),
        mtu: 9001,
        mtu_range: (68, 9216),
        ethernet: true,
        form: Form::default().normal(),
        ..Link::default()
    }
}
