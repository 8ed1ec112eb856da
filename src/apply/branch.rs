//! A branch ENI: created in the task, and deleted with it.

use crate::{
    apply::{
        attempt::Attempt,
        outcome::{Applied, gone, outcome_of},
    },
    error::{Error, KernelError, Result},
    kernel::{
        error::Answer,
        link::{LinkChange, Vlan},
        socket::Netlink,
    },
    net::{link::Link, name::InterfaceName},
    nft::records::Records,
    task::{branch::Branch, record::Record},
};
use nix::errno::Errno;

/// A branch ENI. The kernel allows one link a VLAN, wherever it is, so EEXIST means that another
/// task was faster; or that somebody has it whom we do not know.
pub fn create_branch(
    attempt: &Attempt<'_>,
    branch: Branch,
    link: &Vlan<'_>,
    name: &InterfaceName,
) -> Result<Applied> {
    match add_branch(attempt.instance(), attempt.task()?, link, name) {
        Err(error) if error.is_no_device() => {
            Err(Error::Overtaken("the trunk has left the instance".to_owned()))
        }
        Err(error) if error.errno == Errno::EOPNOTSUPP => {
            Err(Error::Refused("this kernel has no VLANs (module 8021q)".to_owned()))
        }
        Err(error) if error.is_exists() => {
            let others = Records::open()?.all()?;
            let is_it = |record: &Record| record.label.branch == Some(branch);
            let own = attempt.sides.task()?.id();
            let is_other = |record: &&Record| is_it(record) && record.label.netns != own;
            Err(if others.iter().any(|record| is_other(&record)) {
                Error::Overtaken(format!("another task took {branch}"))
            } else {
                Error::Refused(
                    "a link in a namespace that this hook does not know of has that VLAN"
                        .to_owned(),
                )
            })
        }
        added => outcome_of(added),
    }
}

/// Creates the link of a branch. Its name may be taken on the instance, where the kernel should not
/// care, but does; then the kernel completes a name in the task, and mostly it is the right one.
fn add_branch(
    instance: &Netlink,
    task: &Netlink,
    link: &Vlan<'_>,
    name: &InterfaceName,
) -> Answer<()> {
    if let Some(unfinished) = branch_inside(task, link)? {
        task.delete_link(unfinished.index)?;
    }
    let added = instance.add_vlan(link, name.as_str());
    if !added.as_ref().is_err_and(KernelError::is_exists) || instance.link(name)?.is_none() {
        return added;
    }
    instance.add_vlan(link, &name.pattern())?;
    let Some(made) = branch_inside(task, link)? else {
        return Err(Errno::ENODEV.into()); // the trunk has left, and it with it
    };
    if made.name == name.as_str() {
        return Ok(());
    }
    let named = LinkChange { name: Some(name.to_string()), ..LinkChange::default() };
    let renamed = task.set_link(made.index, &named);
    if renamed.is_err() {
        task.delete_link(made.index)?;
    }
    renamed
}

/// The link of this VLAN in the task.
fn branch_inside(task: &Netlink, vlan: &Vlan<'_>) -> Answer<Option<Link>> {
    let is_it = |link: &Link| link.vlan == Some(vlan.id) && link.peer == Some(vlan.trunk);
    Ok(task.links()?.into_iter().find(is_it))
}

/// Deletes it, if it is there.
pub fn delete_branch(attempt: &Attempt<'_>, inside: &InterfaceName) -> Result<()> {
    match attempt.task()?.link(inside)? {
        Some(link) => gone(attempt.task()?.delete_link(link.index)),
        None => Ok(()),
    }
}
