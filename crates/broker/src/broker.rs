//! The broker: its routes put together.

use std::fmt;
use std::sync::Arc;

use assay_contracts::Deployment;
use assay_protocol::ProblemKind;
use assay_storage::{Blobs, Book};
use assay_types::Clock;
use axum::Router;
use axum::middleware::from_fn_with_state;

use crate::error::Failure;
use crate::limits::Limits;
use crate::state::{App, HostedLog, Shared};
use crate::{auth, metrics, middleware, routes};

/// A broker: a market's order book, blobs and perhaps log, ready to be served.
#[derive(Clone)]
pub struct Broker {
    app: App,
}

impl Broker {
    /// A broker for a market. The clock tells it what has expired.
    pub fn new(
        book: Book,
        blobs: Blobs,
        deployment: Deployment,
        limits: Limits,
        clock: impl Clock,
    ) -> Self {
        let openapi = openapi().into();
        Broker { app: Arc::new(Shared::new(book, blobs, deployment, limits, clock, openapi)) }
    }

    /// The same broker with a log.
    #[must_use]
    pub fn with_log(mut self, log: HostedLog) -> Self {
        let app = Arc::get_mut(&mut self.app);
        app.unwrap_or_else(|| unreachable!("it is being made: nobody else has it")).log = Some(log);
        self
    }

    /// How often the broker has answered a kind of problem since it started.
    pub fn refused(&self, kind: ProblemKind) -> u64 {
        self.app.refused.of(kind)
    }

    /// The metrics in Prometheus's text format (spec/broker.md#metrics). They hold no accounts,
    /// names, keys or content.
    ///
    /// # Errors
    ///
    /// [`ProblemKind::Internal`] if the store fails.
    pub fn metrics(&self) -> Result<String, Failure> {
        metrics::text(&self.app)
    }

    /// Serves the metrics at `GET /metrics`: for a listener that only the operator can reach.
    /// [`Broker::router`] does not have this route.
    pub fn metrics_router(&self) -> Router {
        metrics::router(self.app.clone())
    }

    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// The broker's routes, for [`crate::serve`].
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
