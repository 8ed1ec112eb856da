//! Makes an ENI on the instance what it was before.

use crate::{
    error::{Doing, KernelError, Result},
    kernel::{error::Answer, link::LinkChange, socket::Netlink},
    net::{link::Link, name::InterfaceName},
    snapshot::ownership::strays,
    task::label::Label,
};

/// A name that the kernel completes with the first free number: what it calls physical interfaces
/// itself whose name is taken when they come home.
pub(super) const ANY_NAME: &str = "dev%d";

/// Switched off, which a link must be to be renamed by a kernel before 6.2.
const DOWN: LinkChange =
    LinkChange { name: None, mtu: None, mac: None, alias: None, up: Some(false) };

/// Makes an ENI that is on the instance what it was before: its name, MTU and MAC address, no
/// address, no label, and switched on only if `up`. Gives its name, or `None` if it has left.
pub fn restore(instance: &Netlink, link: &Link, label: &Label, up: bool) -> Result<Option<String>> {
    match try_restore(instance, link, label, up) {
        Err(error) if error.is_no_device() => Ok(None),
        restored => restored
            .map(Some)
            .doing(|| format!("restoring ENI {} ({}) on the instance", label.eni, link.name)),
    }
}

fn try_restore(instance: &Netlink, link: &Link, label: &Label, up: bool) -> Answer<String> {
    let renamed = link.name != label.name.as_str();
    if link.up && (renamed || !up) {
        instance.set_link(link.index, &DOWN)?;
    }
    for (_, address) in instance.addresses(link.index)? {
        match instance.delete_address(link.index, address) {
            Err(error) if !error.is_absent() => return Err(error),
            _ => {}
        }
    }
    let change = LinkChange {
        name: renamed.then(|| label.name.to_string()),
        mtu: (link.mtu != label.mtu && link.accepts_mtu(label.mtu)).then_some(label.mtu),
        mac: (link.mac != Some(label.eni)).then_some(label.eni),
        alias: link.alias.is_some().then(String::new),
        up: up.then_some(true),
    };
    let mut outcome = instance.set_link(link.index, &change);
    let taken =
        |outcome: &Answer<()>| renamed && outcome.as_ref().is_err_and(KernelError::is_exists);
    if taken(&outcome) && make_way(instance, link, &label.name)? {
        outcome = instance.set_link(link.index, &change);
    }
    match outcome {
        Err(_) if taken(&outcome) => {
            let change = LinkChange { name: None, ..change };
            instance.set_link(link.index, &change)?;
            log::warn!(
                "ENI {} came home as {}: its own name, {}, is taken by another interface",
                label.eni,
                link.name,
                label.name
            );
            Ok(link.name.clone())
        }
        outcome => outcome.map(|()| label.name.to_string()),
    }
}

/// Makes a name free that the link itself has as an alternative one, which udev gave it, or that is
/// the name of an ENI which came home under it and has one of its own. False: it is somebody else's.
fn make_way(instance: &Netlink, link: &Link, name: &InterfaceName) -> Answer<bool> {
    match try_make_way(instance, link, name) {
        Err(error) if error.is_no_device() => Ok(true), // who had it has left meanwhile
        made => made,
    }
}

fn try_make_way(instance: &Netlink, link: &Link, name: &InterfaceName) -> Answer<bool> {
    let Some(holder) = instance.link(name)? else {
        return Ok(true);
    };
    if holder.index == link.index {
        return instance.delete_alternative_name(link.index, name).map(|()| true);
    }
    let holder = [holder];
    let mut others = strays(&holder).filter(|(_, home)| home.name != *name);
    let Some((other, _)) = others.find(|(other, _)| other.name == name.as_str()) else {
        return Ok(false);
    };
    if other.up {
        instance.set_link(other.index, &DOWN)?;
    }
    let renamed = LinkChange { name: Some(ANY_NAME.to_owned()), ..LinkChange::default() };
    instance.set_link(other.index, &renamed)?;
    Ok(true)
}
