//! The bridge and the rules that all tasks share.

use crate::{
    error::{Result, refuse},
    input::config::credentials::CredentialNetwork,
    net::{mac::Mac, side::Side},
    nft::Ruleset,
    plan::step::Step,
    snapshot::view::InstanceSnapshot,
};

/// The bridge's MAC address, and the steps that make the instance what it must be before there are
/// tasks on it: the rules first, so that the bridge is never open.
///
/// # Errors
/// Something else has the bridge's name.
pub fn host(
    ruleset: &Ruleset,
    credentials: &CredentialNetwork,
    instance: &InstanceSnapshot,
) -> Result<(Mac, Vec<Step>)> {
    let name = &credentials.bridge;
    let own = credentials.bridge_mac();
    let mut steps = Vec::new();
    if !instance.has_nftables {
        steps.push(Step::InstallNftables { ruleset: ruleset.clone() });
    }
    let mac = match instance.link(name.as_str()) {
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
        let (side, link) = (Side::Instance, name.clone());
        let address = credentials.with_subnet(gateway);
        let step = Step::AddAddress { side, link, address, subnet_route: true };
        steps.extend(step.unless(instance.has_address(name, address))?);
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
