//! `poststop`: takes a container's network down.
//!
//! It starts from what the kernel shows, not from what the runtime says: at this stage the pid is
//! absent, zero or stale, annotations may be missing and the bundle gone. The ports on the instance
//! say which ENI the container has and in which namespace; an ENI that came home by itself says
//! whose it was.

use crate::{
    eni::{self, homecoming::Instance},
    error::{Doing, Result, give_up},
    input::{
        config::{Config, credentials::CredentialNetwork},
        container::Container,
    },
    kernel::{
        monitor::Monitor,
        netns::{self, Holders, Netns},
        socket::Netlink,
    },
    net::{link::Link, mac::Mac},
    process::{limits::Limits, timings::Timings},
    snapshot::ownership::{find, label_without_port, labelled_ports, strays},
    task::{
        label::{Label, short_id},
        lease::Lease,
    },
};
use std::{
    slice,
    time::{Duration, Instant},
};

/// What the runtime told us about the container at `poststop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// That it is ours, and perhaps which ENI it has.
    Ours(Option<Mac>),
    /// Nothing. If the kernel shows nothing of it either, there is nothing to report.
    Nothing,
}

/// Takes the container's network down and brings its ENI home.
///
/// # Errors
/// Something could not be taken down. What could be, was.
pub fn tear_down(
    container: &Container,
    told: Told,
    config: &Config,
    timings: &mut Timings,
) -> Result<()> {
    let id = short_id(&container.id);
    let teardown = Teardown {
        instance: Instance::open(&config.credentials)?,
        limits: Limits::start(config.deadline(), config.eni.link_up_timeout())?,
        patience: Duration::from_secs(config.eni.return_timeout_seconds),
    };
    timings.lap("open");
    let mut outcomes = Vec::new();
    let ports = teardown.ports(&id)?;
    timings.lap("look");
    for (port, label) in ports {
        outcomes.push(teardown.task(&port, &label, timings));
    }
    // What is still labelled as this container's came home without a veth to tell of it.
    let links = teardown.instance.free_links()?;
    for (link, label) in strays(&links).filter(|(_, label)| label.container == id) {
        outcomes.push(teardown.instance.restore(Some(link), &label));
    }
    if let Told::Ours(Some(mac)) = told
        && outcomes.is_empty()
    {
        match links.iter().find(|link| link.is(mac)) {
            None => outcomes.extend(teardown.search(mac, &id).transpose()),
            // The task wiped its label, but the hardware knows better.
            Some(link) if link.mac != Some(mac) => {
                if let Some(home) = label_without_port(link, mac, &id, 0) {
                    outcomes.push(teardown.instance.restore(Some(link), &home));
                }
            }
            Some(_) => {}
        }
    }
    if told != Told::Nothing || !outcomes.is_empty() {
        // Whatever this gives must not hide what was said before.
        outcomes.extend(teardown.instance.forget_neighbours().err().map(Err));
    }
    timings.lap("neighbours");
    report(container, told, outcomes, timings)
}

/// One line about all that was done, and the first failure; the others go to the log.
fn report(
    container: &Container,
    told: Told,
    outcomes: Vec<Result<String>>,
    timings: &Timings,
) -> Result<()> {
    let (mut done, mut failures) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(what) => done.push(what),
            Err(error) => failures.push(error),
        }
    }
    if !done.is_empty() {
        log::info!("container {}: {}, taken down in {timings}", container.id, done.join(", "));
    } else if failures.is_empty() && told != Told::Nothing {
        log::info!("container {}: nothing to take down", container.id);
    }
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else {
        return Ok(());
    };
    for other in failures {
        log::error!("container {}: {}", container.id, other.line());
    }
    Err(first)
}

/// How many addresses are looked at before all links are: looking at so many costs a fraction of
/// looking at a thousand, and nearly always finds the container's.
const TRIES: usize = 128;

struct Teardown<'a> {
    instance: Instance<'a>,
    limits: Limits,
    patience: Duration,
}

