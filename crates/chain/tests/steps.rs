//! The contract's step and the machine's, on the same witnesses: equal, for every instruction and
//! every trap.
//!
//! `ASSAY_STEPS` changes how many.

mod common;

use std::collections::BTreeMap;

use alloy_primitives::B256;
use assay_contracts::Step;
use assay_fuzz::differential::random_machine;
use assay_fuzz::edges::edges;
use assay_fuzz::vectors::{Vector, files};
use assay_machine::{
    Engine, Interpreter, Machine, OPCODES, Op, Run, TrapCause, VerifiedStep, verify_step,
};
use fastrand::Rng;

/// Steps without the environment's word.
const STEPS: u64 = 100_000;

type Contract = Step::StepInstance<alloy_provider::DynProvider>;

async fn contract() -> (tempfile::TempDir, Contract) {
    let (folder, chain) = common::chain(common::funded(1));
    let client = common::client(&chain, 0).await;
    let step = Step::deploy(client.provider().clone()).await.expect("deployed");
    (folder, step)
}

async fn check(contract: &Contract, witness: &[u8], expect: &VerifiedStep) {
    let after = contract.step(witness[72..].to_vec().into()).call().await;
    let after = after.unwrap_or_else(|error| panic!("{expect:?} was refused: {error}"));
    assert_eq!(after, B256::from(expect.after.0.0), "{expect:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn random_steps_are_equal() {
    let goal = std::env::var("ASSAY_STEPS").map_or(STEPS, |count| count.parse().expect("a number"));
    let (_folder, contract) = contract().await;
    let mut rng = Rng::with_seed(11);
    let (mut done, mut seen) = (0, BTreeMap::new());
    let mut traps: BTreeMap<TrapCause, u64> = BTreeMap::new();
    // Each operation and each trap once for certain, then at random.
    for edge in edges() {
        let witness = edge.check().expect("a good edge").to_bytes();
        let step = verify_step(&witness).expect("verifies");
        check(&contract, &witness, &step).await;
        tally(&step, &mut seen, &mut traps);
    }
    while done < goal {
        let (program, limit) = random_machine(&mut rng);
        let machine = Machine::new(&program, limit);
        let mut ahead = Interpreter::new(machine.clone());
        ahead.run_until(u64::MAX);
        let end = ahead.cpu().step;
        let mut run = Run::new(Interpreter::new(machine));
        let mut step = end.min(62 + rng.u64(..20));
        for _ in 0..40 {
            run.advance(step);
            let witness = run.witness().to_bytes();
            let verified = verify_step(&witness).expect("verifies");
            check(&contract, &witness, &verified).await;
            tally(&verified, &mut seen, &mut traps);
            done += 1;
            if step > end {
                break;
            }
            step += rng.u64(1..=1 + (end / 40));
        }
    }
    for row in &OPCODES {
        assert!(seen.contains_key(&row.op), "{} was never executed", row.mnemonic);
    }
    assert!(seen.contains_key(&Op::Illegal));
    assert_eq!(traps.len(), 9, "every cause of a trap: {traps:?}");
    println!("{done} random steps equal; operations {seen:?}; traps {traps:?}");
}

fn tally(step: &VerifiedStep, seen: &mut BTreeMap<Op, u64>, traps: &mut BTreeMap<TrapCause, u64>) {
    if let Some(instruction) = step.instruction {
        *seen.entry(instruction.op).or_default() += 1;
    }
    if let Some(cause) = step.trap {
        *traps.entry(cause).or_default() += 1;
    }
}

/// What the machine refuses, the contract refuses, by an error of its own; or it steps to another
/// state than is claimed.
#[tokio::test(flavor = "multi_thread")]
async fn refused_witnesses_prove_nothing() {
    let (_folder, contract) = contract().await;
    let files = files().expect("vectors");
    let refused: Vec<&Vector> =
        files.iter().flat_map(|file| &file.1).filter(|v| !v.valid).collect();
    assert!(refused.len() > 20);
    for vector in refused {
        let bytes = vector.bytes().expect("hex");
        let (Some(before), Some(after), Some(proof)) =
            (bytes.get(8..40), bytes.get(40..72), bytes.get(72..))
        else {
            continue;
        };
        let stepped = contract.step(proof.to_vec().into()).call().await;
        let preimage = proof.get(..197).map(assay_types::sha256);
        let proves = stepped.is_ok_and(|state| state.as_slice() == after)
            && preimage.is_some_and(|hash| hash.0 == before)
            && bytes.starts_with(b"assayw\x01\x01");
        assert!(!proves, "{} must prove nothing", vector.name);
    }
}
