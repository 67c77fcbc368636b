//! Checking a whole log.

use assay_types::Hash;

use crate::Error;
use crate::checkpoint::{Checkpoint, CheckpointError, Policy};
use crate::log::{CHECKPOINT, COSIGNED};
use crate::storage::{Storage, StorageError};
use crate::tile::{Reader, TILE_WIDTH, TileName, split_bundle, tile_bytes};
use crate::tree::{EMPTY_ROOT, Frontier, leaf_hash};

/// A tree that the log is known to have had: from a witness, an anchor, a receipt.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Who says so.
    pub source: String,
    /// How many entries it had.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The newest checkpoint, if it is good.
    pub checkpoint: Option<Checkpoint>,
    /// Entries that were read and are those that were logged.
    pub entries: u64,
    /// Tiles of hashes that were recomputed from the entries and are the same.
    pub tiles: u64,
    /// Known trees that the log still goes on from.
    pub known: u64,
    /// How many entries the stored cosigned checkpoint speaks of; none if there is none, or no good
    /// one.
    pub cosigned: Option<u64>,
    /// Everything that is wrong; empty for a sound log.
    pub faults: Vec<Fault>,
}

/// Something that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// There is no checkpoint.
    #[error("there is no checkpoint: this is no log, or its newest state is lost")]
    NoCheckpoint,
    /// A checkpoint's signatures are not good.
    #[error("{name} is refused: {error}")]
    Checkpoint {
        /// Which of the stored ones.
        name: &'static str,
        /// Why.
        error: CheckpointError,
    },
    /// The policy asks for cosignatures and none are stored: nobody need have seen this history.
    #[error("there is no cosigned checkpoint; {quorum} of the known witnesses must have cosigned")]
    NotCosigned {
        /// How many must.
        quorum: usize,
    },
    /// Something that the checkpoint speaks of is not there: the log was truncated.
    #[error("{name} is missing: the log was truncated")]
    Missing {
        /// The tile or bundle.
        name: String,
    },
    /// An entry or a hash was changed.
    #[error("{name} is not what was logged")]
    Changed {
        /// The tile or bundle.
        name: String,
    },
    /// The entries do not have the checkpoint's root.
    #[error("the entries do not have the checkpoint's root")]
    Root,
    /// A known tree was larger than the log is now.
    #[error("{source_name} knows {size} entries and the log has {now}: it was rolled back")]
    RolledBack {
        /// Who knows.
        source_name: String,
        /// How many entries there were.
        size: u64,
        /// How many there are.
        now: u64,
    },
    /// A known tree of the same size has another root.
    #[error("{source_name} knows another tree of {size} entries: the log has forked")]
    Forked {
        /// Who knows.
        source_name: String,
        /// The tree's size.
        size: u64,
    },
}

/// Reads a whole log and checks it: signatures, every entry, every tile, the root, and that it goes
/// on from each tree that it is known to have had (`known`, and the stored cosigned checkpoint).
/// Memory does not grow with the log.
///
/// # Errors
///
/// [`StorageError`] if it can't be read; what is wrong with it is in the report.
pub fn fsck<S: Storage>(
    storage: &S,
    policy: &Policy,
    known: &[Known],
) -> Result<Report, StorageError> {
    let mut report = Report {
        checkpoint: None,
        entries: 0,
        tiles: 0,
        known: 0,
        cosigned: None,
        faults: Vec::new(),
    };
    // Before the newest, which a log that is written to meanwhile must not overtake.
    let cosigned = storage.get(COSIGNED)?;
    let Some(note) = storage.get(CHECKPOINT)? else {
        report.faults.push(Fault::NoCheckpoint);
        return Ok(report);
    };
    // The newest need not be cosigned yet; that is what the other is for.
    let log_alone = Policy::of_log(policy.log().clone());
    let checkpoint = match log_alone.and_then(|log| log.open(&note)) {
        Ok(opened) => opened.checkpoint,
        Err(error) => {
            report.faults.push(Fault::Checkpoint { name: CHECKPOINT, error });
            return Ok(report);
        }
    };
    let mut known = known.to_vec();
    match cosigned.map(|note| policy.open(&note)) {
        Some(Ok(opened)) => {
            let Checkpoint { size, root, .. } = opened.checkpoint;
            report.cosigned = Some(size);
            known.push(Known { source: "the cosigned checkpoint".into(), size, root });
        }
        Some(Err(error)) => report.faults.push(Fault::Checkpoint { name: COSIGNED, error }),
        None if policy.quorum() == 0 => {}
        None => report.faults.push(Fault::NotCosigned { quorum: policy.quorum() }),
    }
    known.sort_by_key(|tree| tree.size);
    walk(storage, &checkpoint, &known, &mut report)?;
    // Also of a log that could not be read to its end.
    let now = checkpoint.size;
    let larger = known.into_iter().filter(|tree| tree.size > now);
    report.faults.extend(larger.map(|tree| Fault::RolledBack {
        source_name: tree.source,
        size: tree.size,
        now,
    }));
    report.checkpoint = Some(checkpoint);
    Ok(report)
}