impl Teardown<'_> {
    /// The container's ports: nearly always one, at the first address that it would try.
    fn ports(&self, id: &str) -> Result<Vec<(Link, Label)>> {
        let CredentialNetwork { subnet, gateway, .. } = *self.instance.credentials;
        for lease in Lease::candidates(subnet, gateway, id).take(TRIES) {
            let link = self.instance.space.netlink.link(&lease.link_name());
            let Some(link) = link.doing(|| format!("looking for {}", lease.link_name()))? else {
                break;
            };
            let own = labelled_ports(slice::from_ref(&link)).next().map(|(_, _, label)| label);
            if let Some(label) = own.filter(|label| label.container == id) {
                return Ok(vec![(link, label)]);
            }
        }
        // Or its ENI has come home, and the veth is gone with the namespace.
        if strays(&self.instance.free_links()?).any(|(_, label)| label.container == id) {
            return Ok(Vec::new());
        }
        let links = self.instance.links()?;
        let own = labelled_ports(&links).filter(|(_, _, label)| label.container == id);
        Ok(own.map(|(link, _, label)| (link.clone(), label)).collect())
    }

    /// Takes down what belongs to one veth.
    fn task(&self, port: &Link, label: &Label, timings: &mut Timings) -> Result<String> {
        // First the ENI: if it cannot be brought home, the veth must stay to tell of it.
        let home = self.eni(port, label)?;
        timings.lap("eni");
        let deleted = self.instance.space.netlink.delete_link(port.index);
        timings.lap("veth");
        match deleted {
            Err(error) if !error.is_no_device() => {
                Err(error).doing(|| format!("deleting {}", port.name))
            }
            _ => Ok(home),
        }
    }

    /// Brings the ENI home: it is there, or somebody keeps its namespace, or the kernel sends it.
    fn eni(&self, port: &Link, label: &Label) -> Result<String> {
        let at_home = || self.instance.free_links().map(|links| find(&links, label).cloned());
        if at_home()?.is_none() {
            let holders = netns::holders()?.remove(&label.netns).unwrap_or_default();
            if let Some(task) = holders.open(label.netns) {
                self.fetch(&holders, &task, label)?;
            } else {
                self.await_home(port, label)?;
            }
        }
        self.instance.restore(at_home()?.as_ref(), label)
    }

    fn fetch(&self, holders: &Holders, task: &Netns, label: &Label) -> Result<()> {
        if !holders.pids.is_empty() {
            let pids: Vec<String> = holders.pids.iter().map(ToString::to_string).collect();
            log::warn!(
                "ENI {} is taken from processes that are still running in its namespace: {}",
                label.eni,
                pids.join(" ")
            );
        }
        let task = Netlink::within(task)?;
        eni::take_out(&task, &self.instance.space.netns, label).map(|_| ())
    }

    /// Nobody keeps the namespace, so it is dying. The kernel sends physical interfaces home before
    /// it deletes virtual ones: once the veth is gone, an ENI that is not home is not coming.
    fn await_home(&self, port: &Link, label: &Label) -> Result<()> {
        let monitor = Monitor::within(&self.instance.space.netns)?;
        let until = Instant::now() + self.patience;
        loop {
            let witness = self.instance.space.netlink.link_at(port.index);
            let witness = witness.doing(|| format!("looking for {}", port.name))?;
            let links = self.instance.free_links()?;
            if find(&links, label).is_some() || witness.is_none() {
                return Ok(());
            }
            if !self.limits.wait_for_event(&monitor, until)? {
                return give_up(format!(
                    "ENI {} did not come home: its namespace (inode {}) has no process and no \
                     mount, but something keeps it open",
                    label.eni, label.netns
                ));
            }
        }
    }

    /// Looks for an ENI that is neither at home nor told of by a veth: a task that may can delete
    /// its end of the veth, and so ours. Only in namespaces that are not known to be another task's.
    fn search(&self, mac: Mac, id: &str) -> Result<Option<String>> {
        let links = self.instance.links()?;
        let others: Vec<u64> = labelled_ports(&links).map(|(_, _, label)| label.netns).collect();
        for (inode, holders) in netns::holders()? {
            if inode == self.instance.space.netns.inode() || others.contains(&inode) {
                continue;
            }
            // One that we may not enter, or that dies meanwhile, has nothing for us.
            let Some((netns, inside)) = look_into(inode, &holders) else {
                continue;
            };
            if let Some(home) =
                inside.iter().find_map(|link| label_without_port(link, mac, id, inode))
            {
                self.fetch(&holders, &netns, &home)?;
                let links = self.instance.links()?;
                return self.instance.restore(find(&links, &home), &home).map(Some);
            }
        }
        Ok(None)
    }
}

fn look_into(inode: u64, holders: &Holders) -> Option<(Netns, Vec<Link>)> {
    let netns = holders.open(inode)?;
    let links = Netlink::within(&netns).ok()?.links().ok()?;
    Some((netns, links))
}
