//! The program: becomes the real runtime, after registering the hook for a pause container.
//!
//! Rust's own start-up is left out, because it changes what the real runtime would inherit: it ignores
//! SIGPIPE, and opens /dev/null in the place of standard streams that are closed.
#![no_main]

use std::ffi::{c_char, c_int};

/// Called by the C library; returns only where the real runtime could not be started.
// SAFETY: the C library calls it with this signature, and there is no other `main`.
#[unsafe(no_mangle)]
pub extern "C" fn main(_count: c_int, _words: *const *const c_char) -> c_int {
    oci_awsvpc_hook::engines::runtime::run(std::env::args_os().skip(1).collect());
    1
}
