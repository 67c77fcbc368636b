//! Entries of the broker's book: written, found and listed, and checked on their way here.

use alloy_primitives::B256;
use assay_contracts::Deployment;
use assay_protocol::{
    DatasetEntry, JSON, KeyRefusalEntry, OfferEntry, OrderEntry, OwnerDocumentEntry, ProblemKind,
    WrapEntry,
};
use assay_types::sha256;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::BrokerClient;
use super::request::{Call, json};
use crate::error::{Error, Result};

/// Entries of one list that are accepted in all: a broker that serves more is broken.
const LIST_MAX: usize = 1 << 16;

/// An entry with its place in the book.
pub(super) trait Entry: DeserializeOwned + Send + 'static {
    fn sequence(&self) -> u64;
}

macro_rules! entries {
    ($($entry:ty),* $(,)?) => {
        $(impl Entry for $entry {
            fn sequence(&self) -> u64 {
                self.sequence
            }
        })*
    };
}

entries!(DatasetEntry, KeyRefusalEntry, OfferEntry, OrderEntry, OwnerDocumentEntry, WrapEntry);

impl BrokerClient {
    /// Sends JSON. Returns the answer, which must be about what was sent, and whether it is new to
    /// the broker.
    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
        is_about_it: impl FnOnce(&T) -> bool,
    ) -> Result<(T, bool)> {
        let body =
            serde_json::to_vec(body).unwrap_or_else(|error| unreachable!("plain structs: {error}"));
        let digest = B256::new(sha256(&body).0);
        let body = bytes::Bytes::from(body);
        let call = Call { content_type: Some(JSON), digest, ..self.call(method, path) };
        let response = self.send(&call, |request| request.body(body.clone())).await?;
        let is_new = response.status() == StatusCode::CREATED;
        let put = json(response).await?;
        if is_about_it(&put) {
            Ok((put, is_new))
        } else {
            Err(Error::bad_answer("it stored the entry as another's"))
        }
    }

    /// Reads JSON; what it says is not checked.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        json(self.send(&self.call(Method::GET, path), |request| request).await?).await
    }

    /// Reads and checks what may not exist: `unknown` is how the broker says so.
    pub(super) async fn find<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
        unknown: ProblemKind,
        check: impl FnOnce(&T, &Deployment) -> Result<()> + Send + 'static,
    ) -> Result<Option<T>> {
        match or_none(self.read(path).await, unknown)? {
            Some(found) => self.checked(found, check).await.map(Some),
            None => Ok(None),
        }
    }

    /// Reads and checks all pages of a list, in order. `open` takes a page apart into its entries
    /// and where the next page begins.
    pub(super) async fn list<P: DeserializeOwned, T: Entry>(
        &self,
        path: &str,
        limit: u64,
        open: impl Fn(P) -> (Vec<T>, Option<u64>),
        check: impl Fn(&T, &Deployment) -> Result<()> + Send + 'static,
    ) -> Result<Vec<T>> {
        self.list_some(path, limit, open, |_| true, check).await
    }

    /// The same with only those entries that are wanted: the others are neither kept nor checked.
    pub(super) async fn list_some<P: DeserializeOwned, T: Entry>(
        &self,
        path: &str,
        limit: u64,
        open: impl Fn(P) -> (Vec<T>, Option<u64>),
        is_wanted: impl Fn(&T) -> bool,
        check: impl Fn(&T, &Deployment) -> Result<()> + Send + 'static,
    ) -> Result<Vec<T>> {
        let (mut all, mut after, mut seen) = (Vec::new(), 0, 0);
        loop {
            let page = self.read(&format!("{path}?after={after}&limit={limit}")).await?;
            let (entries, next) = open(page);
            // A page without entries counts as one: a list must end.
            seen += entries.len().max(1);
            check_ascending(after, entries.iter().map(T::sequence))?;
            all.extend(entries.into_iter().filter(&is_wanted));
            match next {
                Some(next) if next > after && seen < LIST_MAX => after = next,
                Some(_) => return Err(Error::bad_answer("its list does not end")),
                None => break,
            }
        }
        let check = move |all: &Vec<T>, deployment: &Deployment| {
            all.iter().try_for_each(|entry| check(entry, deployment))
        };
        self.checked(all, check).await
    }

    /// Checks signatures, off the threads that serve.
    pub(super) async fn checked<T: Send + 'static>(
        &self,
        value: T,
        check: impl FnOnce(&T, &Deployment) -> Result<()> + Send + 'static,
    ) -> Result<T> {
        let deployment = self.deployment.clone();
        blocking(move || match check(&value, &deployment) {
            Err(Error::Signature(error)) => Err(Error::bad_answer(error.to_string())),
            Err(other) => Err(other),
            Ok(()) => Ok(value),
        })
        .await
    }
}

pub(super) fn check_ascending(after: u64, sequences: impl Iterator<Item = u64>) -> Result<()> {
    let mut last = after;
    for sequence in sequences {
        if sequence <= last {
            return Err(Error::bad_answer("its entries are out of order"));
        }
        last = sequence;
    }
    Ok(())
}

/// `None` where the broker says that there is none, which is no failure.
pub(super) fn or_none<T>(found: Result<T>, unknown: ProblemKind) -> Result<Option<T>> {
    match found {
        Err(Error::Refused(problem)) if problem.kind() == Some(unknown) => Ok(None),
        other => other.map(Some),
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
