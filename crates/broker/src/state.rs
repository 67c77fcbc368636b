//! The broker: what its routes share, and the routes put together.

use crate::{Failure, auth, error::Fail, routes};
use assay_protocol::{Limits, ProblemKind, SignatureError};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use alloy_primitives::Address;
use assay_contracts::Deployment;
use assay_storage::{Blobs, OrderBook, Sequencer};
use assay_tlog::{Storage, Vkey};
use assay_types::Clock;
use axum::Router;
use axum::body::Bytes;
use axum::middleware::from_fn_with_state;
use tokio::sync::{Mutex, Semaphore};

use crate::metrics::{self, Served};
use crate::middleware::{self, Refused};
use crate::nonces::Nonces;
use crate::rate::Rates;

/// A market's order book and blobs, ready to be served.
#[derive(Clone)]
pub struct Broker {
    app: App,
}

/// A log that a broker serves: who appends to it, where it is read, and its key.
#[derive(Clone)]
pub struct HostedLog {
    /// Appends.
    pub sequencer: Sequencer,
    /// Its files or objects, to be read.
    pub files: Arc<dyn Storage>,
    /// Its key.
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
    pub(crate) openapi: Bytes,
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
    /// Held from looking at what an account said last to replacing it.
    pub(crate) replacing: Mutex<()>,
}

impl Broker {
    /// A broker for the market of a deployment, which asks a clock what has expired.
    pub fn new(
        book: impl Into<Arc<dyn OrderBook>>,
        blobs: impl Into<Arc<dyn Blobs>>,
        deployment: Deployment,
        limits: Limits,
        clock: impl Clock,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Broker {
            app: Arc::new(Shared {
                per_address: Rates::new(limits.rate_per_address),
                per_account: Rates::new(limits.rate_per_account),
                checks: Semaphore::new(cores),
                blob_checks: Semaphore::new(1),
                uploads: Semaphore::new(limits.uploads_max),
                followers: Arc::new(Semaphore::new(limits.followers_max)),
                replacing: Mutex::new(()),
                nonces: Nonces::new(),
                refused: Refused::new(),
                served: Served::default(),
                next_sweep: AtomicU64::new(0),
                log: None,
                openapi: openapi().into(),
                clock: Box::new(clock),
                book: book.into(),
                blobs: blobs.into(),
                deployment,
                limits,
            }),
        }
    }

    /// The same with a log of what roles say.
    #[must_use]
    pub fn with_log(mut self, log: HostedLog) -> Self {
        let app = Arc::get_mut(&mut self.app);
        app.unwrap_or_else(|| unreachable!("it is being made: nobody else has it")).log = Some(log);
        self
    }

    /// How often a problem was answered since this broker was made.
    pub fn refused(&self, kind: ProblemKind) -> u64 {
        self.app.refused.of(kind)
    }

    /// What the broker counts, in Prometheus's text format (spec/broker.md#metrics): without
    /// accounts, names, keys or content.
    ///
    /// # Errors
    ///
    /// [`ProblemKind::Internal`] if the store fails.
    pub fn metrics(&self) -> Result<String, Failure> {
        metrics::text(&self.app)
    }

    /// `GET /metrics`, for a listener of the operator's own: it is no part of [`Broker::router`].
    pub fn metrics_router(&self) -> Router {
        metrics::router(self.app.clone())
    }

    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// The routes, to be given to [`crate::serve`].
    pub fn router(&self) -> Router {
        let (router, _) = routes::all().split_for_parts();
        router
            .fallback(routes::unknown_path)
            .method_not_allowed_fallback(routes::unknown_method)
            .layer(from_fn_with_state(self.app.clone(), auth::authorise))
            .layer(from_fn_with_state(self.app.clone(), middleware::limit))
            .layer(from_fn_with_state(self.app.clone(), middleware::log))
            .with_state(self.app.clone())
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("book", &self.app.book).finish_non_exhaustive()
    }
}

/// The OpenAPI document of the routes, as `spec/openapi.json` holds it.
pub fn openapi() -> String {
    let (_, document) = routes::all().split_for_parts();
    let text = routes::document::finish(document).to_pretty_json();
    text.unwrap_or_else(|error| unreachable!("plain structs: {error}")) + "\n"
}

impl Shared {
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
            tracing::error!(%error, "work for a request did not end");
            ProblemKind::Internal.fail("work for the request did not end")
        })
    }

    /// Checks the signature of what a request brings.
    pub(crate) async fn verify<T: Send + 'static>(
        self: &Arc<Self>,
        check: impl FnOnce(&Deployment) -> Result<T, SignatureError> + Send + 'static,
    ) -> Result<T, Failure> {
        let place = self.checks.acquire().await;
        let checked = self.blocking(|app| check(&app.deployment)).await?;
        drop(place);
        checked.map_err(auth::refused)
    }

    /// Uses up one of an account's writes, whose signature was checked: nobody uses up another's.
    pub(crate) fn take_write(&self, account: Address) -> Result<(), Failure> {
        self.per_account.take(account).map_err(|wait| {
            ProblemKind::RateExceeded.fail("this account writes too often").after(wait)
        })
    }
}
