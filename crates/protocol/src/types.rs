//! What goes over the wire.

use alloy_primitives::{Address, B256, Bytes, FixedBytes};
use assay_contracts::Deployment;
use assay_contracts::Market;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::json_text::JsonObject;
use crate::limits::NAME_BYTES_MAX;
use crate::schema;

/// What a broker's facts begin with.
pub const BROKER_SCHEMA: &str = "assay.broker/1";

/// An order and its requester's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedOrder {
    /// What is ordered.
    #[schema(schema_with = schema::order)]
    pub order: Market::Order,
    /// What the order's `termsHash` is the SHA-256 of, byte for byte; none if that is zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub terms: Option<JsonObject>,
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
    /// What the order's `termsHash` is the SHA-256 of, byte for byte; none if that is zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub terms: Option<JsonObject>,
    /// The requester's, over the job id.
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

/// The public keys to which an account wants things sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealKeys {
    /// The keys, as `spec/envelope.md` has them.
    pub keys: JsonObject,
    /// Since when, in Unix seconds.
    pub from: u64,
}

/// Seal keys and their account's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedSealKeys {
    /// The keys.
    #[schema(value_type = Object)]
    pub keys: JsonObject,
    /// Since when, in Unix seconds: of two the later holds.
    pub from: u64,
    /// The account's, over the EIP-712 struct `SealKeys`.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

/// Seal keys in the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SealKeysEntry {
    /// Their place in the book.
    pub sequence: u64,
    /// Whose they are.
    #[schema(schema_with = schema::address)]
    pub account: Address,
    /// The keys.
    #[schema(value_type = Object)]
    pub keys: JsonObject,
    /// Since when, in Unix seconds.
    pub from: u64,
    /// The account's.
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

/// What became of what an account says of itself, or of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryPut {
    /// Whose it is.
    #[schema(schema_with = schema::address)]
    pub account: Address,
    /// Its place in the book.
    pub sequence: u64,
}

/// A content key of one of a job's slots, wrapped by its owner for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyWrap {
    /// The order.
    pub job_id: B256,
    /// Whose data it is.
    pub owner: Address,
    /// Who can open it.
    pub recipient: Address,
    /// Which slot it is for.
    pub slot: u8,
    /// The wrap, as `spec/envelope.md` has it.
    pub wrap: Bytes,
}

/// A wrap and its owner's signature; job, recipient and slot stand in the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedWrap {
    /// Whose data it is.
    #[schema(schema_with = schema::address)]
    pub owner: Address,
    /// The wrap: 4,096 bytes at most.
    #[schema(schema_with = schema::wrap)]
    pub wrap: Bytes,
    /// The owner's, over the EIP-712 struct `Wrap`.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

/// A wrap in the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WrapEntry {
    /// Its place in the book.
    pub sequence: u64,
    /// Whose data it is.
    #[schema(schema_with = schema::address)]
    pub owner: Address,
    /// Which slot it is for.
    pub slot: u8,
    /// The wrap.
    #[schema(schema_with = schema::wrap)]
    pub wrap: Bytes,
    /// The owner's.
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
    /// Ascending.
    pub wraps: Vec<WrapEntry>,
    /// What to give as `after` for the next page; null if there is none yet.
    #[schema(required)]
    pub next: Option<u64>,
}

/// Why an owner's key service gives a recipient no key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRefusal {
    /// The order.
    #[schema(schema_with = schema::hash)]
    pub job_id: B256,
    /// Whose data it is.
    #[schema(schema_with = schema::address)]
    pub owner: Address,
    /// Who gets no key.
    #[schema(schema_with = schema::address)]
    pub recipient: Address,
    /// An object with a `code`, and whatever the code needs.
    #[schema(schema_with = schema::reason)]
    pub reason: JsonObject,
    /// When, in Unix seconds.
    pub at: u64,
}

