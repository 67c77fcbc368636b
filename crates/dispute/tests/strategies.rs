//! Honest parties win, with leaves published and with leaves withheld: the moves alone, each
//! checked as the contract does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use assay_dispute::{
    Challenge, Claim, Known, Own, Pointing, SNAPSHOTS_MAX, Segment, Tracer, answer, challenge,
    opening, reveal,
};
use assay_fuzz::asm;
use assay_fuzz::differential::random_job;
use assay_fuzz::liar::{LIES, Liar};
use assay_machine::{
    Cpu, Engine, Interpreter, Machine, Op, Run, State, StepLimit, TRACE_LEAVES, Witness,
};
use assay_merkle::Page;
use assay_types::{Hash, sha256, sha256_pair};

/// The root of 2^k nodes.
fn root_of(nodes: &[Hash]) -> Hash {
    match nodes {
        [node] => *node,
        _ => {
            let (left, right) = nodes.split_at(nodes.len() / 2);
            sha256_pair(&root_of(left), &root_of(right))
        }
    }
}

/// The root that a pointing opens to (spec/dispute.md#pointing).
fn opened(pointing: &Pointing) -> Hash {
    let climb = |node, path: u32, siblings: &[Hash]| {
        siblings.iter().enumerate().fold(node, |node, (height, sibling)| {
            if path >> height & 1 == 0 {
                sha256_pair(&node, sibling)
            } else {
                sha256_pair(sibling, &node)
            }
        })
    };
    let siblings = &pointing.siblings[..];
    if pointing.index == 0 {
        assert_eq!(siblings.len(), 15);
        return climb(pointing.leaf, 0, siblings);
    }
    let apart = pointing.index.trailing_zeros() as usize;
    assert_eq!(siblings.len(), 14 + apart);
    let left = climb(pointing.predecessor, (1 << apart) - 1, &siblings[..apart]);
    let right = climb(pointing.leaf, 0, &siblings[apart..2 * apart]);
    climb(sha256_pair(&left, &right), pointing.index >> (apart + 1), &siblings[2 * apart..])
}

/// A challenger's own tree is the one that it was bound to, with another leaf there behind the same
/// predecessor.
fn assert_own(pointing: &Pointing, own: Own, bound: Hash) {
    let Own { root, leaf, siblings } = own;
    assert_eq!(root, bound, "it was bound to another tree");
    assert_ne!(leaf, pointing.leaf, "the own tree does not differ there");
    assert_eq!(opened(&Pointing { leaf, siblings, ..pointing.clone() }), root, "it does not open");
}

/// Plays a game to its end against a claimant's trees. Gives the claimed leaf and what the step
/// really leads to, or `None` if the challenger finds nothing to challenge.
fn play<C: Engine + Clone>(
    challenger: &mut Tracer<Interpreter>,
    claimant: &mut Tracer<C>,
    published: bool,
) -> Option<(Hash, Hash)> {
    let mut segment = Segment::WHOLE;
    let mut start = challenger.state_hash(0).0;
    let mut tree = claimant.tree(segment);
    let mut seen = Known::new();
    let mut demands = 0;
    let mut bound = opening(challenger, start, tree.root(), &seen)?.own;
    loop {
        if published {
            seen.publish(tree.clone());
        }
        match challenge(challenger, segment, start, tree.root(), &seen)? {
            Challenge::Demand { depth, index, node, siblings, own } => {
                assert_ne!(own, tree.root(), "its own tree is another");
                assert!(!published && demands < 9, "three demands a level are enough");
                demands += 1;
                let climbed = siblings.iter().enumerate().fold(node, |node, (height, sibling)| {
                    let right = index >> height & 1 == 1;
                    if right { sha256_pair(sibling, &node) } else { sha256_pair(&node, sibling) }
                });
                assert_eq!(
                    (climbed, siblings.len()),
                    (tree.root(), depth as usize),
                    "a true demand"
                );
                let children = reveal(&tree, node).expect("the claimant has its own tree");
                assert_eq!(root_of(&children), node, "a reveal can't be wrong");
                seen.reveal(node, children);
            }
            Challenge::Point { pointing, own, next } => {
                assert_eq!(opened(&pointing), tree.root(), "the pointing opens");
                assert_own(&pointing, own, bound);
                bound = next;
                segment = segment.refined(pointing.index).expect("not the bottom");
                start = pointing.predecessor;
                let answer = answer(claimant, segment);
                let last = answer.last_leaf_proof.root(pointing.leaf, TRACE_LEAVES - 1);
                assert_eq!(last, answer.root, "the answer ends in the leaf pointed at");
                tree = claimant.tree(segment);
                assert_eq!(tree.root(), answer.root);
            }
            Challenge::Prove { pointing, own, witness } => {
                assert_eq!(opened(&pointing), tree.root(), "the pointing opens");
                let shown = own.leaf;
                assert_own(&pointing, own, bound);
                assert_eq!(sha256(&witness[..197]), pointing.predecessor, "the witness fits");
                let step = Witness::step(&witness).expect("an honest witness is a witness");
                assert_eq!(shown, step.after.0, "its own tree has the true step");
                return Some((pointing.leaf, step.after.0));
            }
        }
    }
}

