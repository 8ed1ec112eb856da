//! The ENI's journey: into the task's namespace, out of it, and what it takes to be as it was.

use crate::{
    error::{Doing, Error, Result},
    instance::strays,
    link::{InterfaceName, Link},
    netlink::{Answer, KernelError, LinkChange, Netlink},
    netns::Netns,
    tag::Tag,
};

/// A name that the kernel completes with the first free number: what it calls physical interfaces
/// itself whose name is taken when they come home.
const ANY_NAME: &str = "dev%d";

/// Switched off, which a link must be to be renamed by a kernel before 6.2.
const DOWN: LinkChange =
    LinkChange { name: None, mtu: None, mac: None, alias: None, up: Some(false) };

/// Moves the ENI into the task's namespace: under its name there, with its MTU there, and with the
/// label that tells what it was. All in one message, so that no other hook can come between.
///
/// # Errors
/// The kernel's; ENODEV where the ENI is not on the instance. After others it may be in the
/// namespace all the same: see [`Netlink::move_link`].
pub async fn move_in(
    instance: &Netlink,
    index: u32,
    task: &Netns,
    home: &Tag,
    inside: &InterfaceName,
    mtu: Option<u32>,
) -> Answer<()> {
    let (name, alias) = (Some(inside.to_string()), Some(home.to_string()));
    let change = LinkChange { name, mtu, alias, ..LinkChange::default() };
    instance.move_link(index, task, &change).await
}

/// Takes the ENI out of the task's namespace. It moves to the instance, under its own name if that is
/// free, else under any; a branch is deleted. False: it is not in the namespace.
///
/// # Errors
/// The kernel's.
pub async fn take_out(task: &Netlink, instance: &Netns, home: &Tag) -> Result<bool> {
    let inside = async || {
        let links = task.links().await.doing(|| "listing the task's links")?;
        Ok::<_, Error>(find(&links, home).cloned())
    };
    let Some(link) = inside().await? else {
        return Ok(false);
    };
    if let Some(branch) = home.branch {
        let doing = || format!("deleting branch ENI {} ({}), {branch}", home.eni, link.name);
        return match task.delete_link(link.index).await {
            Err(error) if error.is_no_device() => Ok(false),
            deleted => deleted.doing(doing).map(|()| true),
        };
    }
    let doing = || format!("moving ENI {} ({}) out of the task", home.eni, link.name);
    let named = |name: &str| LinkChange { name: Some(name.to_owned()), ..LinkChange::default() };
    match task.move_link(link.index, instance, &named(home.name.as_str())).await {
        // The name is taken on the instance. Where the name inside is free there, it has moved.
        Err(error) if error.is_exists() => {
            if inside().await?.is_some() {
                task.move_link(link.index, instance, &named(ANY_NAME)).await.doing(doing)?;
            }
        }
        moved => moved.doing(doing)?,
    }
    Ok(true)
}

/// Makes an ENI that is on the instance what it was before: its name, MTU and MAC address, no
/// address, no label, and switched on only if `up`. Gives its name, or `None` if it has left.
///
/// # Errors
/// The kernel's.
pub async fn restore(
    instance: &Netlink,
    link: &Link,
    home: &Tag,
    up: bool,
) -> Result<Option<String>> {
    match try_restore(instance, link, home, up).await {
        Err(error) if error.is_no_device() => Ok(None),
        restored => restored
            .map(Some)
            .doing(|| format!("restoring ENI {} ({}) on the instance", home.eni, link.name)),
    }
}

