//! What one call asks for: the network of one task, in one namespace.

use crate::{
    input::config::credentials::CredentialNetwork,
    net::{netns_id::NetnsId, process::Process},
    task::Task,
};

/// A task that wants its network.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The container's id as it stands in labels.
    pub container: &'a str,
    /// Its network namespace.
    pub netns: NetnsId,
    /// Its first process, with which the task is over.
    pub pause: Process,
    /// The network that it wants.
    pub task: &'a Task,
    /// The instance's side of the credential path.
    pub credentials: &'a CredentialNetwork,
}
