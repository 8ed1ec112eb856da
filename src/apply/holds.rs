//! Whether a step is needed: what the kernel shows of what it would change.

use crate::{
    apply::{address, attempt::Attempt, block, option},
    error::{Doing, Error, Result},
    net::{link::Link, port::PortForm, side::Side},
    plan::step::Step,
    task::lease::Lease,
};

/// Those of these steps that would change something.
pub fn needed(attempt: &Attempt<'_>, steps: Vec<Step>) -> Result<Vec<Step>> {
    let mut needed = Vec::new();
    for step in steps {
        if !holds(attempt, &step).doing(|| step.to_string())? {
            needed.push(step);
        }
    }
    Ok(needed)
}

/// Whether what a step would make so, is so. Looks for those steps that a plan has whether they are needed or
/// not; the others are in a plan only where they are.
pub fn holds(attempt: &Attempt<'_>, step: &Step) -> Result<bool> {
    let instance = attempt.instance();
    let port = |lease: &Lease| instance.link(&lease.link_name());
    let looked = || -> Result<bool> {
        Ok(match step {
            // So that it stays what it is.
            Step::SetMac { side: Side::Instance, .. } => true,
            Step::JoinBridge { lease, bridge } => {
                let bridge = attempt.index(Side::Instance, bridge)?;
                port(lease)?.is_some_and(|port| port.controller == Some(bridge))
            }
            Step::ConfigurePort { lease, label, isolated } => port(lease)?.is_some_and(|port| {
                let alias = port.alias.as_deref() == Some(label.to_string().as_str());
                port.up && alias && (!isolated || is_isolated(&port))
            }),
            Step::AddFdbEntry { lease } => match port(lease)? {
                Some(Link { index, controller: Some(bridge), .. }) => {
                    instance.is_bound(bridge, index, lease.mac())?
                }
                _ => false,
            },
            Step::AddNeighbour { side, link, address, mac } => {
                let index = attempt.index(*side, link)?;
                attempt.netlink(*side)?.has_neighbour(index, *address, *mac)?
            }
            Step::AddRoute { route } => {
                attempt.task()?.has_route(route, address::index_of(attempt, route)?)?
            }
            Step::SetOption { side, family, link, option, value, .. } => {
                option::has_option(attempt, *side, &option::path_of(family, link, option), value)?
            }
            Step::BlockPackets { ruleset } | Step::BlockFrames { ruleset, .. } => {
                block::is_there(attempt, ruleset)?
            }
            _ => false,
        })
    };
    match looked() {
        Err(Error::Kernel(error)) if error.is_absent() => Ok(false),
        answer => answer,
    }
}

fn is_isolated(port: &Link) -> bool {
    // Kernels before 5.18 have no locks.
    port.port == Some(PortForm::ISOLATED) && port.locked != Some(false)
}