async fn try_restore(instance: &Netlink, link: &Link, home: &Tag, up: bool) -> Answer<String> {
    let renamed = link.name != home.name.as_str();
    if link.up && (renamed || !up) {
        instance.change_link(link.index, &DOWN).await?;
    }
    for (_, address) in instance.addresses(link.index).await? {
        match instance.delete_address(link.index, address).await {
            Err(error) if !error.is_absent() => return Err(error),
            _ => {}
        }
    }
    let change = LinkChange {
        name: renamed.then(|| home.name.to_string()),
        mtu: (link.mtu != home.mtu && link.accepts_mtu(home.mtu)).then_some(home.mtu),
        mac: (link.mac != Some(home.eni)).then_some(home.eni),
        alias: link.alias.is_some().then(String::new),
        up: up.then_some(true),
    };
    let mut changed = instance.change_link(link.index, &change).await;
    let taken =
        |changed: &Answer<()>| renamed && changed.as_ref().is_err_and(KernelError::is_exists);
    if taken(&changed) && make_way(instance, link, &home.name).await? {
        changed = instance.change_link(link.index, &change).await;
    }
    match changed {
        Err(_) if taken(&changed) => {
            let change = LinkChange { name: None, ..change };
            instance.change_link(link.index, &change).await?;
            log::warn!(
                "ENI {} came home as {}: its own name, {}, is taken by another interface",
                home.eni,
                link.name,
                home.name
            );
            Ok(link.name.clone())
        }
        changed => changed.map(|()| home.name.to_string()),
    }
}

/// Makes a name free that the link itself has as an alternative one, which udev gave it, or that is
/// the name of an ENI which came home under it and has one of its own. False: it is somebody else's.
async fn make_way(instance: &Netlink, link: &Link, name: &InterfaceName) -> Answer<bool> {
    match try_make_way(instance, link, name).await {
        Err(error) if error.is_no_device() => Ok(true), // who had it has left meanwhile
        made => made,
    }
}

async fn try_make_way(instance: &Netlink, link: &Link, name: &InterfaceName) -> Answer<bool> {
    let Some(holder) = instance.link(name).await? else {
        return Ok(true);
    };
    if holder.index == link.index {
        return instance.delete_alternative_name(link.index, name).await.map(|()| true);
    }
    let holder = [holder];
    let mut others = strays(&holder).filter(|(_, home)| home.name != *name);
    let Some((other, _)) = others.find(|(other, _)| other.name == name.as_str()) else {
        return Ok(false);
    };
    if other.up {
        instance.change_link(other.index, &DOWN).await?;
    }
    let renamed = LinkChange { name: Some(ANY_NAME.to_owned()), ..LinkChange::default() };
    instance.change_link(other.index, &renamed).await?;
    Ok(true)
}

/// The ENI among these links: by its MAC address, or by its label where a task changed that and the
/// driver reports no permanent one. Never a bridge port, whatever it says: the task's own veth on
/// the instance has the same label. And hardware before anything else: a bridge or a VLAN that a task
/// made of the ENI has its MAC address too.
#[must_use]
pub fn find<'a>(links: &'a [Link], home: &Tag) -> Option<&'a Link> {
    let labelled = |link: &&Link| {
        let label = link.alias.as_deref().and_then(Tag::parse);
        link.controller.is_none() && label.as_ref() == Some(home)
    };
    let candidates = || links.iter().filter(|link| home.describes(link));
    let namesakes = candidates().filter(|link| link.is(home.eni));
    namesakes
        .min_by_key(|link| (link.permanent_mac.is_none(), link.kind.is_some()))
        .or_else(|| candidates().find(labelled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Mac;

    fn link(index: u32, name: &str, mac: Mac) -> Link {
        Link {
            index,
            name: name.to_owned(),
            mac: Some(mac),
            permanent_mac: None,
            mtu: 9001,
            mtu_range: (68, 9216),
            alias: None,
            kind: None,
            vlan: None,
            controller: None,
            peer: None,
            locked: None,
            ethernet: true,
            loopback: false,
            up: true,
            running: true,
        }
    }

    #[test]
    fn what_a_task_makes_of_its_eni_is_not_taken_for_it() {
        let eni: Mac = "02:5a:a1:1a:43:42".parse().expect("a MAC");
        let home = Tag::of_unlabelled(&link(9, "eth1", eni), eni, "abc", 1);
        let kind = |kind: &str| Some(kind.to_owned());
        let bridge = Link { kind: kind("bridge"), ..link(2, "br0", eni) };
        let vlan = "5".parse().ok();
        let vlan = Link { kind: kind("vlan"), vlan, ..link(3, "eth0.5", eni) };
        let hardware = link(9, "eth0", eni);
        let links = [bridge, vlan.clone(), hardware.clone()];
        assert_eq!(find(&links, &home), Some(&hardware));
        // A VLAN is not even taken for want of anything better.
        assert_eq!(find(&[vlan], &home), None);
    }
}
