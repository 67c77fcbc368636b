//! What the routes share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use alloy_primitives::Address;
use assay_contracts::Deployment;
use assay_protocol::{ProblemKind, SignatureError};
use assay_storage::{Blobs, OrderBook, Sequencer};
use assay_tlog::{Storage, Vkey};
use assay_types::Clock;
use tokio::sync::{Mutex, Semaphore};

use crate::counts::{Refused, Served};
use crate::error::{Fail, Failure};
use crate::limits::Limits;
use crate::nonces::Nonces;
use crate::rate::Rates;

/// A log that a broker serves.
#[derive(Clone)]
pub struct HostedLog {
    /// Appends entries to the log.
    pub sequencer: Sequencer,
    /// The log's files or objects.
    pub files: Arc<dyn Storage>,
    /// The log's public key.
    pub key: Vkey,
}

/// What the routes share.
pub(crate) type App = Arc<Shared>;

pub(crate) struct Shared {
    pub(crate) book: Arc<dyn OrderBook>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) deployment: Deployment,
    pub(crate) limits: Limits,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) log: Option<HostedLog>,
    pub(crate) per_address: Rates,
    per_account: Rates,
    pub(crate) nonces: Nonces,
    pub(crate) refused: Refused,
    pub(crate) served: Served,
    /// When revocations are looked through next, in Unix seconds.
    pub(crate) next_sweep: AtomicU64,
    /// As many signatures are checked at once as there are cores.
    pub(crate) checks: Semaphore,
    /// One blob at a time is hashed, so that orders get through meanwhile.
    pub(crate) blob_checks: Semaphore,
    pub(crate) uploads: Semaphore,
    pub(crate) followers: Arc<Semaphore>,
    /// When it was last seen to work, in Unix seconds.
    pub(crate) checked: Mutex<Option<u64>>,
    /// Held from looking at what an account said last to replacing it.
    pub(crate) replacing: Mutex<()>,
}

impl Shared {
    pub(crate) fn new(
        book: Arc<dyn OrderBook>,
        blobs: Arc<dyn Blobs>,
        deployment: Deployment,
        limits: Limits,
        clock: impl Clock,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Shared {
            per_address: Rates::new(limits.rate_per_address),
            per_account: Rates::new(limits.rate_per_account),
            checks: Semaphore::new(cores),
            blob_checks: Semaphore::new(1),
            uploads: Semaphore::new(limits.uploads_max),
            followers: Arc::new(Semaphore::new(limits.followers_max)),
            checked: Mutex::new(None),
            replacing: Mutex::new(()),
            nonces: Nonces::new(),
            refused: Refused::new(),
            served: Served::default(),
            next_sweep: AtomicU64::new(0),
            log: None,
            clock: Box::new(clock),
            book,
            blobs,
            deployment,
            limits,
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.unix_secs()
    }

    /// Work that computes or touches the disk, off the threads that serve.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Shared) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let app = self.clone();
        tokio::task::spawn_blocking(move || work(&app)).await.map_err(|error| {
            tracing::error!(%error, "work for a request panicked");
            ProblemKind::Internal
                .fail("the broker met a bug; its operator finds the cause in its log")
        })
    }

    /// Checks the signature of what a request brings. Returns that, and what the check returns.
    pub(crate) async fn verify<T: Send + 'static, R: Send + 'static>(
        self: &Arc<Self>,
        signed: T,
        check: impl FnOnce(&T, &Deployment) -> Result<R, SignatureError> + Send + 'static,
    ) -> Result<(T, R), Failure> {
        let _place = self.checks.acquire().await;
        self.blocking(move |app| Ok((check(&signed, &app.deployment)?, signed)))
            .await?
            .map(|(checked, signed)| (signed, checked))
    }

    /// Refuses what the operator does not take of an account.
    pub(crate) fn admit(
        &self,
        signer: Address,
        name: Address,
        is_write: bool,
    ) -> Result<(), Failure> {
        match self.limits.accounts.admit(signer, name, is_write) {
            true => Ok(()),
            false => Err(ProblemKind::AccountUnlisted
                .fail("its operator has banned it, or takes writes of listed accounts alone")),
        }
    }

    /// Uses up one of an account's writes, whose signature was checked: nobody uses up another's.
    pub(crate) fn take_write(&self, account: Address) -> Result<(), Failure> {
        self.per_account.take(account).map_err(|wait| {
            ProblemKind::RateExceeded
                .fail("this account has used up its writes for now")
                .after(wait)
        })
    }
}