fn walk<S: Storage>(
    storage: &S,
    checkpoint: &Checkpoint,
    known: &[Known],
    report: &mut Report,
) -> Result<(), StorageError> {
    let reader = Reader::new(storage, checkpoint);
    let mut frontier = Frontier::default();
    let mut known = known.iter().peekable();
    let mut tiles: Vec<(TileName, Vec<Hash>)> = Vec::new();
    loop {
        let size = frontier.size();
        while let Some(tree) = known.next_if(|tree| tree.size == size) {
            let root = if size == 0 { EMPTY_ROOT } else { frontier.root() };
            if tree.root == root {
                report.known += 1;
            } else {
                let source_name = tree.source.clone();
                report.faults.push(Fault::Forked { source_name, size });
            }
        }
        if size == checkpoint.size {
            break;
        }
        // Up to the next bundle's end, or the next known tree within it.
        let bundle_end = ((size / TILE_WIDTH as u64) + 1) * TILE_WIDTH as u64;
        let next_known = known.peek().map_or(u64::MAX, |tree| tree.size);
        let end = bundle_end.min(checkpoint.size).min(next_known);
        let number = size / TILE_WIDTH as u64;
        let whole = checkpoint.size.min(bundle_end) - number * TILE_WIDTH as u64;
        let name = match whole as usize {
            TILE_WIDTH => TileName::full(0, number),
            width => TileName::partial(0, number, width as u16),
        };
        let bundle = match reader.object(name.entries()) {
            Ok(bundle) => bundle,
            Err(Error::Storage(error)) => return Err(error),
            Err(_) => {
                report.faults.push(Fault::Missing { name: name.entries().to_string() });
                return Ok(());
            }
        };
        let entries = split_bundle(&bundle).unwrap_or_default();
        let place = |index: u64| (index - number * TILE_WIDTH as u64) as usize;
        let Some(entries) = entries.get(place(size)..place(end - 1) + 1) else {
            report.faults.push(Fault::Changed { name: name.entries().to_string() });
            return Ok(());
        };
        for entry in entries {
            frontier
                .push(leaf_hash(entry), &mut |tile, hashes| tiles.push((tile, hashes.to_vec())));
            report.entries += 1;
        }
        for (tile, hashes) in tiles.drain(..) {
            compare(&reader, tile, &hashes, report)?;
        }
    }
    for (tile, hashes) in frontier.partial_tiles() {
        compare(&reader, tile, hashes, report)?;
    }
    if frontier.root() != checkpoint.root {
        report.faults.push(Fault::Root);
    }
    Ok(())
}

fn compare<S: Storage>(
    reader: &Reader<'_, S>,
    tile: TileName,
    hashes: &[Hash],
    report: &mut Report,
) -> Result<(), StorageError> {
    match reader.object(tile) {
        Ok(bytes) if bytes == tile_bytes(hashes) => report.tiles += 1,
        Ok(_) => report.faults.push(Fault::Changed { name: tile.to_string() }),
        Err(Error::Storage(error)) => return Err(error),
        Err(_) => report.faults.push(Fault::Missing { name: tile.to_string() }),
    }
    Ok(())
}
