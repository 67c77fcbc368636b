//! Wrapped keys.

use alloy_primitives::{Address, B256};
use assay_contracts::Deployment;
use assay_protocol::{KeyWrap, LIMIT_MAX, Posted, SignedWrap, WrapEntry, WrapsPage};
use reqwest::Method;

use super::BrokerClient;
use crate::error::Result;

impl BrokerClient {
    /// Puts a wrapped key into the book, which must have the order; true if it is new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn put_wrap(&self, wrap: &KeyWrap, signed: &SignedWrap) -> Result<(Posted, bool)> {
        let KeyWrap { job_id, recipient, slot, .. } = wrap;
        let path = format!("/v1/wraps/{job_id}/{recipient}/{slot}");
        self.write(Method::PUT, &path, signed, |put: &Posted| put.job_id == *job_id).await
    }

    /// A recipient's wrapped keys of a job: the recipient gets all, an owner those it has wrapped.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`](crate::Error::BadAnswer) for a wrap that its owner did not sign;
    /// [`Error::Refused`](crate::Error::Refused) to others; as every call.
    pub async fn wraps(&self, job_id: B256, recipient: Address) -> Result<Vec<WrapEntry>> {
        self.wraps_where(job_id, recipient, |_| true).await
    }

    /// The key of one slot that an owner has wrapped for a recipient, if there is one. Other wraps
    /// are not checked: anybody may have put them.
    ///
    /// # Errors
    ///
    /// As [`BrokerClient::wraps`].
    pub async fn wrap(
        &self,
        job_id: B256,
        recipient: Address,
        (owner, slot): (Address, u8),
    ) -> Result<Option<WrapEntry>> {
        let is_wanted = |entry: &WrapEntry| (entry.owner, entry.slot) == (owner, slot);
        Ok(self.wraps_where(job_id, recipient, is_wanted).await?.into_iter().next())
    }

    async fn wraps_where(
        &self,
        job_id: B256,
        recipient: Address,
        is_wanted: impl Fn(&WrapEntry) -> bool,
    ) -> Result<Vec<WrapEntry>> {
        let path = format!("/v1/wraps/{job_id}/{recipient}");
        let open = |page: WrapsPage| (page.wraps, page.next);
        let check = move |entry: &WrapEntry, market: &Deployment| {
            Ok(entry.signed().verify((job_id, recipient, entry.slot), market)?)
        };
        self.list_some(&path, LIMIT_MAX, open, is_wanted, check).await
    }
}
