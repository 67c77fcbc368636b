//! A log, or a witness's state, in an object store: S3, or what speaks its protocol
//! (spec/log.md#where-it-lies).

use std::sync::{Arc, mpsc};
use std::time::Duration;

use assay_tlog::{CHECKPOINT, Storage, StorageError};
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{
    Error as ObjectError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig,
    UpdateVersion,
};
use tokio::runtime::Runtime;

use crate::{Error, Result};

/// The newest checkpoint, behind the mark of the writer that it belongs to.
const HEAD: &str = "head";

/// A writer's mark, in hexadecimal digits.
const MARK_CHARS: usize = 32;

/// How many objects are written at once.
const PUTS_AT_ONCE: usize = 16;

/// How long an object store may go on failing before a call does.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a writer tries to take a log over from another that goes on writing.
const TAKEOVERS_MAX: usize = 16;

/// Objects under a prefix of a bucket. Whoever opens them to write takes them over: from then on no
/// earlier writer's batch becomes part of the log, though no lock is held and no clock is asked.
///
/// ```text
/// PREFIX/head              the writer's mark, a line feed, the newest checkpoint: the one object
///                          that decides
/// PREFIX/checkpoint        the same checkpoint for other readers; it may lag behind
/// PREFIX/tile/...          as in a folder
/// ```
pub struct LogObjects {
    objects: Objects,
    /// None to read.
    mark: Option<String>,
    /// Taken only by dropping, which must not wait.
    runtime: Option<Runtime>,
}

#[derive(Clone)]
struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

/// An object as it was read.
struct Found {
    bytes: Vec<u8>,
    version: UpdateVersion,
}

impl LogObjects {
    /// Opens what is under an URL (`s3://BUCKET/PREFIX`) to write, with a random mark. Keys, region
    /// and endpoint are those of the environment (`AWS_ACCESS_KEY_ID` and so on).
    ///
    /// # Errors
    ///
    /// [`Error::Objects`].
    pub fn open(url: &str, mark: [u8; 16]) -> Result<Self> {
        let (store, prefix) = s3(url)?;
        Self::take_over(store, prefix, mark)
    }

    /// What is under an URL, to read.
    ///
    /// # Errors
    ///
    /// As [`LogObjects::open`].
    pub fn read_only(url: &str) -> Result<Self> {
        let (store, prefix) = s3(url)?;
        Ok(Self { objects: Objects { store, prefix }, mark: None, runtime: Some(runtime()?) })
    }

    /// The same as [`LogObjects::open`] in any object store that puts on condition.
    ///
    /// # Errors
    ///
    /// [`Error::Objects`].
    pub fn take_over(store: Arc<dyn ObjectStore>, prefix: Path, mark: [u8; 16]) -> Result<Self> {
        let mark = hex::encode(mark);
        let objects = Objects { store, prefix };
        let opened = LogObjects { objects, mark: Some(mark.clone()), runtime: Some(runtime()?) };
        let taken = opened.wait(move |objects| async move { objects.take(&mark).await });
        taken.map_err(|error| Error::Objects { what: error.to_string() })?;
        Ok(opened)
    }

    /// Runs on the store's own threads, so that callers may be anywhere.
    fn wait<T: Send + 'static, F: Future<Output = Done<T>> + Send + 'static>(
        &self,
        work: impl FnOnce(Objects) -> F,
    ) -> Done<T> {
        let runtime = self.runtime.as_ref().ok_or_else(|| failed("the object store is closed"))?;
        let (done, waiting) = mpsc::sync_channel(1);
        let work = work(self.objects.clone());
        runtime.spawn(async move { drop(done.send(work.await)) });
        waiting.recv().map_err(failed)?
    }
}

