//! Start and stop, paired round by round with everything that they are compared with.

use crate::{
    Programs,
    programs::{Plugins, state},
    report::Report,
    timed::{Series, complete, ratio},
    world::{self, ENI_MAC, Instance, Pause},
};
use std::{fs, process::Command, time::Duration};

/// What the kernel does after one process, taking its namespaces down, it shall not do beside the next.
pub const REST: Duration = Duration::from_millis(250);

fn fresh(programs: &Programs, round: usize) -> (Instance, Pause) {
    on(world::instance(&programs.hook), round)
}

/// The first task of an instance finds neither the bridge nor the rules.
fn first(round: usize) -> (Instance, Pause) {
    on(Instance::bare(), round)
}

fn on(instance: Instance, round: usize) -> (Instance, Pause) {
    world::attach(&instance, "eth1", ENI_MAC);
    let pause = world::pause(format!("task-{round}"));
    std::thread::sleep(REST);
    (instance, pause)
}

/// One of those that are compared, in namespaces that are new.
type Program<'a> = &'a mut dyn FnMut(&Instance, &Pause);

pub fn run_all(programs: &Programs, rounds: usize) -> [Series; 8] {
    let plugins = Plugins::new();
    let mut series: [Series; 8] = Default::default();
    for round in 0..rounds {
        let [hook, stop, floor, add, del, not_ours, nothing, first_start] = &mut series;
        // Who is first in one round is last in the next.
        let mut programs_in_turn: [Program; 4] = [
            &mut |instance, pause| {
                hook.0.push(programs.start_hook(instance, pause, ENI_MAC).done());
                stop.0.push(programs.stop_hook(instance, pause, ENI_MAC));
            },
            &mut |instance, pause| {
                floor.0.push(programs.start_floor(instance, pause, "eth1", 9).done());
            },
            &mut |instance, pause| {
                add.0.push(plugins.call("ADD", instance, pause));
                del.0.push(plugins.call("DEL", instance, pause));
            },
            &mut |instance, _| {
                not_ours.0.push(programs.not_ours(instance));
                nothing.0.push(complete(Command::new("/bin/true"), &instance.netns, ""));
            },
        ];
        if round % 2 == 1 {
            programs_in_turn.reverse();
        }
        for program in programs_in_turn {
            let (instance, pause) = fresh(programs, round);
            program(&instance, &pause);
        }
        let (instance, pause) = first(round);
        first_start.0.push(programs.start_hook(&instance, &pause, ENI_MAC).done());
    }
    series
}

/// System calls, and requests to the kernel's routing socket among them.
fn calls(programs: &Programs, stage: &str) -> (usize, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let (instance, pause) = fresh(programs, 0);
    if stage == "poststop" {
        programs.start_hook(&instance, &pause, ENI_MAC).done();
    }
    let command = match stage {
        "floor" => programs.floor(&instance, &pause, "eth1", 9),
        stage => programs.hook(stage),
    };
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(&trace);
    strace.arg(command.get_program()).args(command.get_args());
    complete(strace, &instance.netns, &state(&pause, ENI_MAC));
    let text = fs::read_to_string(trace).expect("a trace");
    let calls = text.lines().filter(|line| line.contains('(') && !line.contains("resumed>"));
    let requests = text.lines().filter(|line| line.contains(" sendto("));
    (calls.count(), requests.count())
}

pub fn run(programs: &Programs, rounds: usize, report: &mut Report) {
    let series = run_all(programs, rounds);
    let names = [
        "hook prestart",
        "hook poststop",
        "floor",
        "CNI plugins ADD",
        "CNI plugins DEL",
        "hook, not ours",
        "/bin/true",
        "hook, first prestart of an instance",
    ];
    report.title(&format!("Whole processes, {rounds} rounds in fresh namespaces, paired"));
    let rows = names.iter().zip(&series).map(|(name, series)| {
        vec![
            (*name).to_owned(),
            format!("{:.2}", series.median()),
            format!("{:.2}", series.quantile(0.99)),
            format!("{:.1}", series.memory()),
        ]
    });
    report.table(&["program", "median ms", "p99 ms", "peak MB"], rows.collect());
    let [hook, stop, floor, add, del, not_ours, nothing, first_start] = &series;
    report.bound("prestart / floor", ratio(hook, floor), 1.10);
    report.bound("first prestart / floor", ratio(first_start, floor), 1.25);
    report.bound("prestart / CNI plugins ADD", ratio(hook, add), 0.40);
    report.figure("floor / CNI plugins ADD", ratio(floor, add));
    report.figure("poststop / CNI plugins DEL", ratio(stop, del));
    report.bound("not ours / /bin/true", ratio(not_ours, nothing), 2.0);
    report.bound("peak memory, MB", hook.memory().max(stop.memory()), 6.0);

    let counted = ["prestart", "poststop", "floor"].map(|stage| {
        let (all, requests) = calls(programs, stage);
        vec![stage.to_owned(), all.to_string(), requests.to_string()]
    });
    report.table(&["stage", "system calls", "netlink requests"], counted.to_vec());
    let plotted: Vec<(&str, &Series)> =
        [("hook prestart", hook), ("floor", floor), ("CNI plugins ADD", add)].to_vec();
    report.rounds("rounds.svg", "one start, milliseconds, round by round", &plotted);
}
