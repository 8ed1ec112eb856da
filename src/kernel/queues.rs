//! What `/sys/class/net` lets a task set of its interface and of the queues of that: threads, deferred
//! interrupts, byte queue limits, and which processor does what.

use crate::kernel::sysfs::{LinkFolder, read};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Files of the link, and what is in them when it is new (net/core/dev.c).
const OF_LINK: [(&str, &str); 2] = [("gro_flush_timeout", "0"), ("napi_defer_hard_irqs", "0")];

/// Whether threads of the kernel read and write for a link.
const THREADED: &str = "threaded";

/// Files of each queue to send from (`lib/dynamic_queue_limits.c`, net/core/net-sysfs.c). Which processors a
/// queue is for (`xps_cpus`), its driver says.
const OF_TX: [(&str, &str); 6] = [
    ("byte_queue_limits/limit_max", "1879048192"), // DQL_MAX_LIMIT
    ("byte_queue_limits/limit_min", "0"),
    ("byte_queue_limits/hold_time", "1000"),
    ("byte_queue_limits/stall_thrs", "0"),
    ("tx_maxrate", "0"),
    ("xps_rxqs", "0"),
];

/// Of a queue to receive into, which processors the kernel spreads it over. New ones have what
/// [`RPS_DEFAULT`] says.
const RPS: &str = "rps_cpus";
/// Of the same, how many flows the kernel remembers the processor of.
const FLOWS: &str = "rps_flow_cnt";
/// Of this thread's own namespace (Linux 6.3).
const RPS_DEFAULT: &str = "/proc/sys/net/core/rps_default_mask";

/// The queues of one link.
#[derive(Debug)]
pub struct Queues(LinkFolder);

impl Queues {
    /// Those of a link of this thread's own namespace. `None`: it has left; or we may not have a sysfs, as in a
    /// user namespace.
    #[must_use]
    pub fn of(index: u32, name: &str) -> Option<Self> {
        LinkFolder::of(index, name).map(Self)
    }

    /// Makes the queues what they are when they are new, but for threads. Gives what stays otherwise, and why.
    #[must_use]
    pub fn reset(&self) -> Vec<String> {
        let mut left = reset_all(self.0.path(), &OF_LINK);
        let rps = read(Path::new(RPS_DEFAULT));
        let of_rx = [(RPS, rps.as_deref().unwrap_or("0")), (FLOWS, "0")];
        for (queue, is_tx) in queues(self.0.path()) {
            left.extend(reset_all(&queue, if is_tx { &OF_TX } else { &of_rx }));
        }
        left
    }

    /// Whether threads read and write for the link.
    #[must_use]
    pub fn have_threads(&self) -> bool {
        read(&self.0.path().join(THREADED)).is_some_and(|number| !bare(&number).is_empty())
    }

    /// Does without threads. Only while the link is on: since Linux 6.17, the kernel waits for the driver to poll
    /// once more, which it never does while the link is off (`napi_stop_kthread`, net/core/dev.c); and ENA's
    /// has nothing to poll then. Gives what stays otherwise, and why.
    #[must_use]
    pub fn stop_threads(&self) -> Vec<String> {
        reset_all(self.0.path(), &[(THREADED, "0")])
    }
}

/// The folders of a link's queues, and whether they are to send from.
fn queues(folder: &Path) -> Vec<(PathBuf, bool)> {
    let entries = fs::read_dir(folder.join("queues")).into_iter().flatten().flatten();
    entries
        .map(|entry| (entry.path(), entry.file_name().to_string_lossy().starts_with("tx-")))
        .collect()
}

fn reset_all(folder: &Path, files: &[(&str, &str)]) -> Vec<String> {
    let reset = |(file, new): &(&str, &str)| {
        let path = folder.join(file);
        // A file that the kernel or the driver does not have, or does not read, cannot have been written.
        let now = read(&path)?;
        let error = write_if_other(&path, &now, new).err()?;
        Some(format!("{file} ({error})"))
    };
    files.iter().filter_map(reset).collect()
}

fn write_if_other(path: &Path, now: &str, new: &str) -> io::Result<()> {
    if bare(now) == bare(new) { Ok(()) } else { fs::write(path, new) }
}

/// A mask has as many zeros in front as the machine has processors.
fn bare(number: &str) -> &str {
    number.trim_start_matches(['0', ','])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_and_numbers_are_the_same_whatever_is_in_front() {
        for (one, other) in [("0", "00000000,00000000"), ("3", "00000000,00000003"), ("10", "10")] {
            assert_eq!(bare(one), bare(other));
        }
        assert_ne!(bare("1000"), bare("100"));
        assert_ne!(bare("1"), bare("0"));
    }

    #[test]
    fn only_what_is_otherwise_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |file: &str| folder.path().join(file);
        fs::write(path("tx_maxrate"), "7\n").expect("written");
        fs::write(path("xps_rxqs"), "0\n").expect("written");
        assert_eq!(reset_all(folder.path(), &OF_TX), Vec::<String>::new());
        assert_eq!(read(&path("tx_maxrate")).as_deref(), Some("0"));
        let untouched = fs::read_to_string(path("xps_rxqs")).expect("read");
        assert_eq!(untouched, "0\n");
        assert!(!path("byte_queue_limits").exists());
    }
}
