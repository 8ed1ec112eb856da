//! Whether a container is the pause container of a task.

use crate::input::{
    annotations,
    config::Config,
    container::{Annotations, Container},
};

/// The longest name of a container of a task, in bytes.
const MAX_NAME: usize = 255;

/// Whether the annotations say that this is a task's pause container.
#[must_use]
pub fn is_ours(annotations: &Annotations, config: &Config) -> bool {
    annotations.get(&config.detect.annotation) == Some(&config.detect.value)
}

/// Whether this is the name of another container of a task than its pause container, as ECS allows them.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>
#[must_use]
pub fn is_application(name: &str, config: &Config) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain) && name != config.detect.value
}

/// Whether a container that speaks of an ENI might be a pause container, where the configuration, which decides that,
/// cannot be read. One with no annotation about an ENI is none, and must start all the same; so must an application.
#[must_use]
pub fn could_be_ours(container: &Container) -> bool {
    let config = Config::default();
    match container.annotations(&config.detect.annotation) {
        Ok(known) => {
            let name = known.annotations.get(&config.detect.annotation);
            is_ours(&known.annotations, &config)
                || (annotations::is_meant(&known.annotations)
                    && !name.is_some_and(|name| is_application(name, &config)))
        }
        // What it says cannot be understood, but it says something about an ENI.
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_has_a_name_of_its_own() {
        let config = Config::default();
        for name in ["web", "Web-1_a", &"a".repeat(255)] {
            assert!(is_application(name, &config), "{name}");
        }
        for name in ["", "~internal~ecs~pause", "a b", "a\n", "a.b", "é", &"a".repeat(256)] {
            assert!(!is_application(name, &config), "{name}");
        }
    }
}
