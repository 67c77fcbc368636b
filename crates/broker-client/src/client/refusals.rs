//! Refusals: of orders by providers, of keys by key services.

use alloy_primitives::B256;
use assay_protocol::{
    KeyRefusalEntry, KeyRefusalsPage, LIMIT_MAX, Posted, ProblemKind, RefusalEntry, Refusals,
    SignedKeyRefusal, SignedRefusal,
};
use reqwest::Method;

use super::BrokerClient;
use crate::error::{Error, Result};

impl BrokerClient {
    /// Puts a provider's refusal of an order into the book; true if it is new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn post_refusal(&self, refusal: &SignedRefusal) -> Result<(Posted, bool)> {
        let job_id = refusal.refusal.job_id;
        self.write(Method::POST, "/v1/refusals", refusal, |put: &Posted| put.job_id == job_id).await
    }

    /// Why providers declined an order; `None` if the book has no such order.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for a refusal that its provider did not sign, and as every call.
    pub async fn refusals(&self, job_id: B256) -> Result<Option<Vec<RefusalEntry>>> {
        let path = format!("/v1/orders/{job_id}/refusals");
        let found = self.find(&path, ProblemKind::OrderUnknown, move |found: &Refusals, market| {
            found.refusals.iter().try_for_each(|entry| {
                check_order_of(entry.refusal.job_id, job_id)?;
                Ok(entry.signed().verify(market)?)
            })
        });
        Ok(found.await?.map(|found| found.refusals))
    }

    /// Puts a key service's refusal into the book; true if it is new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn post_key_refusal(&self, refusal: &SignedKeyRefusal) -> Result<(Posted, bool)> {
        let job_id = refusal.refusal.job_id;
        let is_about_it = |put: &Posted| put.job_id == job_id;
        self.write(Method::POST, "/v1/key-refusals", refusal, is_about_it).await
    }

    /// Why key services gave no key for a job, as far as the broker shows it to who asks.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for a refusal that its owner did not sign, and as every call.
    pub async fn key_refusals(&self, job_id: B256) -> Result<Vec<KeyRefusalEntry>> {
        let path = format!("/v1/orders/{job_id}/key-refusals");
        let open = |page: KeyRefusalsPage| (page.refusals, page.next);
        self.list(&path, LIMIT_MAX, open, move |entry, market| {
            check_order_of(entry.refusal.job_id, job_id)?;
            Ok(entry.signed().verify(market)?)
        })
        .await
    }
}

fn check_order_of(found: B256, expected: B256) -> Result<()> {
    if found == expected { Ok(()) } else { Err(Error::bad_answer("a refusal is of another order")) }
}
