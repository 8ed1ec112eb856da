//! Makes an ENI on the instance what it was before.

use crate::{
    eni::{naming, normal_form},
    error::{Doing, Error, Result},
    kernel::{error::Answer, link::LinkChange, queues::Queues, socket::Netlink},
    net::{link::Link, offloads::Offloads},
    snapshot::{labels::label_of, ownership::port_of},
    task::{label::Label, record::Record},
};
use std::{fs, slice};

/// What an ENI had on the instance that no label has room for: a start that fails gives it back, the end of a
/// task does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtHome {
    /// Whether it was switched on.
    pub up: bool,
    /// The alias that an administrator gave it.
    pub alias: Option<String>,
}

impl AtHome {
    /// What a link of the instance has. A label in its alias is ours, and is not given back; nor is one that is
    /// not UTF-8, which we cannot tell from another.
    #[must_use]
    pub fn of(link: &Link) -> Self {
        let is_text = |alias: &String| !alias.contains(char::REPLACEMENT_CHARACTER);
        let alias = link.alias.clone().filter(|alias| label_of(link).is_none() && is_text(alias));
        Self { up: link.up, alias }
    }
}

/// Makes an ENI that is on the instance what it was before: its name, MTU and MAC address, no
/// address, no label, its form, its offloads, rings and queues, and what it had `at_home`. Gives its name, or
/// `None` if it has left. What of its form, offloads, rings and queues cannot be reset is named in a warning.
pub fn restore(
    instance: &Netlink,
    link: &Link,
    label: &Label,
    at_home: &AtHome,
) -> Result<Option<String>> {
    let restored = try_restore(instance, link, label, at_home).and_then(|name| {
        let oddities = oddities(instance, link.index, label)?;
        // The label goes last: an ENI without one is what it was.
        if link.alias != at_home.alias {
            let alias = Some(at_home.alias.clone().unwrap_or_default());
            instance.set_link(link.index, &LinkChange { alias, ..LinkChange::default() })?;
        }
        if !oddities.is_empty() {
            let (eni, what) = (label.eni, oddities.join(", "));
            log::warn!("ENI {eni} ({name}): this could not be reset: {what}");
        }
        Ok(name)
    });
    match restored {
        Err(Error::Kernel(error)) if error.is_no_device() => Ok(None),
        restored => restored
            .map(Some)
            .doing(|| format!("restoring ENI {} ({}) on the instance", label.eni, link.name)),
    }
}

/// Puts offloads and rings back, resets the queues, and says what of the link is still not as it should be.
fn oddities(instance: &Netlink, index: u32, label: &Label) -> Answer<Vec<String>> {
    let offloads = label.offloads.map(|before| normal_form::put_offloads_back(index, before));
    let rings = label.rings.map(|before| normal_form::put_rings_back(index, before));
    let mut oddities = Vec::new();
    if let Some(link) = instance.link_at(index)? {
        oddities.extend(link.form.oddities().into_iter().map(ToOwned::to_owned));
        if !link.alternative_names.is_empty() {
            oddities.push(format!("{} alternative names", link.alternative_names.len()));
        }
        oddities.extend(reset_queues(instance, &link)?);
    }
    match offloads {
        None | Some(Ok(Offloads(0))) => {}
        Some(Ok(left)) => oddities.push(format!("offloads (features {left})")),
        Some(Err(error)) => oddities.push(format!("offloads ({error})")),
    }
    if let Some(Err(error)) = rings {
        oddities.push(format!("ring sizes ({error})"));
    }
    Ok(oddities)
}

/// Makes the queues of hardware what they are when they are new, and says what stays otherwise. Where a task
/// made threads for them, the link is on while they are stopped.
fn reset_queues(instance: &Netlink, link: &Link) -> Answer<Vec<String>> {
    let queues = link.is_hardware().then(|| Queues::of(link.index, &link.name)).flatten();
    let Some(queues) = queues else { return Ok(Vec::new()) };
    let mut left = queues.reset();
    if queues.have_threads() {
        match if link.up { Ok(()) } else { instance.set_link(link.index, &LinkChange::UP) } {
            Ok(()) => left.extend(queues.stop_threads()),
            Err(error) => left.push(format!("threaded ({error})")),
        }
        if !link.up {
            instance.set_link(link.index, &LinkChange::DOWN)?;
        }
    }
    Ok(left)
}

/// The label in a record, with offloads and rings, which a record that would be too long leaves to the labels on the
/// task's port and on the ENI. The ENI's own is no more than a wish: a task that rewrites it may as well
/// change those themselves.
pub fn completed(record: &Record, instance: &Netlink, eni: &Link) -> Result<Label> {
    let mut label = record.label.clone();
    if label.offloads.is_none() || label.rings.is_none() {
        let name = record.lease.link_name();
        let port = instance.link(&name).doing(|| format!("looking for {name}"))?;
        let port = port.as_ref().and_then(|port| port_of(slice::from_ref(port), record));
        let key = |label: &Label| (label.container.clone(), label.netns, label.eni);
        let is_same = |other: &Label| key(other) == key(&label);
        let own = port.into_iter().chain([eni]).filter_map(label_of).find(is_same);
        label.offloads = label.offloads.or_else(|| own.as_ref()?.offloads);
        label.rings = label.rings.or_else(|| own.as_ref()?.rings);
    }
    Ok(label)
}

fn try_restore(instance: &Netlink, link: &Link, label: &Label, at_home: &AtHome) -> Result<String> {
    let renamed = link.name != label.name.as_str();
    if link.up && (renamed || !at_home.up) {
        instance.set_link(link.index, &LinkChange::DOWN)?;
    }
    normal_form::put_on(instance, link.index, &link.form, &link.alternative_names)?;
    if link.form.no_arp {
        reset_dad(&link.name);
    }
    for (_, address) in instance.addresses(link.index)? {
        match instance.delete_address(link.index, address) {
            Err(error) if !error.is_absent() => return Err(error.into()),
            _ => {}
        }
    }
    let change = LinkChange {
        name: renamed.then(|| label.name.to_string()),
        mtu: (link.mtu != label.mtu && link.accepts_mtu(label.mtu)).then_some(label.mtu),
        mac: (link.mac != Some(label.eni)).then_some(label.eni),
        alias: None,
        up: at_home.up.then_some(true),
    };
    match instance.set_link(link.index, &change) {
        Err(error) if renamed && error.is_exists() => {}
        outcome => return Ok(outcome.map(|()| label.name.to_string())?),
    }
    let won = naming::win(instance, link, &label.name)?;
    instance.set_link(link.index, &LinkChange { name: None, ..change })?;
    if won {
        return Ok(label.name.to_string());
    }
    let name = instance.link_at(link.index)?.map_or(link.name.clone(), |link| link.name);
    log::warn!(
        "ENI {} came home as {name}: its own name, {}, is taken by another interface",
        label.eni,
        label.name
    );
    Ok(name)
}

/// The kernel switches duplicate address detection off for good where a link comes into a namespace with ARP
/// switched off (`ipv6_add_dev`, net/ipv6/addrconf.c). Where there is no IPv6, there is nothing to reset.
fn reset_dad(name: &str) {
    let option = |of: &str| format!("/proc/sys/net/ipv6/conf/{of}/accept_dad");
    if let Ok(usual) = fs::read_to_string(option("default")) {
        fs::write(option(name), usual.trim()).ok();
    }
}
