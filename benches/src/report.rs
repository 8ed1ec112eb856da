//! Tables, bounds and plots.

use crate::timed::Series;
use plotters::prelude::*;
use std::{fmt::Write, fs, path::PathBuf};

pub struct Report {
    folder: PathBuf,
    text: String,
    missed: usize,
}

const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 102, 170), RGBColor(204, 85, 0), RGBColor(90, 90, 90), RGBColor(0, 140, 70)];

impl Report {
    pub fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).expect("a folder");
        Self { folder, text: String::new(), missed: 0 }
    }

    fn say(&mut self, line: &str) {
        println!("{line}");
        writeln!(self.text, "{line}").expect("a String takes everything");
    }

    /// What it was measured on.
    pub fn machine(&mut self) {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        self.say(&format!("Linux {}, {processors} processors", kernel.trim()));
    }

    pub fn title(&mut self, title: &str) {
        self.say(&format!("\n### {title}\n"));
    }

    pub fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) {
        self.say(&format!("| {} |", head.join(" | ")));
        self.say(&format!("|---|{}", "---:|".repeat(head.len() - 1)));
        for row in rows {
            self.say(&format!("| {} |", row.join(" | ")));
        }
        self.say("");
    }

    pub fn figure(&mut self, what: &str, figure: f64) {
        self.say(&format!("- {what}: {figure:.2}"));
    }

    /// A figure that must not be larger.
    pub fn bound(&mut self, what: &str, figure: f64, most: f64) {
        let holds = figure <= most;
        self.missed += usize::from(!holds);
        let word = if holds { "holds" } else { "MISSED" };
        self.say(&format!("- {what}: **{figure:.2}** (at most {most}: {word})"));
    }

    /// Writes all of it. False: a bound was missed.
    pub fn write(&self) -> bool {
        fs::write(self.folder.join("table.md"), &self.text).expect("written");
        println!("\n{} bounds missed; {}", self.missed, self.folder.display());
        self.missed == 0
    }

    pub fn rounds(&self, file: &str, title: &str, series: &[(&str, &Series)]) {
        let curves: Vec<(&str, Vec<(usize, f64)>)> = series
            .iter()
            .map(|(name, series)| {
                let times = series.0.iter().map(|took| took.time.as_secs_f64() * 1e3);
                (*name, times.enumerate().map(|(round, ms)| (round + 1, ms)).collect())
            })
            .collect();
        let borrowed: Vec<(&str, &Vec<(usize, f64)>)> =
            curves.iter().map(|(name, curve)| (*name, curve)).collect();
        self.curves(file, title, &borrowed);
    }

    pub fn curves(&self, file: &str, title: &str, curves: &[(&str, &Vec<(usize, f64)>)]) {
        self.try_curves(file, title, curves).expect("a plot");
    }

    fn try_curves(
        &self,
        file: &str,
        title: &str,
        curves: &[(&str, &Vec<(usize, f64)>)],
    ) -> Result<(), Box<dyn std::error::Error>> {
        let path = self.folder.join(file);
        let area = SVGBackend::new(&path, (800, 420)).into_drawing_area();
        area.fill(&WHITE)?;
        let points = || curves.iter().flat_map(|(_, curve)| curve.iter());
        let right = points().map(|(x, _)| *x).max().unwrap_or(1);
        let top = points().map(|(_, y)| *y).fold(1.0, f64::max) * 1.1;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(30)
            .y_label_area_size(40)
            .build_cartesian_2d(0..right, 0.0..top)?;
        chart.configure_mesh().light_line_style(WHITE).draw()?;
        for ((name, curve), colour) in curves.iter().zip(COLOURS) {
            chart
                .draw_series(LineSeries::new(curve.iter().copied(), colour.stroke_width(2)))?
                .label(*name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2))
                });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .draw()?;
        area.present()?;
        Ok(())
    }
}
