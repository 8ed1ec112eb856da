//! `host-setup` and `host-teardown`: the bridge and the rules that all tasks share.

use crate::{
    apply::{attempt::Attempt, holds::needed, transact},
    error::{Doing, Result, refuse},
    input::config::Config,
    kernel::{
        sides::{Sides, Space},
        socket::Netlink,
    },
    nft::{self, Ruleset, records::Records},
    plan::{host::host, mend::told},
    process::{limits::Limits, timings::Timings},
    snapshot::look::instance_snapshot,
};

/// The rules that the configuration asks for, in nft's language, line by line.
#[must_use]
pub fn rules(config: &Config) -> Vec<String> {
    let text = Ruleset::of_instance(&config.credentials, &config.host).to_string();
    text.split('\n').map(str::to_owned).collect()
}

/// Makes the instance ready for tasks. Gives a line for each thing done.
///
/// # Errors
/// Something could not be done; what was done is undone, but for the rules and the bridge.
pub fn set_up(config: &Config) -> Result<Vec<String>> {
    let limits = Limits::start(config.deadline(), config.eni.link_up_timeout())?;
    let instance = Space::here()?;
    let ruleset = Ruleset::of_instance(&config.credentials, &config.host);
    let snapshot = instance_snapshot(&config.credentials, &ruleset, &instance.netlink)?;
    let (_, steps) = host(&ruleset, &config.credentials, &snapshot)?;
    let sides = Sides { instance, task: None };
    let told = told(&needed(&Attempt::new(&sides, &limits), steps.clone())?);
    let mut done = Vec::new();
    if ruleset.is_empty() {
        // Perhaps they were asked for earlier.
        done.extend(remove_rules()?);
    }
    transact(&steps, &sides, &limits, &mut Timings::start())?;
    done.extend(told);
    Ok(done)
}

/// Takes away what [`set_up`] made, if no task is there.
///
/// # Errors
/// There are tasks; or something could not be taken away.
pub fn tear_down(config: &Config) -> Result<Vec<String>> {
    let name = &config.credentials.bridge;
    let netlink = Netlink::here()?;
    let links = netlink.links().doing(|| "listing the instance's links")?;
    let is_bridge = |kind: &Option<String>| kind.as_deref() == Some("bridge");
    let bridge = links.iter().find(|link| link.name == name.as_str() && is_bridge(&link.kind));
    let mut done = Vec::new();
    if let Some(bridge) = bridge {
        let ports = links.iter().filter(|link| link.controller == Some(bridge.index)).count();
        if ports > 0 {
            return refuse(format!("{name} has {ports} ports: stop their tasks first"));
        }
        netlink.delete_link(bridge.index).doing(|| format!("deleting {name}"))?;
        done.push(format!("bridge {name} is deleted"));
    }
    done.extend(remove_rules()?);
    // With the ports, the records of their tasks are gone; what is left belongs to ENIs that are away.
    Records::open()?.clear().doing(|| "removing the table of records")?;
    Ok(done)
}

/// A kernel that cannot be asked whether there are any has none.
fn remove_rules() -> Result<Option<String>> {
    if !nft::has_any(nft::INSTANCE).unwrap_or(false) {
        return Ok(None);
    }
    nft::remove(nft::INSTANCE).doing(|| "removing nftables rules from the instance")?;
    Ok(Some("nftables rules are removed".to_owned()))
}
