//! The one who appends.

use std::collections::BTreeMap;

use assay_types::Hash;

use crate::checkpoint::{Checkpoint, Policy};
use crate::key::NoteKey;
use crate::storage::Storage;
use crate::tile::{Reader, TILE_WIDTH, TILES, TileName, split_bundle, tile_bytes};
use crate::tree::{Frontier, leaf_hash};
use crate::{Error, Result, TREE_SIZE_MAX};

/// Where the newest checkpoint is, signed by the log.
pub const CHECKPOINT: &str = "checkpoint";

/// Where the newest checkpoint is that witnesses have cosigned.
pub const COSIGNED: &str = "cosigned";

/// The longest entry, in bytes: what a bundle's length field can say.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// Its place, for ever.
    pub index: u64,
    /// False if the same bytes were there already.
    pub is_new: bool,
}

/// A log open for appending.
///
/// Tiles are durable before the checkpoint that speaks of them, and the checkpoint before anyone is
/// told. So a crash at any line leaves the last checkpoint with all its tiles, and perhaps tiles
/// that nobody speaks of, which the next batch writes again.
pub struct Log<S> {
    storage: S,
    key: NoteKey,
    /// None after a failure, when only the storage knows what was written.
    state: Option<State>,
}

struct State {
    frontier: Frontier,
    /// The entries since the last full bundle, as a bundle has them.
    bundle: Vec<u8>,
    /// The newest checkpoint's note, as stored.
    note: Vec<u8>,
    /// Where each entry is, by its leaf hash.
    places: BTreeMap<Hash, u64>,
}

impl<S: Storage> Log<S> {
    /// Opens the log of a key, or begins it where there is none. Reads every leaf's hash, and
    /// checks them against the checkpoint.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn open(storage: S, key: NoteKey) -> Result<Self> {
        let state = load(&storage, &key)?;
        Ok(Log { storage, key, state: Some(state) })
    }

    /// Adds entries, each once: the same bytes keep the place that they have. All are durable when
    /// it returns, under a new checkpoint; after an error any of them may be there or not, and
    /// adding them again is harmless.
    ///
    /// # Errors
    ///
    /// [`Error::EntryLong`] before anything is written; [`Error`].
    pub fn add(&mut self, entries: &[Vec<u8>]) -> Result<Vec<Added>> {
        let long = entries.iter().map(Vec::len).find(|length| *length > ENTRY_BYTES_MAX);
        if let Some(length) = long {
            return Err(Error::EntryLong { length, max: ENTRY_BYTES_MAX });
        }
        let state = match self.state.take() {
            Some(state) => state,
            // What follows a failure is an ordinary start.
            None => load(&self.storage, &self.key)?,
        };
        let (state, added) = append(&self.storage, &self.key, state, entries)?;
        self.state = Some(state);
        Ok(added)
    }

    /// The newest checkpoint, signed.
    ///
    /// # Errors
    ///
    /// As [`Log::open`], if a failure came before.
    pub fn checkpoint(&mut self) -> Result<&[u8]> {
        let state = match self.state.take() {
            Some(state) => state,
            None => load(&self.storage, &self.key)?,
        };
        Ok(&self.state.insert(state).note)
    }
}

