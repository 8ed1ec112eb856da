//! The ENI on its way: into the task's namespace, out of it, and where it is meanwhile.

use super::{naming::ANY_NAME, normal_form};
use crate::{
    error::{Doing, Result},
    kernel::{error::Answer, link::LinkChange, netns::Netns, sides::Space, socket::Netlink},
    net::{device::Device, link::Link, name::InterfaceName},
    snapshot::ownership::is_eni_away,
    task::label::Label,
};

/// Moves the ENI into the task's namespace: under its name there, with its MTU there, and with the
/// label that tells what it was. All in one message, so that no other hook can come between.
///
/// # Errors
/// The kernel's; ENODEV where the ENI is not on the instance. After others it may be in the
/// namespace all the same: see [`Netlink::move_link`].
pub fn move_in(
    instance: &Netlink,
    index: u32,
    task: &Netns,
    label: &Label,
    inside: &InterfaceName,
    mtu: Option<u32>,
) -> Answer<()> {
    let (name, alias) = (Some(inside.to_string()), Some(label.to_string()));
    let change = LinkChange { name, mtu, alias, ..LinkChange::default() };
    instance.move_link(index, task, &change)
}

/// Takes the ENI out of a namespace. It moves to the instance, under its own name if that is free, else under
/// any. False: it is not in the namespace.
///
/// Its form is reset in there already: kernels before 5.15 cannot delete, on the instance, alternative names
/// that were added in a namespace of somebody else's.
pub fn take_out(task: &Space, instance: &Space, label: &Label) -> Result<bool> {
    let inside = || find_in(task, instance, label);
    let Some(link) = inside()? else {
        return Ok(false);
    };
    let doing = || format!("moving ENI {} ({}) out of the task", label.eni, link.name);
    let netlink = &task.netlink;
    if link.up {
        netlink.set_link(link.index, &LinkChange::DOWN).doing(doing)?;
    }
    normal_form::put_on(netlink, link.index, &link.form, &link.alternative_names).doing(doing)?;
    match netlink.move_link(link.index, &instance.netns, &LinkChange::named(label.name.as_str())) {
        // The name is taken on the instance. Where the name inside is free there, it has moved.
        Err(error) if error.is_exists() => {
            if inside()?.is_some() {
                netlink
                    .move_link(link.index, &instance.netns, &LinkChange::named(ANY_NAME))
                    .doing(doing)?;
            }
        }
        moved => moved.doing(doing)?,
    }
    Ok(true)
}

/// The ENI in another namespace than the instance's.
pub fn find_in(space: &Space, instance: &Space, label: &Label) -> Result<Option<Link>> {
    let links = space.netlink.links().doing(|| "listing the links of its namespace")?;
    let peer_netns = match label.device.as_ref().and_then(Device::veth_peer) {
        Some((_, netns)) => instance
            .netlink
            .number_elsewhere(netns, &space.netns)
            .doing(|| "asking for the number of a namespace")?,
        None => None,
    };
    Ok(links.into_iter().find(|link| is_eni_away(link, label, peer_netns)))
}
