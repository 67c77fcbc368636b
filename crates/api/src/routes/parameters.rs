//! Parameters of paths and queries: parsed once, refused as problems.

use std::str::FromStr;

use alloy_primitives::{Address, B256};
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::limits::{LIMIT_DEFAULT, LIMIT_MAX};
use crate::{Problem, ProblemKind};

/// The one parameter of a path: a hash of 64 hex digits, with 0x or without.
pub(super) struct Name(pub(super) B256);

/// The one parameter of a path: an address of 40 hex digits, with 0x or without.
pub(super) struct Account(pub(super) Address);

/// `after` and `limit` of a query.
pub(super) struct Range {
    pub(super) after: u64,
    pub(super) limit: u64,
}

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        of_path(parts, state, "64 hex digits").await.map(Name)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Account {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        of_path(parts, state, "an address, 40 hex digits").await.map(Account)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Range {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
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
                _ => return Err(malformed("the query knows after and limit only")),
            }
        }
        if (1..=LIMIT_MAX).contains(&range.limit) {
            Ok(range)
        } else {
            Err(malformed(format_args!("limit must be 1 to {LIMIT_MAX}")))
        }
    }
}

pub(super) fn malformed(detail: impl std::fmt::Display) -> Problem {
    ProblemKind::ParameterMalformed.with(detail)
}

async fn of_path<T: FromStr, S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    form: &str,
) -> Result<T, Problem> {
    let text = Path::<String>::from_request_parts(parts, state).await;
    let value = text.ok().and_then(|Path(text)| text.parse().ok());
    value.ok_or_else(|| malformed(format_args!("the path must end in {form}")))
}
