//! A typed client that believes nothing: what it gives was signed by who it names, or has the name
//! it was asked for.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256};
use assay_contracts::Deployment;
use assay_types::Clock;
use assay_types::{BlobRoot, ProgramId, sha256};
use futures_util::stream::try_unfold;
use http_body_util::StreamBody;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use assay_protocol::{
    BINARY, BROKER_SCHEMA, BlobPut, DOCUMENTS_LIMIT_MAX, DatasetEntry, DatasetsPage, EMPTY_DIGEST,
    EntryPut, Epoch, Health, JSON, KeyRefusalEntry, KeyRefusalsPage, LIMIT_MAX, LogAdded,
    MarketFacts, OfferEntry, OfferPut, OffersPage, OrderEntry, OrdersPage, OwnerDocumentEntry,
    OwnerDocumentsPage, Posted, Problem, ProblemKind, RefusalEntry, Refusals, SealKeysEntry,
    SignedDataset, SignedKeyRefusal, SignedOffer, SignedOrder, SignedOwnerDocument, SignedRefusal,
    SignedRequest, SignedRevocation, SignedSealKeys, SignedWrap, Who, Wrap, WrapEntry, WrapsPage,
    check_envelope, check_program, check_slot, header, rule_of,
};

use crate::{Access, Error, Result, nonce};

/// A JSON answer in bytes, at most: a page of the largest orders is below it.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// An object of a log in bytes, at most: a bundle of 256 entries of 65,535 bytes.
const LOG_OBJECT_BYTES_MAX: usize = 17 << 20;

/// One event of a stream in bytes, at most.
const EVENT_BYTES_MAX: usize = 64 << 10;

/// A stream that says nothing for so long is dead: a living one says something every 15 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// How long a signed request holds, in seconds: a clock may be as much behind the broker's.
const REQUEST_SECS: u64 = 120;

/// How often a call learns the broker's epoch anew: a broker that starts again and again is not to
/// be followed for ever.
const EPOCHS_MAX: u32 = 3;

/// What is read of a file at once.
const PIECE_BYTES: usize = 256 << 10;

/// Entries of one list that are taken in all: who serves more is broken.
const LIST_MAX: usize = 1 << 16;

/// The slowest upload that is waited for, in bytes a second.
const UPLOAD_BYTES_PER_SEC: u64 = 256 << 10;

/// How to talk to a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerClientConfig {
    /// How often a request that failed for a passing reason is sent again. All of them may be:
    /// repeating is harmless.
    pub retries: u32,
    /// The pause before a request is sent again; it doubles each time.
    pub retry_pause: Duration,
    /// The longest pause, whatever the broker asks for.
    pub retry_pause_max: Duration,
    /// When to give a request up, besides the time that its body takes.
    pub request_timeout: Duration,
    /// The largest blob that is taken, in bytes.
    pub blob_bytes_max: u64,
}

impl Default for BrokerClientConfig {
    fn default() -> Self {
        Self {
            retries: 6,
            retry_pause: Duration::from_millis(200),
            retry_pause_max: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            blob_bytes_max: 600 << 20,
        }
    }
}

/// A client of one broker, for one market, with an identity that signs its requests. Clones share
/// connections.
#[derive(Clone)]
pub struct BrokerClient {
    http: reqwest::Client,
    url: Url,
    deployment: Deployment,
    access: Access,
    clock: Arc<dyn Clock>,
    /// What nonces begin with: zero until the broker tells.
    epoch: Arc<Mutex<Epoch>>,
    config: BrokerClientConfig,
}

/// What is asked, and what of it is signed.
struct Call {
    method: Method,
    /// With its query.
    path: String,
    digest: B256,
    content_type: Option<&'static str>,
    timeout: Duration,
}

impl std::fmt::Debug for BrokerClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a secret.
        f.debug_struct("BrokerClient").field("config", &self.config).finish_non_exhaustive()
    }
}

impl BrokerClient {
    /// A client of the broker at a URL, `http://` or `https://`, for the market of a deployment.
    /// Requests are signed with the key that `access` has; with [`Access::public`] only what is
    /// public can be asked.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a URL that is none.
    pub fn new(
        url: &str,
        deployment: Deployment,
        access: impl Into<Access>,
        clock: impl Clock,
    ) -> Result<Self> {
        Self::with_config(url, deployment, access, BrokerClientConfig::default(), clock)
    }

