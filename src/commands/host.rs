//! `host-setup` and `host-teardown`: the bridge and the rules that all tasks share.

use crate::{
    apply::{attempt::Attempt, holds::needed, transact},
    error::{Doing, Result, refuse},
    input::config::Config,
    kernel::{
        abilities::can_lock_ports,
        process,
        sides::{Sides, Space},
        socket::Netlink,
    },
    nft::{self, Ruleset, records::Records, teardown},
    plan::{host::host, mend::told},
    process::{limits::Limits, timings::Timings},
    snapshot::{look::instance_snapshot, ownership::is_over},
    task::label::Label,
};

const REMOVING: fn() -> &'static str = || "removing nftables rules from the instance";
const REMOVED: &str = "nftables rules are removed";

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
    warn_of_lacks(config);
    done.extend(told);
    Ok(done)
}

/// What this kernel lacks is said here, and so once a boot, and not at every start: a start that fails has one line
/// to say.
fn warn_of_lacks(config: &Config) {
    match can_lock_ports() {
        Ok(false) if config.credentials.isolation => log::warn!(
            "this kernel has no locked bridge ports (Linux 5.18): tasks are isolated from each other, but can \
             pretend to have another MAC address"
        ),
        Ok(_) => {}
        Err(error) => {
            log::warn!("whether bridge ports can be locked could not be tried: {}", error.line());
        }
    }
    if Records::open().is_ok_and(|records| !records.are_kept()) {
        log::warn!(
            "this kernel has no nf_tables: nothing but the port tells whose an ENI is, and a task that may can \
             delete that"
        );
    }
}

/// Takes away what [`set_up`] made, if no task is there or starts.
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
    }
    let records = Records::open().doing(|| "opening the records of tasks")?;
    let had_rules = nft::has_any(nft::INSTANCE).unwrap_or(false);
    until_unchanged(&records, |seen| begin_teardown(&records, seen))?;
    if let Some(bridge) = bridge {
        match netlink.delete_link(bridge.index) {
            Err(error) if error.is_no_device() => {}
            deleted => {
                deleted.doing(|| format!("deleting {name}"))?;
                done.push(format!("bridge {name} is deleted"));
            }
        }
    }
    // What is left is the records of ENIs that are away.
    until_unchanged(&records, |seen| teardown::end(&records, seen).doing(REMOVING))?;
    done.extend(had_rules.then(|| REMOVED.to_owned()));
    Ok(done)
}

/// Takes the rules away, unless there is a task, or one starts. From then on, one that starts waits until the
/// bridge is away, too.
fn begin_teardown(records: &Records, seen: u32) -> Result<bool> {
    for record in records.all().doing(|| "looking at the records of tasks")? {
        if !is_over(&record)? {
            let Label { container, eni, .. } = &record.label;
            return refuse(format!(
                "container {container} is there, or starts just now, and has the ENI {eni}: stop it first"
            ));
        }
    }
    let own = process::find(std::process::id().cast_signed());
    let own = own.map_or_else(|| refuse("this process is not in /proc"), Ok)?;
    match teardown::relied_upon(records, &[]).doing(REMOVING)?.0 {
        Some(other) if other != own && process::is_alive(other) => {
            refuse(format!("another host-teardown is at work: pid {}", other.pid))
        }
        _ => teardown::begin(records, own, seen).doing(REMOVING),
    }
}

/// How often others may change something about nftables meanwhile.
const TRIES: usize = 50;

/// Tries until nobody has changed anything about nftables meanwhile.
fn until_unchanged(records: &Records, mut work: impl FnMut(u32) -> Result<bool>) -> Result<()> {
    for _ in 0..TRIES {
        if work(teardown::generation(records).doing(REMOVING)?)? {
            return Ok(());
        }
    }
    refuse("something changes nftables rules all the time: call again")
}

/// A kernel that cannot be asked whether there are any has none.
fn remove_rules() -> Result<Option<String>> {
    if !nft::has_any(nft::INSTANCE).unwrap_or(false) {
        return Ok(None);
    }
    nft::remove(nft::INSTANCE).doing(REMOVING)?;
    Ok(Some(REMOVED.to_owned()))
}
