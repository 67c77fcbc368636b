//! How slow a program can be: what windows and clocks are made for (spec/dispute.md#the-window).
//!
//! Two programs are the slowest that we could write: one follows pointers all over 256 MiB, so that
//! each load waits for memory; one stores to a random leaf every few steps, so that each state has
//! much to hash again.

use assay_contracts::DisputeTerms;
use assay_fuzz::asm;
use assay_machine::{Interpreter, Level, Machine, Op, Program, Run, StepLimit, slot};
use assay_machine::{STEPS_MAX, TRACE_LEAVES, TraceBuilder};

use crate::figure::{Figure, Goal, median, time};

const ROUNDS: usize = 3;

/// What the programs go through, in bytes.
const SPAN: u32 = 256 << 20;

/// Steps that are run before anything is measured, so that all of the memory is there.
const WARM_STEPS: u64 = 1 << 27;

/// Steps that are measured: of a run, and of a middle tree.
const RUN_STEPS: u64 = 1 << 26;
const RETRACE_STEPS: u64 = 1 << 22;

/// A program, and what it reads.
struct Slow {
    name: &'static str,
    machine: Machine,
}

pub(crate) fn figures() -> Result<Vec<Figure>, String> {
    let terms = DisputeTerms::LOCAL;
    let mut figures = Vec::new();
    for slow in [pointers()?, stores()?] {
        let mut run = Run::new(Interpreter::new(slow.machine.clone()));
        run.advance(WARM_STEPS);
        run.state();
        figures.push(Figure {
            name: format!("{}, run and hashed", slow.name),
            inputs: format!("{RUN_STEPS} steps after {WARM_STEPS}, median of {ROUNDS}"),
            value: median((0..ROUNDS).map(|_| running(&mut run.clone())).collect()),
            unit: "million steps/s",
            goal: Some(Goal::AtLeast(terms.steps_per_sec as f64 / 1e6)),
            peers: vec![],
        });
        let steps = (0..ROUNDS).map(|_| retracing(&mut run.clone(), Level::Middle, RETRACE_STEPS));
        figures.push(Figure {
            name: format!("{}, a middle tree", slow.name),
            inputs: format!("{RETRACE_STEPS} steps after {WARM_STEPS}, median of {ROUNDS}"),
            value: median(steps.collect()),
            unit: "million steps/s",
            goal: Some(Goal::AtLeast(terms.retrace_steps_per_sec as f64 / 1e6)),
            peers: vec![],
        });
        let whole = u64::from(TRACE_LEAVES);
        let seconds = (0..ROUNDS)
            .map(|_| whole as f64 / 1e6 / retracing(&mut run.clone(), Level::Bottom, whole));
        figures.push(Figure {
            name: format!("{}, a bottom tree", slow.name),
            inputs: format!("{whole} steps, median of {ROUNDS}"),
            value: median(seconds.collect()),
            unit: "s",
            goal: Some(Goal::Below(f64::from(terms.move_floor_secs))),
            peers: vec![],
        });
    }
    Ok(figures)
}

/// Million steps a second of a run whose end is hashed; of a whole run that is one state in 2^30
/// steps, so this is slower than that.
fn running(run: &mut Run<Interpreter>) -> f64 {
    let seconds = time(|| {
        run.advance(WARM_STEPS + RUN_STEPS);
        run.state();
    });
    RUN_STEPS as f64 / 1e6 / seconds
}

/// Million steps a second while a tree's leaves are made.
fn retracing(run: &mut Run<Interpreter>, level: Level, steps: u64) -> f64 {
    let mut trace = TraceBuilder::new(level, WARM_STEPS);
    let seconds = time(|| trace.advance(run, WARM_STEPS + steps, |_| ()));
    steps as f64 / 1e6 / seconds
}