    /// As [`BrokerClient::new`], with other settings.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a URL that is none.
    pub fn with_config(
        url: &str,
        deployment: Deployment,
        access: impl Into<Access>,
        config: BrokerClientConfig,
        clock: impl Clock,
    ) -> Result<Self> {
        let mut url = Url::parse(url)
            .map_err(|error| Error::Config(format!("the broker's URL does not parse: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            let message = "the broker's URL must begin with http:// or https://";
            return Err(Error::Config(message.into()));
        }
        url.set_query(None);
        url.set_fragment(None);
        // Fails only if a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(config.request_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Config(format!("no HTTP client: {error}")))?;
        let (access, clock) = (access.into(), Arc::new(clock));
        let epoch = Arc::default();
        Ok(BrokerClient { http, url, deployment, access, clock, epoch, config })
    }

    /// The same by another clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        BrokerClient { clock: Arc::new(clock), ..self }
    }

    /// The same broker for somebody else.
    #[must_use]
    pub fn with_access(self, access: impl Into<Access>) -> Self {
        BrokerClient { access: access.into(), ..self }
    }

    /// Who it asks as.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The market that this client is for.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// What the broker serves, and within which limits.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] if it serves another market; as every call, [`Error::Unreachable`] and
    /// [`Error::Refused`].
    pub async fn market(&self) -> Result<MarketFacts> {
        let facts: MarketFacts = self.read("/v1/market").await?;
        if facts.schema != BROKER_SCHEMA {
            return Err(Error::bad_answer(format!("{:?} is no {BROKER_SCHEMA}", facts.schema)));
        }
        let known = &self.deployment;
        let found = &facts.deployment;
        if (found.chain_id, found.market, found.genesis_hash)
            != (known.chain_id, known.market, known.genesis_hash)
        {
            return Err(Error::bad_answer("it serves another market"));
        }
        Ok(facts)
    }

    /// Whether it works.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn health(&self) -> Result<Health> {
        self.read("/v1/health").await
    }

