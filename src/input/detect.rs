//! Whether a container is the pause container of a task.

use crate::input::{
    annotations,
    config::Config,
    container::{Annotations, Container},
};

/// Whether the annotations say that this is a task's pause container.
#[must_use]
pub fn is_ours(annotations: &Annotations, config: &Config) -> bool {
    annotations.get(&config.detect.annotation) == Some(&config.detect.value)
}

/// Whether a container that speaks of an ENI might be a pause container, where the configuration, which decides that,
/// cannot be read. One with no annotation about an ENI is none, and must start all the same.
#[must_use]
pub fn could_be_ours(container: &Container) -> bool {
    let config = Config::default();
    match container.annotations(&config.detect.annotation) {
        Ok(known) => {
            is_ours(&known.annotations, &config) || annotations::is_meant(&known.annotations)
        }
        // What it says cannot be understood, but it says something about an ENI.
        Err(_) => true,
    }
}
