//! Where the work is done: on this one thread, with no more privileges than it needs.

use crate::{
    error::{Doing, Result},
    process::privileges,
};

/// Gives up what is not needed for good, and does `work`.
///
/// # Errors
/// What `work` fails with.
pub fn block_on_unprivileged<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    if let Err(error) = privileges::drop_unneeded() {
        log::warn!("going on with all privileges: {}", error.line());
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .doing(|| "starting")?
        .block_on(work)
}