    /// Puts an order into the book; true if it is new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn post_order(&self, order: &SignedOrder) -> Result<(Posted, bool)> {
        let (posted, is_new) = self.write(Method::POST, "/v1/orders", order).await?;
        self.posted(posted, order.job_id(&self.deployment), is_new)
    }

    /// Orders with a higher sequence, ascending, `limit` (1 to 500) of them at most.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for what its requester did not sign, and as every call.
    pub async fn orders_after(&self, after: u64, limit: u64) -> Result<OrdersPage> {
        let page: OrdersPage =
            self.read(&format!("/v1/orders?after={after}&limit={limit}")).await?;
        let sequences = page.orders.iter().map(|order| order.sequence);
        check_ascending(after, sequences)?;
        self.checked(page, |page, deployment| {
            page.orders.iter().try_for_each(|order| check_order(order, deployment))
        })
        .await
    }

    /// An order by its job id; `None` if the book has none.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for another order, and as every call.
    pub async fn order(&self, job_id: B256) -> Result<Option<OrderEntry>> {
        let found = self.read::<OrderEntry>(&format!("/v1/orders/{job_id}")).await;
        let Some(order) = or_none(found, ProblemKind::OrderUnknown)? else { return Ok(None) };
        if order.job_id != job_id {
            return Err(Error::bad_answer("it is another order"));
        }
        self.checked(order, check_order).await.map(Some)
    }

    /// Orders as they come, each once and in order, beginning after a sequence.
    pub fn follow(&self, after: u64) -> Follow {
        Follow { client: self.clone(), after, stream: None, failures: 0 }
    }

    /// Puts a refusal into the book; true if it is new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn post_refusal(&self, refusal: &SignedRefusal) -> Result<(Posted, bool)> {
        let (posted, is_new) = self.write(Method::POST, "/v1/refusals", refusal).await?;
        self.posted(posted, refusal.refusal.job_id, is_new)
    }

    /// Why providers declined an order; `None` if the book has no such order.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for what its provider did not sign, and as every call.
    pub async fn refusals(&self, job_id: B256) -> Result<Option<Vec<RefusalEntry>>> {
        let found = self.read::<Refusals>(&format!("/v1/orders/{job_id}/refusals")).await;
        let Some(found) = or_none(found, ProblemKind::OrderUnknown)? else { return Ok(None) };
        if found.refusals.iter().any(|entry| entry.refusal.job_id != job_id) {
            return Err(Error::bad_answer("a refusal is of another order"));
        }
        let checked = self.checked(found, |found, deployment| {
            found.refusals.iter().try_for_each(|entry| Ok(entry.signed().verify(deployment)?))
        });
        Ok(Some(checked.await?.refusals))
    }

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
        let (put, is_new): (OfferPut, bool) = self.write(Method::PUT, &path, offer).await?;
        if put.provider == provider {
            Ok((put, is_new))
        } else {
            Err(Error::bad_answer("it took the offer for another's"))
        }
    }

    /// All offers that have not expired.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for what its provider did not sign, and as every call.
    pub async fn offers(&self) -> Result<Vec<OfferEntry>> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let path = format!("/v1/offers?after={after}&limit={LIMIT_MAX}");
            let page: OffersPage = self.read(&path).await?;
            check_ascending(after, page.offers.iter().map(|offer| offer.sequence))?;
            let page = self.checked(page, |page, deployment| {
                let mut offers = page.offers.iter();
                offers
                    .try_for_each(|offer| Ok(offer.signed().verify(offer.provider, deployment)?))
            });
            let page = page.await?;
            all.extend(page.offers);
            match page.next {
                Some(next) if next > after => after = next,
                Some(_) => return Err(Error::bad_answer("its pages do not end")),
                None => return Ok(all),
            }
        }
    }

    /// Puts a program's ELF under its id, unless it is there; true if it is new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn put_program(&self, id: ProgramId, elf: Vec<u8>) -> Result<bool> {
        self.put_blob(format!("/v1/programs/{id}"), elf).await
    }

    /// A program's ELF; `None` if nobody has put it.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for another program, and as every call.
    pub async fn program(&self, id: ProgramId) -> Result<Option<Vec<u8>>> {
        self.blob(format!("/v1/programs/{id}"), move |elf| check_program(id, elf)).await
    }

    /// Whether the broker has a program.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn has_program(&self, id: ProgramId) -> Result<bool> {
        self.has(&format!("/v1/programs/{id}")).await
    }

    /// Puts a slot's image under its root, unless it is there; true if it is new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn put_slot(&self, root: BlobRoot, image: Vec<u8>) -> Result<bool> {
        self.put_blob(format!("/v1/slots/{root}"), image).await
    }

    /// A slot's image; `None` if nobody has put it.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for another slot, and as every call.
    pub async fn slot(&self, root: BlobRoot) -> Result<Option<Vec<u8>>> {
        self.blob(format!("/v1/slots/{root}"), move |image| check_slot(root, image)).await
    }

    /// Whether the broker has a slot.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn has_slot(&self, root: BlobRoot) -> Result<bool> {
        self.has(&format!("/v1/slots/{root}")).await
    }

    /// Puts an envelope under its SHA-256, unless it is there; true if it is new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn put_envelope(&self, name: B256, envelope: Vec<u8>) -> Result<bool> {
        self.put_blob(format!("/v1/envelopes/{name}"), envelope).await
    }

    /// Puts a file's envelope under its SHA-256, unless it is there; true if it is new there. It is
    /// not read into memory.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file can't be read, and as every call.
    pub async fn put_envelope_file(&self, name: B256, file: &Path) -> Result<bool> {
        let path = format!("/v1/envelopes/{name}");
        if self.has(&path).await? {
            return Ok(false);
        }
        let failed = |source| Error::Io { what: format!("reading {}", file.display()), source };
        let opened = std::fs::File::open(file).map_err(failed)?;
        let size = opened.metadata().map_err(failed)?.len();
        let call = self.upload(path, name, size);
        let response = self.send(&call, |request| {
            // Each attempt reads from the beginning; a file that is gone by now breaks the body
            // off, and the broker refuses.
            let content = std::fs::File::open(file).map(tokio::fs::File::from_std);
            let pieces = try_unfold(content, async |content| {
                let mut content = content?;
                let mut piece = bytes::BytesMut::with_capacity(PIECE_BYTES);
                let read = content.read_buf(&mut piece).await?;
                let frame = hyper::body::Frame::data(piece.freeze());
                Ok::<_, std::io::Error>((read > 0).then_some((frame, Ok(content))))
            });
            let body = reqwest::Body::wrap(StreamBody::new(pieces));
            request.header("content-length", size).body(body)
        });
        let response = response.await?;
        let is_new = response.status() == StatusCode::CREATED;
        let _: BlobPut = json(response).await?;
        Ok(is_new)
    }

    /// An envelope; `None` if nobody has put it.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for another envelope, and as every call.
    pub async fn envelope(&self, name: B256) -> Result<Option<Vec<u8>>> {
        self.blob(format!("/v1/envelopes/{name}"), move |found| check_envelope(name, found)).await
    }

    /// An envelope piece by piece, and its size; `None` if nobody has put it. Only once this
    /// returns is it known to be the right one.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for another envelope, [`Error::Io`] as the sink fails, and as every
    /// call.
    pub async fn envelope_to(
        &self,
        name: B256,
        mut sink: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<Option<u64>> {
        let call = self.download(format!("/v1/envelopes/{name}"));
        let sent = self.send(&call, |request| request).await;
        let Some(mut response) = or_none(sent, ProblemKind::BlobUnknown)? else { return Ok(None) };
        let (mut hasher, mut bytes) = (Sha256::new(), 0);
        while let Some(piece) = response.chunk().await.map_err(unreachable_by)? {
            bytes += piece.len() as u64;
            if bytes > self.config.blob_bytes_max {
                return Err(Error::bad_answer("an envelope is larger than it may be"));
            }
            hasher.update(&piece);
            let failed = |source| Error::Io { what: "keeping an envelope".into(), source };
            sink(&piece).map_err(failed)?;
        }
        if hasher.finalize()[..] == name[..] {
            Ok(Some(bytes))
        } else {
            Err(Error::bad_answer("it is another envelope"))
        }
    }

    /// Some bytes of an envelope; `None` if nobody has put it. They can't be checked against its
    /// name: whoever opens them finds out.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for another range, and as every call.
    pub async fn envelope_range(&self, name: B256, range: Range<u64>) -> Result<Option<Vec<u8>>> {
        if range.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let size = range.end - range.start;
        let call = self.download(format!("/v1/envelopes/{name}"));
        let asked = format!("bytes={}-{}", range.start, range.end - 1);
        let sent = self.send(&call, |request| request.header("range", &asked)).await;
        let Some(response) = or_none(sent, ProblemKind::BlobUnknown)? else { return Ok(None) };
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        let content = bounded(response, usize::try_from(size).unwrap_or(usize::MAX)).await?;
        if is_part && content.len() as u64 == size {
            Ok(Some(content))
        } else {
            Err(Error::bad_answer("it gave another range"))
        }
    }

    /// Whether the broker has an envelope.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn has_envelope(&self, name: B256) -> Result<bool> {
        self.has(&format!("/v1/envelopes/{name}")).await
    }

    /// Takes a capability back that the account has given; true if that is new to the broker.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn revoke_capability(
        &self,
        revocation: &SignedRevocation,
    ) -> Result<(EntryPut, bool)> {
        let issuer = revocation.capability.issuer;
        self.put_by(Method::POST, "/v1/capability-revocations", issuer, revocation).await
    }

    /// What the broker answers to a read of a path, as it comes: nothing of it is checked. The
    /// other calls check.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn unchecked(&self, path: &str) -> Result<Vec<u8>> {
        let response = self.send(&self.call(Method::GET, path), |request| request).await?;
        bounded(response, ANSWER_BYTES_MAX).await
    }

    /// Puts an account's seal keys into the book; true if they are new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn put_seal_keys(
        &self,
        account: Address,
        keys: &SignedSealKeys,
    ) -> Result<(EntryPut, bool)> {
        self.put_by(Method::PUT, &format!("/v1/seal-keys/{account}"), account, keys).await
    }

    /// An account's seal keys; `None` if it has put none.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for what it did not sign, and as every call.
    pub async fn seal_keys(&self, account: Address) -> Result<Option<SealKeysEntry>> {
        let found = self.read::<SealKeysEntry>(&format!("/v1/seal-keys/{account}")).await;
        let Some(found) = or_none(found, ProblemKind::EntryUnknown)? else { return Ok(None) };
        if found.account != account {
            return Err(Error::bad_answer("they are another's keys"));
        }
        let checked = self.checked(found, move |found, deployment| {
            Ok(found.signed().verify(account, deployment)?)
        });
        checked.await.map(Some)
    }

    /// Puts a wrapped key into the book; true if it is new there. The order must be there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn put_wrap(&self, wrap: &Wrap, signed: &SignedWrap) -> Result<(Posted, bool)> {
        let Wrap { job_id, recipient, slot, .. } = wrap;
        let path = format!("/v1/wraps/{job_id}/{recipient}/{slot}");
        let (posted, is_new) = self.write(Method::PUT, &path, signed).await?;
        self.posted(posted, *job_id, is_new)
    }

    /// A recipient's wrapped keys of a job: all to the recipient, its own to an owner.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for what its owner did not sign; [`Error::Refused`] to others; as every
    /// call.
    pub async fn wraps(&self, job_id: B256, recipient: Address) -> Result<Vec<WrapEntry>> {
        let path = format!("/v1/wraps/{job_id}/{recipient}");
        let found = self.pages(&path, LIMIT_MAX, |page: WrapsPage| {
            let sequences = page.wraps.iter().map(|entry| entry.sequence).collect();
            (page.wraps, sequences, page.next)
        });
        let found = found.await?;
        self.checked(found, move |found, deployment| {
            let mut wraps = found.iter().map(|entry| (entry.slot, entry.signed()));
            wraps.try_for_each(|(slot, signed)| {
                Ok(signed.verify((job_id, recipient, slot), deployment)?)
            })
        })
        .await
    }

    /// The key of one slot that an owner has wrapped for a recipient, if it has. What else is there
    /// is not looked at: it may be anybody's.
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
        let path = format!("/v1/wraps/{job_id}/{recipient}");
        let found = self.pages(&path, LIMIT_MAX, |page: WrapsPage| {
            let sequences = page.wraps.iter().map(|entry| entry.sequence).collect();
            let wanted =
                page.wraps.into_iter().filter(|entry| (entry.owner, entry.slot) == (owner, slot));
            (wanted.collect(), sequences, page.next)
        });
        let found = found.await?.into_iter().next();
        self.checked(found, move |found, deployment| {
            let mut found = found.iter();
            found.try_for_each(|one| {
                Ok(one.signed().verify((job_id, recipient, slot), deployment)?)
            })
        })
        .await
    }

    /// Puts a key service's refusal into the book; true if it is new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn post_key_refusal(&self, refusal: &SignedKeyRefusal) -> Result<(Posted, bool)> {
        let (posted, is_new) = self.write(Method::POST, "/v1/key-refusals", refusal).await?;
        self.posted(posted, refusal.refusal.job_id, is_new)
    }

    /// Why key services gave no key for a job, as far as it is for who asks.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for what its owner did not sign, and as every call.
    pub async fn key_refusals(&self, job_id: B256) -> Result<Vec<KeyRefusalEntry>> {
        let path = format!("/v1/orders/{job_id}/key-refusals");
        let found = self.pages(&path, LIMIT_MAX, |page: KeyRefusalsPage| {
            let sequences = page.refusals.iter().map(|entry| entry.sequence).collect();
            (page.refusals, sequences, page.next)
        });
        let found = found.await?;
        if found.iter().any(|entry| entry.refusal.job_id != job_id) {
            return Err(Error::bad_answer("a refusal is of another order"));
        }
        self.checked(found, |found, deployment| {
            found.iter().try_for_each(|entry| Ok(entry.signed().verify(deployment)?))
        })
        .await
    }

    /// Puts a dataset into the book, under the name in its document; true if it is new there.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a document without a name and a version, and as every call.
    pub async fn put_dataset(
        &self,
        owner: Address,
        dataset: &SignedDataset,
    ) -> Result<(EntryPut, bool)> {
        let (name, _) = dataset.name_and_version().ok_or_else(|| {
            Error::Config("a dataset's document has a name (a-z, 0-9, -) and a version".into())
        })?;
        self.put_by(Method::PUT, &format!("/v1/datasets/{owner}/{name}"), owner, dataset).await
    }

    /// A dataset; `None` if its owner has put none of that name.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for what its owner did not sign, and as every call.
    pub async fn dataset(&self, owner: Address, name: &str) -> Result<Option<DatasetEntry>> {
        let found = self.read::<DatasetEntry>(&format!("/v1/datasets/{owner}/{name}")).await;
        let Some(found) = or_none(found, ProblemKind::EntryUnknown)? else { return Ok(None) };
        let known = found.signed().name_and_version();
        if found.owner != owner || known.is_none_or(|(known, _)| known != name) {
            return Err(Error::bad_answer("it is another dataset"));
        }
        self.checked(found, check_dataset).await.map(Some)
    }

    /// All datasets.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for what its owner did not sign, and as every call.
    pub async fn datasets(&self) -> Result<Vec<DatasetEntry>> {
        let found = self.pages("/v1/datasets", DOCUMENTS_LIMIT_MAX, |page: DatasetsPage| {
            let sequences = page.datasets.iter().map(|entry| entry.sequence).collect();
            (page.datasets, sequences, page.next)
        });
        let found = found.await?;
        self.checked(found, |found, deployment| {
            found.iter().try_for_each(|entry| check_dataset(entry, deployment))
        })
        .await
    }

    /// Puts an owner's document into the book; true if it is new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn post_owner_document(
        &self,
        owner: Address,
        document: &SignedOwnerDocument,
    ) -> Result<(EntryPut, bool)> {
        let path = format!("/v1/owners/{owner}/documents");
        self.put_by(Method::POST, &path, owner, document).await
    }

    /// What an owner says, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for what it did not sign, and as every call.
    pub async fn owner_documents(&self, owner: Address) -> Result<Vec<OwnerDocumentEntry>> {
        let path = format!("/v1/owners/{owner}/documents");
        let found = self.pages(&path, DOCUMENTS_LIMIT_MAX, |page: OwnerDocumentsPage| {
            let sequences = page.documents.iter().map(|entry| entry.sequence).collect();
            (page.documents, sequences, page.next)
        });
        let found = found.await?;
        self.checked(found, move |found, deployment| {
            let mut documents = found.iter().map(|entry| entry.signed());
            documents.try_for_each(|signed| Ok(signed.verify(owner, deployment).map(drop)?))
        })
        .await
    }

    /// Adds an entry to the market's log: its place, for ever.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn log_add(&self, entry: Vec<u8>) -> Result<LogAdded> {
        let entry = bytes::Bytes::from(entry);
        let digest = B256::new(sha256(&entry).0);
        let call =
            Call { content_type: Some(BINARY), digest, ..self.call(Method::POST, "/v1/log/add") };
        json(self.send(&call, |request| request.body(entry.clone())).await?).await
    }

    /// An object of the market's log: `key`, `checkpoint`, `cosigned` or a tile. `None` if there is
    /// no log, or no such object. Whoever reads it checks it.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn log_object(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let call = self.call(Method::GET, &format!("/v1/log/{name}"));
        let sent = or_none(self.send(&call, |request| request).await, ProblemKind::TileUnknown);
        let sent = match sent {
            Err(error) => or_none(Err(error), ProblemKind::LogAbsent)?,
            sent => sent?,
        };
        let Some(response) = sent else { return Ok(None) };
        Ok(Some(bounded(response, LOG_OBJECT_BYTES_MAX).await?))
    }

    async fn put_blob(&self, path: String, content: Vec<u8>) -> Result<bool> {
        // A whole upload for nothing would be a pity.
        if self.has(&path).await? {
            return Ok(false);
        }
        let content = bytes::Bytes::from(content);
        let hashed = content.clone();
        let digest = blocking(move || Ok(B256::new(sha256(&hashed).0))).await?;
        let call = self.upload(path, digest, content.len() as u64);
        let response = self.send(&call, |request| request.body(content.clone())).await?;
        let is_new = response.status() == StatusCode::CREATED;
        let _: BlobPut = json(response).await?;
        Ok(is_new)
    }

    async fn blob(
        &self,
        path: String,
        check: impl FnOnce(&[u8]) -> Result<(), String> + Send + 'static,
    ) -> Result<Option<Vec<u8>>> {
        let sent = self.send(&self.download(path), |request| request).await;
        let Some(response) = or_none(sent, ProblemKind::BlobUnknown)? else { return Ok(None) };
        let max = usize::try_from(self.config.blob_bytes_max).unwrap_or(usize::MAX);
        let content = bounded(response, max).await?;
        blocking(move || {
            check(&content).map_err(Error::bad_answer)?;
            Ok(Some(content))
        })
        .await
    }

    async fn has(&self, path: &str) -> Result<bool> {
        match self.send(&self.call(Method::HEAD, path), |request| request).await {
            // A HEAD's answer has no body to say which problem it is.
            Err(Error::Refused(problem)) if problem.status == 404 => Ok(false),
            other => other.map(|_| true),
        }
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        json(self.send(&self.call(Method::GET, path), |request| request).await?).await
    }

    /// All pages of a list, in order.
    async fn pages<P: DeserializeOwned, T>(
        &self,
        path: &str,
        limit: u64,
        open: impl Fn(P) -> (Vec<T>, Vec<u64>, Option<u64>),
    ) -> Result<Vec<T>> {
        let (mut all, mut after, mut seen) = (Vec::new(), 0, 0);
        loop {
            let page = self.read(&format!("{path}?after={after}&limit={limit}")).await?;
            let (entries, sequences, next) = open(page);
            // Counted before what is not asked for is left out, and a page without entries as one:
            // a list that goes on for ever is none.
            seen += sequences.len().max(1);
            check_ascending(after, sequences.into_iter())?;
            all.extend(entries);
            match next {
                Some(next) if next > after && seen < LIST_MAX => after = next,
                Some(_) => return Err(Error::bad_answer("its pages do not end")),
                None => return Ok(all),
            }
        }
    }

    async fn put_by(
        &self,
        method: Method,
        path: &str,
        account: Address,
        body: &impl Serialize,
    ) -> Result<(EntryPut, bool)> {
        let (put, is_new): (EntryPut, bool) = self.write(method, path, body).await?;
        if put.account == account {
            Ok((put, is_new))
        } else {
            Err(Error::bad_answer("it took the entry for another's"))
        }
    }

    async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<(T, bool)> {
        let body =
            serde_json::to_vec(body).unwrap_or_else(|error| unreachable!("plain structs: {error}"));
        let digest = B256::new(sha256(&body).0);
        let body = bytes::Bytes::from(body);
        let call = Call { content_type: Some(JSON), digest, ..self.call(method, path) };
        let response = self.send(&call, |request| request.body(body.clone())).await?;
        let is_new = response.status() == StatusCode::CREATED;
        Ok((json(response).await?, is_new))
    }

    fn posted(&self, posted: Posted, expected: B256, is_new: bool) -> Result<(Posted, bool)> {
        if posted.job_id == expected {
            Ok((posted, is_new))
        } else {
            Err(Error::bad_answer("it took the entry for another"))
        }
    }

    /// Signatures are checked off the threads that serve.
    async fn checked<T: Send + 'static>(
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

    /// An event's order, which must come after the last one.
    async fn event(&self, after: u64, data: &str) -> Result<OrderEntry> {
        let order: OrderEntry = serde_json::from_str(data)
            .map_err(|error| Error::bad_answer(format!("an event does not parse: {error}")))?;
        check_ascending(after, [order.sequence].into_iter())?;
        self.checked(order, check_order).await
    }

    /// A request without a body.
    fn call(&self, method: Method, path: &str) -> Call {
        let (path, timeout) = (path.to_owned(), self.config.request_timeout);
        Call { method, path, digest: EMPTY_DIGEST, content_type: None, timeout }
    }

    /// A request with so many bytes, which may take their time.
    fn upload(&self, path: String, digest: B256, size: u64) -> Call {
        let patience = Duration::from_secs(size / UPLOAD_BYTES_PER_SEC);
        let timeout = self.config.request_timeout + patience;
        Call { method: Method::PUT, path, digest, content_type: Some(BINARY), timeout }
    }

    /// A request whose answer may take its time.
    fn download(&self, path: String) -> Call {
        let patience = Duration::from_secs(self.config.blob_bytes_max / UPLOAD_BYTES_PER_SEC);
        Call { timeout: self.config.request_timeout + patience, ..self.call(Method::GET, &path) }
    }

    /// A request to a path under the broker's URL, signed where the route wants it.
    fn request(&self, call: &Call) -> Result<RequestBuilder> {
        let mut url = self.url.clone();
        let (path, query) = call
            .path
            .split_once('?')
            .map_or((call.path.as_str(), None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url.set_query(query);
        let mut request = self.http.request(call.method.clone(), url).timeout(call.timeout);
        if let Some(kind) = call.content_type {
            request = request.header("content-type", kind);
        }
        let rule = rule_of(call.method.as_str(), path);
        let Some(Who::Signer(roles)) = rule.map(|rule| rule.who) else { return Ok(request) };
        let (role, access) = self.access.of_request(call.method.as_str(), path, roles);
        let nonce = nonce::fresh(self.epoch())?;
        let terms = (role, nonce, self.clock.unix_secs() + REQUEST_SECS);
        let target = (call.method.as_str(), call.path.as_str());
        let signer = access.signer().ok_or_else(|| {
            Error::Config("this needs an account: give the client a key to sign with".into())
        })?;
        let by = (signer, access.capabilities().cloned());
        let signed = SignedRequest::sign(target, call.digest, terms, &self.deployment, by)?;
        Ok(signed
            .headers()
            .into_iter()
            .fold(request, |request, (name, value)| request.header(name, value)))
    }

    fn epoch(&self) -> Epoch {
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends until there is an answer that is not about to pass. Each attempt is signed anew: a
    /// nonce is good for one.
    async fn send(
        &self,
        call: &Call,
        finish: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response> {
        let mut attempt = 0;
        loop {
            let error = match self.attempt(call, &finish).await {
                Err(error) if error.is_retryable() && attempt < self.config.retries => error,
                other => return other,
            };
            tokio::time::sleep(self.pause(attempt, &error)).await;
            attempt += 1;
        }
    }

    /// Sends once; again only if the broker tells another epoch.
    async fn attempt(
        &self,
        call: &Call,
        finish: &impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response> {
        for _ in 0..EPOCHS_MAX {
            let sent = finish(self.request(call)?).send().await.map_err(unreachable_by)?;
            let told = sent.headers().get(header::EPOCH).and_then(|epoch| epoch.to_str().ok());
            match told.and_then(|epoch| epoch.parse().ok()) {
                Some(epoch) if !sent.status().is_success() => {
                    *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = epoch;
                }
                _ => return answer(sent).await,
            }
        }
        Err(Error::bad_answer("it tells another epoch each time"))
    }

    /// Doubling, with a little randomness, so that those whom one failure struck do not come back
    /// together.
    fn pause(&self, attempt: u32, error: &Error) -> Duration {
        let asked = match error {
            Error::Refused(problem) => problem.retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let doubled = self.config.retry_pause.saturating_mul(1 << attempt.min(16));
        let pause = doubled.max(asked).min(self.config.retry_pause_max);
        let spread =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
        pause + pause.mul_f64(f64::from(spread % 1000) / 2000.0)
    }
}

/// Orders as they come. It goes on after breaks where it was, so each order comes once and none is
/// missed.
#[derive(Debug)]
pub struct Follow {
    client: BrokerClient,
    after: u64,
    stream: Option<(Response, Vec<u8>)>,
    failures: u32,
}

impl Follow {
    /// The sequence to go on after, for whoever keeps it over a restart.
    pub fn after(&self) -> u64 {
        self.after
    }

    /// The next order, whenever it comes. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`], [`Error::Refused`] for what does not pass; [`Error::Unreachable`] when
    /// the retries are used up. It may be called again after each.
    pub async fn next(&mut self) -> Result<OrderEntry> {
        loop {
            match self.step().await {
                Ok(Some(order)) => {
                    self.failures = 0;
                    return Ok(order);
                }
                Ok(None) => {}
                Err(error) => {
                    self.stream = None;
                    if !error.is_retryable() || self.failures >= self.client.config.retries {
                        self.failures = 0;
                        return Err(error);
                    }
                    let pause = self.client.pause(self.failures, &error);
                    self.failures += 1;
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// An order, or `None` if there is more to read first.
    async fn step(&mut self) -> Result<Option<OrderEntry>> {
        let Some((response, buffer)) = &mut self.stream else {
            self.stream = Some((self.connect().await?, Vec::new()));
            return Ok(None);
        };
        if let Some((event, end)) = first_event(buffer) {
            let order = match data_of(&event) {
                Some(data) => Some(self.client.event(self.after, &data).await?),
                None => None,
            };
            // Only now: who dropped the future in between gets the event again.
            buffer.drain(..end);
            self.after = order.as_ref().map_or(self.after, |order| order.sequence);
            return Ok(order);
        }
        if buffer.len() > EVENT_BYTES_MAX {
            return Err(Error::bad_answer("an event does not end"));
        }
        let ended = |what: &str| Error::Unreachable { what: what.to_owned() };
        let piece = tokio::time::timeout(SILENCE_MAX, response.chunk()).await;
        let piece =
            piece.map_err(|_| ended("its event stream is silent"))?.map_err(unreachable_by)?;
        buffer.extend(piece.ok_or_else(|| ended("its event stream ended"))?);
        Ok(None)
    }

    async fn connect(&self) -> Result<Response> {
        let url = format!("/v1/orders/events?after={}", self.after);
        // Without an end: what is silent is noticed while reading.
        let call = Call { timeout: Duration::MAX, ..self.client.call(Method::GET, &url) };
        let attempt = self.client.attempt(&call, &|request| request);
        let connected = tokio::time::timeout(self.client.config.request_timeout, attempt);
        let silent = |_| Error::Unreachable { what: "it does not answer in time".to_owned() };
        connected.await.map_err(silent)?
    }
}

/// The first whole event of a buffer, and where it ends: at an empty line.
fn first_event(buffer: &[u8]) -> Option<(String, usize)> {
    let end = buffer.windows(2).position(|pair| pair == b"\n\n")? + 2;
    Some((String::from_utf8_lossy(&buffer[..end]).into_owned(), end))
}

/// An event's data; none in a comment.
fn data_of(event: &str) -> Option<String> {
    let data = event.lines().filter_map(|line| line.strip_prefix("data:"));
    let data: Vec<_> = data.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    (!data.is_empty()).then(|| data.join("\n"))
}

fn check_order(order: &OrderEntry, deployment: &Deployment) -> Result<()> {
    if order.signed().verify(deployment)? == order.job_id {
        Ok(())
    } else {
        Err(Error::bad_answer("an order has another job id"))
    }
}

fn check_dataset(dataset: &DatasetEntry, deployment: &Deployment) -> Result<()> {
    Ok(dataset.signed().verify(dataset.owner, deployment)?)
}

fn check_ascending(after: u64, sequences: impl Iterator<Item = u64>) -> Result<()> {
    let mut last = after;
    for sequence in sequences {
        if sequence <= last {
            return Err(Error::bad_answer("its sequences do not ascend"));
        }
        last = sequence;
    }
    Ok(())
}

/// A refusal that means "there is none" is no failure.
fn or_none<T>(found: Result<T>, none: ProblemKind) -> Result<Option<T>> {
    match found {
        Err(Error::Refused(problem)) if problem.kind() == Some(none) => Ok(None),
        other => other.map(Some),
    }
}

/// An answer, if it is not a problem.
async fn answer(response: Response) -> Result<Response> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let after = after.and_then(|secs| secs.parse().ok()).map(Duration::from_secs);
    let body = bounded(response, EVENT_BYTES_MAX).await.unwrap_or_default();
    // A proxy before the broker, or a HEAD, says less.
    let mut problem = serde_json::from_slice(&body).unwrap_or_else(|_| Problem {
        r#type: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or("no answer").to_owned(),
        status: status.as_u16(),
        detail: "the answer says no more".to_owned(),
        next: "check the URL".to_owned(),
        retry_after: None,
    });
    (problem.status, problem.retry_after) = (status.as_u16(), after);
    Err(Error::Refused(Box::new(problem)))
}

async fn json<T: DeserializeOwned>(response: Response) -> Result<T> {
    let body = bounded(response, ANSWER_BYTES_MAX).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Error::bad_answer(format!("it does not parse: {error}")))
}

async fn bounded(mut response: Response, bytes_max: usize) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable_by)? {
        if body.len() + piece.len() > bytes_max {
            return Err(Error::bad_answer(format!("it has more than {bytes_max} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Without the URL, which may hold a secret.
fn unreachable_by(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let mut what = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        what = format!("{what}: {error}");
        cause = error.source();
    }
    Error::Unreachable { what }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_at_empty_lines_wherever_pieces_end() {
        let text = b":\n\nid: 7\nevent: order\ndata: {\"a\":1}\n\nid: 8";
        let (mut buffer, mut data) = (Vec::new(), Vec::new());
        for byte in text {
            buffer.push(*byte);
            if let Some((event, end)) = first_event(&buffer) {
                buffer.drain(..end);
                data.push(data_of(&event));
            }
        }
        assert_eq!(data, [None, Some("{\"a\":1}".to_owned())]);
        assert_eq!(buffer, b"id: 8");
    }
}
