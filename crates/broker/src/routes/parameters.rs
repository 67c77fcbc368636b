//! Parameters of paths and queries: parsed once, refused as problems.

use std::str::FromStr;

use alloy_primitives::{Address, B256};
use assay_protocol::{LIMIT_DEFAULT, LIMIT_MAX, ProblemKind, is_name};
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::{Fail, Failure};

/// The one parameter of a path: a hash of 64 hex digits, with 0x or without.
pub(super) struct Name(pub(super) B256);

/// The one parameter of a path: an address of 40 hex digits, with 0x or without.
pub(super) struct Account(pub(super) Address);

/// The two parameters of a path of wraps: a job id and a recipient.
pub(super) struct JobAndRecipient(pub(super) B256, pub(super) Address);

/// The three parameters of a wrap's path: a job id, a recipient and a slot.
pub(super) struct WrapPlace(pub(super) B256, pub(super) Address, pub(super) u8);

/// The two parameters of a dataset's path: its owner and its name.
pub(super) struct DatasetPlace(pub(super) Address, pub(super) String);

/// `after` and `limit` of a query.
pub(super) struct Range {
    pub(super) after: u64,
    pub(super) limit: u64,
}

impl Range {
    /// The same with at most so many.
    pub(super) fn within(self, limit_max: u64) -> Self {
        Range { limit: self.limit.min(limit_max), ..self }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        of_path(parts, state, "64 hex digits").await.map(Name)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Account {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        of_path(parts, state, "an address, 40 hex digits").await.map(Account)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for JobAndRecipient {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let form = "64 hex digits and an address";
        let (job, recipient): (String, String) = several(parts, state, form).await?;
        Ok(JobAndRecipient(parsed(&job, form)?, parsed(&recipient, form)?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WrapPlace {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let form = "64 hex digits, an address and a slot from 0 to 255";
        let (job, recipient, slot): (String, String, String) = several(parts, state, form).await?;
        Ok(WrapPlace(parsed(&job, form)?, parsed(&recipient, form)?, parsed(&slot, form)?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for DatasetPlace {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let form = "an address and a name of 1 to 64 lower-case letters, digits and -";
        let (owner, name): (String, String) = several(parts, state, form).await?;
        if !is_name(&name) {
            return Err(malformed(format_args!("the path needs {form}")));
        }
        Ok(DatasetPlace(parsed(&owner, form)?, name))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Range {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let mut range = Range { after: 0, limit: LIMIT_DEFAULT };
        let query = parts.uri.query().unwrap_or_default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let number = || {
                let number = value.parse().ok().filter(|_| !value.starts_with('+'));
                number.ok_or_else(|| malformed(format_args!("{name} must be a decimal number")))
            };
            match name {
                "after" => range.after = number()?,
                "limit" => range.limit = number()?,
                _ => return Err(malformed("the query may have after and limit, nothing else")),
            }
        }
        if (1..=LIMIT_MAX).contains(&range.limit) {
            Ok(range)
        } else {
            Err(malformed(format_args!("limit must be 1 to {LIMIT_MAX}")))
        }
    }
}

pub(super) fn malformed(detail: impl std::fmt::Display) -> Failure {
    ProblemKind::ParameterMalformed.fail(detail)
}

async fn several<T: DeserializeOwned + Send, S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    form: &str,
) -> Result<T, Failure> {
    let texts = Path::<T>::from_request_parts(parts, state).await;
    texts.map(|Path(texts)| texts).map_err(|_| malformed(format_args!("the path needs {form}")))
}

fn parsed<T: FromStr>(text: &str, form: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| malformed(format_args!("the path needs {form}")))
}

async fn of_path<T: FromStr, S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    form: &str,
) -> Result<T, Failure> {
    let text = Path::<String>::from_request_parts(parts, state).await;
    let value = text.ok().and_then(|Path(text)| text.parse().ok());
    value.ok_or_else(|| malformed(format_args!("the path needs {form}")))
}
