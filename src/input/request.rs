//! What one call asks for: the network of one task, in one namespace.

use crate::{input::config::credentials::CredentialNetwork, task::Task};

/// A task that wants its network.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The container's id as it stands in labels.
    pub container: &'a str,
    /// The inode of its network namespace.
    pub netns: u64,
    /// The network that it wants.
    pub task: &'a Task,
    /// The instance's side of the credential path.
    pub credentials: &'a CredentialNetwork,
}
