//! The instance's part of a plan, which is the same for all tasks: nftables rules, and the bridge.

use super::{address, credentials::with_subnet};
use crate::{
    config::Credentials,
    error::{Result, refuse},
    link::Mac,
    nft::Ruleset,
    snapshot::Snapshot,
    step::{Side, Step},
};

/// The bridge's MAC address, and the steps that make the instance what it must be before there are
/// tasks on it: the rules first, so that the bridge is never open.
///
/// # Errors
/// Something else has the bridge's name.
pub fn host(
    ruleset: &Ruleset,
    credentials: &Credentials,
    snapshot: &Snapshot,
) -> Result<(Mac, Vec<Step>)> {
    let name = &credentials.bridge;
    let own = credentials.bridge_mac();
    let mut steps = Vec::new();
    if !snapshot.has_rules {
        steps.push(Step::InstallRules { ruleset: ruleset.clone() });
    }
    let mac = match snapshot.on_instance(name.as_str()) {
        None => {
            steps.push(Step::CreateBridge { bridge: name.clone(), mac: own, mtu: credentials.mtu });
            own
        }
        Some(link) if link.kind.as_deref() != Some("bridge") => {
            return refuse(format!(
                "{name} on the instance is not a bridge but {}: rename it, or set credentials.bridge",
                link.kind.as_deref().unwrap_or("a network device")
            ));
        }
        Some(link) => {
            let mac = link.mac.unwrap_or(own);
            if mac != own {
                steps.push(Step::SetMac { side: Side::Instance, link: name.clone(), mac });
            }
            if !link.up {
                steps.push(Step::SetUp { side: Side::Instance, link: name.clone() });
            }
            mac
        }
    };
    for gateway in credentials.gateways() {
        let own = with_subnet(gateway, credentials);
        steps.extend(address(Side::Instance, name, own, true, snapshot)?);
    }
    steps.extend(ruleset.bridge_options.iter().map(|option| Step::SetOption {
        side: Side::Instance,
        family: "ipv4",
        link: name.clone(),
        option,
        value: "1",
    }));
    Ok((mac, steps))
}