fn honest(machine: &Machine) -> Tracer<Interpreter> {
    Tracer::new(Run::new(Interpreter::new(machine.clone())))
}

/// A lie of every kind, at a random step of a random run, published or withheld, is found; unless
/// it changes nothing that the claim commits to, which makes the claim true.
#[test]
fn an_honest_challenger_finds_every_lie() {
    let mut found = BTreeMap::new();
    for seed in 0..90 {
        let (machine, steps, mut rng) = random_job(seed);
        let lie = LIES[seed as usize % LIES.len()];
        let at = rng.u64(1..=steps);
        let mut claimant = Tracer::new(Run::new(Liar::new(machine.clone(), at, lie)));
        let is_true = claimant.tree(Segment::WHOLE) == honest(&machine).tree(Segment::WHOLE);
        match play(&mut honest(&machine), &mut claimant, seed / 6 % 2 == 0) {
            Some((claimed, actual)) => {
                assert_ne!(claimed, actual, "seed {seed}: {lie:?} at {at} must not stand");
                *found.entry(format!("{lie:?}")).or_insert(0) += 1;
            }
            None => assert!(is_true, "seed {seed}: {lie:?} at {at} not found"),
        }
    }
    assert_eq!(found.len(), LIES.len(), "{found:?}");
    assert!(found.values().sum::<u32>() > 60, "too few lies that matter: {found:?}");
}

/// A claim of fewer steps than the run has is found false without running on to its end: however
/// long that is, the window need only fit what the claim says.
#[test]
fn a_claim_that_ends_too_early_is_checked_no_further_than_it_goes() {
    const CLAIMED: u64 = 3 << 15;
    let program = asm::program(&[asm::op(Op::Jal, 0, 0, 0, 0)], &[]).unwrap();
    let job = |limit| Machine::new(&program, StepLimit::new(limit).unwrap());
    // It loops for ever; the claim says that it ran out of steps much sooner than it may.
    let mut claimant = honest(&job(CLAIMED + 5));
    let steps = Arc::new(AtomicU64::new(0));
    let machine = job(1 << 40);
    let engine = Counted(Interpreter::new(machine.clone()), Arc::clone(&steps));
    let mut challenger = Tracer::new(Run::new(engine));
    challenger.stop_behind(CLAIMED + 5);
    let claimed = claimant.tree(Segment::WHOLE).root();
    let start = challenger.state_hash(0).0;
    let known = Known::new();
    let opening = opening(&mut challenger, start, claimed, &known).expect("a difference");
    assert_ne!(opening.own, claimed);
    let taken = steps.load(Ordering::Relaxed);
    assert_eq!(taken, CLAIMED + (1 << 15), "to the end of the leaf that the claim ends in");
    // What lies before the stop is the whole run's.
    let bottom = Segment::new(2, 3).unwrap();
    let mut whole = Tracer::new(Run::new(Interpreter::new(machine)));
    assert_eq!(challenger.tree(bottom), whole.tree(bottom), "the last leaf's tree");
}

