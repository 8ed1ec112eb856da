//! What it costs that a task's containers know names: files in a pause container, and in an application.

use crate::{
    Programs,
    container::Container,
    pairs::REST,
    programs::annotations,
    report::Report,
    timed::{Series, Took, complete, ratio},
    world::{self, ENI_MAC, Instance},
};
use serde_json::{Value, json};
use std::{fs, fs::File, process::Command, time::Duration};

/// What a start with files takes, and by the hook's own clock the part that gives them.
fn start(programs: &Programs, instance: &Instance, state: &str) -> (Took, Took) {
    let folder = tempfile::tempdir().expect("a folder");
    let said = folder.path().join("timings");
    let mut command = programs.hook("prestart");
    command.arg("--timings=json").stderr(File::create(&said).expect("a file"));
    let whole = complete(command, &instance.netns, state);
    let text = fs::read_to_string(&said).expect("what it said");
    let timings: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    let parts = timings["parts"].as_array().expect("parts");
    let files = parts.iter().find(|part| part["part"] == "files").expect("files");
    let time = Duration::from_secs_f64(files["ms"].as_f64().expect("a number") / 1e3);
    (whole, Took { time, memory: whole.memory })
}

/// A container of the task that says what ECS calls it, and nothing else.
fn application(programs: &Programs, instance: &Instance, container: &Container) -> Took {
    let state = container.state(&json!({"com.amazonaws.ecs.container-name": "web"}));
    complete(programs.hook("prestart"), &instance.netns, &state)
}

/// A start with files or without, and after one with files the starts of applications.
fn turn(programs: &Programs, round: usize, is_given: bool, series: &mut [Series; 7]) {
    let [with, without, files, joined, named, alone, nothing] = series;
    let instance = world::instance(&programs.hook);
    world::attach(&instance, "eth1", ENI_MAC);
    let pause = Container::new(&format!("names-{round}"), "pause", None);
    std::thread::sleep(REST);
    let mut annotations = annotations(ENI_MAC);
    let policy = if is_given { "always" } else { "never" };
    annotations["com.amazonaws.ecs.eni.dns-files"] = json!(policy);
    let (whole, part) = start(programs, &instance, &pause.state(&annotations));
    assert_eq!(pause.files(), if is_given { 3 } else { 0 });
    if !is_given {
        without.0.push(whole);
        return;
    }
    with.0.push(whole);
    files.0.push(part);
    pause.enter_root();
    let netns = pause.pause.netns();
    let app = Container::new("app", "pause", Some(&netns));
    let other = Container::new("other", "web", Some(&netns));
    let stranger = Container::new("stranger", "web", Some(&world::Netns::new()));
    // An engine that starts an application is awake right before the hook: so is this program. Who is first in one
    // round is last in the next.
    let mut compared = || {
        alone.0.push(application(programs, &instance, &stranger));
        nothing.0.push(complete(Command::new("/bin/true"), &instance.netns, ""));
    };
    if round % 2 == 1 {
        compared();
    }
    joined.0.push(application(programs, &instance, &app));
    named.0.push(application(programs, &instance, &other));
    if round.is_multiple_of(2) {
        compared();
    }
    assert_eq!([&app, &other, &stranger].map(Container::files), [3, 3, 0]);
}

pub fn run(programs: &Programs, rounds: usize, report: &mut Report) {
    let mut series: [Series; 7] = Default::default();
    for round in 0..rounds {
        turn(programs, round, round.is_multiple_of(2), &mut series);
        turn(programs, round, round % 2 == 1, &mut series);
    }
    let names = [
        "prestart with files",
        "the same without (`dns-files = never`)",
        "the files, by the hook's own clock",
        "an application of a task",
        "an application with a host name of its own",
        "a container that has a name, of no task",
        "/bin/true",
    ];
    report.title(&format!("Names: resolv.conf, hosts and hostname, {rounds} rounds"));
    let rows = names.iter().zip(&series).map(|(name, series)| {
        let times = [series.median(), series.quantile(0.99)].map(|ms| format!("{ms:.2}"));
        [vec![(*name).to_owned()], times.to_vec()].concat()
    });
    report.table(&["program", "median ms", "p99 ms"], rows.collect());
    let [with, without, _, joined, named, alone, nothing] = &series;
    report.figure("prestart with files / without", ratio(with, without));
    report.bound("an application, median ms", joined.median(), 3.0);
    report.bound("the same with a host name of its own, median ms", named.median(), 3.0);
    report.figure("an application / /bin/true", ratio(joined, nothing));
    report.figure("the same with a host name of its own / /bin/true", ratio(named, nothing));
    report.figure("a container that has a name, of no task / /bin/true", ratio(alone, nothing));
}
