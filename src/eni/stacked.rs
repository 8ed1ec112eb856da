//! What a task left standing on its ENI: a macvlan or a VLAN in some other namespace, which would go on
//! reading and writing the next task's traffic.

use crate::{
    eni::search::each_namespace,
    error::{Result, refuse},
    kernel::{
        holders::{self, Held},
        sides::Space,
    },
    net::{link::Link, mac::Mac},
};

/// How often it is looked for, as long as something was found: it may have been moved meanwhile.
const ROUNDS: usize = 4;

/// Deletes what stands on an ENI that is on the instance, in every namespace that can be reached. Gives those, and
/// who holds them.
///
/// # Errors
/// Something remains. The line says what and where.
pub fn remove(instance: &Space, eni: &Link, mac: Mac) -> Result<Held> {
    for _ in 0..ROUNDS {
        let held = holders::of_everything()?;
        if !remove_in(instance, &held, eni, mac)? {
            return Ok(held);
        }
    }
    refuse(format!(
        "ENI {mac} ({}) is not handed on: what stands on it in other namespaces keeps moving",
        eni.name
    ))
}

/// True: something was deleted.
fn remove_in(instance: &Space, held: &Held, eni: &Link, mac: Mac) -> Result<bool> {
    let mut any = false;
    each_namespace(instance, held, |space, holders| {
        // The kernel gives the instance a number there, if it has none, when it lists a link that leads to it.
        let links = space.netlink.links()?;
        let number = space.netlink.number_of(&instance.netns)?;
        if number.is_none() {
            return Ok(None::<()>);
        }
        let is_on = |link: &&Link| {
            !link.is_veth() && link.peer == Some(eni.index) && link.peer_netns == number
        };
        for link in links.iter().filter(is_on) {
            let kind = link.kind.as_deref().unwrap_or("link");
            let what =
                format!("{} ({kind}) in the namespace of pids {}", link.name, holders.pids());
            match space.netlink.delete_link(link.index) {
                Err(error) if !error.is_no_device() => {
                    return refuse(format!(
                        "ENI {mac} ({}) is not handed on: {what} stands on it, and cannot be \
                         deleted: {error}",
                        eni.name
                    ));
                }
                _ => log::info!("ENI {mac}: {what} stood on it, and is deleted"),
            }
            any = true;
        }
        Ok(None)
    })?;
    Ok(any)
}
