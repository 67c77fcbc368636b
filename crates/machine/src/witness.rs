//! Step witnesses: one step, shown to a stranger (spec/machine.md#witnesses).

use assay_merkle::{LEAF_SIZE, Leaf, MemoryProof};
use assay_types::{Hash, MemoryRoot, StateHash, Tag, sha256, sha256_leaf};

use crate::execute::{
    Bus, Stop, TrapCause, check_load, check_store, execute, registers, state_registers,
};
use crate::isa::Instruction;
use crate::memory::{read, write};
use crate::state::{STATE_SIZE, State, StateError, TextRange};

const TAG: Tag = *b"assayw\x01\x01";
const HEADER_SIZE: usize = 72;
const OPENING_SIZE: usize = LEAF_SIZE as usize + MemoryProof::SIZE;

/// The size of the largest witness in bytes: 2,317.
pub const WITNESS_SIZE_MAX: usize = HEADER_SIZE + STATE_SIZE + 2 * OPENING_SIZE;

/// A leaf and its proof in the memory root of the state before: 1,024 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The leaf's bytes.
    pub leaf: Leaf,
    /// Its siblings.
    pub proof: MemoryProof,
}

/// What it takes to redo one step. Its parts are claims until [`verify_step`] has checked its
/// bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    before: StateHash,
    after: StateHash,
    state: State,
    /// The instruction's leaf, then the data's; a step needs none, one or both.
    openings: Vec<Opening>,
}

/// What a witness proves: a step from the first state leads to the second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedStep {
    /// Hash of the state before.
    pub before: StateHash,
    /// Hash of the state after.
    pub after: StateHash,
    /// The state before.
    pub state_before: State,
    /// The state after.
    pub state_after: State,
    /// The instruction, if one was fetched.
    pub instruction: Option<Instruction>,
    /// Why it trapped, if it did.
    pub trap: Option<TrapCause>,
}

/// Why a witness proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// The first eight bytes are not the tag of a witness, version 1, suite 1.
    #[error("not a step witness of a known version")]
    Tag,
    /// The bytes are more or fewer than the step needs.
    #[error("a witness of {0} bytes does not fit its step: it takes 269, 1293 or 2317")]
    Size(usize),
    /// The state before is not valid.
    #[error("the state before the step is not valid")]
    State(#[from] StateError),
    /// The preimage does not hash to the state before.
    #[error("the preimage does not hash to the state before the step")]
    Before,
    /// The instruction's leaf is not in the memory root.
    #[error("the instruction's leaf is not in the memory of the state before")]
    InstructionProof,
    /// The data's leaf is not in the memory root.
    #[error("the data leaf is not in the memory of the state before")]
    DataProof,
    /// The step leads to another state than the witness says.
    #[error("the step does not lead to the state after")]
    After,
}

impl Witness {
    /// Builds the witness of the step from a state whose memory can be opened at any address.
    pub(crate) fn build(state: State, open: impl Fn(u32) -> Opening) -> Self {
        let mut openings = Vec::new();
        if !state.cpu.status.is_final() && state.cpu.text.contains(state.cpu.pc) {
            let code = open(state.cpu.pc);
            let instruction = instruction_in(&code.leaf, state.cpu.pc);
            openings.push(code);
            openings.extend(data_address(&state, instruction).map(open));
        }
        let step = take_step(&state, &openings);
        let step = step.unwrap_or_else(|error| unreachable!("built to verify: {error}"));
        Witness { before: state.hash(), after: step.state_after.hash(), state, openings }
    }

    /// Hash of the state before the step.
    pub fn before(&self) -> StateHash {
        self.before
    }

    /// Hash of the state after the step.
    pub fn after(&self) -> StateHash {
        self.after
    }

    /// The witness as bytes: 269, 1,293 or 2,317.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(WITNESS_SIZE_MAX);
        bytes.extend(TAG);
        bytes.extend(self.before.0.0);
        bytes.extend(self.after.0.0);
        bytes.extend(self.state.to_bytes());
        for opening in &self.openings {
            bytes.extend(opening.leaf);
            bytes.extend(opening.proof.to_bytes());
        }
        bytes
    }

    /// Does the step that bytes 72 onwards of a witness describe, as a contract does: it knows the
    /// hashes from elsewhere.
    pub fn step(bytes: &[u8]) -> Result<VerifiedStep, WitnessError> {
        let (state, openings) = parse_step(bytes)?;
        take_step(&state, &openings)
    }

    /// Reads a witness without judging it.
    fn from_bytes(bytes: &[u8]) -> Result<Self, WitnessError> {
        let size = || WitnessError::Size(bytes.len());
        let rest = bytes.strip_prefix(&TAG).ok_or(WitnessError::Tag)?;
        let (before, rest) = rest.split_first_chunk().ok_or_else(size)?;
        let (after, rest) = rest.split_first_chunk().ok_or_else(size)?;
        let (state, openings) = parse_step(rest)?;
        let [before, after] = [before, after].map(|hash| StateHash(Hash(*hash)));
        Ok(Witness { before, after, state, openings })
    }
}

/// Reads a state's preimage and the openings after it.
fn parse_step(bytes: &[u8]) -> Result<(State, Vec<Opening>), WitnessError> {
    let size = || WitnessError::Size(HEADER_SIZE + bytes.len());
    let (state, rest) = bytes.split_first_chunk().ok_or_else(size)?;
    let (openings, rest) = rest.as_chunks::<OPENING_SIZE>();
    if !rest.is_empty() {
        return Err(size());
    }
    let openings = openings.iter().map(|bytes| Opening::from_bytes(bytes).ok_or_else(size));
    Ok((State::from_bytes(state)?, openings.collect::<Result<_, _>>()?))
}