/// A key service's refusal and its owner's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedKeyRefusal {
    /// What is said.
    pub refusal: KeyRefusal,
    /// The owner's, over the EIP-712 struct `KeyRefusal`.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

/// A key service's refusal in the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyRefusalEntry {
    /// Its place in the book.
    pub sequence: u64,
    /// What is said.
    pub refusal: KeyRefusal,
    /// The owner's.
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
    /// Ascending.
    pub refusals: Vec<KeyRefusalEntry>,
    /// What to give as `after` for the next page; null if there is none yet.
    #[schema(required)]
    pub next: Option<u64>,
}

/// What describes a dataset, and its policy, signed by its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedDataset {
    /// An object with the dataset's `name` and `version`, and whatever else `spec/envelope.md`
    /// wants.
    #[schema(schema_with = schema::dataset)]
    pub document: JsonObject,
    /// The owner's, over the EIP-712 struct `Dataset`.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
    /// The policy.
    #[schema(value_type = Object)]
    pub policy: JsonObject,
    /// The owner's, over the EIP-712 struct `Policy`.
    #[schema(schema_with = schema::signature)]
    pub policy_signature: Bytes,
}

impl SignedDataset {
    /// The name and version in the document; `None` if one is missing or has not its form.
    pub fn name_and_version(&self) -> Option<(String, u64)> {
        let members = self.document.members();
        let name = members.get("name")?.as_str().filter(|name| is_name(name))?;
        Some((name.to_owned(), members.get("version")?.as_u64()?))
    }
}

/// Whether text may name a dataset, or a document's kind: a word of spec/policy.md#words.
/// Whether text may name a dataset: 1 to 64 of lower-case letters, digits and `-`.
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
    /// Whose it is.
    #[schema(schema_with = schema::address)]
    pub owner: Address,
    /// What describes it.
    #[schema(schema_with = schema::dataset)]
    pub document: JsonObject,
    /// The owner's, over the document.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
    /// The policy.
    #[schema(value_type = Object)]
    pub policy: JsonObject,
    /// The owner's, over the policy.
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
    /// Ascending; 50 at most.
    pub datasets: Vec<DatasetEntry>,
    /// What to give as `after` for the next page; null if there is none yet.
    #[schema(required)]
    pub next: Option<u64>,
}

/// A grant, a revocation, or what else an owner says to all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerDocument {
    /// What it is: 1 to 64 lower-case letters, digits and `-`.
    pub kind: String,
    /// What it says.
    pub document: JsonObject,
}

/// An owner's document and its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedOwnerDocument {
    /// What it is.
    #[schema(schema_with = schema::name)]
    pub kind: String,
    /// What it says.
    #[schema(value_type = Object)]
    pub document: JsonObject,
    /// The owner's, over the EIP-712 struct `OwnerDocument`.
    #[schema(schema_with = schema::signature)]
    pub signature: Bytes,
}

/// An owner's document in the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnerDocumentEntry {
    /// Its place in the book.
    pub sequence: u64,
    /// What it is.
    #[schema(schema_with = schema::name)]
    pub kind: String,
    /// What it says.
    #[schema(value_type = Object)]
    pub document: JsonObject,
    /// The owner's.
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
    /// Ascending; 50 at most.
    pub documents: Vec<OwnerDocumentEntry>,
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
    /// What nonces of signed requests begin with, until the broker starts again: 16 bytes.
    #[schema(schema_with = schema::epoch)]
    pub epoch: FixedBytes<16>,
    /// What the broker takes at most.
    pub limits: LimitFacts,
}

/// What a broker takes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitFacts {
    /// The body of an order, a refusal, an offer, a wrap or seal keys.
    pub json_bytes_max: u64,
    /// A program.
    pub program_bytes_max: u64,
    /// A slot's image.
    pub slot_bytes_max: u64,
    /// An envelope.
    pub envelope_bytes_max: u64,
    /// Entries in a page.
    pub page_entries_max: u64,
    /// Datasets or documents in a page.
    pub page_documents_max: u64,
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
