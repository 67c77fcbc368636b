//! What goes over the wire, as JSON.

use alloy_primitives::{Address, B256, Bytes, FixedBytes};
use assay_contracts::Deployment;
use assay_contracts::Market;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::json_text::JsonObject;
use crate::limits::NAME_BYTES_MAX;
use crate::schema;

/// The `schema` of [`MarketInfo`].
pub const BROKER_SCHEMA: &str = "assay.broker/1";

/// An order and its requester's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedOrder {
    /// The order.
    #[schema(schema_with = schema::order)]
    pub order: Market::Order,
    /// The terms, whose text has the order's `termsHash` as its SHA-256; none if that is zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub terms: Option<JsonObject>,
    /// The requester's signature over the job id: 65 bytes, or what a contract account takes.
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
    /// The order.
    #[schema(schema_with = schema::order)]
    pub order: Market::Order,
    /// The terms, whose text has the order's `termsHash` as its SHA-256; none if that is zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub terms: Option<JsonObject>,
    /// The requester's signature over the job id.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

impl OrderEntry {
    /// The order with its signature.
    pub fn signed(&self) -> SignedOrder {
        let (order, terms) = (self.order.clone(), self.terms.clone());
        SignedOrder { order, terms, signature: self.signature.clone() }
    }
}

/// Orders by sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrdersPage {
    /// By ascending sequence.
    pub orders: Vec<OrderEntry>,
    /// The `after` of the next page; null if there is none yet.
    #[schema(required)]
    pub next: Option<u64>,
}

/// The answer to an entry that is about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Posted {
    /// The order's id.
    #[schema(schema_with = schema::hash)]
    pub job_id: B256,
    /// Its place in the book.
    pub sequence: u64,
}

/// A provider's refusal of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The order.
    #[schema(schema_with = schema::hash)]
    pub job_id: B256,
    /// The provider that declines.
    #[schema(schema_with = schema::address)]
    pub provider: Address,
    /// Why: an object with a `code`, and what else the code needs.
    #[schema(schema_with = schema::reason)]
    pub reason: JsonObject,
    /// When, in Unix seconds.
    pub at: u64,
}

/// A refusal and its provider's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedRefusal {
    /// The refusal.
    pub refusal: Refusal,
    /// The provider's signature over the EIP-712 struct `Refusal`.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

/// A refusal in the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusalEntry {
    /// Its place in the book.
    pub sequence: u64,
    /// The refusal.
    pub refusal: Refusal,
    /// The provider's signature.
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

/// A provider's offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The terms.
    pub offer: JsonObject,
    /// When it expires, in Unix seconds.
    pub until: u64,
}

/// An offer and its provider's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedOffer {
    /// The terms.
    #[schema(value_type = Object)]
    pub offer: JsonObject,
    /// When it expires, in Unix seconds.
    pub until: u64,
    /// The provider's signature over the EIP-712 struct `Offer`.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

/// The answer to an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferPut {
    /// The provider.
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
    /// The provider.
    #[schema(schema_with = schema::address)]
    pub provider: Address,
    /// The terms.
    #[schema(value_type = Object)]
    pub offer: JsonObject,
    /// When it expires, in Unix seconds.
    pub until: u64,
    /// The provider's signature.
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
    /// By ascending sequence.
    pub offers: Vec<OfferEntry>,
    /// The `after` of the next page; null if there is none yet.
    #[schema(required)]
    pub next: Option<u64>,
}

/// The public keys of an account, for which others seal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealKeys {
    /// The keys, as `spec/envelope.md` has them.
    pub keys: JsonObject,
    /// When they were made, in Unix seconds.
    pub from: u64,
}

/// Seal keys and their account's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedSealKeys {
    /// The keys.
    #[schema(value_type = Object)]
    pub keys: JsonObject,
    /// When they were made, in Unix seconds: of two, the later replaces the other.
    pub from: u64,
    /// The account's signature over the EIP-712 struct `SealKeys`.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

/// Seal keys in the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SealKeysEntry {
    /// Their place in the book.
    pub sequence: u64,
    /// The account.
    #[schema(schema_with = schema::address)]
    pub account: Address,
    /// The keys.
    #[schema(value_type = Object)]
    pub keys: JsonObject,
    /// When they were made, in Unix seconds.
    pub from: u64,
    /// The account's signature.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

impl SealKeysEntry {
    /// The keys with their signature.
    pub fn signed(&self) -> SignedSealKeys {
        let (keys, signature) = (self.keys.clone(), self.signature.clone());
        SignedSealKeys { keys, from: self.from, signature }
    }
}

