//! The way out: `poststop`.
//!
//! It starts from what the kernel shows, not from what the runtime says: at this stage the pid is
//! absent, zero or stale, annotations may be missing and the bundle gone. The veths on the instance
//! say which ENI the container has and in which namespace; an ENI that came home by itself says
//! whose it was.

use crate::{
    config::Config,
    eni,
    error::{Doing, Result, refuse},
    lease::Lease,
    link::Link,
    netlink::{KernelError, Monitor, Netlink},
    netns::{self, Entrance, Netns},
    oci::Container,
    snapshot::tagged_veths,
    tag::{Tag, short_id},
};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// Takes the container's network down and brings its ENI home. `known` says whether the runtime
/// told us that the container is ours; if it did not, the kernel is asked, and a container that has
/// nothing is nothing to report.
///
/// # Errors
/// Something could not be taken down. What could be, was.
pub async fn tear_down(container: &Container, known: bool, config: &Config) -> Result<()> {
    let begin = Instant::now();
    let patience = Duration::from_secs(config.eni.return_timeout_seconds).min(config.deadline());
    let instance_ns = Netns::current()?;
    let instance = Netlink::here()?;
    let id = short_id(&container.id);
    let teardown = Teardown { instance, instance_ns, config, until: begin + patience };

    let links = teardown.links().await?;
    let mut outcomes = Vec::new();
    for (veth, _, tag) in tagged_veths(&links).filter(|(_, _, tag)| tag.container == id) {
        outcomes.push(teardown.task(veth, &tag).await);
    }
    // What is still marked as this container's came home without a veth to tell of it.
    let stray = |link: &Link| {
        let tag = Tag::parse(link.alias.as_deref()?)?;
        (tag.container == id && Lease::of_link(&link.name).is_none()).then_some(tag)
    };
    for tag in teardown.links().await?.iter().filter_map(stray) {
        outcomes.push(teardown.restore(&tag).await);
    }
    if known || !outcomes.is_empty() {
        teardown.forget_neighbours().await?;
    }
    report(container, known, outcomes, begin.elapsed())
}

/// One line about all that was done, and the first failure; the others go to the log.
fn report(
    container: &Container,
    known: bool,
    outcomes: Vec<Result<String>>,
    took: Duration,
) -> Result<()> {
    let (mut done, mut failures) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(what) => done.push(what),
            Err(error) => failures.push(error),
        }
    }
    let took = took.as_secs_f64() * 1e3;
    if !done.is_empty() {
        log::info!("container {}: {}, taken down in {took:.1} ms", container.id, done.join(", "));
    } else if failures.is_empty() && known {
        log::info!("container {}: nothing to take down", container.id);
    }
    let Some(first) = failures.pop() else {
        return Ok(());
    };
    for other in failures {
        log::error!("container {}: {}", container.id, other.line());
    }
    Err(first)
}

struct Teardown<'a> {
    instance: Netlink,
    instance_ns: Netns,
    config: &'a Config,
    until: Instant,
}

impl Teardown<'_> {
    async fn links(&self) -> Result<Vec<Link>> {
        self.instance.links().await.doing(|| "listing the instance's links")
    }

    /// Takes down what belongs to one veth.
    async fn task(&self, veth: &Link, tag: &Tag) -> Result<String> {
        let home = self.eni(veth, tag).await;
        match self.instance.delete_link(veth.index).await {
            Err(error) if !error.is_no_device() => {
                return Err(error).doing(|| format!("deleting {}", veth.name));
            }
            _ => {}
        }
        home
    }

    /// Brings the ENI home: it is there, or somebody keeps its namespace, or the kernel sends it.
    async fn eni(&self, veth: &Link, tag: &Tag) -> Result<String> {
        if !self.is_home(tag).await? {
            match netns::find(tag.netns)? {
                Some(entrance) => self.fetch(&entrance, tag).await?,
                None => self.await_home(veth, tag).await?,
            }
        }
        self.restore(tag).await
    }

    async fn is_home(&self, tag: &Tag) -> Result<bool> {
        Ok(self.links().await?.iter().any(|link| link.is(tag.eni)))
    }

    async fn fetch(&self, entrance: &Entrance, tag: &Tag) -> Result<()> {
        if let Entrance::Process(pid, _) = entrance {
            log::warn!(
                "ENI {} is taken out of a namespace that processes still use, such as pid {pid}",
                tag.eni
            );
        }
        let task = Netlink::within(entrance.netns())?;
        eni::move_out(&task, &self.instance_ns, tag).await.map(|_| ())
    }

    /// Nobody keeps the namespace, so it is dying. The kernel sends physical interfaces home before
    /// it deletes virtual ones: once the veth is gone, an ENI that is not home is not coming.
    async fn await_home(&self, veth: &Link, tag: &Tag) -> Result<()> {
        let mut monitor = Monitor::within(&self.instance_ns)?;
        loop {
            let links = self.links().await?;
            let home = links.iter().any(|link| link.is(tag.eni));
            if home || !links.iter().any(|link| link.name == veth.name) {
                return Ok(());
            }
            if tokio::time::timeout_at(self.until.into(), monitor.changed()).await.is_err() {
                return refuse(format!(
                    "ENI {} did not come home: its namespace (inode {}) has no process and no \
                     mount, but something keeps it open",
                    tag.eni, tag.netns
                ));
            }
        }
    }

    async fn restore(&self, tag: &Tag) -> Result<String> {
        Ok(match eni::restore(&self.instance, tag, false).await? {
            Some(name) => format!("ENI {} is home as {name}", tag.eni),
            None => format!("ENI {} is no longer attached", tag.eni),
        })
    }

    /// Deletes the bridge's neighbour entries whose tasks are gone: this one's, and those of tasks
    /// that ended without a word. A veth is there before its entry, so an entry seen now whose veth
    /// is not there afterwards is nobody's.
    async fn forget_neighbours(&self) -> Result<()> {
        let credentials = &self.config.credentials;
        let forget = async || {
            let bridge = self.instance.index(&credentials.bridge).await?;
            let neighbours = self.instance.permanent_neighbours(bridge).await?;
            let links = self.instance.links().await?;
            let alive: Vec<IpAddr> = links
                .iter()
                .filter_map(|link| Lease::of_link(&link.name))
                .flat_map(|lease| credentials.addresses(lease))
                .collect();
            let stale =
                |address: &&IpAddr| credentials.holds(**address) && !alive.contains(address);
            for address in neighbours.iter().filter(stale) {
                match self.instance.delete_neighbour(bridge, *address).await {
                    Err(error) if !error.is_absent() => return Err(error),
                    _ => {}
                }
            }
            Ok::<(), KernelError>(())
        };
        match forget().await {
            Err(error) if !error.is_no_device() => {
                Err(error).doing(|| "deleting the neighbour entries of tasks that are gone")
            }
            _ => Ok(()),
        }
    }
}
