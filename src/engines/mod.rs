//! What container engines are given: `oci-awsvpc-runtime`, which they call in place of an OCI runtime.

pub mod runtime;
