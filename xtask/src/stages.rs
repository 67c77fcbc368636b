//! How long each part of a long command takes, for a table at its end.

use std::sync::Mutex;
use std::time::{Duration, Instant};

pub(crate) struct Stages {
    started: Instant,
    done: Mutex<Vec<Stage>>,
}

struct Stage {
    name: &'static str,
    /// From the start of all.
    from: Duration,
    to: Duration,
}

impl Stages {
    pub(crate) fn start() -> Self {
        Stages { started: Instant::now(), done: Mutex::new(Vec::new()) }
    }

    /// Does a part and notes its time, failed or not. Parts may run at once.
    pub(crate) fn run<T>(&self, name: &'static str, part: impl FnOnce() -> T) -> T {
        let from = self.started.elapsed();
        let result = part();
        let stage = Stage { name, from, to: self.started.elapsed() };
        // The list is whole whoever panicked: a stage is one push.
        self.done.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(stage);
        result
    }

    /// A line for each part in the order of their starts, and one for all.
    pub(crate) fn table(&self) -> String {
        let mut done = self.done.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        done.sort_by_key(|stage| stage.from);
        let mut table = format!("{:<24}{:>10}{:>10}\n", "stage", "at", "took");
        for Stage { name, from, to } in done.iter() {
            let (at, took) = (clock(*from), clock(*to - *from));
            table.push_str(&format!("{name:<24}{at:>10}{took:>10}\n"));
        }
        table.push_str(&format!("{:<24}{:>20}", "all", clock(self.started.elapsed())));
        table
    }
}

/// Minutes and seconds: `12:03`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_in_the_order_of_their_starts() {
        let stages = Stages::start();
        stages.run("outer", || stages.run("inner", || ()));
        let table = stages.table();
        let names: Vec<&str> = table.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names, ["stage", "outer", "inner", "all"]);
        assert_eq!(clock(Duration::from_secs(723)), "12:03");
    }
}
