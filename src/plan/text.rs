//! What a step is, in words: at once the line in the debug log and the beginning of the error message.

use super::step::Step;
use std::fmt;

/// One word about a step, for the list of timings.
#[must_use]
pub fn part(step: &Step) -> &'static str {
    match step {
        Step::InstallNftables { .. } => "rules",
        Step::CreateBridge { .. } => "bridge",
        Step::SetMac { .. } => "mac",
        Step::TakeRecord { .. } => "record",
        Step::CheckHost { .. } => "check",
        Step::Normalise { .. } => "form",
        Step::SetOffloads { .. } => "offloads",
        Step::CreateVeth { .. } => "veth",
        Step::JoinBridge { .. } | Step::ConfigurePort { .. } => "port",
        Step::AddFdbEntry { .. } => "fdb",
        Step::DeletePolicyRule { .. } => "rule",
        Step::MoveIn { .. } => "move",
        Step::DeleteLeftover { .. } => "leftover",
        Step::CreateBranch { .. } => "branch",
        Step::SetLabel { .. } => "label",
        Step::SetOption { option, .. } => option,
        Step::AddAddress { .. } | Step::DeleteAddress { .. } | Step::AwaitAddress { .. } => {
            "address"
        }
        Step::AddRoute { .. } | Step::DeleteRoute { .. } => "route",
        Step::BlockPackets { .. } | Step::BlockFrames { .. } | Step::Unblock => "block",
        Step::AddNeighbour { .. } => "neighbour",
        Step::SetUp { .. } => "up",
        Step::AwaitRunning { .. } => "running",
        Step::AwaitRouter { .. } => "router",
    }
}

impl fmt::Display for Step {
    #[allow(clippy::too_many_lines)] // a table
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InstallNftables { .. } => {
                f.write_str("installing nftables rules on the instance")
            }
            Self::CreateBridge { bridge, mac, mtu } => {
                write!(f, "creating bridge {bridge} with {mac}, mtu {mtu}")
            }
            Self::SetMac { side, link, mac } => write!(f, "setting {mac} on {link} {side}"),
            Self::TakeRecord { record } => write!(
                f,
                "recording that ENI {} is container {}'s",
                record.label.eni, record.label.container
            ),
            Self::CheckHost { .. } => {
                f.write_str("making sure that the bridge and the rules are still there")
            }
            Self::Normalise { side, mac, form, alternative_names, .. } => {
                write!(f, "resetting ENI {mac} {side}: {}", form.oddities().join(", "))?;
                match alternative_names.len() {
                    0 => Ok(()),
                    names => write!(f, " ({names} alternative names)"),
                }
            }
            Self::SetOffloads { mac, .. } => write!(f, "putting back the offloads of ENI {mac}"),
            Self::CreateVeth { lease, bridge, inside, mtu, .. } => write!(
                f,
                "creating veth {} on {bridge} with {inside} ({}, mtu {mtu}) in the task",
                lease.link_name(),
                lease.mac()
            ),
            Self::JoinBridge { lease, bridge } => {
                write!(f, "making {} a port of {bridge}", lease.link_name())
            }
            Self::ConfigurePort { lease, isolated, .. } => write!(
                f,
                "switching on port {}{}",
                lease.link_name(),
                if *isolated { ", isolated" } else { "" }
            ),
            Self::AddFdbEntry { lease } => {
                write!(f, "binding {} to port {}", lease.mac(), lease.link_name())
            }
            Self::DeletePolicyRule { rule } => write!(f, "deleting rule {rule} on the instance"),
            Self::MoveIn { label, inside, mtu, .. } => {
                write!(f, "moving ENI {} ({}) into the task as {inside}", label.eni, label.name)?;
                mtu.map_or(Ok(()), |mtu| write!(f, ", mtu {mtu}"))
            }
            Self::DeleteLeftover { branch, .. } => {
                write!(f, "deleting what was left of {branch} on the instance")
            }
            Self::CreateBranch { branch, mac, inside, mtu, .. } => {
                write!(f, "creating branch ENI {mac}, {branch}, in the task as {inside}, mtu {mtu}")
            }
            Self::SetLabel { link, .. } => write!(f, "labelling {link} in the task"),
            Self::SetOption { side, link, option, value, .. } => {
                write!(f, "setting {option} of {link} {side} to {value}")
            }
            Self::AddAddress { side, link, address, .. } => {
                write!(f, "adding {address} to {link} {side}")
            }
            Self::DeleteAddress { link, address } => {
                write!(f, "taking {address} from {link} in the task, to add it before others")
            }
            Self::AddRoute { route } => write!(f, "adding route {route} in the task"),
            Self::DeleteRoute { route } => write!(f, "deleting route {route} in the task"),
            Self::BlockPackets { .. } => {
                f.write_str("installing nftables rules that block packets in the task")
            }
            Self::BlockFrames { link, .. } => {
                write!(f, "installing nftables rules that block frames on {link} in the task")
            }
            Self::Unblock => f.write_str("removing nftables rules in the task"),
            Self::AddNeighbour { side, link, address, mac } => {
                write!(f, "adding neighbour {address} at {mac} to {link} {side}")
            }
            Self::SetUp { side, link } => write!(f, "switching on {link} {side}"),
            Self::AwaitRunning { side, link } => {
                write!(f, "waiting for {link} {side} to be operationally up")
            }
            Self::AwaitAddress { side, address } => {
                write!(f, "waiting for the kernel to answer at {address} {side}")
            }
            Self::AwaitRouter { link, .. } => {
                write!(f, "waiting for a router to advertise itself on {link} in the task")
            }
        }
    }
}
