//! The ENI's move into the task, and its undoing.

use crate::{
    apply::{
        attempt::Attempt,
        outcome::{Applied, outcome_of},
    },
    eni::{
        journey, normal_form,
        restore::{AtHome, restore},
    },
    error::{Doing, Error, Result},
    net::{form::Form, name::InterfaceName, offloads::Offloads, side::Side},
    snapshot::ownership::find,
    task::label::Label,
};

/// Moves the ENI into the task; whatever fails, it is at home then.
pub fn move_in(
    attempt: &Attempt<'_>,
    index: u32,
    label: &Label,
    at_home: &AtHome,
    inside: &InterfaceName,
    mtu: Option<u32>,
) -> Result<Applied> {
    let task = &attempt.sides.task()?.netns;
    match journey::move_in(attempt.instance(), index, task, label, inside, mtu) {
        Err(error) if error.is_no_device() => {
            Err(Error::Overtaken("it has left the instance".to_owned()))
        }
        moved => {
            if moved.is_err() {
                bring_home(attempt, label, at_home)?;
            }
            outcome_of(moved)
        }
    }
}

/// Moves the ENI out of the task, if it is in there, and makes it what it was.
pub fn bring_home(attempt: &Attempt<'_>, label: &Label, at_home: &AtHome) -> Result<()> {
    let instance = &attempt.sides.instance;
    if journey::take_out(attempt.sides.task()?, instance, label)? {
        let links = instance.netlink.links().doing(|| "listing the instance's links")?;
        if let Some(link) = find(&links, label) {
            restore(&instance.netlink, link, label, at_home)?;
        }
    }
    Ok(())
}

/// Gives the ENI its normal form.
pub fn normalise(
    attempt: &Attempt<'_>,
    side: Side,
    index: u32,
    form: &Form,
    alternative_names: &[String],
) -> Result<Applied> {
    outcome_of(normal_form::put_on(attempt.netlink(side)?, index, form, alternative_names))
}

/// Gives the ENI the offloads that it had. A task may have written which those are: what cannot be put back
/// is no reason to refuse the next one.
pub fn put_offloads_back(index: u32, before: Offloads) -> Applied {
    match normal_form::put_offloads_back(index, before) {
        Ok(Offloads(0)) => {}
        Ok(left) => log::warn!("these offloads could not be put back: features {left}"),
        Err(error) => log::warn!("offloads could not be put back: {error}"),
    }
    Applied::Changed
}

/// Gives the ENI its other names back, which an administrator may have given it. Where something else has
/// one meanwhile, that keeps it.
pub fn rename_back(
    attempt: &Attempt<'_>,
    side: Side,
    index: u32,
    alternative_names: &[String],
) -> Result<()> {
    match attempt.netlink(side)?.add_alternative_names(index, alternative_names) {
        Err(error) if !error.is_exists() && !error.is_absent() => Err(error.into()),
        _ => Ok(()),
    }
}
