//! Tiles: how a tree lies in a storage (c2sp.org/tlog-tiles).

use std::cell::RefCell;
use std::fmt;

use assay_types::Hash;
use tlog_tiles::{Tile, TileHashReader, TileReader};

use crate::checkpoint::Checkpoint;
use crate::storage::Storage;
use crate::tree::leaf_hash;
use crate::{Error, Result};

/// The folder of all tiles and bundles.
pub(crate) const TILES: &str = "tile";

/// How many hashes, or entries, a full tile has.
pub const TILE_WIDTH: usize = 256;

/// A tile's place: a level of hashes, or the bundles of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TileName {
    /// The level; `None` for entries.
    level: Option<u8>,
    number: u64,
    /// 1 to 256.
    width: u16,
}

impl TileName {
    /// A full tile of hashes.
    pub fn full(level: u8, number: u64) -> Self {
        Self { level: Some(level), number, width: TILE_WIDTH as u16 }
    }

    /// A tile of 1 to 255 hashes.
    pub fn partial(level: u8, number: u64, width: u16) -> Self {
        Self { level: Some(level), number, width }
    }

    /// The entries of a tile of the lowest level.
    pub fn entries(self) -> Self {
        Self { level: None, ..self }
    }

    /// The same tile once it is full.
    pub(crate) fn filled(self) -> Self {
        Self { width: TILE_WIDTH as u16, ..self }
    }

    /// The folder of all tiles that came before it was full.
    pub(crate) fn partials(self) -> String {
        format!("{}.p", self.filled())
    }

    /// Whether its level has more hashes in a tree of `size` than in one of `old_size`.
    pub(crate) fn has_grown(self, old_size: u64, size: u64) -> bool {
        let shift = 8 * u32::from(self.level.unwrap_or(0));
        old_size >> shift != size >> shift
    }

    /// Whether a tree of so many entries has the whole of it.
    pub fn is_within(self, size: u64) -> bool {
        let hashes = size >> (8 * u32::from(self.level.unwrap_or(0)));
        let end = (self.number << 8).checked_add(u64::from(self.width));
        self.number < 1 << 48 && end.is_some_and(|end| end <= hashes)
    }

    fn width(self) -> usize {
        usize::from(self.width)
    }

    /// The tile of a path as it is served: `tile/0/x001/234.p/5`; `None` if it is none, or written
    /// otherwise.
    pub fn from_path(path: &str) -> Option<Self> {
        let mut parts: Vec<&str> = path.strip_prefix("tile/")?.split('/').collect();
        let level = match parts.remove(0) {
            "entries" => None,
            level => Some(level.parse().ok().filter(|level| *level < 6)?),
        };
        let mut width = TILE_WIDTH as u16;
        if let [.., before, last] = parts[..]
            && let Some(number) = before.strip_suffix(".p")
        {
            width = last.parse().ok().filter(|width| *width < TILE_WIDTH as u16)?;
            parts.pop();
            parts.pop();
            parts.push(number);
        }
        let mut number = 0u64;
        for part in parts {
            let digits: u64 = part.strip_prefix('x').unwrap_or(part).parse().ok()?;
            number = number.checked_mul(1_000)?.checked_add(digits)?;
        }
        let tile = Self { level, number, width };
        (width > 0 && tile.to_string() == path).then_some(tile)
    }
}

impl fmt::Display for TileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = format!("{:03}", self.number % 1_000);
        let mut rest = self.number / 1_000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1_000);
            rest /= 1_000;
        }
        match self.level {
            Some(level) => write!(f, "tile/{level}/{number}")?,
            None => write!(f, "tile/entries/{number}")?,
        }
        if self.width() < TILE_WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// Hashes as a tile has them.
pub(crate) fn tile_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The entries of a bundle, each behind its length of two bytes, big-endian; `None` if it ends amid
/// one.
pub fn split_bundle(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bundle = rest;
    }
    Some(entries)
}

/// What a checkpoint speaks of, read from a storage and checked against its root.
pub struct Reader<'a, S> {
    storage: &'a S,
    checkpoint: &'a Checkpoint,
    /// The size of the tree that is stored: at least the checkpoint's.
    stored_size: u64,
    failure: RefCell<Option<Error>>,
}

impl<'a, S: Storage> Reader<'a, S> {
    /// A reader of the tree of a checkpoint.
    pub fn new(storage: &'a S, checkpoint: &'a Checkpoint) -> Self {
        Self::within(storage, checkpoint, checkpoint.size)
    }

    /// The same, where more is stored by now: partial tiles are there of the sizes that checkpoints
    /// had.
    pub fn within(storage: &'a S, checkpoint: &'a Checkpoint, stored_size: u64) -> Self {
        let stored_size = stored_size.max(checkpoint.size);
        Self { storage, checkpoint, stored_size, failure: RefCell::default() }
    }