/// The answer to an entry that is about the account itself, or its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryPut {
    /// The account.
    #[schema(schema_with = schema::address)]
    pub account: Address,
    /// Its place in the book.
    pub sequence: u64,
}

/// The content key of one slot of a job, wrapped (encrypted) by its owner for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyWrap {
    /// The order.
    pub job_id: B256,
    /// The owner of the data.
    pub owner: Address,
    /// The account that can open it.
    pub recipient: Address,
    /// The slot that the key is for.
    pub slot: u8,
    /// The wrap, as `spec/envelope.md` has it.
    pub wrap: Bytes,
}

/// A wrap and its owner's signature; job, recipient and slot are in the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedWrap {
    /// The owner of the data.
    #[schema(schema_with = schema::address)]
    pub owner: Address,
    /// The wrap: 4,096 bytes at most.
    #[schema(schema_with = schema::wrap)]
    pub wrap: Bytes,
    /// The owner's signature over the EIP-712 struct `Wrap`.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

/// A wrap in the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WrapEntry {
    /// Its place in the book.
    pub sequence: u64,
    /// The owner of the data.
    #[schema(schema_with = schema::address)]
    pub owner: Address,
    /// The slot that the key is for.
    pub slot: u8,
    /// The wrap.
    #[schema(schema_with = schema::wrap)]
    pub wrap: Bytes,
    /// The owner's signature.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

impl WrapEntry {
    /// The wrap with its signature.
    pub fn signed(&self) -> SignedWrap {
        let (wrap, signature) = (self.wrap.clone(), self.signature.clone());
        SignedWrap { owner: self.owner, wrap, signature }
    }
}

/// Wraps by sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WrapsPage {
    /// By ascending sequence.
    pub wraps: Vec<WrapEntry>,
    /// The `after` of the next page; null if there is none yet.
    #[schema(required)]
    pub next: Option<u64>,
}

/// A key service's refusal to release a key, in its owner's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRefusal {
    /// The order.
    #[schema(schema_with = schema::hash)]
    pub job_id: B256,
    /// The owner of the data.
    #[schema(schema_with = schema::address)]
    pub owner: Address,
    /// The account that gets no key.
    #[schema(schema_with = schema::address)]
    pub recipient: Address,
    /// Why: an object with a `code`, and what else the code needs.
    #[schema(schema_with = schema::reason)]
    pub reason: JsonObject,
    /// When, in Unix seconds.
    pub at: u64,
}

/// A key service's refusal and its owner's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedKeyRefusal {
    /// The refusal.
    pub refusal: KeyRefusal,
    /// The owner's signature over the EIP-712 struct `KeyRefusal`.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

/// A key service's refusal in the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyRefusalEntry {
    /// Its place in the book.
    pub sequence: u64,
    /// The refusal.
    pub refusal: KeyRefusal,
    /// The owner's signature.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

impl KeyRefusalEntry {
    /// The refusal with its signature.
    pub fn signed(&self) -> SignedKeyRefusal {
        SignedKeyRefusal { refusal: self.refusal.clone(), signature: self.signature.clone() }
    }
}

/// Key services' refusals by sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyRefusalsPage {
    /// By ascending sequence.
    pub refusals: Vec<KeyRefusalEntry>,
    /// The `after` of the next page; null if there is none yet.
    #[schema(required)]
    pub next: Option<u64>,
}

/// A dataset's document and its policy, both signed by the owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedDataset {
    /// An object with the dataset's `name` and `version`, and what else `spec/envelope.md`
    /// requires.
    #[schema(schema_with = schema::dataset)]
    pub document: JsonObject,
    /// The owner's signature over the EIP-712 struct `Dataset`.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
    /// The policy.
    #[schema(value_type = Object)]
    pub policy: JsonObject,
    /// The owner's signature over the EIP-712 struct `Policy`.
    #[schema(schema_with = schema::signature)]
    pub policy_signature: Bytes,
}

impl SignedDataset {
    /// The name and version in the document; `None` if one is missing or malformed.
    pub fn name_and_version(&self) -> Option<(String, u64)> {
        let members = self.document.members();
        let name = members.get("name")?.as_str().filter(|name| is_name(name))?;
        Some((name.to_owned(), members.get("version")?.as_u64()?))
    }
}

