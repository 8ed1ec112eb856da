//! SIGKILL at any instant: whatever the next call is, it succeeds without help, and when the task
//! is gone, nothing is left. `ROUNDS` in the environment says how many rounds (`make soak`).

use crate::fixtures::{Call, Instance, Pause, eventually, hook};
use nix::sys::signal::Signal;
use std::time::Duration;

/// What happens after a hook was killed.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// The runtime destroys the container, and nobody calls anything but `gc`.
    Destroyed,
    /// The runtime tries the same container again.
    Again,
    /// The runtime destroys the container; at once, another one wants the ENI.
    Another,
    /// The runtime calls poststop.
    Poststop,
}

const ALL: [Next; 4] = [Next::Destroyed, Next::Again, Next::Another, Next::Poststop];

/// Kills a call before its `number`th request to the kernel. False: it had fewer.
pub fn kill_at_request(call: Call, instance: &Instance, number: usize) -> bool {
    let inject = format!("inject=sendto:signal=SIGKILL:when={number}");
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=sendto", "-e", &inject];
    let done = call.through(&strace).on(instance);
    assert!(matches!(done.code, None | Some(0)), "{:?} {}", done.code, done.stderr);
    done.code.is_none()
}

/// Kills a call after some time, if it is not over by then.
fn kill_after(call: &Call, instance: &Instance, delay: Duration) {
    let running = call.start(&instance.netns);
    std::thread::sleep(delay);
    running.signal(Signal::SIGKILL);
    running.done();
}

/// Does what comes next, and asserts that it heals all.
fn heal(instance: &Instance, mut pause: Pause, next: Next) {
    match next {
        Next::Destroyed => {
            pause.kill();
            eventually("its veth gone", || instance.ports().is_empty());
            hook("gc").on(instance).report();
        }
        Next::Again => {
            pause.call("prestart").on(instance).silently();
            assert_eq!(pause.netns().links(), ["lo", "eth0", "ecs-eth0"]);
            assert_eq!(pause.netns().routes("4").len(), 5);
            pause.call("poststop").on(instance).well();
        }
        Next::Another => {
            let other = Pause::new();
            let call = other.call("prestart");
            pause.kill();
            let running = call.start(&instance.netns);
            let mine = |port: &String| {
                instance.netns.link(port).is_some_and(|link| {
                    link["ifalias"].as_str().is_some_and(|alias| alias.contains(&pause.id))
                })
            };
            eventually("the first one's veth gone", || !instance.ports().iter().any(mine));
            instance.attach_if_gone();
            running.done().well();
            assert_eq!(other.netns().links(), ["lo", "eth0", "ecs-eth0"]);
            other.call("poststop").on(instance).well();
            // The first one's, where its maker was killed before it could label it.
            eventually("their veths gone", || instance.ports().is_empty());
        }
        Next::Poststop => {
            pause.call("poststop").on(instance).well();
            // A veth whose maker was killed before it could label it dies with the namespace.
            pause.kill();
            eventually("its veth gone", || instance.ports().is_empty());
        }
    }
    instance.attach_if_gone();
    instance.assert_home();
}

fn rounds(default: u32) -> u32 {
    std::env::var("ROUNDS").ok().map_or(default, |rounds| rounds.parse().expect("a number"))
}

/// Kills a stage before its first request, its second, and so on, until it has no more; each time
/// on a task that `prepare` made, and with each thing that can come next. Gives the least number
/// of requests.
fn kill_at_every_request(stage: &str, prepare: impl Fn(&Instance) -> Pause) -> usize {
    let counts = ALL.map(|next| {
        let instance = Instance::new();
        let mut killed = 0;
        loop {
            let pause = prepare(&instance);
            let was_killed = kill_at_request(pause.call(stage), &instance, killed + 1);
            heal(&instance, pause, next);
            if !was_killed {
                println!("{stage}, {next:?}: killed before each of {killed} requests");
                return killed;
            }
            killed += 1;
        }
    });
    counts.into_iter().min().expect("four")
}

#[test]
fn before_every_request_of_prestart() {
    assert!(kill_at_every_request("prestart", |_| Pause::new()) > 20);
}

#[test]
fn before_every_request_of_poststop() {
    let started = |instance: &Instance| {
        let pause = Pause::new();
        pause.call("prestart").on(instance).silently();
        pause
    };
    assert!(kill_at_every_request("poststop", started) > 3);
}

#[test]
fn at_any_moment() {
    let instance = Instance::new();
    for round in 0..rounds(100) {
        // Spread evenly over somewhat more than a call takes, without a pattern.
        let delay = Duration::from_micros(u64::from(round * 7919 % 30_000));
        let next = ALL[(round % 4) as usize];
        let pause = Pause::new();
        if round % 3 == 2 {
            pause.call("prestart").on(&instance).silently();
            kill_after(&pause.call("poststop"), &instance, delay * 2);
        } else {
            kill_after(&pause.call("prestart"), &instance, delay);
        }
        heal(&instance, pause, next);
    }
}
