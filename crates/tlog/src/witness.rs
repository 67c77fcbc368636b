//! A witness: cosigns a log's checkpoint only if it goes on from the last one that it cosigned
//! (c2sp.org/tlog-witness).

use std::fmt::Write;

use assay_types::Hash;
use sha2::{Digest, Sha256};

use crate::checkpoint::{Checkpoint, CheckpointError, Opened, Policy};
use crate::key::{KeyKind, NoteKey, Vkey};
use crate::proof::{CONSISTENCY_MAX, check_consistency, read_hashes};
use crate::storage::{Storage, StorageError};

/// A witness of some logs.
pub struct Witness<S> {
    storage: S,
    key: NoteKey,
    logs: Vec<Policy>,
}

/// What a witness is asked: the body of `POST /add-checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the witness has cosigned last, as the asker believes.
    pub old_size: u64,
    /// That the checkpoint goes on from there.
    pub consistency: Vec<Hash>,
    /// The checkpoint, signed by the log.
    pub checkpoint: Vec<u8>,
}

/// Why a witness does not cosign. The status of each over HTTP is the specification's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// The request is none (400).
    #[error("the request is no add-checkpoint (c2sp.org/tlog-witness)")]
    Form,
    /// The log is none of its own (404).
    #[error("the log {0} is unknown to this witness; its operator must add the log's key")]
    UnknownLog(String),
    /// The log's key has not signed (403).
    #[error("the checkpoint is refused: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The old size is above the new (400).
    #[error("the old size is above the checkpoint's")]
    Shrinks,
    /// Another size was cosigned last (409): ask again from there. A log that has no such size was
    /// rolled back.
    #[error("this witness has cosigned {size} entries; prove consistency from there")]
    Stale {
        /// The size that was cosigned last.
        size: u64,
    },
    /// Another tree of the same size was cosigned (409): the log has forked.
    #[error("this witness has cosigned another tree of {size} entries: the log has forked")]
    Forked {
        /// The size.
        size: u64,
    },
    /// The checkpoint does not go on from the last one (422).
    #[error("the checkpoint does not go on from the one of {size} entries that was cosigned")]
    Inconsistent {
        /// The size that was cosigned last.
        size: u64,
    },
    /// What was cosigned last can't be read (500): nothing is cosigned until it can.
    #[error("what was cosigned last is damaged; restore it, or the witness could cosign a fork")]
    Damaged,
    /// The storage failed (500).
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl WitnessError {
    /// The status over HTTP.
    pub fn status(&self) -> u16 {
        match self {
            WitnessError::Form
            | WitnessError::Shrinks
            | WitnessError::Checkpoint(CheckpointError::Form) => 400,
            WitnessError::Checkpoint(_) => 403,
            WitnessError::UnknownLog(_) => 404,
            WitnessError::Stale { .. } | WitnessError::Forked { .. } => 409,
            WitnessError::Inconsistent { .. } => 422,
            WitnessError::Damaged | WitnessError::Storage(_) => 500,
        }
    }
}

impl<S: Storage> Witness<S> {
    /// A witness with a key, of the logs whose keys these are.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Policy`] for keys of the wrong kind.
    pub fn new(storage: S, key: NoteKey, logs: Vec<Vkey>) -> Result<Self, CheckpointError> {
        if key.vkey().kind() != KeyKind::Witness {
            return Err(CheckpointError::Policy("a log's key and a witness's are mixed up"));
        }
        let logs = logs.into_iter().map(Policy::of_log).collect::<Result<_, _>>()?;
        Ok(Self { storage, key, logs })
    }

    /// Its key.
    pub fn vkey(&self) -> &Vkey {
        self.key.vkey()
    }

    /// Cosigns a checkpoint. What it cosigns is durable before it answers, and takes the last one's
    /// place in one step: of two trees that do not go on from each other, one at most is cosigned,
    /// whatever crashes.
    ///
    /// Gives the signature line, line feed included.
    ///
    /// # Errors
    ///
    /// [`WitnessError`].
    pub fn add_checkpoint(&self, request: &[u8], now_secs: u64) -> Result<Vec<u8>, WitnessError> {
        let asked = AddCheckpoint::from_bytes(request)?;
        let origin = asked.checkpoint.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let log = self.logs.iter().find(|log| log.log().name().as_bytes() == origin);
        let unknown = || WitnessError::UnknownLog(String::from_utf8_lossy(origin).into_owned());
        let log = log.ok_or_else(unknown)?;
        let Opened { checkpoint: new, note: signed, .. } = log.open(&asked.checkpoint)?;
        if asked.old_size > new.size {
            return Err(WitnessError::Shrinks);
        }
        let name = place(&new.origin);
        let stored = self.storage.get(&name)?;
        let last = match &stored {
            None => None,
            Some(note) => Some(log.open(note).map_err(|_| WitnessError::Damaged)?.checkpoint),
        };
        self.compare(&asked, &new, last.as_ref())?;
        let line = new.cosign(&self.key, now_secs)?;
        // Not the note that was sent: whoever sends may have added signatures of unknown keys, and
        // one line more than a note may have would be what nobody can read again.
        let note = [signed, line.clone()].concat();
        if self.storage.replace(&name, stored.as_deref(), &note)? {
            Ok(line)
        } else {
            // Another request was faster. The asker learns from which size to go on.
            Err(WitnessError::Stale { size: new.size })
        }
    }

    fn compare(
        &self,
        asked: &AddCheckpoint,
        new: &Checkpoint,
        last: Option<&Checkpoint>,
    ) -> Result<(), WitnessError> {
        let size = last.map_or(0, |last| last.size);
        if asked.old_size != size {
            return Err(WitnessError::Stale { size });
        }
        let old_root = last.map_or(crate::EMPTY_ROOT, |last| last.root);
        if size == new.size && old_root != new.root {
            return Err(WitnessError::Forked { size });
        }
        check_consistency(&asked.consistency, new.size, new.root, size, old_root)
            .map_err(|_| WitnessError::Inconsistent { size })
    }
}

/// Where the last cosigned checkpoint of a log is: by a hash, since an origin may hold anything.
fn place(origin: &str) -> String {
    format!("witness/{}", hex::encode(Sha256::digest(origin)))
}

impl AddCheckpoint {
    /// The request's body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("old {}\n", self.old_size);
        for hash in &self.consistency {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}", tlog_tiles::Hash(hash.0));
        }
        text.push('\n');
        [text.as_bytes(), &self.checkpoint].concat()
    }

    /// Reads a request's body.
    ///
    /// # Errors
    ///
    /// [`WitnessError::Form`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WitnessError> {
        let end = bytes.windows(2).position(|pair| pair == b"\n\n").ok_or(WitnessError::Form)?;
        let (head, checkpoint) = (&bytes[..end], &bytes[end + 2..]);
        let head = std::str::from_utf8(head).map_err(|_| WitnessError::Form)?;
        let mut lines = head.split('\n');
        let old_size = lines.next().and_then(|line| line.strip_prefix("old ")?.parse().ok());
        let old_size = old_size.ok_or(WitnessError::Form)?;
        let consistency = read_hashes(lines, CONSISTENCY_MAX).ok_or(WitnessError::Form)?;
        let asked = Self { old_size, consistency, checkpoint: checkpoint.to_vec() };
        // A size has one form: no leading zero, no plus.
        if asked.to_bytes() == bytes { Ok(asked) } else { Err(WitnessError::Form) }
    }
}
