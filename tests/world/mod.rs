//! What tests and benches stand on: an instance, the router of its subnets, and containers. All of it
//! is real, none of it has a name in the file system, and all of it dies with its values, or at the
//! latest with the process.

mod instance;
pub mod netns;
mod pause;

pub use instance::{ENI_MAC, Instance};
pub use netns::Netns;
pub use pause::Pause;

use std::time::{Duration, Instant};

/// Waits until something is so, for at most twenty seconds: machines that tests run on are busy.
pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
