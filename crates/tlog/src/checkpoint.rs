//! Checkpoints: a log's size and root, signed by it and cosigned by those who saw it grow.

use assay_types::Hash;

use crate::key::{KeyKind, NoteKey, Vkey};
use crate::note::{NOTE_SIGNATURES_MAX, Note, SignatureLine};

/// The most entries a tree has here, so that no arithmetic on sizes can overflow.
pub const TREE_SIZE_MAX: u64 = 1 << 48;

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
        let note = Note::from_bytes(note).ok_or(CheckpointError::Form)?;
        let checkpoint = Checkpoint::from_text(note.text)?;
        if checkpoint.origin != self.log.name() {
            let expected = self.log.name().to_owned();
            return Err(CheckpointError::Origin { expected, found: checkpoint.origin });
        }
        let good = self.verify(&note)?;
        let by = |key: &Vkey| good.iter().find(|(signer, _)| *signer == key).map(|(_, line)| *line);
        let own = by(&self.log).ok_or_else(|| CheckpointError::Unsigned(self.log.to_string()))?;
        let signed = signed(note.text, own);
        let cosignatures = self.witnesses.iter().filter_map(|key| {
            let line = by(key)?;
            let (time, _) = line.signature.split_first_chunk()?;
            Some(Cosignature {
                witness: key.name().to_owned(),
                time_secs: u64::from_be_bytes(*time),
                line: line.to_text().into_bytes(),
            })
        });
        let cosignatures: Vec<_> = cosignatures.collect();
        if cosignatures.len() < self.quorum {
            let (quorum, found) = (self.quorum, cosignatures.len());
            return Err(CheckpointError::Quorum { quorum, found });
        }
        Ok(Opened { checkpoint, note: signed, cosignatures })
    }

    /// The lines of known keys, each key's first; lines of others may say what they like.
    fn verify<'a>(
        &'a self,
        note: &'a Note<'_>,
    ) -> Result<Vec<(&'a Vkey, &'a SignatureLine)>, CheckpointError> {
        let known = self.witnesses.iter().chain([&self.log]);
        let known: Vec<(&Vkey, u32)> = known.map(|key| (key, key.id())).collect();
        let mut good: Vec<(&Vkey, &SignatureLine)> = Vec::new();
        for line in &note.lines {
            let mut keys =
                known.iter().filter(|(key, id)| key.name() == line.name && *id == line.id);
            let Some((key, _)) = keys.next() else { continue };
            // Two known keys of one name and ID: nobody can say whose line it is.
            if keys.next().is_some() {
                return Err(CheckpointError::Form);
            }
            if good.iter().any(|(signer, _)| signer == key) {
                continue;
            }
            if !verifies(key, note.text, &line.signature) {
                return Err(CheckpointError::Signature(line.name.clone()));
            }
            good.push((key, line));
        }
        Ok(good)
    }
}

impl Checkpoint {
    /// What a note says, whoever has signed it: for a reader that knows no key.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Form`], [`CheckpointError::Size`].
    pub fn unverified(note: &[u8]) -> Result<Self, CheckpointError> {
        Self::from_text(Note::from_bytes(note).ok_or(CheckpointError::Form)?.text)
    }

    pub(crate) fn from_text(text: &str) -> Result<Self, CheckpointError> {
        let parsed = tlog_tiles::Checkpoint::from_bytes(text.as_bytes());
        let parsed = parsed.map_err(|_| CheckpointError::Form)?;
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

    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, tlog_tiles::Hash(self.root.0))
    }

    /// The checkpoint as a note that the log has signed.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Form`] if the origin can't be written.
    pub(crate) fn sign(&self, key: &NoteKey) -> Result<Vec<u8>, CheckpointError> {
        let text = self.text();
        if text.chars().any(|c| c < ' ' && c != '\n') {
            return Err(CheckpointError::Form);
        }
        Ok(signed(&text, &line(key.vkey(), key.sign(text.as_bytes()).to_vec())?))
    }

    /// A witness's cosignature: a note's signature line, line feed included.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Form`] if the witness's name can't be written.
    pub(crate) fn cosign(&self, key: &NoteKey, time_secs: u64) -> Result<Vec<u8>, CheckpointError> {
        let signature = key.sign(&cosigned(time_secs, &self.text()));
        let stamped = [&time_secs.to_be_bytes()[..], &signature].concat();
        Ok(line(key.vkey(), stamped)?.to_text().into_bytes())
    }
}

/// A note of one signature.
fn signed(text: &str, line: &SignatureLine) -> Vec<u8> {
    format!("{text}\n{}", line.to_text()).into_bytes()
}

fn line(key: &Vkey, signature: Vec<u8>) -> Result<SignatureLine, CheckpointError> {
    SignatureLine::new(key.name(), key.id(), signature).ok_or(CheckpointError::Form)
}

fn cosigned(time_secs: u64, text: &str) -> Vec<u8> {
    format!("{COSIGNATURE}{time_secs}\n{text}").into_bytes()
}

fn verifies(key: &Vkey, text: &str, signature: &[u8]) -> bool {
    match key.kind() {
        KeyKind::Log => {
            signature.try_into().is_ok_and(|signature| key.verifies(text.as_bytes(), signature))
        }
        KeyKind::Witness => signature.split_first_chunk().is_some_and(|(time, signature)| {
            let message = cosigned(u64::from_be_bytes(*time), text);
            signature.try_into().is_ok_and(|signature| key.verifies(&message, signature))
        }),
    }
}
