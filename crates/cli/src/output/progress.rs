//! How far a job is, on a terminal: nothing where standard error is a pipe or a file.

use std::cell::{Cell, RefCell};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::B256;
use assay_node::JobEvent;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::print::say;

/// Between two redraws.
const TICK: Duration = Duration::from_millis(100);

/// The progress bar of one job.
pub(crate) struct Meter {
    bar: ProgressBar,
    step_limit: u64,
    phase: Cell<Phase>,
    job: Cell<Option<B256>>,
    /// The template that the bar has now.
    shown: RefCell<&'static str>,
}

/// What a job waits for.
#[derive(Clone, Copy)]
enum Phase {
    /// A provider.
    Order,
    /// Its run, since and until these times in Unix seconds.
    Run { since: u64, until: u64 },
    /// The end of the window.
    Window,
}

impl Meter {
    /// A bar for a job of at most so many steps.
    pub(crate) fn new(step_limit: u64) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.enable_steady_tick(TICK);
        let (phase, job, shown) = (Cell::new(Phase::Order), Cell::default(), RefCell::new(""));
        Meter { bar, step_limit, phase, job, shown }
    }

    /// Takes note of what has happened to the job.
    pub(crate) fn note(&self, job: B256, event: &JobEvent) {
        self.job.set(Some(job));
        self.phase.set(match event {
            JobEvent::Locked { deadline, .. } => Phase::Run { since: now(), until: *deadline },
            JobEvent::Claimed { .. } | JobEvent::Challenged { .. } => Phase::Window,
            JobEvent::Slashed { .. } => Phase::Order,
            _ => self.phase.get(),
        });
    }

    /// Prints a line above the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }

    /// Shows how far the job is, until it is dropped. `steps` are those of a run in this process:
    /// elsewhere only time tells.
    pub(crate) async fn show(&self, steps: impl Fn(B256) -> Option<u64>) {
        loop {
            let steps = self.job.get().and_then(&steps);
            self.draw(steps, now());
            tokio::time::sleep(TICK).await;
        }
    }

    fn draw(&self, steps: Option<u64>, now: u64) {
        let (template, length, position) = match (self.phase.get(), steps) {
            (Phase::Order, _) => ("{spinner} waits for a provider, {elapsed}", 0, 0),
            (Phase::Window, _) => {
                ("{spinner} claimed; waits for the window's end, {elapsed}", 0, 0)
            }
            (Phase::Run { .. }, Some(steps)) => (
                "{wide_bar} {human_pos} of at most {human_len} steps, {per_sec}",
                self.step_limit,
                steps,
            ),
            (Phase::Run { since, until }, None) => (
                "{wide_bar} runs elsewhere, {pos} s of at most {len} s",
                until.saturating_sub(since),
                now.saturating_sub(since),
            ),
        };
        if *self.shown.borrow() != template {
            *self.shown.borrow_mut() = template;
            let style = ProgressStyle::with_template(template);
            self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.bar.reset();
        }
        self.bar.set_length(length);
        self.bar.set_position(position);
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Log};
    use assay_contracts::LoggedEvent;
    use assay_contracts::events::topics;
    use assay_node::JobStatus;
    use indicatif::InMemoryTerm;

    use super::*;

    /// A meter on a terminal of its own, and what is on that terminal.
    fn on_terminal() -> (Meter, impl Fn() -> String) {
        let terminal = InMemoryTerm::new(4, 100);
        let meter = Meter::new(1_000_000);
        meter.bar.disable_steady_tick();
        meter.bar.set_draw_target(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        let bar = meter.bar.clone();
        let shown = move || {
            bar.tick();
            terminal.contents()
        };
        (meter, shown)
    }

    #[test]
    fn each_phase_shows_what_is_waited_for() {
        let (meter, shown) = on_terminal();
        meter.draw(None, 0);
        assert!(shown().contains("waits for a provider"), "{}", shown());
        let (provider, job) = (Address::ZERO, B256::repeat_byte(1));
        let deadline = now() + 60;
        // Four words and an order of 27.
        let mut data = vec![0; 31 * 32];
        data[2 * 32 + 24..3 * 32].copy_from_slice(&deadline.to_be_bytes());
        let topics = vec![topics::LOCKED, job, B256::ZERO, B256::ZERO];
        let log = Log::new_unchecked(provider, topics, data.into());
        let locked = LoggedEvent::decode(&log).expect("a lock").event;
        meter.note(job, &locked);
        meter.draw(Some(250_000), now());
        assert!(shown().contains("250,000 of at most 1,000,000 steps"), "{}", shown());
        meter.draw(None, now() + 5);
        assert!(
            shown().contains(" s of at most "),
            "elsewhere there is only the time: {}",
            shown()
        );
        let claimed = JobEvent::Claimed {
            provider,
            final_state: B256::ZERO,
            output_root: B256::ZERO,
            trace_root: B256::ZERO,
            steps: 1,
            status: 1,
            exit_code: 0,
        };
        meter.note(job, &claimed);
        meter.draw(Some(1), 0);
        assert!(shown().contains("waits for the window"), "{}", shown());
        let slashed = JobEvent::Slashed {
            provider,
            status: JobStatus::AwaitingLate,
            refunded: 0,
            compensation: 0,
            informer: provider,
            bounty: 0,
            cover: 0,
        };
        meter.note(job, &slashed);
        meter.draw(None, 0);
        assert!(shown().contains("waits for a provider"), "another may deliver: {}", shown());
        meter.clear();
    }

    #[test]
    fn a_pipe_shows_nothing() {
        // Tests have no terminal.
        let meter = Meter::new(1);
        assert!(meter.bar.is_hidden() || std::io::IsTerminal::is_terminal(&std::io::stderr()));
    }
}
