//! The order book: small signed entries in the order in which they came.

use std::fmt;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::Result;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A signed order; the key is its job id. The first body stays.
    Order,
    /// Why a provider declines an order; the key is its job id, the author the provider. The first
    /// body stays.
    Refusal,
    /// What a provider offers; the key is its account behind twelve zeros. The newest body stays.
    Offer,
    /// The keys to which an account wants things sealed; the key is its account behind twelve
    /// zeros. The newest body stays.
    SealKeys,
    /// A content key, wrapped; the key is its job id, the author its owner, the part recipient,
    /// slot and zeros. The first body stays.
    Wrap,
    /// Why an owner's key service gave no key; the key is its job id, the author its owner, the
    /// part the recipient and zeros. The first body stays.
    KeyRefusal,
    /// A dataset that an owner publishes; the key is its account behind twelve zeros, the part the
    /// hash of its name. The newest body stays.
    Dataset,
    /// A grant, a revocation and what else an owner says; the key is its account behind twelve
    /// zeros, the part its hash. The first body stays.
    OwnerDocument,
    /// That a capability is taken back; the key is its issuer's account behind twelve zeros, the
    /// part when it would have ended and its hash. The first body stays.
    CapabilityRevocation,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Order,
        Self::Refusal,
        Self::Offer,
        Self::SealKeys,
        Self::Wrap,
        Self::KeyRefusal,
        Self::Dataset,
        Self::OwnerDocument,
        Self::CapabilityRevocation,
    ];

    /// What goes with an order when it is removed.
    #[cfg(feature = "redb")]
    pub(crate) const OF_ORDERS: [Self; 3] = [Self::Refusal, Self::Wrap, Self::KeyRefusal];

    /// Whether a newer body takes the older one's place.
    #[cfg(feature = "redb")]
    pub(crate) fn is_replaced(self) -> bool {
        matches!(self, Kind::Offer | Kind::SealKeys | Kind::Dataset)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Order => "order",
            Kind::Refusal => "refusal",
            Kind::Offer => "offer",
            Kind::SealKeys => "seal keys",
            Kind::Wrap => "wrap",
            Kind::KeyRefusal => "key refusal",
            Kind::Dataset => "dataset",
            Kind::OwnerDocument => "owner's document",
            Kind::CapabilityRevocation => "capability revocation",
        })
    }
}

/// What a book holds at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookLimits {
    /// Entries that wait to be written.
    pub waiting_max: usize,
    /// Orders.
    pub orders_max: u64,
    /// Refusals of all orders.
    pub refusals_max: u64,
    /// Refusals of one order.
    pub refusals_per_order_max: u64,
    /// Offers, one an account.
    pub offers_max: u64,
    /// Seal keys, one an account.
    pub seal_keys_max: u64,
    /// Wraps of all orders.
    pub wraps_max: u64,
    /// Wraps of one order by one owner: others can't use up what an owner needs.
    pub wraps_per_owner_max: u64,
    /// Refusals by key services of all orders.
    pub key_refusals_max: u64,
    /// Refusals of one order by one owner.
    pub key_refusals_per_owner_max: u64,
    /// Datasets.
    pub datasets_max: u64,
    /// Datasets of one owner.
    pub datasets_per_owner_max: u64,
    /// Documents of owners.
    pub documents_max: u64,
    /// Documents of one owner.
    pub documents_per_owner_max: u64,
    /// Capabilities that were taken back.
    pub capability_revocations_max: u64,
    /// Those of one issuer.
    pub capability_revocations_per_issuer_max: u64,
}

