//! What a start and a stop cost when there are many tasks already.

use crate::{
    Programs,
    pairs::REST,
    report::Report,
    timed::Series,
    world::{self, ENI_MAC, Instance, Pause},
};

const SAMPLES: [usize; 12] = [1, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000];
const ROUNDS: usize = 15;

/// Fills the instance up to `count` tasks.
fn fill(programs: &Programs, instance: &Instance, tasks: &mut Vec<Pause>, count: usize) {
    while tasks.len() < count {
        let number = tasks.len();
        let mac = format!("02:5a:a1:1c:{:02x}:{:02x}", number >> 8, number & 0xff);
        world::attach(instance, &format!("eni{number}"), &mac);
        let pause = world::pause(format!("dense-{number}"));
        programs.start_hook(instance, &pause, &mac).done();
        tasks.push(pause);
    }
}

pub fn run(programs: &Programs, report: &mut Report) {
    let instance = world::instance(&programs.hook);
    world::attach(&instance, "eth1", ENI_MAC);
    let mut tasks = Vec::new();
    let (mut rows, mut curves) = (Vec::new(), [const { Vec::new() }; 4]);
    for sample in SAMPLES {
        fill(programs, &instance, &mut tasks, sample - 1);
        let mut series: [Series; 4] = Default::default();
        for round in 0..ROUNDS {
            let [start, stop, floor, not_ours] = &mut series;
            let pause = world::pause(format!("sample-{sample}-{round}"));
            std::thread::sleep(REST);
            start.0.push(programs.start_hook(&instance, &pause, ENI_MAC).done());
            stop.0.push(programs.stop_hook(&instance, &pause, ENI_MAC));
            // The floor looks for no free address: one that the tasks leave free is told it.
            let pause = world::pause(format!("floor-{sample}-{round}"));
            std::thread::sleep(REST);
            let free = (1..1022).find(|number| is_free(&instance, *number)).expect("one is free");
            floor.0.push(programs.start_floor(&instance, &pause, "eth1", free).done());
            programs.stop_hook(&instance, &pause, ENI_MAC);
            not_ours.0.push(programs.not_ours(&instance));
        }
        let medians = [0, 1, 2, 3].map(|which: usize| series[which].median());
        for (curve, median) in curves.iter_mut().zip(medians) {
            curve.push((sample, median));
        }
        let mut row = vec![sample.to_string()];
        row.extend(medians.map(|median| format!("{median:.2}")));
        rows.push(row);
    }
    report.title(&format!("With many tasks on the instance, medians of {ROUNDS}"));
    report.table(&["task number", "start ms", "stop ms", "floor ms", "not ours ms"], rows);
    let [start, stop, floor, not_ours] = &curves;
    let growth = |curve: &[(usize, f64)]| curve[curve.len() - 1].1 / curve[0].1;
    report.bound("start number 1,000 / start number 1", growth(start), 1.5);
    report.figure("stop number 1,000 / stop number 1", growth(stop));
    report.figure("floor number 1,000 / floor number 1", growth(floor));
    report.curves(
        "density.svg",
        "milliseconds, with so many tasks on the instance",
        &[("start", start), ("stop", stop), ("floor", floor), ("not ours", not_ours)],
    );
}

fn is_free(instance: &Instance, number: u32) -> bool {
    world::index(&instance.netns, &format!("ecs{:08x}", 0xa9fe_ac01 + number)) == 0
}