#[test]
fn there_is_nothing_to_find_in_a_true_claim() {
    for seed in 100..110 {
        let (machine, _, _) = random_job(seed);
        let found = play(&mut honest(&machine), &mut honest(&machine), true);
        assert_eq!(found, None, "seed {seed}");
    }
}

/// The tracer agrees with a run step by step, wherever it is asked.
#[test]
fn a_tracer_can_be_asked_in_any_order() {
    let (machine, steps, mut rng) = random_job(7);
    let mut tracer = honest(&machine);
    for _ in 0..20 {
        let step = rng.u64(..steps + 5);
        let mut run = Run::new(Interpreter::new(machine.clone()));
        run.advance(step);
        let state: State = run.state();
        assert_eq!(tracer.state_hash(step), state.hash(), "after {step} steps");
    }
}

/// An engine that counts the steps that it takes, copies' steps with its own.
#[derive(Clone)]
struct Counted(Interpreter, Arc<AtomicU64>);

impl Engine for Counted {
    fn run_until(&mut self, step: u64) {
        let before = self.0.cpu().step;
        self.0.run_until(step);
        self.1.fetch_add(self.0.cpu().step - before, Ordering::Relaxed);
    }

    fn cpu(&self) -> &Cpu {
        self.0.cpu()
    }

    fn page(&self, page: u32) -> Option<&Page> {
        self.0.page(page)
    }

    fn take_changes(&mut self) -> Vec<(u32, u16)> {
        self.0.take_changes()
    }
}

/// Many games at once ask for segments all over a long run. Re-run from its start for each, it
/// would cost an honest claimant its clock.
#[test]
fn an_answer_goes_on_from_near_its_segment() {
    const STEPS: u64 = 20 << 24;
    const GAMES: u64 = 12;
    let program = asm::program(&[asm::op(Op::Jal, 0, 0, 0, 0)], &[]).unwrap();
    let machine = Machine::new(&program, StepLimit::new(STEPS).unwrap());
    let steps = Arc::new(AtomicU64::new(0));
    let engine = Counted(Interpreter::new(machine.clone()), Arc::clone(&steps));
    let mut tracer = Tracer::new(Run::new(engine));
    let size = tracer.size();
    let claim = Claim::of(&mut tracer);
    assert_eq!(claim.end.cpu.step, STEPS, "it loops to its limit");
    let copies = (tracer.size() - size) / (size / 2);
    assert!((8..=SNAPSHOTS_MAX as u64).contains(&copies), "{copies} snapshots are kept");
    // A step before a stride's end is the worst place; the last one first, so that nothing is done
    // on the way.
    for game in (1..=GAMES).rev() {
        let position = u32::try_from(game * (STEPS / GAMES) / (1 << 15)).unwrap() - 1;
        let segment = Segment::new(2, position).unwrap();
        steps.store(0, Ordering::Relaxed);
        let answered = answer(&mut tracer, segment);
        let taken = steps.load(Ordering::Relaxed);
        assert!(
            taken <= 2 * STEPS / (SNAPSHOTS_MAX as u64 + 1) + (1 << 15),
            "segment {position} was answered after {taken} steps of {STEPS}"
        );
        assert_ne!(answered.root, Hash::default());
    }
    // And what it says is what a run from the start says.
    let position = u32::try_from(STEPS / 16 / (1 << 15)).unwrap();
    let segment = Segment::new(2, position).unwrap();
    assert_eq!(answer(&mut tracer, segment), answer(&mut honest(&machine), segment));
}
