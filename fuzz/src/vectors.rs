//! Recorded steps (spec/vectors.md): what every engine replays, whatever its language.

use assay_machine::{Interpreter, Machine, Run, WITNESS_SIZE_MAX, verify_step};
use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::differential::random_machine;
use crate::edges::edges;

/// One recorded step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vector {
    /// What it is about; unique in its file.
    pub name: String,
    /// The witness's bytes, `0x` and hex digits.
    pub witness: String,
    /// Whether the witness verifies.
    pub valid: bool,
}

impl Vector {
    fn new(name: &str, witness: &[u8], valid: bool) -> Self {
        Vector { name: name.to_owned(), witness: format!("0x{}", hex::encode(witness)), valid }
    }

    /// The witness's bytes.
    pub fn bytes(&self) -> Result<Vec<u8>, hex::FromHexError> {
        hex::decode(self.witness.trim_start_matches("0x"))
    }
}

/// The files under `vectors/steps/`, with their content. `Err` tells which step is not as it must
/// be.
pub fn files() -> Result<Vec<(&'static str, Vec<Vector>)>, String> {
    Ok(vec![
        ("edges.json", edge_steps()?),
        ("random.json", random_steps()),
        ("refused.json", refused()?),
    ])
}

fn edge_steps() -> Result<Vec<Vector>, String> {
    let record = |edge: crate::edges::Edge| {
        let witness = edge.check().map_err(|error| format!("{}: {error}", edge.name))?;
        Ok(Vector::new(edge.name, &witness.to_bytes(), true))
    };
    edges().into_iter().map(record).collect()
}

/// Steps of random programs, deep into their runs, and one from a final state.
fn random_steps() -> Vec<Vector> {
    let mut rng = Rng::with_seed(2);
    let mut vectors = Vec::new();
    while vectors.len() < 60 {
        let mut run = random_run(&mut rng);
        let step = rng.u64(62..1000);
        run.advance(step);
        let witness = run.witness().to_bytes();
        let reached = verify_step(&witness).map_or(0, |step| step.state_before.cpu.step);
        if reached > 62 || vectors.is_empty() {
            let name = format!("random {} at step {reached}", vectors.len());
            vectors.push(Vector::new(&name, &witness, true));
        }
    }
    vectors
}

fn random_run(rng: &mut Rng) -> Run<Interpreter> {
    let (program, limit) = random_machine(rng);
    Run::new(Interpreter::new(Machine::new(&program, limit)))
}

/// Witnesses that must be refused: each field in turn is bent, cut or extended.
fn refused() -> Result<Vec<Vector>, String> {
    let all = edges();
    let store = all.iter().find(|edge| edge.name == "sw_writes_all").ok_or("no such edge")?;
    let add = all.iter().find(|edge| edge.name == "add").ok_or("no such edge")?;
    let (store, add) = (store.check()?.to_bytes(), add.check()?.to_bytes());
    let bends = [
        ("tag", 7),
        ("hash before", 8),
        ("hash after", 71),
        ("machine version", 78),
        ("status", 80),
        ("exit code", 84),
        ("pc", 88),
        ("register that the step overwrites", 108),
        ("step", 220),
        ("step limit", 221),
        ("text range", 229),
        ("memory root", 268),
        ("instruction leaf", 500),
        ("instruction proof, first sibling", 525),
        ("instruction proof, last sibling", 1292),
        ("data leaf", 1293 + 200),
        ("data proof, last sibling", WITNESS_SIZE_MAX - 1),
    ];
    let bent = bends.into_iter().map(|(name, at)| {
        let mut witness = store.clone();
        witness[at] ^= 1;
        Vector::new(&format!("bent {name}"), &witness, false)
    });
    let sizes = [
        ("no data leaf", store[..1293].to_vec()),
        ("no leaves", store[..269].to_vec()),
        ("a byte short", store[..WITNESS_SIZE_MAX - 1].to_vec()),
        ("a byte more", [&store[..], &[0]].concat()),
        ("a leaf that the step does not need", [&add[..], &store[1293..]].concat()),
        ("a third leaf", [&store[..], &store[1293..]].concat()),
        ("empty", vec![]),
    ];
    let sizes = sizes.into_iter().map(|(name, bytes)| Vector::new(name, &bytes, false));
    let vectors: Vec<Vector> = bent.chain(sizes).collect();
    for vector in &vectors {
        let bytes = vector.bytes().map_err(|error| error.to_string())?;
        if verify_step(&bytes).is_ok() {
            return Err(format!("{} verifies", vector.name));
        }
    }
    Ok(vectors)
}
