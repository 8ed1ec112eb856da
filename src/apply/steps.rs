//! Maps each step, and its undo, to requests to the kernel.

use crate::{
    apply::{
        address,
        attempt::Attempt,
        block, branch, eni, host,
        option::{self, path_of},
        outcome::{Applied, ensured, outcome_of},
        port, record, wait,
    },
    error::Result,
    kernel::link::{LinkChange, Vlan},
    net::{name::InterfaceName, side::Side},
    nft::{self, Family, records::Records},
    plan::step::Step,
};

/// Ensures one step: what is so already is fine, the same thing in another form is an error,
/// and a step that fails has changed nothing.
#[allow(clippy::too_many_lines)] // a table
pub fn apply(attempt: &Attempt<'_>, step: &Step) -> Result<Applied> {
    let instance = attempt.instance();
    match step {
        Step::InstallNftables { ruleset } => {
            nft::install(ruleset)?;
            Ok(Applied::Changed)
        }
        Step::CreateBridge { bridge, mac, mtu } => port::ensure_bridge(attempt, bridge, *mac, *mtu),
        Step::SetMac { side, link, mac } => {
            let change = LinkChange { mac: Some(*mac), ..LinkChange::default() };
            attempt.set(*side, link, &change)
        }
        Step::TakeRecord { record } => record::take(record),
        Step::CheckHost { families, bridge } => host::check(attempt, families, *bridge),
        Step::Normalise { side, index, form, alternative_names, .. } => {
            eni::normalise(attempt, *side, *index, form, alternative_names)
        }
        Step::SetOffloads { index, offloads, .. } => Ok(eni::put_offloads_back(*index, *offloads)),
        Step::CreateVeth { lease, port_mac, bridge, inside, mtu } => {
            port::create_veth(attempt, *lease, *port_mac, bridge, inside, *mtu)
        }
        Step::JoinBridge { lease, bridge } => port::join_bridge(attempt, *lease, bridge),
        Step::ConfigurePort { lease, label, isolated } => {
            port::configure_port(attempt, *lease, label, *isolated)
        }
        Step::AddFdbEntry { lease } => port::ensure_fdb_entry(attempt, *lease),
        Step::DeletePolicyRule { rule } => match instance.delete_rule(rule) {
            Err(error) if error.is_absent() => Ok(Applied::Already),
            deleted => outcome_of(deleted),
        },
        Step::MoveIn { index, label, at_home, inside, mtu } => {
            eni::move_in(attempt, *index, label, at_home, inside, *mtu)
        }
        Step::DeleteLeftover { index, .. } => match instance.delete_link(*index) {
            Err(error) if error.is_no_device() => Ok(Applied::Already),
            deleted => outcome_of(deleted),
        },
        Step::CreateBranch { trunk, branch, mac, inside, mtu } => {
            let (trunk, netns, id) = (*trunk, &attempt.sides.task()?.netns, branch.vlan);
            let link = Vlan { trunk, id, netns, mac: *mac, mtu: *mtu };
            branch::create_branch(attempt, *branch, &link, inside)
        }
        Step::SetLabel { link, label, .. } => {
            attempt.set(Side::Task, link, &alias(&label.to_string()))
        }
        Step::SetOption { side, family, link, option, value, .. } => {
            option::ensure_option(attempt, *side, &path_of(family, link, option), value)
        }
        Step::AddAddress { side, link, address, subnet_route } => {
            address::ensure_address(attempt, *side, link, *address, *subnet_route)
        }
        Step::DeleteAddress { link, address } => {
            address::delete_address(attempt, Side::Task, link, *address).map(|()| Applied::Changed)
        }
        Step::AddRoute { route } => address::ensure_route(attempt, route),
        Step::DeleteRoute { route } => {
            address::delete_route(attempt, route).map(|()| Applied::Changed)
        }
        Step::BlockPackets { ruleset } => block::ensure_block(attempt, || nft::ensure(ruleset)),
        Step::BlockFrames { ruleset, .. } => {
            block::ensure_block(attempt, || nft::ensure_if_possible(ruleset))
        }
        Step::Unblock => block::unblock(attempt, nft::TASK),
        Step::AddNeighbour { side, link, address, mac } => {
            address::ensure_neighbour(attempt, *side, link, *address, *mac)
        }
        Step::SetUp { side, link } => attempt.set(*side, link, &switched(true)),
        Step::AwaitRunning { side, link } => wait::await_running(attempt, *side, link),
        Step::AwaitAddress { side, address } => wait::await_address(attempt, *side, *address),
        Step::AwaitRouter { link, patience } => wait::await_router(attempt, link, patience),
    }
}