/// Follows a cycle of pointers through all of the input, in no order: a load in each step but one
/// in 64.
fn pointers() -> Result<Slow, String> {
    const NODE: u32 = 64;
    let base = slot::base(slot::INPUT);
    let mut image = vec![0; SPAN as usize];
    // One cycle through all nodes (Sattolo).
    let mut order: Vec<u32> = (0..SPAN / NODE).collect();
    let mut draw = 1u64;
    for k in (1..order.len()).rev() {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        order.swap(k, (draw >> 33) as usize % k);
    }
    for pair in order.windows(2) {
        write(&mut image, pair[0] * NODE, base + pair[1] * NODE);
    }
    write(&mut image, order[order.len() - 1] * NODE, base + order[0] * NODE);

    let mut text = asm::load_immediate(8, base).to_vec();
    text.extend([asm::op(Op::Lw, 8, 8, 0, 0); 64]);
    text.push(asm::op(Op::Jal, 0, 0, 0, -4 * 64));
    let mut machine = machine(&text)?;
    // As a slot's image: from leaf 0 on, so many leaves of 256 bytes.
    let mut whole = b"assayi\x01\x01".to_vec();
    whole.extend(0u32.to_be_bytes());
    whole.extend((SPAN / 256).to_be_bytes());
    whole.extend(&image);
    machine.memory.put_image(slot::INPUT, &whole).map_err(|error| error.to_string())?;
    Ok(Slow { name: "dependent loads over 256 MiB", machine })
}

/// Stores to a place in the output that follows from the last one as random numbers do.
fn stores() -> Result<Slow, String> {
    let mut text = asm::load_immediate(5, 1_664_525).to_vec();
    text.extend(asm::load_immediate(6, SPAN - 4));
    text.extend(asm::load_immediate(7, slot::base(slot::OUTPUT)));
    text.extend(asm::load_immediate(8, 1));
    let round = [
        asm::op(Op::Mul, 8, 8, 5, 0),
        asm::op(Op::Addi, 8, 8, 0, 1_223),
        asm::op(Op::And, 9, 8, 6, 0),
        asm::op(Op::Add, 9, 9, 7, 0),
        asm::op(Op::Sw, 0, 9, 8, 0),
    ];
    for _ in 0..16 {
        text.extend(round);
    }
    text.push(asm::op(Op::Jal, 0, 0, 0, -4 * 16 * round.len() as i32));
    Ok(Slow { name: "random stores over 256 MiB", machine: machine(&text)? })
}

fn machine(text: &[u32]) -> Result<Machine, String> {
    let program: Program = asm::program(text, &[]).map_err(|error| error.to_string())?;
    let limit = StepLimit::new(STEPS_MAX).map_err(|error| error.to_string())?;
    Ok(Machine::new(&program, limit))
}

fn write(image: &mut [u8], at: u32, word: u32) {
    image[at as usize..at as usize + 4].copy_from_slice(&word.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// What `cargo xtask bench worst --json` printed on the slowest machine that we have.
    const RECORDED: &str = include_str!("../worst.json");

    #[derive(Deserialize)]
    struct Recorded {
        figures: Vec<Measured>,
    }

    #[derive(Deserialize)]
    struct Measured {
        name: String,
        value: f64,
    }

    #[test]
    fn no_default_assumes_more_than_was_measured() {
        let recorded: Recorded = serde_json::from_str(RECORDED).expect("a report");
        let slowest = |what: &str| {
            let measured = recorded.figures.iter().filter(|figure| figure.name.ends_with(what));
            let values: Vec<f64> = measured.map(|figure| figure.value).collect();
            assert_eq!(values.len(), 2, "one for each program: {what}");
            values.into_iter().fold(f64::INFINITY, f64::min) * 1e6
        };
        for terms in [DisputeTerms::LOCAL, DisputeTerms::PUBLIC] {
            assert!(terms.steps_per_sec as f64 <= slowest("run and hashed"), "{terms:?}");
            assert!(terms.retrace_steps_per_sec as f64 <= slowest("a middle tree"), "{terms:?}");
        }
    }
}
