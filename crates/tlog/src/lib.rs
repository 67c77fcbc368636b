//! A transparency log: entries in the order in which they came, under one root that only grows.
//!
//! The formats are C2SP's, so that others' tools read them:
//! [tlog-tiles](https://c2sp.org/tlog-tiles) for what is stored,
//! [tlog-checkpoint](https://c2sp.org/tlog-checkpoint) for the signed root,
//! [tlog-cosignature](https://c2sp.org/tlog-cosignature) and
//! [tlog-witness](https://c2sp.org/tlog-witness) for who saw it grow,
//! [tlog-proof](https://c2sp.org/tlog-proof) for what goes into a receipt. Ours are the rules of
//! spec/log.md. No I/O, clock or randomness: a [`Storage`] and the time are handed in.

mod checkpoint;
mod error;
mod fsck;
mod key;
mod log;
mod note;
mod proof;
mod proof_set;
mod storage;
mod tile;
mod tree;
mod witness;

pub use checkpoint::{Checkpoint, CheckpointError, Cosignature, Opened, Policy, TREE_SIZE_MAX};
pub use error::{Error, Result};
pub use fsck::{Fault, Known, Report, fsck};
pub use key::{KeyError, KeyKind, NoteKey, Vkey};
pub use log::{Added, CHECKPOINT, COSIGNED, ENTRY_BYTES_MAX, Log};
pub use note::NOTE_SIGNATURES_MAX;
pub use proof::{LogProof, ProofError, check_consistency, check_inclusion};
pub use proof_set::ProofSet;
pub use storage::{Storage, StorageError};
pub use tile::{Reader, TILE_WIDTH, TileName, split_bundle};
pub use tree::{EMPTY_ROOT, Frontier, leaf_hash};
pub use witness::{AddCheckpoint, Witness, WitnessError};