/// Whether text may name a dataset, or the kind of a document: 1 to 64 of lower-case letters,
/// digits, `.`, `-` and `_`, the first a letter or a digit (spec/policy.md#words).
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = |byte: u8| plain(byte) || matches!(byte, b'.' | b'-' | b'_');
    let begins = text.bytes().next().is_some_and(plain);
    begins && text.len() <= NAME_BYTES_MAX && text.bytes().all(fits)
}

/// A dataset in the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatasetEntry {
    /// Its place in the book.
    pub sequence: u64,
    /// The owner.
    #[schema(schema_with = schema::address)]
    pub owner: Address,
    /// The dataset's document.
    #[schema(schema_with = schema::dataset)]
    pub document: JsonObject,
    /// The owner's signature over the document.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
    /// The policy.
    #[schema(value_type = Object)]
    pub policy: JsonObject,
    /// The owner's signature over the policy.
    #[schema(schema_with = schema::signature)]
    pub policy_signature: Bytes,
}

impl DatasetEntry {
    /// The dataset with its signatures.
    pub fn signed(&self) -> SignedDataset {
        SignedDataset {
            document: self.document.clone(),
            signature: self.signature.clone(),
            policy: self.policy.clone(),
            policy_signature: self.policy_signature.clone(),
        }
    }
}

/// Datasets by sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatasetsPage {
    /// By ascending sequence; 50 at most.
    pub datasets: Vec<DatasetEntry>,
    /// The `after` of the next page; null if there is none yet.
    #[schema(required)]
    pub next: Option<u64>,
}

/// A grant, a revocation, or another document that a data owner publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerDocument {
    /// Its kind: see [`is_name`].
    pub kind: String,
    /// The document.
    pub document: JsonObject,
}

/// An owner's document and its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedOwnerDocument {
    /// Its kind.
    #[schema(schema_with = schema::name)]
    pub kind: String,
    /// The document.
    #[schema(value_type = Object)]
    pub document: JsonObject,
    /// The owner's signature over the EIP-712 struct `OwnerDocument`.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

/// An owner's document in the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnerDocumentEntry {
    /// Its place in the book.
    pub sequence: u64,
    /// Its kind.
    #[schema(schema_with = schema::name)]
    pub kind: String,
    /// The document.
    #[schema(value_type = Object)]
    pub document: JsonObject,
    /// The owner's signature.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

impl OwnerDocumentEntry {
    /// The document with its signature.
    pub fn signed(&self) -> SignedOwnerDocument {
        let (kind, document) = (self.kind.clone(), self.document.clone());
        SignedOwnerDocument { kind, document, signature: self.signature.clone() }
    }
}

/// An owner's documents by sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnerDocumentsPage {
    /// By ascending sequence; 50 at most.
    pub documents: Vec<OwnerDocumentEntry>,
    /// The `after` of the next page; null if there is none yet.
    #[schema(required)]
    pub next: Option<u64>,
}

/// The answer to a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlobPut {
    /// Its size in bytes.
    pub bytes: u64,
}

/// The answer to an entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogAdded {
    /// Its index in the log, which never changes.
    pub index: u64,
}

/// What a broker serves: its market, and its limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MarketInfo {
    /// [`BROKER_SCHEMA`].
    pub schema: String,
    /// The addresses of the market's contracts: `assay.deployment/1`.
    #[schema(schema_with = schema::deployment)]
    pub deployment: Deployment,
    /// The 16 bytes that nonces of signed requests begin with, until the broker restarts.
    #[schema(schema_with = schema::epoch)]
    pub epoch: FixedBytes<16>,
    /// The broker's limits.
    pub limits: MarketLimits,
}

/// A broker's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MarketLimits {
    /// The body of an order, a refusal, an offer, a wrap or seal keys, in bytes.
    pub json_bytes_max: u64,
    /// A program, in bytes.
    pub program_bytes_max: u64,
    /// The image of a slot, in bytes.
    pub slot_bytes_max: u64,
    /// An envelope, in bytes.
    pub envelope_bytes_max: u64,
    /// Entries in a page.
    pub page_entries_max: u64,
    /// Datasets or documents in a page.
    pub page_documents_max: u64,
    /// How far ahead a signed request may expire, in seconds.
    pub request_secs_max: u64,
    /// How far ahead an offer may expire, in seconds.
    pub offer_secs_max: u64,
    /// Requests a second from one address, in the long run.
    pub requests_per_address_per_sec: u32,
    /// Signed writes a second by one account, in the long run.
    pub writes_per_account_per_sec: u32,
}

/// The health of a broker that works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// The highest sequence in the book.
    pub newest: u64,
}
