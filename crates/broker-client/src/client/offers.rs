//! Offers.

use alloy_primitives::Address;
use assay_protocol::{LIMIT_MAX, OfferEntry, OfferPut, OffersPage, SignedOffer};
use reqwest::Method;

use super::BrokerClient;
use crate::error::Result;

impl BrokerClient {
    /// Puts a provider's offer into the book; true if it is new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn put_offer(
        &self,
        provider: Address,
        offer: &SignedOffer,
    ) -> Result<(OfferPut, bool)> {
        let path = format!("/v1/offers/{provider}");
        self.write(Method::PUT, &path, offer, |put: &OfferPut| put.provider == provider).await
    }

    /// All offers that have not expired.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`](crate::Error::BadAnswer) for an offer that its provider did not sign,
    /// and as every call.
    pub async fn offers(&self) -> Result<Vec<OfferEntry>> {
        let open = |page: OffersPage| (page.offers, page.next);
        self.list("/v1/offers", LIMIT_MAX, open, |offer, market| {
            Ok(offer.signed().verify(offer.provider, market)?)
        })
        .await
    }
}
