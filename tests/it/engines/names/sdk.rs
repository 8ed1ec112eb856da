//! An application with an AWS SDK: it gets its credentials from the agent, and calls AWS by name.

use super::{Resolver, hosts_file_first};
use crate::{
    engines::{Engine, podman::Podman},
    fixtures::{Machine, Netns, Server},
};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// Where `tests/install-tools.sh` puts what `requirements.txt` lists.
const SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/sdk");

/// The Python that it was put there for.
fn python(arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.args(arguments).env("PYTHONPATH", SDK).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// AWS, in the VPC. Dropped, it is ended.
struct Aws {
    child: Child,
    /// What it gave the task's role, as the agent hands it out.
    credentials: String,
}

impl Aws {
    fn start(router: &Netns) -> Self {
        router.ip(&format!("addr add {}/32 dev lo", Resolver::AWS));
        let mut command = python(&["-c", include_str!("sdk/endpoint.py"), Resolver::AWS]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        router.enter(&mut command);
        let mut child = command.spawn().expect("python3");
        let mut credentials = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut credentials).expect("text");
        assert!(
            credentials.contains("AccessKeyId"),
            "no moto in {SDK}: run tests/install-tools.sh engines"
        );
        Self { child, credentials }
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        self.child.kill().expect("not reaped yet");
        self.child.wait().expect("ended");
    }
}

/// What Python says of itself.
fn of_python(what: &str) -> String {
    let output = python(&["-c", &format!("import sys; print(sys.{what})")]).output();
    String::from_utf8(output.expect("python3").stdout).expect("text").trim().to_owned()
}

/// The options by which a container has the machine's Python, wherever that is, and the SDK.
fn volumes() -> String {
    let prefix = of_python("base_prefix");
    let own =
        if prefix.starts_with("/usr") { String::new() } else { format!("-v {prefix}:{prefix}:ro") };
    format!("-v /usr:/usr:ro {own} -v {SDK}:/sdk:ro -e PYTHONPATH=/sdk")
}

#[test]
#[ignore = "needs real root: drives podman, and python3 with boto3 and moto"]
fn an_sdk_gets_its_credentials_and_calls_aws_by_name() {
    let machine = Machine::new();
    hosts_file_first(&machine);
    // Python's C library.
    machine.run("cd /run/rootfs && for folder in /lib /lib64; do cp -P $folder . || true; done");
    machine.write("/run/rootfs/application.py", include_str!("sdk/application.py"));
    let podman = Podman::on(machine, "crun");
    let instance = &podman.machine().instance;
    let (_resolver, aws) = (Resolver::start(&instance.router), Aws::start(&instance.router));
    let _agent = Server::agent(&instance.netns, aws.credentials.clone().leak());
    podman.start("pause");
    let said = podman.machine().run(&format!(
        "podman run --rm --network container:pause \
         --annotation com.amazonaws.ecs.container-name=app {} \
         -e AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/1 -e AWS_DEFAULT_REGION=eu-west-1 \
         -e AWS_ENDPOINT_URL=http://sts.eu-west-1.amazonaws.com \
         busybox {} /application.py",
        volumes(),
        of_python("executable")
    ));
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "arn:aws:sts::123456789012:assumed-role/task/session",
            "container-role",
            "SignatureDoesNotMatch"
        ]
    );
    podman.remove(&["pause"]);
}
