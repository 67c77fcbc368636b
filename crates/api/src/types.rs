//! What goes over the wire.

use alloy_primitives::{Address, B256, Bytes};
use assay_chain::Deployment;
use assay_chain::contracts::Market;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::JsonObject;
use crate::routes::schema;

/// What a broker's facts begin with.
pub const BROKER_SCHEMA: &str = "assay.broker/1";

/// An order and its requester's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedOrder {
    /// What is ordered.
    #[schema(schema_with = schema::order)]
    pub order: Market::Order,
    /// The requester's, over the job id: 65 bytes, or what a contract account takes.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

/// An order in the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderEntry {
    /// Its place in the book.
    pub sequence: u64,
    /// Its id on this market.
    #[schema(schema_with = schema::hash)]
    pub job_id: B256,
    /// What is ordered.
    #[schema(schema_with = schema::order)]
    pub order: Market::Order,
    /// The requester's, over the job id.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

impl OrderEntry {
    /// The order with its signature.
    pub fn signed(&self) -> SignedOrder {
        SignedOrder { order: self.order.clone(), signature: self.signature.clone() }
    }
}

/// Orders by sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrdersPage {
    /// Ascending.
    pub orders: Vec<OrderEntry>,
    /// What to give as `after` for the next page; null if there is none yet.
    #[schema(required)]
    pub next: Option<u64>,
}

/// What became of an order or a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Posted {
    /// The order's id.
    #[schema(schema_with = schema::hash)]
    pub job_id: B256,
    /// Its place in the book.
    pub sequence: u64,
}

/// Why a provider declines an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The order.
    #[schema(schema_with = schema::hash)]
    pub job_id: B256,
    /// Who declines.
    #[schema(schema_with = schema::address)]
    pub provider: Address,
    /// An object with a `code`, and whatever the code needs.
    #[schema(schema_with = schema::reason)]
    pub reason: JsonObject,
    /// When, in Unix seconds.
    pub at: u64,
}

/// A refusal and its provider's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedRefusal {
    /// What is said.
    pub refusal: Refusal,
    /// The provider's, over the EIP-712 struct `Refusal`.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

/// A refusal in the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusalEntry {
    /// Its place in the book.
    pub sequence: u64,
    /// What is said.
    pub refusal: Refusal,
    /// The provider's.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

impl RefusalEntry {
    /// The refusal with its signature.
    pub fn signed(&self) -> SignedRefusal {
        SignedRefusal { refusal: self.refusal.clone(), signature: self.signature.clone() }
    }
}

/// All refusals of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusals {
    /// By provider.
    pub refusals: Vec<RefusalEntry>,
}

/// What a provider offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The terms.
    pub offer: JsonObject,
    /// Until when, in Unix seconds.
    pub until: u64,
}

/// An offer and its provider's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedOffer {
    /// The terms.
    #[schema(value_type = Object)]
    pub offer: JsonObject,
    /// Until when, in Unix seconds.
    pub until: u64,
    /// The provider's, over the EIP-712 struct `Offer`.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferPut {
    /// Whose it is.
    #[schema(schema_with = schema::address)]
    pub provider: Address,
    /// Its place in the book.
    pub sequence: u64,
}

/// An offer in the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferEntry {
    /// Its place in the book.
    pub sequence: u64,
    /// Whose it is.
    #[schema(schema_with = schema::address)]
    pub provider: Address,
    /// The terms.
    #[schema(value_type = Object)]
    pub offer: JsonObject,
    /// Until when, in Unix seconds.
    pub until: u64,
    /// The provider's.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

impl OfferEntry {
    /// The offer with its signature.
    pub fn signed(&self) -> SignedOffer {
        SignedOffer {
            offer: self.offer.clone(),
            until: self.until,
            signature: self.signature.clone(),
        }
    }
}

/// Offers by sequence, without those that have expired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OffersPage {
    /// Ascending.
    pub offers: Vec<OfferEntry>,
    /// What to give as `after` for the next page; null if there is none yet.
    #[schema(required)]
    pub next: Option<u64>,
}

/// What became of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlobPut {
    /// Its size.
    pub bytes: u64,
}

/// What became of an entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogAdded {
    /// Its place, for ever.
    pub index: u64,
}

/// What a broker serves, and within which limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MarketFacts {
    /// [`BROKER_SCHEMA`].
    pub schema: String,
    /// Where the market's contracts are: `assay.deployment/1`.
    #[schema(schema_with = schema::deployment)]
    pub deployment: Deployment,
    /// What the broker takes at most.
    pub limits: LimitFacts,
}

/// What a broker takes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitFacts {
    /// The body of an order, a refusal or an offer.
    pub json_bytes_max: u64,
    /// A program.
    pub program_bytes_max: u64,
    /// A slot's image.
    pub slot_bytes_max: u64,
    /// Entries in a page.
    pub page_entries_max: u64,
    /// How far ahead a signed request may expire.
    pub request_secs_max: u64,
    /// How far ahead an offer may expire.
    pub offer_secs_max: u64,
    /// Requests a second of one address, in the long run.
    pub requests_per_address_per_sec: u32,
    /// Signed writes a second of one account, in the long run.
    pub writes_per_account_per_sec: u32,
}

/// That a broker works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// The highest sequence in the book.
    pub newest: u64,
}
