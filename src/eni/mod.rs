//! The ENI's journey: into the task's namespace, out of it, and restored on the instance.

pub mod homecoming;
pub mod normal_form;
pub mod restore;
mod search;
mod stacked;

use crate::{
    error::{Doing, Error, Result},
    kernel::{error::Answer, link::LinkChange, netns::Netns, socket::Netlink},
    net::name::InterfaceName,
    snapshot::ownership::find,
    task::label::Label,
};
use restore::{ANY_NAME, DOWN};

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
pub fn take_out(task: &Netlink, instance: &Netns, label: &Label) -> Result<bool> {
    let inside = || {
        let links = task.links().doing(|| "listing the links of its namespace")?;
        Ok::<_, Error>(find(&links, label).cloned())
    };
    let Some(link) = inside()? else {
        return Ok(false);
    };
    let doing = || format!("moving ENI {} ({}) out of the task", label.eni, link.name);
    if link.up {
        task.set_link(link.index, &DOWN).doing(doing)?;
    }
    normal_form::put_on(task, link.index, &link.form, &link.alternative_names).doing(doing)?;
    let named = |name: &str| LinkChange { name: Some(name.to_owned()), ..LinkChange::default() };
    match task.move_link(link.index, instance, &named(label.name.as_str())) {
        // The name is taken on the instance. Where the name inside is free there, it has moved.
        Err(error) if error.is_exists() => {
            if inside()?.is_some() {
                task.move_link(link.index, instance, &named(ANY_NAME)).doing(doing)?;
            }
        }
        moved => moved.doing(doing)?,
    }
    Ok(true)
}
