//! The one thread that appends to a log, wherever it lies.

use std::sync::Arc;
use std::thread::JoinHandle;

use assay_tlog::{Added, ENTRY_BYTES_MAX, Log, NoteKey, Storage};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{Error, Result};

/// Entries that may wait to be written, and so the most in a batch.
pub const WAITING_MAX: usize = 4096;

/// Appends to a log for many at once: what arrives while a batch is being made durable goes into
/// the next one together. Clones share it; the log is released when the last one is dropped, which
/// waits for the last batch.
#[derive(Clone)]
pub struct Sequencer {
    shared: Arc<Shared>,
}

struct Shared {
    /// None only while dropping.
    requests: Option<mpsc::Sender<Request>>,
    newest: watch::Receiver<Arc<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

struct Request {
    entry: Vec<u8>,
    reply: oneshot::Sender<Result<Added>>,
}

impl Sequencer {
    /// Opens the log of a key in a storage, or begins it there.
    ///
    /// # Errors
    ///
    /// [`Error::Log`], [`Error::Io`].
    pub fn open(storage: impl Storage, key: NoteKey) -> Result<Self> {
        let mut log = Log::open(storage, key).map_err(refused)?;
        let note = log.checkpoint().map_err(refused)?.to_vec();
        let (newest_in, newest) = watch::channel(Arc::new(note));
        let (requests, incoming) = mpsc::channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("assay-log".into());
        let thread = thread.spawn(move || run(log, incoming, newest_in));
        let thread = thread
            .map_err(|source| Error::Io { what: "starting the log's thread".into(), source })?;
        let shared = Shared { requests: Some(requests), newest, thread: Some(thread) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Adds an entry; it is durable and in a signed checkpoint when this returns. The same bytes
    /// again keep their place.
    ///
    /// Dropping the future does not take the entry back.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], [`Error::Log`], [`Error::Stopped`].
    pub async fn add(&self, entry: Vec<u8>) -> Result<Added> {
        if entry.len() > ENTRY_BYTES_MAX {
            let (length, max) = (entry.len(), ENTRY_BYTES_MAX);
            return Err(refused(assay_tlog::Error::EntryLong { length, max }));
        }
        let (reply, answer) = oneshot::channel();
        let requests = self.shared.requests.as_ref().ok_or(Error::Stopped)?;
        requests.try_send(Request { entry, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy { waiting: WAITING_MAX },
            mpsc::error::TrySendError::Closed(_) => Error::Stopped,
        })?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// The newest checkpoint, signed by the log.
    pub fn checkpoint(&self) -> watch::Receiver<Arc<Vec<u8>>> {
        self.shared.newest.clone()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One batch after the other until every sequencer is dropped. A batch that fails is refused as a
/// whole, and the next one finds in the storage what there is.
fn run<S: Storage>(
    mut log: Log<S>,
    mut requests: mpsc::Receiver<Request>,
    newest: watch::Sender<Arc<Vec<u8>>>,
) {
    let mut batch = Vec::new();
    while requests.blocking_recv_many(&mut batch, WAITING_MAX) > 0 {
        let (entries, replies): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|request| (request.entry, request.reply)).unzip();
        let added = log.add(&entries);
        let told = added.and_then(|added| Ok((added, log.checkpoint()?.to_vec())));
        match told {
            Ok((added, note)) => {
                newest.send_if_modified(|known| {
                    let is_new = **known != note;
                    *known = Arc::new(note);
                    is_new
                });
                // Who no longer listens may ask again.
                for (reply, added) in replies.into_iter().zip(added) {
                    let _ = reply.send(Ok(added));
                }
            }
            Err(error) => {
                tracing::error!(%error, "a batch of entries could not be logged");
                for reply in replies {
                    let _ = reply.send(Err(Error::Log { what: error.to_string() }));
                }
            }
        }
    }
}

fn refused(error: assay_tlog::Error) -> Error {
    Error::Log { what: error.to_string() }
}
