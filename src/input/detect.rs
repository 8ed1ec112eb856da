//! Whether a container is ours.

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

/// Whether a container that we cannot judge, because our configuration cannot be read, might need
/// us. If it does not speak of an ENI at all, it must not suffer from our configuration.
#[must_use]
pub fn could_be_ours(container: &Container) -> bool {
    let config = Config::default();
    match container.annotations(&config.detect.annotation) {
        Ok(known) => {
            is_ours(&known.annotations, &config) || annotations::is_meant(&known.annotations)
        }
        Err(_) => false,
    }
}
