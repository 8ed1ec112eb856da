//! What a task finds in its namespace, and the instance on itself, after `prestart`.

mod again;
mod credentials;
mod eni;
mod ipv6;
mod order;

use serde_json::Value;

/// The addresses of a link: `10.0.0.5/24`, without the kernel's own link-local ones.
fn addresses(link: &Value) -> Vec<String> {
    let all = link["addr_info"].as_array().expect("a list").iter();
    all.filter(|address| address["scope"] != "link")
        .map(|address| {
            format!("{}/{}", address["local"].as_str().expect("text"), address["prefixlen"])
        })
        .collect()
}

const CREDENTIAL_ROUTES: [&str; 3] = [
    "blackhole 169.254.169.254",
    "169.254.170.2 via 169.254.172.1 dev ecs-eth0",
    "169.254.172.1 dev ecs-eth0 scope link",
];
