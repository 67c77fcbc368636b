//! Errors: what a request is refused with, and what can go wrong while serving.

use std::fmt;
use std::time::Duration;

use assay_protocol::{CapabilityError, PROBLEM_TYPE, Problem, ProblemKind, SignatureError};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong while serving. What a request is refused with is a [`Failure`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A socket failed.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// Why a request was refused or failed: a problem, as an HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub Problem);

impl Failure {
    pub(crate) fn kind(&self) -> Option<ProblemKind> {
        self.0.kind()
    }

    pub(crate) fn after(self, wait: Duration) -> Self {
        Failure(self.0.after(wait))
    }
}

/// Makes failures of problems.
pub(crate) trait Fail {
    /// The failure in a certain case.
    fn fail(self, detail: impl fmt::Display) -> Failure;
}

impl Fail for ProblemKind {
    fn fail(self, detail: impl fmt::Display) -> Failure {
        Failure(self.with(detail))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failure {}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Failure(problem)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0)
            .unwrap_or_else(|error| unreachable!("strings and a number: {error}"));
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_TYPE)], body).into_response();
        if let Some(wait) = self.0.retry_after {
            let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, secs.max(1).into());
        }
        if let Some(kind) = self.kind() {
            response.extensions_mut().insert(kind);
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 11.6.1: a 401 names a way to authenticate.
            let way = HeaderValue::from_static("Assay-EIP712");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, way);
        }
        response
    }
}

impl From<CapabilityError> for Failure {
    fn from(error: CapabilityError) -> Self {
        Failure(error.into())
    }
}

impl From<SignatureError> for Failure {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::Length(_) => ProblemKind::AccountUnsupported.fail(error),
            SignatureError::Terms => ProblemKind::TermsMismatch.fail(error),
            other => ProblemKind::SignatureInvalid.fail(other),
        }
    }
}

impl From<assay_storage::Error> for Failure {
    fn from(error: assay_storage::Error) -> Self {
        use assay_storage::Error;
        match &error {
            Error::Busy { .. } => ProblemKind::Busy.fail(&error).after(Duration::from_secs(1)),
            Error::Full { .. } | Error::BlobsFull { .. } => ProblemKind::StorageFull.fail(&error),
            other => {
                // It may name files: for the log only.
                tracing::error!(error = %other, "the store failed");
                ProblemKind::Internal
                    .fail("the broker's storage failed; its operator finds the cause in its log")
            }
        }
    }
}
