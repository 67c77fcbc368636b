//! Traces of runs, whole and by segment, against their definition.

use assay_fuzz::asm::{load_immediate, op, program};
use assay_machine::{
    Engine, Interpreter, Level, Machine, Op, Program, Run, State, Status, StepLimit, TRACE_LEAVES,
    TraceBuilder, slot, trace_segment, verify_step,
};
use assay_merkle::{PaddedTree, blob_root, empty_slot};
use assay_types::{Hash, Salt, StateHash};

/// Counts x5 up for ever, writing it to a moving place in the output slot: 5 instructions a turn.
fn endless() -> Program {
    let mut text = load_immediate(6, 0x8000_0000).to_vec();
    text.push(op(Op::Addi, 5, 5, 0, 1));
    text.push(op(Op::Sw, 0, 6, 5, 0));
    text.push(op(Op::Addi, 6, 6, 0, 4));
    text.push(op(Op::Andi, 7, 5, 0, 255));
    text.push(op(Op::Jal, 0, 0, 0, -16));
    program(&text, b"").expect("a program")
}

fn run(limit: u64) -> Run<Interpreter> {
    let limit = StepLimit::new(limit).expect("a limit");
    Run::new(Interpreter::new(Machine::new(&endless(), limit)))
}

fn trace(run: &mut Run<Interpreter>, level: Level) -> (Hash, Vec<Hash>) {
    let mut leaves = Vec::new();
    let root = trace_segment(run, level, |hash: StateHash| leaves.push(hash.0));
    (root, leaves)
}

#[test]
fn the_first_state_follows_from_roots_alone() {
    let program = endless();
    let limit = StepLimit::new(10).unwrap();
    let mut machine = Machine::new(&program, limit);
    let header = assay_merkle::BlobHeader::new(5, Salt([7; 24])).unwrap();
    machine.memory.put_blob(slot::INPUT, header, b"input");
    let mut run = Run::new(Interpreter::new(machine));
    let input = blob_root(Salt([7; 24]), b"input").unwrap();
    assert_eq!(run.slot_root(slot::INPUT), input);
    assert_eq!(run.slot_root(slot::PROGRAM), program.slot_root());
    assert_eq!(run.state(), State::initial(&program, input, empty_slot(), limit));
}

/// A bottom trace holds the state after each step, and each leaf follows from the one before by a
/// witness.
#[test]
fn bottom_leaves_are_steps() {
    let mut fine = run(1 << 20);
    fine.advance(3 << 15);
    let start = fine.state().hash();
    let mut stepped = fine.clone();
    let (root, leaves) = trace(&mut fine, Level::Bottom);
    assert_eq!(leaves.len(), TRACE_LEAVES as usize);
    assert_eq!(PaddedTree::<15>::new(leaves.clone(), Hash::default()).root(), root);
    let mut before = start;
    for (i, leaf) in leaves.iter().enumerate().take(500) {
        let step = verify_step(&stepped.witness().to_bytes()).unwrap();
        assert_eq!((step.before, step.after.0), (before, *leaf), "leaf {i}");
        stepped.advance((3 << 15) + i as u64 + 1);
        before = step.after;
    }
    let mut direct = run(1 << 20);
    direct.advance(4 << 15);
    assert_eq!(leaves.last(), Some(&direct.state().hash().0), "the last leaf ends the segment");
}

/// A middle leaf is the last leaf of the bottom trace that refines it, and a run that ends pads
/// with its end.
#[test]
fn levels_meet_and_final_states_pad() {
    let limit = 3 * (1 << 15) + 77;
    let (root, leaves) = trace(&mut run(limit), Level::Middle);
    let mut ended = run(limit);
    ended.advance(u64::MAX);
    let last = ended.state();
    assert_eq!((last.cpu.status, last.cpu.step), (Status::OutOfSteps, limit));
    assert_eq!(PaddedTree::<15>::new(leaves.clone(), last.hash().0).root(), root);
    for (j, leaf) in leaves.iter().enumerate().take(5) {
        let mut fine = run(limit);
        fine.advance((j as u64) << 15);
        let (_, steps) = trace(&mut fine, Level::Bottom);
        assert_eq!(steps.last(), Some(leaf), "middle leaf {j}");
    }
    let (top, tops) = trace(&mut run(limit), Level::Top);
    let padded = PaddedTree::<15>::new(vec![], last.hash().0);
    assert_eq!(top, padded.root(), "a short run's top trace is its final state");
    assert!(tops.iter().all(|leaf| *leaf == last.hash().0));
    let proof = padded.prove(TRACE_LEAVES - 1);
    assert_eq!(proof.root(last.hash().0, TRACE_LEAVES - 1), top, "the last leaf opens to it");
}

/// However a run is cut into stretches, its trace and its states are the same.
#[test]
fn stretches_do_not_matter() {
    let limit = 2 * (1 << 15) + 5;
    let (expect, _) = trace(&mut run(limit), Level::Middle);
    for stretch in [1000, 32_767, 32_768, 32_769, 1 << 20] {
        let mut cut = run(limit);
        let mut builder = TraceBuilder::new(Level::Middle, 0);
        while !cut.engine().cpu().status.is_final() {
            let to = cut.engine().cpu().step + stretch;
            builder.advance(&mut cut, to, |_| ());
        }
        assert_eq!(builder.finish(&mut cut), expect, "in stretches of {stretch}");
    }
}

#[test]
fn an_engine_stops_where_it_is_told() {
    let mut engine = Interpreter::new(Machine::new(&endless(), StepLimit::new(100).unwrap()));
    for step in [0, 1, 2, 50, 49, 99] {
        let before = engine.cpu().step;
        engine.run_until(step);
        assert_eq!(engine.cpu().step, step.max(before));
        assert_eq!(engine.cpu().status, Status::Running);
    }
    engine.run_until(u64::MAX);
    assert_eq!((engine.cpu().step, engine.cpu().status), (100, Status::OutOfSteps));
    let end = engine.cpu().clone();
    engine.run_until(u64::MAX);
    assert_eq!(engine.cpu(), &end, "a final state stays");
}