/// Checks a witness (269, 1,293 or 2,317 bytes) and needs nothing else. What it proves is relative:
/// that the state before is that of some run at some step is for the caller to know, by a trace.
pub fn verify_step(witness: &[u8]) -> Result<VerifiedStep, WitnessError> {
    let Witness { before, after, state, openings } = Witness::from_bytes(witness)?;
    if StateHash(sha256(&witness[HEADER_SIZE..HEADER_SIZE + STATE_SIZE])) != before {
        return Err(WitnessError::Before);
    }
    let step = take_step(&state, &openings)?;
    if step.after != after {
        return Err(WitnessError::After);
    }
    Ok(step)
}

/// One step, with the leaves that it touches.
fn take_step(before: &State, openings: &[Opening]) -> Result<VerifiedStep, WitnessError> {
    let mut cpu = before.cpu.clone();
    let mut bus = LeafBus {
        root: before.memory_root,
        text: cpu.text,
        data: openings.get(1),
        used: 0,
        changed: None,
        error: None,
    };
    let (mut instruction, mut trap) = (None, None);
    if !cpu.status.is_final() {
        let outcome = if cpu.text.contains(cpu.pc) {
            let code = openings.first().ok_or_else(|| size_error(openings))?;
            if code.root(cpu.pc) != bus.root {
                return Err(WitnessError::InstructionProof);
            }
            bus.used = 1;
            let fetched = instruction_in(&code.leaf, cpu.pc);
            instruction = Some(fetched);
            let mut x = registers(&cpu.x);
            let outcome = execute(&fetched, cpu.pc, &mut x, &mut bus);
            cpu.x = state_registers(&x);
            outcome
        } else {
            Err(TrapCause::FetchOutsideText.into())
        };
        if let Err(Stop::Trap(cause)) = outcome {
            trap = Some(cause);
        }
        cpu.count(outcome);
    }
    if let Some(error) = bus.error {
        return Err(error.unwrap_or_else(|| size_error(openings)));
    }
    if bus.used != openings.len() {
        return Err(size_error(openings));
    }
    let state_after = State { cpu, memory_root: bus.changed.unwrap_or(bus.root) };
    Ok(VerifiedStep {
        before: before.hash(),
        after: state_after.hash(),
        state_before: before.clone(),
        state_after,
        instruction,
        trap,
    })
}

fn size_error(openings: &[Opening]) -> WitnessError {
    WitnessError::Size(HEADER_SIZE + STATE_SIZE + OPENING_SIZE * openings.len())
}

fn instruction_in(leaf: &Leaf, pc: u32) -> Instruction {
    Instruction::decode(read::<4>(leaf, pc))
}

/// The address that an instruction would read or write, if it gets so far.
fn data_address(state: &State, instruction: Instruction) -> Option<u32> {
    let mut probe = AddressProbe { text: state.cpu.text, address: None };
    // Only the probe's note counts: the registers are a copy, and a trap means no access.
    let _ = execute(&instruction, state.cpu.pc, &mut registers(&state.cpu.x), &mut probe);
    probe.address
}

/// Notes the address of the access that an instruction may make.
struct AddressProbe {
    text: TextRange,
    address: Option<u32>,
}

impl Bus for AddressProbe {
    fn load<const SIZE: u32>(&mut self, address: u32) -> Result<u32, TrapCause> {
        check_load::<SIZE>(address)?;
        self.address = Some(address);
        Ok(0)
    }

    fn store<const SIZE: u32>(&mut self, address: u32, _value: u32) -> Result<(), TrapCause> {
        check_store::<SIZE>(address, self.text)?;
        self.address = Some(address);
        Ok(())
    }
}

/// A memory of which one leaf is known.
struct LeafBus<'a> {
    root: MemoryRoot,
    text: TextRange,
    data: Option<&'a Opening>,
    /// How many openings the step needed.
    used: usize,
    changed: Option<MemoryRoot>,
    /// Why the leaf could not serve; the inner `None` says that there is none.
    error: Option<Option<WitnessError>>,
}

impl LeafBus<'_> {
    /// The data leaf, if it stands at the address.
    fn leaf_at(&mut self, address: u32) -> Option<Opening> {
        self.used = 2;
        match self.data {
            Some(data) if data.root(address) == self.root => Some(data.clone()),
            Some(_) => {
                self.error = Some(Some(WitnessError::DataProof));
                None
            }
            None => {
                self.error = Some(None);
                None
            }
        }
    }
}

impl Bus for LeafBus<'_> {
    fn load<const SIZE: u32>(&mut self, address: u32) -> Result<u32, TrapCause> {
        check_load::<SIZE>(address)?;
        Ok(self.leaf_at(address).map_or(0, |data| read::<SIZE>(&data.leaf, address)))
    }

    fn store<const SIZE: u32>(&mut self, address: u32, value: u32) -> Result<(), TrapCause> {
        check_store::<SIZE>(address, self.text)?;
        if let Some(mut data) = self.leaf_at(address) {
            write::<SIZE>(&mut data.leaf, address, value);
            self.changed = Some(data.root(address));
        }
        Ok(())
    }
}

impl Opening {
    /// The memory root in which the leaf holds the address.
    fn root(&self, address: u32) -> MemoryRoot {
        MemoryRoot(self.proof.root(sha256_leaf(&self.leaf), address / LEAF_SIZE))
    }

    fn from_bytes(bytes: &[u8; OPENING_SIZE]) -> Option<Self> {
        let (leaf, proof) = bytes.split_first_chunk()?;
        Some(Opening { leaf: *leaf, proof: MemoryProof::from_bytes(proof)? })
    }
}