impl Default for BookLimits {
    fn default() -> Self {
        Self {
            waiting_max: 4096,
            orders_max: 1_000_000,
            refusals_max: 1_000_000,
            refusals_per_order_max: 256,
            offers_max: 10_000,
            seal_keys_max: 100_000,
            wraps_max: 1_000_000,
            wraps_per_owner_max: 256,
            key_refusals_max: 1_000_000,
            key_refusals_per_owner_max: 64,
            datasets_max: 10_000,
            datasets_per_owner_max: 256,
            documents_max: 100_000,
            documents_per_owner_max: 4_096,
            capability_revocations_max: 100_000,
            capability_revocations_per_issuer_max: 4_096,
        }
    }
}

#[cfg(feature = "redb")]
impl BookLimits {
    pub(crate) fn max(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Order => self.orders_max,
            Kind::Refusal => self.refusals_max,
            Kind::Offer => self.offers_max,
            Kind::SealKeys => self.seal_keys_max,
            Kind::Wrap => self.wraps_max,
            Kind::KeyRefusal => self.key_refusals_max,
            Kind::Dataset => self.datasets_max,
            Kind::OwnerDocument => self.documents_max,
            Kind::CapabilityRevocation => self.capability_revocations_max,
        }
    }

    /// Entries of one key by one author.
    pub(crate) fn max_of_author(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Order | Kind::Refusal | Kind::Offer | Kind::SealKeys => 1,
            Kind::Wrap => self.wraps_per_owner_max,
            Kind::KeyRefusal => self.key_refusals_per_owner_max,
            Kind::Dataset => self.datasets_per_owner_max,
            Kind::OwnerDocument => self.documents_per_owner_max,
            Kind::CapabilityRevocation => self.capability_revocations_per_issuer_max,
        }
    }
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// The entry's place in the book: one count for all kinds, from 1, never given twice.
    pub sequence: u64,
    /// False if it was there already.
    pub is_new: bool,
}

/// An entry of the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the book.
    pub sequence: u64,
    /// What it is about.
    pub key: [u8; 32],
    /// Who signed it.
    pub author: [u8; 20],
    /// What it says.
    pub body: Vec<u8>,
}

/// A future of what a book answers once it is durable.
pub type Durable<'a, T> = BoxFuture<'a, Result<T>>;