fn append<S: Storage>(
    storage: &S,
    key: &NoteKey,
    mut state: State,
    entries: &[Vec<u8>],
) -> Result<(State, Vec<Added>)> {
    let old_size = state.frontier.size();
    let mut objects: Vec<(String, Vec<u8>)> = Vec::new();
    let mut filled = Vec::new();
    let mut added = Vec::with_capacity(entries.len());
    for entry in entries {
        let (hash, size) = (leaf_hash(entry), state.frontier.size());
        if let Some(index) = state.places.get(&hash) {
            added.push(Added { index: *index, is_new: false });
            continue;
        }
        if size == TREE_SIZE_MAX {
            return Err(Error::Full);
        }
        added.push(Added { index: size, is_new: true });
        state.places.insert(hash, size);
        state.bundle.extend((entry.len() as u16).to_be_bytes());
        state.bundle.extend(entry);
        state.frontier.push(hash, &mut |tile, hashes| {
            objects.push((tile.to_string(), tile_bytes(hashes)));
            filled.push(tile.partials());
        });
        if state.frontier.size() % TILE_WIDTH as u64 == 0 {
            let tile = TileName::full(0, size / TILE_WIDTH as u64).entries();
            objects.push((tile.to_string(), std::mem::take(&mut state.bundle)));
            filled.push(tile.partials());
        }
    }
    let size = state.frontier.size();
    if size == old_size {
        return Ok((state, added));
    }
    // A tile that stayed as it was is one that the stored checkpoint speaks of, and a torn write
    // would cost it.
    let partial = state.frontier.partial_tiles().filter(|(tile, _)| tile.has_grown(old_size, size));
    objects.extend(partial.map(|(tile, hashes)| (tile.to_string(), tile_bytes(hashes))));
    if !state.bundle.is_empty() {
        let width = (size % TILE_WIDTH as u64) as u16;
        let tile = TileName::partial(0, size / TILE_WIDTH as u64, width).entries();
        objects.push((tile.to_string(), state.bundle.clone()));
    }
    // Tiles of the same names by another hand would be lost, so the storage's lock is not the only
    // guard.
    if storage.get(CHECKPOINT)?.as_deref() != Some(&state.note) {
        return Err(Error::OtherWriter);
    }
    storage.put_all(&objects)?;
    let origin = key.vkey().name().to_owned();
    let note = Checkpoint { origin, size, root: state.frontier.root() }.sign(key)?;
    // A crash here leaves tiles that no checkpoint speaks of.
    if !storage.replace(CHECKPOINT, Some(&state.note), &note)? {
        return Err(Error::OtherWriter);
    }
    state.note = note;
    for folder in filled {
        // Full tiles have taken their place; what could not be removed only takes space.
        let _ = storage.remove_all(&folder);
    }
    Ok((state, added))
}

fn load<S: Storage>(storage: &S, key: &NoteKey) -> Result<State> {
    let Some(note) = storage.get(CHECKPOINT)? else { return begin(storage, key) };
    let checkpoint = Policy::of_log(key.vkey().clone())?.open(&note)?.checkpoint;
    let reader = Reader::new(storage, &checkpoint);
    let mut frontier = Frontier::default();
    let mut places = BTreeMap::new();
    while frontier.size() < checkpoint.size {
        let left = checkpoint.size - frontier.size();
        let width = left.min(TILE_WIDTH as u64) as usize;
        let tile = reader.hashes(0, frontier.size() / TILE_WIDTH as u64, width)?;
        for hash in tile.as_chunks().0 {
            places.insert(Hash(*hash), frontier.size());
            frontier.push(Hash(*hash), &mut |_, _| {});
        }
    }
    if frontier.root() != checkpoint.root {
        let why = "its hashes do not lead to the checkpoint's root";
        return Err(Error::Damaged { name: "a tile of level 0".into(), why });
    }
    let bundle = last_bundle(&reader, &checkpoint, &frontier)?;
    Ok(State { frontier, bundle, note, places })
}

/// The bundle that is not full yet, checked.
fn last_bundle<S: Storage>(
    reader: &Reader<'_, S>,
    checkpoint: &Checkpoint,
    frontier: &Frontier,
) -> Result<Vec<u8>> {
    let width = (checkpoint.size % TILE_WIDTH as u64) as u16;
    if width == 0 {
        return Ok(Vec::new());
    }
    let name = TileName::partial(0, checkpoint.size / TILE_WIDTH as u64, width);
    let bundle = reader.object(name.entries())?;
    let hashes = frontier.partial_tiles().find(|(tile, _)| *tile == name);
    let entries = split_bundle(&bundle);
    let entries = entries.map(|all| all.iter().map(|entry| leaf_hash(entry)).collect::<Vec<_>>());
    match (hashes, entries) {
        (Some((_, hashes)), Some(entries)) if entries == hashes => Ok(bundle),
        _ => {
            let why = "its entries are not those that were logged";
            Err(Error::Damaged { name: name.entries().to_string(), why })
        }
    }
}

fn begin<S: Storage>(storage: &S, key: &NoteKey) -> Result<State> {
    // A checkpoint is durable before the first tile is written, so where tiles are, one was.
    if storage.has_any(TILES)? {
        return Err(Error::CheckpointLost);
    }
    let frontier = Frontier::default();
    let origin = key.vkey().name().to_owned();
    let note = Checkpoint { origin, size: 0, root: frontier.root() }.sign(key)?;
    if !storage.replace(CHECKPOINT, None, &note)? {
        return Err(Error::OtherWriter);
    }
    Ok(State { frontier, bundle: Vec::new(), note, places: BTreeMap::new() })
}
