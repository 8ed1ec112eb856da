//! A branch ENI's part of a plan: how it comes to be in the task.

use crate::{
    error::{Doing, Result, refuse},
    input::request::Request,
    net::{link::Link, name::InterfaceName, side::Side},
    plan::step::Step,
    task::{branch::Branch, label::Label},
};

/// What must be remembered of the branch, and the steps that create it. The trunk belongs to all its
/// branches: it is switched on where it is not, and otherwise left alone.
pub(super) fn arrival(
    request: &Request,
    branch: Branch,
    trunk: &Link,
    leftover: Option<&Link>,
) -> Result<(Label, Vec<Step>)> {
    let Request { task, container, netns, pause, .. } = *request;
    let name: InterfaceName = trunk.name.parse().doing(|| format!("trunk {:?}", trunk.name))?;
    if trunk.loopback || !trunk.ethernet {
        return refuse(format!("{name} ({}) cannot be a trunk: it is not Ethernet", branch.trunk));
    }
    let mtu = task.mtu.unwrap_or(trunk.mtu);
    if mtu > trunk.mtu {
        return refuse(format!(
            "mtu {mtu} is not possible on a branch of {name} ({}): the trunk's own is {}",
            branch.trunk, trunk.mtu
        ));
    }
    let label = Label {
        container: container.to_owned(),
        eni: task.mac,
        name: name.clone(),
        mtu: trunk.mtu,
        netns,
        pause: Some(pause),
        device: None,
        offloads: None,
        rings: None,
        opens_metadata: !task.block_metadata,
        network: request.credentials.id(),
        branch: Some(branch),
    };
    let mut steps = Vec::new();
    if let Some(link) = leftover {
        steps.push(Step::DeleteLeftover { index: link.index, branch });
    }
    if !trunk.up {
        // A VLAN cannot be up on a trunk that is down (ENETDOWN).
        steps.push(Step::SetUp { side: Side::Instance, link: name });
    }
    let inside = task.interface.clone();
    steps.push(Step::CreateBranch {
        trunk: trunk.index,
        branch,
        mac: task.mac,
        inside: inside.clone(),
        mtu,
    });
    steps.push(Step::SetLabel { link: inside, label: label.clone(), before: None });
    Ok((label, steps))
}
