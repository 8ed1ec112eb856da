//! What we are told: the container's state, annotations, configuration. The only place that believes
//! text.

pub mod annotations;
pub mod config;
pub mod container;
pub mod detect;
pub mod request;
