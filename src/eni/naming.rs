//! What an ENI that comes home is called, where another interface has its name.

use crate::{
    eni::custody::Custody,
    error::{Error, Result},
    kernel::{error::Answer, link::LinkChange, socket::Netlink},
    net::{link::Link, mac::Mac, name::InterfaceName},
    nft::records::Records,
    snapshot::{
        labels::looks_own,
        ownership::{is_eni, strays},
    },
    task::label::Label,
};
use std::{slice, thread, time::Duration};

/// A name that the kernel completes with the first free number: what it calls physical interfaces
/// itself whose name is taken when they come home.
pub(super) const ANY_NAME: &str = "dev%d";

/// How often to try to get a name that another call is about to make free; and how long to wait between. Together
/// longer than a call needs for an ENI that is at home, some milliseconds.
const TRIES: u32 = 250;
const PAUSE: Duration = Duration::from_millis(2);

/// Gives an ENI its own name, which another interface has. False: that one is no ENI that came home under the name
/// of another.
///
/// Where another call has that in hand, the ENI first gives up the name that it has, which may be what that call waits
/// for. So two ENIs that came home under each other's names, each in the hands of one call, do not wait for each other.
pub(super) fn win(instance: &Netlink, link: &Link, name: &InterfaceName) -> Result<bool> {
    let give_up_own = || instance.set_link(link.index, &LinkChange::named(ANY_NAME));
    let mut keeps_its_name = looks_own(&link.name);
    if !keeps_its_name {
        // Under a name that a task chose, it could be taken for something else.
        give_up_own()?;
    }
    for _ in 0..TRIES {
        match way(instance, link.index, name)? {
            Way::Barred => break,
            Way::Free => match instance.set_link(link.index, &LinkChange::named(name.as_str())) {
                Err(error) if error.is_exists() => {}
                outcome => return Ok(outcome.map(|()| true)?),
            },
            Way::InHand if keeps_its_name => {
                give_up_own()?;
                keeps_its_name = false;
            }
            Way::InHand => {}
        }
        thread::sleep(PAUSE);
    }
    Ok(false)
}

/// What stands between an ENI and its name.
enum Way {
    /// Nothing, any more.
    Free,
    /// Another call has the ENI in hand that has the name, and will give it another one.
    InHand,
    /// The name is somebody else's.
    Barred,
}

fn way(instance: &Netlink, index: u32, name: &InterfaceName) -> Result<Way> {
    match make_way(instance, index, name) {
        // Who had it has left meanwhile.
        Err(Error::Kernel(error)) if error.is_no_device() => Ok(Way::Free),
        made => made,
    }
}

/// Makes a name free that an ENI has which came home under it and has one of its own.
fn make_way(instance: &Netlink, index: u32, name: &InterfaceName) -> Result<Way> {
    let Some(holder) = instance.link(name)? else {
        return Ok(Way::Free);
    };
    if holder.index == index {
        // udev gave it the name meanwhile, as an alternative one.
        give_up(instance, &holder, name)?;
        return Ok(Way::Free);
    }
    let Some(eni) = eni_away_from_its_name(&holder, name)? else {
        return Ok(Way::Barred);
    };
    // Who has it in hand may be giving it its own name at this moment.
    let Some(_custody) = Custody::try_take(eni)? else {
        return Ok(Way::InHand);
    };
    if let Some(holder) = instance.link(name)?.filter(|now| now.index == holder.index) {
        give_up(instance, &holder, name)?;
    }
    Ok(Way::Free)
}

/// The ENI that a link of the instance is, if the name is not its own.
fn eni_away_from_its_name(holder: &Link, name: &InterfaceName) -> Result<Option<Mac>> {
    let is_alternative = holder.name != name.as_str();
    let is_away = |label: &Label| is_alternative || label.name != *name;
    let recorded = Records::open()?.all()?.into_iter().map(|record| record.label);
    let label = recorded.into_iter().find(|label| is_eni(holder, label));
    let label = label.or_else(|| Some(strays(slice::from_ref(holder)).next()?.1));
    Ok(label.filter(is_away).map(|label| label.eni))
}

/// Takes a name from a link, be it its name or an alternative one.
fn give_up(instance: &Netlink, holder: &Link, name: &InterfaceName) -> Answer<()> {
    if holder.name != name.as_str() {
        return instance.delete_alternative_names(holder.index, &[name.to_string()]);
    }
    if holder.up {
        instance.set_link(holder.index, &LinkChange::DOWN)?;
    }
    instance.set_link(holder.index, &LinkChange::named(ANY_NAME))
}
