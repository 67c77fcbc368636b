//! Witnesses of random steps verify, and bend nowhere.

use assay_fuzz::differential::random_machine;
use assay_machine::{Engine, Interpreter, Machine, Run, verify_step};
use fastrand::Rng;
use rayon::prelude::*;

/// A witness of a random step of a random program.
fn witness(rng: &mut Rng) -> Vec<u8> {
    let (program, limit) = random_machine(rng);
    let machine = Machine::new(&program, limit);
    let mut ahead = Interpreter::new(machine.clone());
    ahead.run_until(u64::MAX);
    let mut run = Run::new(Interpreter::new(machine));
    let end = ahead.cpu().step;
    // Beyond the random part's start, where registers are set; now and then the final state.
    let step = rng.u64(..=end).max(end.min(62 + rng.u64(..10)));
    run.advance(step);
    let witness = run.witness();
    let state = run.state();
    run.advance(step + 1);
    let verified = verify_step(&witness.to_bytes()).expect("an honest witness verifies");
    assert_eq!(verified.state_before, state, "it shows the state before");
    assert_eq!(verified.state_after, run.state(), "and what the engine made of it");
    assert_eq!(verified.after == verified.before, state.cpu.status.is_final());
    assert_eq!(run.engine().cpu().step, verified.state_after.cpu.step);
    witness.to_bytes()
}

#[test]
fn no_byte_of_1000_witnesses_can_change() {
    let sizes: Vec<usize> = (0..1000u64)
        .into_par_iter()
        .map(|seed| {
            let mut rng = Rng::with_seed(seed);
            let mut witness = witness(&mut rng);
            for at in 0..witness.len() {
                let change = rng.u8(1..);
                witness[at] ^= change;
                assert!(verify_step(&witness).is_err(), "seed {seed}: byte {at} ^ {change}");
                witness[at] ^= change;
            }
            assert!(verify_step(&witness).is_ok(), "seed {seed}: it was put back");
            witness.len()
        })
        .collect();
    assert_eq!(sizes.len(), 1000);
    for size in [269, 1293, 2317] {
        let count = sizes.iter().filter(|&&one| one == size).count();
        assert!(count > 50, "only {count} witnesses of {size} bytes");
    }
}

#[test]
fn no_byte_of_a_witness_can_change_to_any_other() {
    let mut rng = Rng::with_seed(7);
    let mut witness = loop {
        let witness = witness(&mut rng);
        if witness.len() == 2317 {
            break witness;
        }
    };
    for at in 0..witness.len() {
        for change in 1..=255 {
            witness[at] ^= change;
            assert!(verify_step(&witness).is_err(), "byte {at} ^ {change}");
            witness[at] ^= change;
        }
    }
}

#[test]
fn no_size_but_its_own() {
    let mut rng = Rng::with_seed(3);
    let mut witness = witness(&mut rng);
    for size in 0..witness.len() {
        assert!(verify_step(&witness[..size]).is_err(), "cut to {size}");
    }
    for more in [1, 256, 1024] {
        witness.resize(witness.len() + more, 0);
        assert!(verify_step(&witness).is_err(), "{more} more");
    }
}