impl Drop for LogObjects {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

type Done<T> = Result<T, StorageError>;

impl Storage for LogObjects {
    fn get(&self, name: &str) -> Done<Option<Vec<u8>>> {
        let name = name.to_owned();
        self.wait(|objects| async move {
            if name == CHECKPOINT
                && let Some(head) = objects.get(HEAD).await?
                && let note @ [_, ..] = split(&head.bytes)?.1
            {
                return Ok(Some(note.to_vec()));
            }
            Ok(objects.get(&name).await?.map(|found| found.bytes))
        })
    }

    fn has_any(&self, folder: &str) -> Done<bool> {
        let folder = folder.to_owned();
        self.wait(|objects| async move {
            let mut found = objects.store.list(Some(&objects.path(&folder)));
            Ok(found.try_next().await.map_err(failed)?.is_some())
        })
    }

    fn put_all(&self, new: &[(String, Vec<u8>)]) -> Done<()> {
        let (mark, new) = (self.writer()?, new.to_vec());
        self.wait(|objects| async move {
            let puts = futures_util::stream::iter(new)
                .map(|(name, bytes)| objects.put_tile(name, bytes, &mark))
                .buffer_unordered(PUTS_AT_ONCE);
            puts.try_collect::<()>().await
        })
    }

    fn replace(&self, name: &str, old: Option<&[u8]>, new: &[u8]) -> Done<bool> {
        let (mark, name) = (self.writer()?, name.to_owned());
        let (old, new) = (old.map(<[u8]>::to_vec), new.to_vec());
        self.wait(|objects| async move {
            if name == CHECKPOINT {
                objects.replace_head(&mark, old, new).await
            } else {
                objects.replace(&name, old, new).await
            }
        })
    }

