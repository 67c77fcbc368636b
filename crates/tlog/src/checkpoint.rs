//! Checkpoints: a log's size and root, signed by it and cosigned by those who saw it grow.

use assay_types::Hash;
use signed_note::{Note, NoteError, VerifierList};

use crate::key::{KeyKind, NoteKey, Vkey};

/// The most entries a tree has here, so that no arithmetic on sizes can overflow.
pub const TREE_SIZE_MAX: u64 = 1 << 48;

/// The most signatures that a note is read with: what `signed_note` takes (c2sp.org/signed-note).
pub const NOTE_SIGNATURES_MAX: usize = 100;

/// What a witness signs before the checkpoint's own text (c2sp.org/tlog-cosignature).
const COSIGNATURE: &str = "cosignature/v1\ntime ";

/// A log's size and root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log, by the name of its key.
    pub origin: String,
    /// How many entries it has, at most [`TREE_SIZE_MAX`].
    pub size: u64,
    /// Its RFC 6962 root.
    pub root: Hash,
}

/// Who must have signed a checkpoint.
#[derive(Clone, Debug)]
pub struct Policy {
    log: Vkey,
    witnesses: Vec<Vkey>,
    quorum: usize,
}

/// A checkpoint whose signatures are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The note with the log's signature alone: what others have added to it is not kept.
    pub note: Vec<u8>,
    /// Which of the known witnesses have cosigned it, in the order of the policy.
    pub cosignatures: Vec<Cosignature>,
}

/// That a witness has seen a checkpoint, and all before it, consistent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// The witness's name.
    pub witness: String,
    /// When, in Unix seconds, by its clock.
    pub time_secs: u64,
    /// Its line in the note, line feed included.
    pub line: Vec<u8>,
}

/// Why a checkpoint is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It is no signed note, or its text is no checkpoint.
    #[error("it is no signed checkpoint (c2sp.org/tlog-checkpoint)")]
    Form,
    /// The tree is larger than any that is read here.
    #[error("it speaks of {0} entries, more than a log has")]
    Size(u64),
    /// It is another log's.
    #[error("it is of the log {found}, not of {expected}")]
    Origin {
        /// Whose it should be.
        expected: String,
        /// Whose it says it is.
        found: String,
    },
    /// The log's key has not signed it.
    #[error("the log's key {0} has not signed it")]
    Unsigned(String),
    /// A signature of a known key is wrong.
    #[error("the signature of {0} does not belong to it")]
    Signature(String),
    /// Fewer known witnesses than asked for.
    #[error("{found} of the known witnesses have cosigned it; {quorum} must")]
    Quorum {
        /// How many must.
        quorum: usize,
        /// How many have.
        found: usize,
    },
    /// A policy that nobody could mean: kinds mixed up, a key twice, a quorum that can't be
    /// reached.
    #[error("the policy is no good: {0}")]
    Policy(&'static str),
}

impl Policy {
    /// The log's key, the witnesses' keys, and how many of them must have cosigned.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Policy`].
    pub fn new(log: Vkey, witnesses: Vec<Vkey>, quorum: usize) -> Result<Self, CheckpointError> {
        if log.kind() != KeyKind::Log || witnesses.iter().any(|key| key.kind() != KeyKind::Witness)
        {
            return Err(CheckpointError::Policy("a log's key and a witness's are mixed up"));
        }
        // One witness under two names must not count twice.
        let mut keys: Vec<_> = witnesses.iter().map(Vkey::bytes).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.len() != witnesses.len() {
            return Err(CheckpointError::Policy("a witness's key is there twice"));
        }
        // The log signs too.
        if witnesses.len() >= NOTE_SIGNATURES_MAX {
            return Err(CheckpointError::Policy("a note has no room for so many signatures"));
        }
        if quorum > witnesses.len() {
            return Err(CheckpointError::Policy("the quorum is above the number of witnesses"));
        }
        Ok(Self { log, witnesses, quorum })
    }

    /// The log's key alone.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Policy`] for a key that is a witness's.
    pub fn of_log(log: Vkey) -> Result<Self, CheckpointError> {
        Self::new(log, Vec::new(), 0)
    }

    /// The log's key.
    pub fn log(&self) -> &Vkey {
        &self.log
    }

