//! What the hook is told: the container's state, annotations, configuration. All text from outside is
//! parsed and checked here, except for labels ([`crate::task::label`]).

pub mod annotations;
pub mod bundle;
pub mod config;
pub mod container;
pub mod detect;
pub mod hosts;
pub mod mention;
pub mod request;
pub mod resolver;
pub mod state;
