//! Many tasks started at once.

use crate::{
    Programs,
    report::Report,
    timed::{Running, Series, Took},
    world::{self, Instance, Pause},
};
use std::time::Instant;

const ROUNDS: usize = 5;

fn mac(number: usize) -> String {
    format!("02:5a:a1:1b:{:02x}:{:02x}", number >> 8, number & 0xff)
}

/// The time until the last of `count` is done, and each one's.
fn at_once(
    programs: &Programs,
    count: usize,
    start: impl Fn(&Instance, &Pause, usize) -> Running,
) -> (Took, Series) {
    let instance = world::instance(&programs.hook);
    let pauses: Vec<Pause> = (0..count)
        .map(|number| {
            world::attach(&instance, &format!("eni{number}"), &mac(number));
            world::pause(format!("together-{number}"))
        })
        .collect();
    let begin = Instant::now();
    let running: Vec<Running> =
        pauses.iter().enumerate().map(|(number, pause)| start(&instance, pause, number)).collect();
    // In the order of their starts: one that is done earlier waits to be asked, which its own time
    // includes; the largest, which counts, is exact.
    let series = Series(running.into_iter().map(Running::done).collect());
    (Took { time: begin.elapsed(), memory: 0 }, series)
}

pub fn run(programs: &Programs, report: &mut Report) {
    report.title(&format!("Started at once, medians of {ROUNDS} rounds"));
    let mut rows = Vec::new();
    for count in [1, 8, 40, 120] {
        let (mut hooks, mut floors) = (Series::default(), Series::default());
        let (mut each_hook, mut each_floor) = (Series::default(), Series::default());
        for _ in 0..ROUNDS {
            let (all, each) = at_once(programs, count, |instance, pause, number| {
                programs.start_hook(instance, pause, &mac(number))
            });
            hooks.0.push(all);
            each_hook.0.extend(each.0);
            let (all, each) = at_once(programs, count, |instance, pause, number| {
                let place = u32::try_from(number + 1).expect("few");
                programs.start_floor(instance, pause, &format!("eni{number}"), place)
            });
            floors.0.push(all);
            each_floor.0.extend(each.0);
        }
        rows.push(vec![
            count.to_string(),
            format!("{:.1}", hooks.median()),
            format!("{:.1}", floors.median()),
            format!("{:.2}", hooks.median() / floors.median()),
            format!("{:.1}", each_hook.quantile(0.99)),
            format!("{:.1}", each_floor.quantile(0.99)),
        ]);
        if count == 40 {
            report.bound("40 at once / 40 floors at once", hooks.median() / floors.median(), 1.25);
        }
    }
    let head = ["tasks", "hooks ms", "floors ms", "ratio", "p99 of a hook", "p99 of a floor"];
    report.table(&head, rows);
}
