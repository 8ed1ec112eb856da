//! The ENI's move into the task, and its undoing.

use crate::{
    apply::{
        attempt::Attempt,
        outcome::{Applied, outcome_of},
    },
    eni::{self, restore::restore},
    error::{Doing, Error, Result},
    net::name::InterfaceName,
    snapshot::ownership::find,
    task::label::Label,
};

/// Moves the ENI into the task; whatever fails, it is at home then.
pub fn move_in(
    attempt: &Attempt<'_>,
    index: u32,
    label: &Label,
    was_up: bool,
    inside: &InterfaceName,
    mtu: Option<u32>,
) -> Result<Applied> {
    let (instance, task) = (attempt.instance(), &attempt.sides.task()?.netns);
    match eni::move_in(instance, index, task, label, inside, mtu) {
        Err(error) if error.is_no_device() => {
            Err(Error::Overtaken("it has left the instance".to_owned()))
        }
        moved => {
            if moved.is_err() {
                bring_home(attempt, label, was_up)?;
            }
            outcome_of(moved)
        }
    }
}

/// Moves the ENI out of the task, if it is in there, and makes it what it was.
pub fn bring_home(attempt: &Attempt<'_>, label: &Label, up: bool) -> Result<()> {
    let instance = &attempt.sides.instance;
    if eni::take_out(attempt.task()?, &instance.netns, label)? {
        let links = instance.netlink.links().doing(|| "listing the instance's links")?;
        if let Some(link) = find(&links, label) {
            restore(&instance.netlink, link, label, up)?;
        }
    }
    Ok(())
}