    /// An entry.
    ///
    /// # Errors
    ///
    /// [`Error::NoEntry`], [`Error::Missing`], [`Error::Damaged`], [`Error::Storage`].
    pub fn entry(&self, index: u64) -> Result<Vec<u8>> {
        self.require(index)?;
        let place = tlog_tiles::stored_hash_index(0, index);
        let hash = self.check(|reader| tlog_tiles::HashReader::read_hashes(reader, &[place]))?;
        let number = index / TILE_WIDTH as u64;
        let name = self.stored(0, number).entries();
        let bundle = self.object(name)?;
        let damaged = |why| Error::Damaged { name: name.to_string(), why };
        let entries = split_bundle(&bundle).ok_or_else(|| damaged("it ends amid an entry"))?;
        let entry = entries.get((index % TILE_WIDTH as u64) as usize);
        let entry = entry.ok_or_else(|| damaged("it has too few entries"))?;
        match hash[..] {
            [hash] if leaf_hash(entry).0 == hash.0 => Ok(entry.to_vec()),
            _ => Err(damaged("an entry is not the one that was logged")),
        }
    }

    /// The proof that an entry is in the tree (RFC 6962, 2.1.1).
    ///
    /// # Errors
    ///
    /// [`Error::NoEntry`], [`Error::Missing`], [`Error::Damaged`], [`Error::Storage`].
    pub fn prove_inclusion(&self, index: u64) -> Result<Vec<Hash>> {
        self.require(index)?;
        let path =
            self.check(|reader| tlog_tiles::prove_record(self.checkpoint.size, index, reader))?;
        Ok(path.into_iter().map(|hash| Hash(hash.0)).collect())
    }

    /// The proof that the tree goes on from one of `old_size` entries (RFC 6962, 2.1.2); empty for
    /// 0.
    ///
    /// # Errors
    ///
    /// [`Error::NoEntry`] if it is smaller; [`Error::Missing`], [`Error::Damaged`],
    /// [`Error::Storage`].
    pub fn prove_consistency(&self, old_size: u64) -> Result<Vec<Hash>> {
        if old_size == 0 {
            return Ok(Vec::new());
        }
        self.require(old_size - 1)?;
        let path =
            self.check(|reader| tlog_tiles::prove_tree(self.checkpoint.size, old_size, reader))?;
        Ok(path.into_iter().map(|hash| Hash(hash.0)).collect())
    }

    /// A tile of hashes or a bundle, cut to the width asked for: the stored one may be wider by
    /// now.
    pub(crate) fn object(&self, name: TileName) -> Result<Vec<u8>> {
        for stored in [name, name.filled()] {
            if let Some(bytes) = self.storage.get(&stored.to_string())? {
                return Ok(bytes);
            }
        }
        Err(Error::Missing { name: name.to_string() })
    }

    /// The hashes of a tile, as stored: `width` of them.
    pub(crate) fn hashes(&self, level: u8, number: u64, width: usize) -> Result<Vec<u8>> {
        let name = self.stored(level, number);
        let mut bytes = self.object(name)?;
        if bytes.len() < width * 32 || bytes.len() % 32 != 0 {
            return Err(Error::Damaged { name: name.to_string(), why: "it is too short" });
        }
        bytes.truncate(width * 32);
        Ok(bytes)
    }

    /// A tile by the width that is stored of it.
    fn stored(&self, level: u8, number: u64) -> TileName {
        let hashes = self.stored_size >> (8 * u32::from(level));
        let width = (hashes - (number << 8)).min(TILE_WIDTH as u64);
        TileName { level: Some(level), number, width: width as u16 }
    }

    fn require(&self, index: u64) -> Result<()> {
        let size = self.checkpoint.size;
        if index < size { Ok(()) } else { Err(Error::NoEntry { index, size }) }
    }

    /// Reads hashes that are proved to be the tree's.
    fn check<T>(
        &self,
        read: impl FnOnce(&TileHashReader<'_>) -> std::result::Result<T, tlog_tiles::Error>,
    ) -> Result<T> {
        let root = tlog_tiles::Hash(self.checkpoint.root.0);
        read(&TileHashReader::new(self.checkpoint.size, root, self)).map_err(|_| {
            let why = "its hashes do not lead to the checkpoint's root";
            let damaged = || Error::Damaged { name: "a tile".into(), why };
            self.failure.take().unwrap_or_else(damaged)
        })
    }
}

impl<S: Storage> TileReader for Reader<'_, S> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> std::result::Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &Tile| {
            let bytes = self.hashes(tile.level(), tile.level_index(), tile.width() as usize);
            bytes.map_err(|error| {
                self.failure.replace(Some(error));
                tlog_tiles::Error::InvalidTile
            })
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}