/// Undoes one step that [`apply`] said it changed. What is gone already is fine.
pub fn revert(attempt: &Attempt<'_>, step: &Step) -> Result<()> {
    match step {
        Step::TakeRecord { record } => Ok(Records::open()?.delete(record.label.eni)?),
        Step::Normalise { side, index, alternative_names, .. } => {
            eni::rename_back(attempt, *side, *index, alternative_names)
        }
        Step::CreateVeth { lease, .. } => port::delete_veth(attempt, *lease),
        Step::DeletePolicyRule { rule } => ensured(attempt.instance().add_rule(rule)).map(|_| ()),
        Step::MoveIn { label, at_home, .. } => eni::bring_home(attempt, label, at_home),
        Step::CreateBranch { inside, .. } => branch::delete_branch(attempt, inside),
        Step::AddAddress { side: side @ Side::Task, link, address, .. } => {
            address::delete_address(attempt, *side, link, *address)
        }
        Step::DeleteAddress { link, address } => {
            address::ensure_address(attempt, Side::Task, link, *address, true).map(|_| ())
        }
        Step::SetOption { side, family, link, option, before: Some(before), .. } => {
            option::ensure_option(attempt, *side, &path_of(family, link, option), before)
                .map(|_| ())
        }
        Step::AddRoute { route } => address::delete_route(attempt, route),
        Step::DeleteRoute { route } => address::ensure_route(attempt, route).map(|_| ()),
        Step::BlockPackets { .. } => block::unblock(attempt, &[Family::Inet]).map(|_| ()),
        Step::BlockFrames { .. } => block::unblock(attempt, &[Family::Netdev]).map(|_| ()),
        Step::AddNeighbour { side, link, address, .. } => {
            address::delete_neighbour(attempt, *side, link, *address)
        }
        Step::SetLabel { link, before, .. } => {
            set_back(attempt, link, &alias(before.as_deref().unwrap_or_default()))
        }
        Step::SetUp { side: Side::Task, link } => set_back(attempt, link, &switched(false)),
        // The bridge is the instance's, not the task's, and others may use it by now. The rest
        // are properties of a link and go away with it.
        Step::InstallNftables { .. }
        | Step::CheckHost { .. }
        | Step::CreateBridge { .. }
        | Step::SetMac { .. }
        | Step::SetOffloads { .. }
        | Step::AddAddress { side: Side::Instance, .. }
        | Step::SetUp { side: Side::Instance, .. }
        | Step::JoinBridge { .. }
        | Step::ConfigurePort { .. }
        | Step::AddFdbEntry { .. }
        | Step::DeleteLeftover { .. }
        | Step::Unblock
        | Step::SetOption { before: None, .. }
        | Step::AwaitRunning { .. }
        | Step::AwaitAddress { .. }
        | Step::AwaitRouter { .. } => Ok(()),
    }
}

/// Sets properties of a link of the task back, if it is still there.
fn set_back(attempt: &Attempt<'_>, link: &InterfaceName, change: &LinkChange) -> Result<()> {
    match attempt.set(Side::Task, link, change) {
        Err(_) if attempt.task()?.link(link)?.is_none() => Ok(()),
        changed => changed.map(|_| ()),
    }
}

/// A link with another alias; the empty one is none.
fn alias(text: &str) -> LinkChange {
    LinkChange { alias: Some(text.to_owned()), ..LinkChange::default() }
}

/// A link switched on or off.
fn switched(up: bool) -> LinkChange {
    LinkChange { up: Some(up), ..LinkChange::default() }
}
