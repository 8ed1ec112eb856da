use super::*;
use std::net::Ipv4Addr;

const SHIPPED: &str = include_str!("../../../packaging/config.toml");

#[test]
fn the_shipped_file_shows_every_default() {
    assert_eq!(Config::parse(SHIPPED).expect("valid"), Config::default());
    let shown: String = SHIPPED
        .lines()
        .filter(|line| !line.starts_with("# "))
        .map(|line| line.strip_prefix('#').unwrap_or(line).to_owned() + "\n")
        .filter(|line| {
            !["credentials.ipv6-subnet", "runtime.path"].iter().any(|key| line.starts_with(key))
        })
        .collect();
    assert_eq!(Config::parse(&shown).expect("valid"), Config::default());
    let keys = |table: &toml::Table| -> usize {
        table.values().map(|v| v.as_table().map_or(1, toml::Table::len)).sum()
    };
    let table: toml::Table = shown.parse().expect("TOML");
    assert_eq!(
        keys(&table),
        1 + 2 + 7 + 7 + 4 + 6 + 2 + 2,
        "a key is not shown, or not counted here"
    );
}

/// Older hooks refuse tables that they do not know; and a key means the same wherever it stands.
#[test]
fn the_shipped_file_has_no_tables_and_each_line_is_valid_alone() {
    assert_eq!(SHIPPED.parse::<toml::Table>(), Ok(toml::Table::new()));
    let keys = SHIPPED.lines().filter_map(|line| line.strip_prefix('#'));
    for key in keys.filter(|line| !line.is_empty() && !line.starts_with(' ')) {
        Config::parse(key).expect(key);
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let error = Config::parse("[eni]\n\natach-timeout-seconds = 3\n").expect_err("unknown");
    assert!(
        error.line().starts_with("line 3: unknown field `atach-timeout-seconds`"),
        "{}",
        error.line()
    );
}

#[test]
fn values_that_make_no_sense_are_named() {
    for (text, named) in [
        ("subnet = \"169.254.172.0/31\"", "credentials.subnet"),
        ("subnet = \"169.254.172.9/22\"", "credentials.subnet"),
        ("gateway = \"10.0.0.1\"", "credentials.gateway"),
        ("gateway = \"169.254.175.255\"", "credentials.gateway"),
        ("endpoint = \"169.254.172.2\"", "credentials.endpoint"),
        ("endpoint = \"169.254.169.254\"", "metadata service"),
        ("subnet = \"169.254.0.0/16\"", "metadata service"),
        ("ipv6-subnet = \"fd00:ec::/120\"", "credentials.ipv6-subnet"),
        ("ipv6-endpoint = \"fe80::1\"", "credentials.ipv6-endpoint"),
        ("ipv6-endpoint = \"fd00:ec2::254\"", "credentials.ipv6-endpoint"),
        (
            "ipv6-subnet = \"fd00:ec::/64\"\nipv6-endpoint = \"fd00:ec::2\"",
            "credentials.ipv6-endpoint",
        ),
        ("mtu = 600", "credentials.mtu"),
        ("bridge = \"a/b\"", "not a name"),
        ("bridge = \"ecs*\"", "credentials.bridge"),
        ("bridge = \"ecsa9fea0\"", "credentials.bridge"),
        ("subnet = \"10.0.0.0/16\"\ngateway = \"10.0.0.1\"", "host.source-checks"),
        ("[host]\nagent = \"0.0.0.0:51679\"", "host.agent"),
        ("[host]\nagent = \"127.0.0.1:0\"", "host.agent"),
        ("[host]\nagent = \"169.254.170.2:80\"", "host.agent"),
        ("[host]\nagent = \"169.254.172.9:80\"", "host.agent"),
        ("[host]\nagent = \"255.255.255.255:80\"", "host.agent"),
        ("[host]\nopen-tcp-ports = [80, 0]", "host.open-tcp-ports"),
        ("[host]\nopen-udp-ports = [0]", "host.open-udp-ports"),
        ("[eni]\nblock = [\"169.254.170.0/24\"]", "eni.block 169.254.170.0/24"),
        ("[eni]\nblock = [\"10.0.0.0/8\", \"::/0\"]", "eni.block ::/0"),
        ("[eni]\nblock = [\"10.0.0.1/8\"]", "eni.block 10.0.0.1/8"),
    ] {
        let error = Config::parse(&format!("[credentials]\n{text}\n")).expect_err(text);
        assert!(error.line().contains(named), "{}", error.line());
    }
}

#[test]
fn times_beyond_reason_are_named() {
    let error = Config::parse("[eni]\nattach-timeout-seconds = 9223372036854775807\n");
    let line = error.expect_err("too long").line();
    assert!(line.contains("eni.attach-timeout-seconds 9223372036854775807"), "{line}");
    assert!(Config::parse("deadline-seconds = 3601").is_err());
    assert!(Config::parse("eni.router-timeout-seconds = 3601").is_err());
}

#[test]
fn paths_of_the_runtime_are_absolute() {
    for key in ["path", "hook"] {
        let error = Config::parse(&format!("[runtime]\n{key} = \"runc\"\n")).expect_err(key);
        assert!(error.line().contains(&format!("runtime.{key} runc")), "{}", error.line());
    }
}

#[test]
fn an_ipv6_address_is_as_far_in_as_its_ipv4_address() {
    let config = Config::parse("[credentials]\nipv6-subnet = \"fd00:ec::/64\"").expect("valid");
    let address = Ipv4Addr::new(169, 254, 173, 4);
    let six = config.credentials.ipv6_of(address);
    assert_eq!(six, "fd00:ec::104".parse().ok());
}

#[test]
fn a_file_that_was_named_must_exist() {
    assert!(Config::load(Some(Path::new("/nonexistent/config.toml"))).is_err());
}