/// A book of small signed entries. Clones of its `Arc` share it.
///
/// Reads are of what is committed; they may touch a disk or a network and block, and do not wait
/// for writes.
pub trait OrderBook: fmt::Debug + Send + Sync + 'static {
    /// Puts an entry; durable when it returns. The same kind, key, author and part again is
    /// harmless: the answer is the first put's sequence, and the first body stays, but for kinds of
    /// which the newest stays: there another body takes the older one's place. `part` tells apart
    /// the entries of one author about one key, for kinds that have several.
    ///
    /// Dropping the future does not take the entry back.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`](crate::Error::Busy), [`Error::Full`](crate::Error::Full),
    /// [`Error::Stopped`](crate::Error::Stopped).
    fn put_part(
        &self,
        kind: Kind,
        key: [u8; 32],
        author: [u8; 20],
        part: [u8; 32],
        body: Vec<u8>,
    ) -> Durable<'_, Put>;

    /// Removes an order that is final, with its refusals and wraps. Its sequence is not given
    /// again. False if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`](crate::Error::Busy), [`Error::Stopped`](crate::Error::Stopped).
    fn remove_order(&self, key: [u8; 32]) -> Durable<'_, bool>;

    /// Removes an account's offer. False if there is none.
    ///
    /// # Errors
    ///
    /// As [`OrderBook::remove_order`].
    fn remove_offer(&self, author: [u8; 20]) -> Durable<'_, bool>;

    /// Removes all entries of a kind whose part is below, for kinds whose part begins with when
    /// they end. False if there are none.
    ///
    /// # Errors
    ///
    /// As [`OrderBook::remove_order`].
    fn remove_parts_below(&self, kind: Kind, below: [u8; 32]) -> Durable<'_, bool>;

    /// Writes something that changes nothing, durably: whether the book can be written to.
    ///
    /// # Errors
    ///
    /// As [`OrderBook::put_part`]; the storage's.
    fn probe(&self) -> Durable<'_, bool>;

    /// One entry by its place.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`](crate::Error::Storage), [`Error::Corrupt`](crate::Error::Corrupt).
    fn entry(
        &self,
        kind: Kind,
        key: [u8; 32],
        author: [u8; 20],
        part: [u8; 32],
    ) -> Result<Option<Entry>>;

    /// Entries of a kind with a higher sequence, ascending, `limit` of them at most.
    ///
    /// # Errors
    ///
    /// As [`OrderBook::entry`].
    fn entries(&self, kind: Kind, after: u64, limit: usize) -> Result<Vec<Entry>>;

    /// All that is about a key, by author and part.
    ///
    /// # Errors
    ///
    /// As [`OrderBook::entry`].
    fn about(&self, kind: Kind, key: [u8; 32]) -> Result<Vec<Entry>>;

    /// What is about a key, with a higher sequence, ascending, `limit` of them at most; only what
    /// `is_wanted` wants by author and part, so that what others wrote costs no more than a look at
    /// its place.
    ///
    /// # Errors
    ///
    /// As [`OrderBook::entry`].
    fn entries_about(
        &self,
        kind: Kind,
        key: [u8; 32],
        page: (u64, usize),
        is_wanted: &dyn Fn(&[u8; 20], &[u8; 32]) -> bool,
    ) -> Result<Vec<Entry>>;

    /// The highest committed sequence; what it shows can be read.
    fn newest(&self) -> watch::Receiver<u64>;

    /// How many entries of a kind there are.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`](crate::Error::Storage).
    fn count(&self, kind: Kind) -> Result<u64>;

    /// Puts an entry of a kind of which one author has one about one key.
    ///
    /// # Errors
    ///
    /// As [`OrderBook::put_part`].
    fn put(&self, kind: Kind, key: [u8; 32], author: [u8; 20], body: Vec<u8>) -> Durable<'_, Put> {
        self.put_part(kind, key, author, [0; 32], body)
    }

    /// An order.
    ///
    /// # Errors
    ///
    /// As [`OrderBook::entry`].
    fn order(&self, key: [u8; 32]) -> Result<Option<Entry>> {
        Ok(self.about(Kind::Order, key)?.pop())
    }

    /// Orders with a higher sequence, ascending, `limit` of them at most.
    ///
    /// # Errors
    ///
    /// As [`OrderBook::entry`].
    fn orders(&self, after_sequence: u64, limit: usize) -> Result<Vec<Entry>> {
        self.entries(Kind::Order, after_sequence, limit)
    }

    /// What providers said of an order, by provider.
    ///
    /// # Errors
    ///
    /// As [`OrderBook::entry`].
    fn refusals(&self, key: [u8; 32]) -> Result<Vec<Entry>> {
        self.about(Kind::Refusal, key)
    }

    /// An account's offer.
    ///
    /// # Errors
    ///
    /// As [`OrderBook::entry`].
    fn offer(&self, author: [u8; 20]) -> Result<Option<Entry>> {
        Ok(self.about(Kind::Offer, account_key(&author))?.pop())
    }

    /// All offers, the oldest first.
    ///
    /// # Errors
    ///
    /// As [`OrderBook::entry`].
    fn offers(&self) -> Result<Vec<Entry>> {
        self.entries(Kind::Offer, 0, usize::MAX)
    }

    /// Offers with a higher sequence, ascending, `limit` of them at most.
    ///
    /// # Errors
    ///
    /// As [`OrderBook::entry`].
    fn offers_after(&self, after_sequence: u64, limit: usize) -> Result<Vec<Entry>> {
        self.entries(Kind::Offer, after_sequence, limit)
    }
}

/// The key of what an account says of itself.
pub(crate) fn account_key(author: &[u8; 20]) -> [u8; 32] {
    let mut key = [0; 32];
    key[12..].copy_from_slice(author);
    key
}
