//! A typed client that believes nothing: what it gives was signed by who it names, or has the name it was asked for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use assay_chain::Deployment;
use assay_types::{BlobRoot, ProgramId};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::body::{BINARY, JSON};
use crate::limits::LIMIT_MAX;
use crate::{
    BROKER_SCHEMA, BlobPut, Error, Health, LogAdded, MarketFacts, OfferEntry, OfferPut, OffersPage,
    OrderEntry, OrdersPage, Posted, Problem, ProblemKind, RefusalEntry, Refusals, Result,
    SignedOffer, SignedOrder, SignedRefusal, SignedRequest, check_program, check_slot,
};

/// A JSON answer in bytes, at most: a page of the largest orders is below it.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// An object of a log in bytes, at most: a bundle of 256 entries of 65,535 bytes.
const LOG_OBJECT_BYTES_MAX: usize = 17 << 20;

/// One event of a stream in bytes, at most.
const EVENT_BYTES_MAX: usize = 64 << 10;

/// A stream that says nothing for so long is dead: a living one says something every 15 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// How long a signed request holds, in seconds.
const REQUEST_SECS: u64 = 900;

/// The slowest upload that is waited for, in bytes a second.
const UPLOAD_BYTES_PER_SEC: u64 = 256 << 10;

/// How to talk to a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// How often a request that failed for a passing reason is sent again. All of them may be: repeating is harmless.
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

impl Default for ClientConfig {
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

/// A client of one broker, for one market. Clones share connections.
#[derive(Clone)]
pub struct BrokerClient {
    http: reqwest::Client,
    url: Url,
    deployment: Deployment,
    config: ClientConfig,
}

impl std::fmt::Debug for BrokerClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a secret.
        f.debug_struct("BrokerClient").field("config", &self.config).finish_non_exhaustive()
    }
}

impl BrokerClient {
    /// A client of the broker at a URL, `http://` or `https://`, for the market of a deployment.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a URL that is none.
    pub fn new(url: &str, deployment: Deployment) -> Result<Self> {
        Self::with_config(url, deployment, ClientConfig::default())
    }

    /// As [`BrokerClient::new`], with other settings.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a URL that is none.
    pub fn with_config(url: &str, deployment: Deployment, config: ClientConfig) -> Result<Self> {
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
        Ok(BrokerClient { http, url, deployment, config })
    }

    /// The market that this client is for.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// What the broker serves, and within which limits.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] if it serves another market; as every call, [`Error::Unreachable`] and [`Error::Refused`].
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
    pub async fn put_program(
        &self,
        signer: &PrivateKeySigner,
        id: ProgramId,
        elf: Vec<u8>,
    ) -> Result<bool> {
        self.put_blob(signer, format!("/v1/programs/{id}"), elf).await
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
    pub async fn put_slot(
        &self,
        signer: &PrivateKeySigner,
        root: BlobRoot,
        image: Vec<u8>,
    ) -> Result<bool> {
        self.put_blob(signer, format!("/v1/slots/{root}"), image).await
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

    /// Adds an entry to the market's log: its place, for ever.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn log_add(&self, entry: Vec<u8>) -> Result<LogAdded> {
        let entry = bytes::Bytes::from(entry);
        let sent = self.send(|| {
            let request = self.request(Method::POST, "/v1/log/add");
            request.header("content-type", BINARY).body(entry.clone())
        });
        json(sent.await?).await
    }

    /// An object of the market's log: `key`, `checkpoint`, `cosigned` or a tile. `None` if there is no log, or no such object.
    /// Whoever reads it checks it.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn log_object(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = format!("/v1/log/{name}");
        let sent = self.send(|| self.request(Method::GET, &path)).await;
        let sent = or_none(sent, ProblemKind::TileUnknown);
        let sent = match sent {
            Err(error) => or_none(Err(error), ProblemKind::LogAbsent)?,
            sent => sent?,
        };
        let Some(response) = sent else { return Ok(None) };
        Ok(Some(bounded(response, LOG_OBJECT_BYTES_MAX).await?))
    }

    async fn put_blob(
        &self,
        signer: &PrivateKeySigner,
        path: String,
        content: Vec<u8>,
    ) -> Result<bool> {
        // A whole upload for nothing would be a pity.
        if self.has(&path).await? {
            return Ok(false);
        }
        let expires = now() + REQUEST_SECS;
        let signed =
            SignedRequest::sign(("PUT", &path), &content, expires, &self.deployment, signer)?;
        let patience = Duration::from_secs(content.len() as u64 / UPLOAD_BYTES_PER_SEC);
        let content = bytes::Bytes::from(content);
        let response = self.send(|| {
            let mut request = self.request(Method::PUT, &path);
            for (name, value) in signed.headers() {
                request = request.header(name, value);
            }
            let request = request.timeout(self.config.request_timeout + patience);
            request.header("content-type", BINARY).body(content.clone())
        });
        let response = response.await?;
        let is_new = response.status() == StatusCode::CREATED;
        let _: BlobPut = json(response).await?;
        Ok(is_new)
    }

    async fn blob(
        &self,
        path: String,
        check: impl FnOnce(&[u8]) -> Result<(), String> + Send + 'static,
    ) -> Result<Option<Vec<u8>>> {
        let patience = Duration::from_secs(self.config.blob_bytes_max / UPLOAD_BYTES_PER_SEC);
        let timeout = self.config.request_timeout + patience;
        let sent = self.send(|| self.request(Method::GET, &path).timeout(timeout)).await;
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
        let sent = self.send(|| self.request(Method::HEAD, path)).await;
        match sent {
            // A HEAD's answer has no body to say which problem it is.
            Err(Error::Refused(problem)) if problem.status == 404 => Ok(false),
            other => other.map(|_| true),
        }
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        json(self.send(|| self.request(Method::GET, path)).await?).await
    }

    async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<(T, bool)> {
        let body =
            serde_json::to_vec(body).unwrap_or_else(|error| unreachable!("plain structs: {error}"));
        let body = bytes::Bytes::from(body);
        let response = self.send(|| {
            let request = self.request(method.clone(), path).header("content-type", JSON);
            request.body(body.clone())
        });
        let response = response.await?;
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

    /// A request to a path under the broker's URL.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.url.clone();
        let (path, query) =
            path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url.set_query(query);
        self.http.request(method, url).timeout(self.config.request_timeout)
    }

    /// Sends until there is an answer that is not about to pass.
    async fn send(&self, request: impl Fn() -> RequestBuilder) -> Result<Response> {
        let mut attempt = 0;
        loop {
            let error = match attempt_once(request()).await {
                Err(error) if error.is_retryable() && attempt < self.config.retries => error,
                other => return other,
            };
            tokio::time::sleep(self.pause(attempt, &error)).await;
            attempt += 1;
        }
    }

    /// Doubling, with a little randomness, so that those whom one failure struck do not come back together.
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

/// Orders as they come. It goes on after breaks where it was, so each order comes once and none is missed.
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
    /// [`Error::BadAnswer`], [`Error::Refused`] for what does not pass; [`Error::Unreachable`] when the retries are used up.
    /// It may be called again after each.
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
        let request = self.client.request(Method::GET, &url).timeout(Duration::MAX);
        let connected =
            tokio::time::timeout(self.client.config.request_timeout, attempt_once(request));
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

async fn attempt_once(request: RequestBuilder) -> Result<Response> {
    let response = request.send().await.map_err(unreachable_by)?;
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

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
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