    /// How many witnesses must have cosigned.
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// Checks a signed checkpoint.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`].
    pub fn open(&self, note: &[u8]) -> Result<Opened, CheckpointError> {
        let parsed = Note::from_bytes(note).map_err(|_| CheckpointError::Form)?;
        let checkpoint = Checkpoint::from_text(parsed.text())?;
        if checkpoint.origin != self.log.name() {
            let expected = self.log.name().to_owned();
            return Err(CheckpointError::Origin { expected, found: checkpoint.origin });
        }
        let keys = self.witnesses.iter().chain([&self.log]);
        let known = keys.map(|key| -> Box<dyn signed_note::Verifier> {
            Box::new(Verifier { key: key.clone(), id: key.id() })
        });
        let (good, _) = match parsed.verify(&VerifierList::new(known.collect())) {
            Ok(signatures) => signatures,
            Err(NoteError::InvalidSignature { name, .. }) => {
                return Err(CheckpointError::Signature(name));
            }
            Err(NoteError::UnverifiedNote) => (Vec::new(), Vec::new()),
            Err(_) => return Err(CheckpointError::Form),
        };
        let by =
            |key: &Vkey| good.iter().find(|one| one.name() == key.name() && one.id() == key.id());
        let own = by(&self.log).ok_or_else(|| CheckpointError::Unsigned(self.log.to_string()))?;
        let own = std::slice::from_ref(own);
        let note = Note::new(parsed.text(), own).map_err(|_| CheckpointError::Form)?.to_bytes();
        let cosignatures = self.witnesses.iter().filter_map(|key| {
            let signature = by(key)?;
            let (time, _) = signature.signature().split_first_chunk()?;
            Some(Cosignature {
                witness: key.name().to_owned(),
                time_secs: u64::from_be_bytes(*time),
                line: signature.to_bytes(),
            })
        });
        let cosignatures: Vec<_> = cosignatures.collect();
        if cosignatures.len() < self.quorum {
            let (quorum, found) = (self.quorum, cosignatures.len());
            return Err(CheckpointError::Quorum { quorum, found });
        }
        Ok(Opened { checkpoint, note, cosignatures })
    }
}

impl Checkpoint {
    /// What a note says, whoever has signed it: for a reader that knows no key.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Form`], [`CheckpointError::Size`].
    pub fn unverified(note: &[u8]) -> Result<Self, CheckpointError> {
        let note = Note::from_bytes(note).map_err(|_| CheckpointError::Form)?;
        Self::from_text(note.text())
    }

    pub(crate) fn from_text(text: &[u8]) -> Result<Self, CheckpointError> {
        let parsed = tlog_tiles::Checkpoint::from_bytes(text).map_err(|_| CheckpointError::Form)?;
        let checkpoint = Checkpoint {
            origin: parsed.origin().to_owned(),
            size: parsed.size(),
            root: Hash(parsed.hash().0),
        };
        if checkpoint.size > TREE_SIZE_MAX {
            return Err(CheckpointError::Size(checkpoint.size));
        }
        // Extensions and other ways to write the same are nobody's need, and one text has one
        // meaning.
        if checkpoint.text() == text { Ok(checkpoint) } else { Err(CheckpointError::Form) }
    }

    fn text(&self) -> Vec<u8> {
        format!("{}\n{}\n{}\n", self.origin, self.size, tlog_tiles::Hash(self.root.0)).into_bytes()
    }

    /// The checkpoint as a note that the log has signed.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Form`] if the origin can't be written.
    pub(crate) fn sign(&self, key: &NoteKey) -> Result<Vec<u8>, CheckpointError> {
        let text = self.text();
        let signature = key.sign(&text).to_vec();
        let signature = line(key.vkey(), signature)?;
        let note = Note::new(&text, &[signature]).map_err(|_| CheckpointError::Form)?;
        Ok(note.to_bytes())
    }

    /// A witness's cosignature: a note's signature line, line feed included.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Form`] if the witness's name can't be written.
    pub(crate) fn cosign(&self, key: &NoteKey, time_secs: u64) -> Result<Vec<u8>, CheckpointError> {
        let signature = key.sign(&cosigned(time_secs, &self.text()));
        let stamped = [&time_secs.to_be_bytes()[..], &signature].concat();
        Ok(line(key.vkey(), stamped)?.to_bytes())
    }
}

fn line(key: &Vkey, signature: Vec<u8>) -> Result<signed_note::Signature, CheckpointError> {
    let line = signed_note::Signature::new(key.name().to_owned(), key.id(), signature);
    line.map_err(|_| CheckpointError::Form)
}

fn cosigned(time_secs: u64, text: &[u8]) -> Vec<u8> {
    [format!("{COSIGNATURE}{time_secs}\n").as_bytes(), text].concat()
}

struct Verifier {
    key: Vkey,
    id: u32,
}

impl signed_note::Verifier for Verifier {
    fn name(&self) -> &str {
        self.key.name()
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self.key.kind() {
            KeyKind::Log => {
                signature.try_into().is_ok_and(|signature| self.key.verifies(message, signature))
            }
            KeyKind::Witness => signature.split_first_chunk().is_some_and(|(time, signature)| {
                let message = cosigned(u64::from_be_bytes(*time), message);
                signature.try_into().is_ok_and(|signature| self.key.verifies(&message, signature))
            }),
        }
    }
}
