//! What engines read, and what stands between an engine and its runtime.

pub mod runtime;
