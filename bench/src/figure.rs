//! A figure: what was measured, what it should reach, what others reach.

use std::time::Instant;

use serde::Serialize;

/// A measured figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) inputs: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What it must reach, if anything.
    pub(crate) goal: Option<Goal>,
    /// Others, in the same unit and the same run.
    pub(crate) peers: Vec<(String, f64)>,
}

/// A bound on a figure.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    AtLeast(f64),
    Below(f64),
}

impl Figure {
    /// True unless it misses its goal.
    pub(crate) fn holds(&self) -> bool {
        match self.goal {
            None => true,
            Some(Goal::AtLeast(bound)) => self.value >= bound,
            Some(Goal::Below(bound)) => self.value < bound,
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    processor: String,
    cores: usize,
    figures: &'a [Figure],
}

pub(crate) fn print(figures: &[Figure], json: bool) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let report = Report { schema: "assay.bench/1", processor: processor(), cores, figures };
    if json {
        let text = serde_json::to_string_pretty(&report);
        println!("{}", text.unwrap_or_else(|error| unreachable!("plain structs: {error}")));
        return;
    }
    println!("{}, {} cores\n", report.processor, report.cores);
    for figure in figures {
        let goal = match figure.goal {
            None => String::new(),
            Some(Goal::AtLeast(bound)) => format!("  (at least {bound}: {})", verdict(figure)),
            Some(Goal::Below(bound)) => format!("  (below {bound}: {})", verdict(figure)),
        };
        println!("{:<44} {:>9.2} {}{goal}", figure.name, figure.value, figure.unit);
        println!("    {}", figure.inputs);
        for (peer, value) in &figure.peers {
            let ratio = figure.value / value;
            println!(
                "    beside {peer:<33} {value:>9.2} {}  (ours / theirs: {ratio:.2})",
                figure.unit
            );
        }
    }
}

fn verdict(figure: &Figure) -> &'static str {
    if figure.holds() { "holds" } else { "MISSED" }
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    name.map_or_else(|| "unknown processor".to_owned(), |name| name.trim().to_owned())
}

/// How long it takes, in seconds.
pub(crate) fn time<T>(mut work: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed().as_secs_f64()
}

/// The middle of some measurements.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
