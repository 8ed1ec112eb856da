//! The bridge and the rules that all tasks share.

use crate::{
    error::{Result, refuse},
    input::config::credentials::CredentialNetwork,
    net::{link::Link, mac::Mac, side::Side},
    nft::Ruleset,
    plan::step::Step,
    snapshot::{ownership::records_of_ports, view::InstanceSnapshot},
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
    let mut steps = Vec::new();
    let holder = instance.links.iter().find(|link| link.is_called(name.as_str()));
    if !instance.has_nftables || holder.is_none() {
        refuse_other_networks(credentials, &instance.links)?;
    }
    if !instance.has_nftables {
        steps.push(Step::InstallNftables { ruleset: ruleset.clone() });
    }
    let (mac, of_bridge) = bridge(credentials, holder)?;
    steps.extend(of_bridge);
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
        before: None,
    }));
    Ok((mac, steps))
}

/// The step that makes sure, when the task's record keeps `host-teardown` away, that what was there at the look is
/// there still.
pub(super) fn check(
    ruleset: &Ruleset,
    credentials: &CredentialNetwork,
    instance: &InstanceSnapshot,
) -> Step {
    let families = if instance.has_nftables { ruleset.families() } else { Vec::new() };
    let bridge = instance.link(credentials.bridge.as_str()).map(|bridge| bridge.index);
    Step::CheckHost { families, bridge }
}

/// The bridge: made, or verified and adopted.
fn bridge(credentials: &CredentialNetwork, holder: Option<&Link>) -> Result<(Mac, Vec<Step>)> {
    let (name, own) = (&credentials.bridge, credentials.bridge_mac());
    let mut steps = Vec::new();
    let mac = match holder {
        None => {
            steps.push(Step::CreateBridge { bridge: name.clone(), mac: own, mtu: credentials.mtu });
            own
        }
        Some(link) if link.kind.as_deref() != Some("bridge") || link.name != name.as_str() => {
            let kind = link.kind.as_deref().unwrap_or("a network device");
            let what = if link.name == name.as_str() {
                format!("is not a bridge but {kind}")
            } else {
                format!("is another name of {}", link.name)
            };
            return refuse(format!(
                "{name} on the instance {what}: rename it, or set credentials.bridge"
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
    Ok((mac, steps))
}

/// Where the bridge and the rules would have to be made anew, no task may be there that is in another network.
///
/// # Errors
/// There is one.
fn refuse_other_networks(credentials: &CredentialNetwork, links: &[Link]) -> Result<()> {
    let mut records = records_of_ports(links).into_iter();
    let other = records.find(|record| {
        record.label.network != credentials.id() || record.bridge != credentials.bridge
    });
    other.map_or(Ok(()), |record| {
        refuse(format!(
            "the task of container {} is on {} ({}), as [credentials] of config.toml said when it started: \
             stop it first, or let them say so again",
            record.label.container, record.bridge, record.lease
        ))
    })
}
