//! How long each part of a call took.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// A stopwatch with laps.
#[derive(Debug)]
pub struct Timings {
    begin: Instant,
    last: Instant,
    laps: Vec<(&'static str, Duration)>,
}

impl Timings {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        let now = Instant::now();
        Self { begin: now, last: now, laps: Vec::new() }
    }

    /// When it was started.
    #[must_use]
    pub fn begin(&self) -> Instant {
        self.begin
    }

    /// Ends a lap; gives its time. Laps of the same kind that follow one another are one.
    pub fn lap(&mut self, what: &'static str) -> Duration {
        let now = Instant::now();
        let took = now - self.last;
        self.last = now;
        match self.laps.last_mut() {
            Some((last, total)) if *last == what => *total += took,
            _ => self.laps.push((what, took)),
        }
        took
    }

    /// For programs: `{"total_ms":17.4,"parts":[{"part":"look","ms":0.31},…]}`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let part =
            |(part, took): &(&str, Duration)| serde_json::json!({"part": part, "ms": ms(*took)});
        serde_json::json!({
            "total_ms": ms(self.last - self.begin),
            "parts": self.laps.iter().map(part).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Timings {
    /// `17.4 ms (look 0.31, veth 0.61, …)`, in the order in which it happened.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let laps: Vec<String> =
            self.laps.iter().map(|(what, took)| format!("{what} {:.2}", ms(*took))).collect();
        write!(f, "{:.1} ms ({})", ms(self.last - self.begin), laps.join(", "))
    }
}

/// Milliseconds, to the microsecond.
fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_of_one_kind_are_added_up() {
        let mut timings = Timings::start();
        for what in ["up", "route", "route", "up"] {
            timings.lap(what);
        }
        let parts: Vec<&str> = timings.laps.iter().map(|(what, _)| *what).collect();
        assert_eq!(parts, ["up", "route", "up"]);
        let total: Duration = timings.laps.iter().map(|(_, took)| *took).sum();
        assert_eq!(total, timings.last - timings.begin);
        assert_eq!(timings.to_json()["parts"][1]["part"], "route");
        assert!(timings.to_string().contains(" ms (up 0."), "{timings}");
    }
}
