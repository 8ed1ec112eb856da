//! Who can answer what the hook asks the kernel.

use crate::fixtures::{Instance, Netns, Pause, Stopped};
use std::process::Command;

/// Tries to send something to each netlink socket that a process has in this thread's namespace, and prints what came
/// of each.
const SCRIPT: &str = r"
import errno, os, socket, sys
pid = sys.argv[1]
links = [os.readlink(f'/proc/{pid}/fd/{fd}') for fd in os.listdir(f'/proc/{pid}/fd')]
for line in open('/proc/thread-self/net/netlink').readlines()[1:]:
    fields = line.split()
    if f'socket:[{fields[-1]}]' in links:
        own = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, int(fields[1]))
        try:
            own.sendto(bytes(64), (int(fields[2]), 0))
            print('sent')
        except OSError as error:
            print(errno.errorcode[error.errno])
";

fn answers(netns: &Netns, pid: u32) -> Vec<String> {
    let mut python = Command::new("python3");
    python.args(["-c", SCRIPT, &pid.to_string()]);
    netns.enter(&mut python);
    let output = python.output().expect("python");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

/// Root of a task's namespaces may send messages to the sockets of others in there, the hook's too: a forged answer
/// would be believed.
#[test]
fn nobody_but_the_kernel_can_answer_the_hook() {
    let (mut of_instance, mut of_task) = (0, 0);
    for number in [3, 8, 12, 20, 30, 40] {
        let (instance, pause) = (Instance::new(), Pause::new());
        let hook = Stopped::after(pause.call("prestart"), &instance, number);
        assert!(hook.is_on_its_way, "{number}");
        for (netns, count) in [(&instance.netns, &mut of_instance), (&pause.netns(), &mut of_task)]
        {
            let answers = answers(netns, hook.pid());
            assert!(answers.iter().all(|answer| answer == "ECONNREFUSED"), "{number}: {answers:?}");
            *count += answers.len();
        }
        hook.goes_on().well();
    }
    assert!(of_instance > 6 && of_task >= 6, "{of_instance} {of_task}");
}
