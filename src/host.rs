//! The instance's own side: `host-setup` and `host-teardown`.

use crate::{
    config::Config,
    error::{Doing, Result, refuse},
    kernel::Kernel,
    limits::Limits,
    netlink::Netlink,
    netns::Netns,
    nft::{self, Ruleset, State},
    plan,
    setup::look,
    timings::Timings,
    transact::transact,
};
use std::time::Duration;

/// Whether the rules are there. A kernel that has no nftables has none.
///
/// # Errors
/// We may not ask.
pub fn has_rules(ruleset: &Ruleset) -> Result<bool> {
    if ruleset.is_empty() {
        return Ok(true);
    }
    match nft::look(ruleset).map(|state| state == State::Whole) {
        Err(error) if !error.is_denied() => {
            log::debug!("looking for nftables rules: {error}");
            Ok(false)
        }
        answer => answer.doing(|| "looking for nftables rules on the instance"),
    }
}

/// The rules that the configuration asks for, in nft's language.
#[must_use]
pub fn rules(config: &Config) -> String {
    Ruleset::of_instance(&config.credentials, &config.host).to_string()
}

/// Makes the instance ready for tasks. Gives a line for each thing done.
///
/// # Errors
/// Something could not be done; what was done is undone, but for the rules and the bridge.
pub async fn set_up(config: &Config) -> Result<Vec<String>> {
    let limits = Limits::start(config.deadline())?;
    // Nothing in this plan is about a task, so it is the instance on both sides.
    let kernel = Kernel::open(Netns::current()?, Netns::current()?, Duration::ZERO)?;
    let ruleset = Ruleset::of_instance(&config.credentials, &config.host);
    let snapshot = look(&kernel, &config.credentials, &ruleset).await?;
    let (_, steps) = plan::host(&ruleset, &config.credentials, &snapshot)?;
    let bridge = &config.credentials.bridge;
    let mut done = Vec::new();
    if ruleset.is_empty() {
        // Perhaps they were asked for earlier.
        done.extend(remove_rules()?);
    }
    if !snapshot.has_rules {
        done.push("nftables rules are installed".to_owned());
    }
    if snapshot.on_instance(bridge.as_str()).is_none() {
        done.push(format!("bridge {bridge} is created"));
    }
    transact(&steps, &kernel, &limits, &mut Timings::start()).await?;
    Ok(done)
}

/// Puts the rules back where there is a bridge without them: somebody flushed them.
///
/// # Errors
/// They cannot be installed.
pub async fn repair(config: &Config) -> Result<Option<String>> {
    let ruleset = Ruleset::of_instance(&config.credentials, &config.host);
    let bridge = Netlink::here()?.link(&config.credentials.bridge).await;
    if bridge.doing(|| "looking for the bridge")?.is_none() || has_rules(&ruleset)? {
        return Ok(None);
    }
    nft::install(&ruleset).doing(|| "installing nftables rules on the instance")?;
    Ok(Some("nftables rules are installed again".to_owned()))
}

/// Takes away what [`set_up`] made, if no task is there.
///
/// # Errors
/// There are tasks; or something could not be taken away.
pub async fn tear_down(config: &Config) -> Result<Vec<String>> {
    let name = &config.credentials.bridge;
    let netlink = Netlink::here()?;
    let links = netlink.links().await.doing(|| "listing the instance's links")?;
    let is_bridge = |kind: &Option<String>| kind.as_deref() == Some("bridge");
    let bridge = links.iter().find(|link| link.name == name.as_str() && is_bridge(&link.kind));
    let mut done = Vec::new();
    if let Some(bridge) = bridge {
        let ports = links.iter().filter(|link| link.controller == Some(bridge.index)).count();
        if ports > 0 {
            return refuse(format!("{name} has {ports} ports: stop their tasks first"));
        }
        netlink.delete_link(bridge.index).await.doing(|| format!("deleting {name}"))?;
        done.push(format!("bridge {name} is deleted"));
    }
    done.extend(remove_rules()?);
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