    fn remove_all(&self, folder: &str) -> Done<()> {
        self.writer()?;
        let folder = folder.to_owned();
        self.wait(|objects| async move {
            let mut found = objects.store.list(Some(&objects.path(&folder)));
            while let Some(object) = found.try_next().await.map_err(failed)? {
                match objects.store.delete(&object.location).await {
                    Ok(()) | Err(ObjectError::NotFound { .. }) => {}
                    Err(error) => return Err(failed(error)),
                }
            }
            Ok(())
        })
    }
}

impl LogObjects {
    fn writer(&self) -> Done<String> {
        self.mark.clone().ok_or_else(|| failed("the objects were opened to read"))
    }
}

impl Objects {
    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    async fn get(&self, name: &str) -> Done<Option<Found>> {
        let found = match self.store.get(&self.path(name)).await {
            Ok(found) => found,
            Err(ObjectError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let (e_tag, version) = (found.meta.e_tag.clone(), found.meta.version.clone());
        let bytes = found.bytes().await.map_err(failed)?.to_vec();
        Ok(Some(Found { bytes, version: UpdateVersion { e_tag, version } }))
    }

    /// Puts an object where there was none, or this one; false if something else is there by now.
    async fn put(&self, name: &str, bytes: Vec<u8>, old: Option<UpdateVersion>) -> Done<bool> {
        let mode = old.map_or(PutMode::Create, PutMode::Update);
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.store.put_opts(&self.path(name), bytes.into(), options).await {
            Ok(_) => Ok(true),
            Err(ObjectError::AlreadyExists { .. } | ObjectError::Precondition { .. }) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Makes the log's head this writer's. What another has begun since it read the head comes to
    /// nothing.
    async fn take(&self, mark: &str) -> Done<()> {
        for _ in 0..TAKEOVERS_MAX {
            let head = self.get(HEAD).await?;
            let (mut note, version) = match head {
                Some(head) => (split(&head.bytes)?.1.to_vec(), Some(head.version)),
                None => (Vec::new(), None),
            };
            // A head that says nothing where a checkpoint is: the log was copied from a folder, or
            // its head was lost. To begin anew would sign a second history.
            if note.is_empty()
                && let Some(checkpoint) = self.get(CHECKPOINT).await?
            {
                note = checkpoint.bytes;
            }
            if self.put(HEAD, joined(mark, &note), version).await? {
                return Ok(());
            }
        }
        Err(failed("another process keeps writing this log; stop one of the two"))
    }

    /// The head, if it is still this writer's.
    async fn own_head(&self, mark: &str) -> Done<Option<(Vec<u8>, UpdateVersion)>> {
        let Some(head) = self.get(HEAD).await? else { return Ok(None) };
        let (owner, note) = split(&head.bytes)?;
        Ok((owner == mark.as_bytes()).then(|| (note.to_vec(), head.version)))
    }

    async fn replace_head(&self, mark: &str, old: Option<Vec<u8>>, new: Vec<u8>) -> Done<bool> {
        let Some((note, version)) = self.own_head(mark).await? else { return Ok(false) };
        if note != old.unwrap_or_default() {
            return Ok(false);
        }
        if !self.put(HEAD, joined(mark, &new), Some(version)).await? {
            // What looks like another's may be this put itself, repeated after its answer was lost.
            let now = self.own_head(mark).await?;
            if now.is_none_or(|(note, _)| note != new) {
                return Ok(false);
            }
        }
        // For other readers. The head has decided, so a failure here only lets this lag behind.
        if let Err(error) = self.store.put(&self.path(CHECKPOINT), new.into()).await {
            tracing::warn!(%error, "the checkpoint for other readers lags behind");
        }
        Ok(true)
    }

    async fn replace(&self, name: &str, old: Option<Vec<u8>>, new: Vec<u8>) -> Done<bool> {
        let found = self.get(name).await?;
        if found.as_ref().map(|found| &found.bytes) != old.as_ref() {
            return Ok(false);
        }
        if self.put(name, new.clone(), found.map(|found| found.version)).await? {
            return Ok(true);
        }
        Ok(self.get(name).await?.is_some_and(|found| found.bytes == new))
    }

    /// Puts a tile that no checkpoint speaks of yet. What has its name already was left by a crash,
    /// or is another writer's: only who still owns the head afterwards may put it away, and only as
    /// it was seen before.
    async fn put_tile(&self, name: String, bytes: Vec<u8>, mark: &str) -> Done<()> {
        if self.put(&name, bytes.clone(), None).await? {
            return Ok(());
        }
        let other = || failed("another process has taken this log over; stop one of the two");
        let found = self.get(&name).await?;
        if found.as_ref().is_some_and(|found| found.bytes == bytes) {
            return Ok(());
        }
        if self.own_head(mark).await?.is_none() {
            return Err(other());
        }
        match self.put(&name, bytes, found.map(|found| found.version)).await? {
            true => Ok(()),
            false => Err(other()),
        }
    }
}

fn joined(mark: &str, note: &[u8]) -> Vec<u8> {
    [mark.as_bytes(), b"\n", note].concat()
}

/// A head's mark and checkpoint.
fn split(head: &[u8]) -> Done<(&[u8], &[u8])> {
    match head.split_at_checked(MARK_CHARS) {
        Some((mark, [b'\n', note @ ..])) => Ok((mark, note)),
        _ => Err(failed("the log's head is damaged; restore it from the checkpoint")),
    }
}

fn s3(url: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
    let refused = |what: String| Error::Objects { what };
    let rest = url.strip_prefix("s3://");
    let rest = rest.ok_or_else(|| refused(format!("{url:?} is no s3://BUCKET/PREFIX")))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(refused(format!("{url:?} names no bucket")));
    }
    let prefix = Path::parse(prefix).map_err(|error| refused(error.to_string()))?;
    // Before the client is made: it finds no other.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let retry = RetryConfig { retry_timeout: PATIENCE, ..RetryConfig::default() };
    let store = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry).build();
    let store = store.map_err(|error| refused(error.to_string()))?;
    Ok((Arc::new(store), prefix))
}

fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).thread_name("assay-objects").enable_all().build();
    runtime
        .map_err(|source| Error::Io { what: "starting the object store's thread".into(), source })
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StorageError {
    StorageError(error.into())
}
