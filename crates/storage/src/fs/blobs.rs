//! Blobs as files by name.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::{found, free_size, make_new, sync_folder, write_new};
use crate::{BlobDraft, BlobKind, BlobReader, Blobs, Error, Result};

/// What a file that is not finished is called.
const DRAFT: &str = "draft";

/// Blobs in a folder that nobody else writes to. Clones share it. All calls touch the disk and
/// block.
///
/// ```text
/// FOLDER/programs/ID.elf
/// FOLDER/slots/ROOT.image
/// FOLDER/envelopes/SHA256.sealed      names: 64 lower-case hex digits
/// ```
#[derive(Clone, Debug)]
pub struct FileBlobs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    bytes_max: u64,
    /// Bytes stored or about to be. Also held while a file takes its name, so that who finds a file
    /// finds it durable.
    bytes: Mutex<u64>,
    /// Drafts begun; opening removes what is left of them, so their names repeat only then.
    drafts: AtomicU64,
}

impl FileBlobs {
    /// Opens a folder of blobs, or makes one, and removes what was not finished. `bytes_max` bounds
    /// all blobs together; what is there stays even if it is more.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn open(folder: impl Into<PathBuf>, bytes_max: u64) -> Result<Self> {
        let folder = folder.into();
        let mut bytes = 0;
        for kind in BlobKind::ALL {
            let folder = folder.join(folder_of(kind));
            fs::create_dir_all(&folder).map_err(|error| Error::io("making", &folder, error))?;
            bytes += tidy(&folder)?;
        }
        let (bytes, drafts) = (Mutex::new(bytes), AtomicU64::new(0));
        Ok(Self { shared: Arc::new(Shared { folder, bytes_max, bytes, drafts }) })
    }

    /// Room for so many bytes more.
    fn take(&self, size: u64) -> Result<()> {
        let mut bytes = self.bytes();
        let bytes_max = self.shared.bytes_max;
        let after = bytes.checked_add(size).filter(|after| *after <= bytes_max);
        *bytes = after.ok_or(Error::BlobsFull { bytes_max })?;
        Ok(())
    }

    /// Room for a blob in bytes; `None` if it is there.
    fn reserve(&self, path: &Path, size: u64) -> Result<Option<u64>> {
        let mut bytes = self.bytes();
        if found(fs::metadata(path), path)?.is_some() {
            return Ok(None);
        }
        let bytes_max = self.shared.bytes_max;
        let after = bytes.checked_add(size).filter(|after| *after <= bytes_max);
        *bytes = after.ok_or(Error::BlobsFull { bytes_max })?;
        Ok(Some(size))
    }

    /// Gives a written file its name, unless another put was faster. A crash before the folder is
    /// synced loses a file that nobody was told of.
    fn finish(&self, draft: &Path, path: &Path) -> Result<bool> {
        let _held = self.bytes();
        if found(fs::metadata(path), path)?.is_some() {
            return Ok(false);
        }
        fs::rename(draft, path).map_err(|error| Error::io("naming", path, error))?;
        let synced = sync_folder(path.parent().unwrap_or(Path::new(".")));
        if synced.is_err() {
            // Or a later put would find it and call it durable.
            let _ = fs::remove_file(path);
        }
        synced.map(|()| true)
    }

    fn path(&self, kind: BlobKind, name: &[u8; 32]) -> PathBuf {
        let file = format!("{}.{}", hex::encode(name), extension_of(kind));
        self.shared.folder.join(folder_of(kind)).join(file)
    }

    fn bytes(&self) -> MutexGuard<'_, u64> {
        self.shared.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blobs for FileBlobs {
    fn put(&self, kind: BlobKind, name: [u8; 32], content: &[u8]) -> Result<bool> {
        let path = self.path(kind, &name);
        let room = self.reserve(&path, content.len() as u64)?;
        let Some(room) = room else {
            self.touch(kind, name)?;
            return Ok(false);
        };
        let number = self.shared.drafts.fetch_add(1, Ordering::Relaxed);
        let draft = path.with_extension(format!("{DRAFT}-{number}"));
        let done = write_new(&draft, content)
            .map_err(|error| Error::io("writing", &draft, error))
            .and_then(|()| self.finish(&draft, &path));
        if !matches!(done, Ok(true)) {
            let _ = fs::remove_file(&draft);
            *self.bytes() -= room;
        }
        done
    }

    fn begin(&self, kind: BlobKind) -> Result<Box<dyn BlobDraft>> {
        let number = self.shared.drafts.fetch_add(1, Ordering::Relaxed);
        let path = self.shared.folder.join(folder_of(kind)).join(format!("piece.{DRAFT}-{number}"));
        let file = make_new(&path).map_err(|error| Error::io("making", &path, error))?;
        let (blobs, room, is_named) = (self.clone(), 0, false);
        Ok(Box::new(FileDraft { blobs, kind, file, path, room, is_named }))
    }

    fn get(&self, kind: BlobKind, name: [u8; 32]) -> Result<Option<Vec<u8>>> {
        let path = self.path(kind, &name);
        found(fs::read(&path), &path)
    }

    fn open_blob(
        &self,
        kind: BlobKind,
        name: [u8; 32],
    ) -> Result<Option<(Box<dyn BlobReader>, u64)>> {
        let path = self.path(kind, &name);
        let Some(file) = found(File::open(&path), &path)? else { return Ok(None) };
        let metadata = file.metadata().map_err(|error| Error::io("reading", &path, error))?;
        Ok(Some((Box::new(file), metadata.len())))
    }

    fn size(&self, kind: BlobKind, name: [u8; 32]) -> Result<Option<u64>> {
        let path = self.path(kind, &name);
        Ok(found(fs::metadata(&path), &path)?.map(|metadata| metadata.len()))
    }

    fn remove(&self, kind: BlobKind, name: [u8; 32]) -> Result<bool> {
        let path = self.path(kind, &name);
        let mut bytes = self.bytes();
        let Some(metadata) = found(fs::metadata(&path), &path)? else { return Ok(false) };
        fs::remove_file(&path).map_err(|error| Error::io("removing", &path, error))?;
        *bytes = bytes.saturating_sub(metadata.len());
        Ok(true)
    }

    fn touch(&self, kind: BlobKind, name: [u8; 32]) -> Result<bool> {
        let path = self.path(kind, &name);
        let _held = self.bytes();
        let Some(file) = found(File::options().write(true).open(&path), &path)? else {
            return Ok(false);
        };
        let touched = file.set_modified(SystemTime::now());
        touched.map(|()| true).map_err(|error| Error::io("touching", &path, error))
    }

    fn older_than(&self, kind: BlobKind, time: SystemTime) -> Result<Vec<[u8; 32]>> {
        let folder = self.shared.folder.join(folder_of(kind));
        let failed = |error| Error::io("reading", &folder, error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let mut name = [0; 32];
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            // What has no name yet is being put.
            let is_blob =
                hex::decode_to_slice(stem, &mut name).is_ok() && path == self.path(kind, &name);
            if is_blob && size_if_older(&path, time)?.is_some() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn remove_older(&self, kind: BlobKind, name: [u8; 32], time: SystemTime) -> Result<bool> {
        let path = self.path(kind, &name);
        // Held from the look at its age on, so that nobody who has touched it loses it.
        let mut bytes = self.bytes();
        let Some(size) = size_if_older(&path, time)? else { return Ok(false) };
        fs::remove_file(&path).map_err(|error| Error::io("removing", &path, error))?;
        *bytes = bytes.saturating_sub(size);
        Ok(true)
    }

    fn free_size(&self) -> u64 {
        let left = self.bytes_max().saturating_sub(self.bytes_total());
        free_size(&self.shared.folder).map_or(left, |disk| disk.min(left))
    }

    fn bytes_total(&self) -> u64 {
        *self.bytes()
    }

    fn bytes_max(&self) -> u64 {
        self.shared.bytes_max
    }
}

impl From<FileBlobs> for Arc<dyn Blobs> {
    fn from(blobs: FileBlobs) -> Self {
        Arc::new(blobs)
    }
}

/// A file without its name.
#[derive(Debug)]
struct FileDraft {
    blobs: FileBlobs,
    kind: BlobKind,
    file: File,
    path: PathBuf,
    room: u64,
    is_named: bool,
}

impl BlobDraft for FileDraft {
    fn write(&mut self, piece: &[u8]) -> Result<()> {
        let size = piece.len() as u64;
        self.blobs.take(size)?;
        self.room += size;
        self.file.write_all(piece).map_err(|error| Error::io("writing", &self.path, error))
    }

    fn finish(mut self: Box<Self>, name: [u8; 32]) -> Result<bool> {
        self.file.sync_all().map_err(|error| Error::io("writing", &self.path, error))?;
        let path = self.blobs.path(self.kind, &name);
        self.is_named = self.blobs.finish(&self.path, &path)?;
        if !self.is_named {
            self.blobs.touch(self.kind, name)?;
        }
        Ok(self.is_named)
    }
}

impl Drop for FileDraft {
    fn drop(&mut self) {
        if !self.is_named {
            let _ = fs::remove_file(&self.path);
            *self.blobs.bytes() -= self.room;
        }
    }
}

fn folder_of(kind: BlobKind) -> &'static str {
    match kind {
        BlobKind::Program => "programs",
        BlobKind::Slot => "slots",
        BlobKind::Envelope => "envelopes",
    }
}

fn extension_of(kind: BlobKind) -> &'static str {
    match kind {
        BlobKind::Program => "elf",
        BlobKind::Slot => "image",
        BlobKind::Envelope => "sealed",
    }
}

/// The size of a file that was last changed before a time; `None` for a younger one, and for none.
fn size_if_older(path: &Path, time: SystemTime) -> Result<Option<u64>> {
    let Some(metadata) = found(fs::metadata(path), path)? else { return Ok(None) };
    let modified = metadata.modified().map_err(|error| Error::io("reading", path, error))?;
    Ok((modified < time).then_some(metadata.len()))
}

/// Removes drafts that a crash left and sums up the rest.
fn tidy(folder: &Path) -> Result<u64> {
    let failed = |error| Error::io("reading", folder, error);
    let mut bytes = 0;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| extension.starts_with(DRAFT)) {
            fs::remove_file(&path).map_err(|error| Error::io("removing", &path, error))?;
        } else {
            bytes += entry.metadata().map_err(failed)?.len();
        }
    }
    Ok(bytes)
}
