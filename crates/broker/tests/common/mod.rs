//! What the tests share: a broker on a real socket, keys, orders, and raw requests.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use alloy_primitives::aliases::{U40, U96};
use alloy_primitives::{Address, B256, FixedBytes, U256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use assay_broker::{Broker, Limits, Rate, Server, ServerConfig, serve};
use assay_broker_client::{Access, BrokerClient, BrokerClientConfig};
use assay_chain::{ManualClock, SystemClock};
use assay_contracts::Market;
use assay_contracts::{DEPLOYMENT_SCHEMA, Deployment};
use assay_merkle::{MemoryTree, Page, SLOT_PAGES, write_image};
use assay_protocol::{Problem, ProblemKind, Role, SignedOrder, SignedRequest};
use assay_storage::{Blobs, Book, BookLimits};
use assay_types::{BlobRoot, sha256};
use serde::Serialize;
use tempfile::TempDir;

use super::watch::Watch;

/// When all tests begin, in Unix seconds.
pub const NOW: u64 = 2_000_000_000;

/// A broker on loopback.
pub struct Fixture {
    pub folder: TempDir,
    pub clock: Arc<ManualClock>,
    pub server: Server,
    pub book: Book,
    pub broker: Broker,
    pub watch: Watch,
}

/// How to set one up.
pub struct Setup {
    pub limits: Limits,
    pub book: BookLimits,
    pub blob_bytes_max: u64,
    pub server: ServerConfig,
}

impl Default for Setup {
    fn default() -> Self {
        let plenty = Rate { per_sec: 1_000_000, burst: 1_000_000 };
        Setup {
            limits: Limits {
                rate_per_address: plenty,
                rate_per_account: plenty,
                ..Limits::default()
            },
            book: BookLimits::default(),
            blob_bytes_max: 1 << 30,
            server: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into(),
        }
    }
}

impl Fixture {
    pub async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::at(NOW));
        let book = Book::open(folder.path().join("book.redb"), setup.book).expect("opened");
        let blobs = Blobs::open(folder.path().join("blobs"), setup.blob_bytes_max).expect("opened");
        let broker = Broker::new(book.clone(), blobs, deployment(), setup.limits, clock.clone());
        let watch = Watch::of(&broker);
        let server = serve(setup.server, watch.around(broker.router())).await.expect("served");
        Fixture { folder, clock, server, book, broker, watch }
    }

    /// A client with key 1, by the broker's clock.
    pub fn client(&self) -> BrokerClient {
        self.client_of(1)
    }

    /// A client with a key, by the broker's clock.
    pub fn client_of(&self, number: u64) -> BrokerClient {
        client_of(&self.server.url(), number).with_clock(self.clock.clone())
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url())
    }

    /// What nonces begin with, as the broker tells everybody.
    pub async fn epoch(&self) -> FixedBytes<16> {
        self.client().market().await.expect("public").epoch
    }

    /// Sends a request as key 1 would, in no particular role.
    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.send(Ask::get(path)).await
    }

    /// Sends a signed request, right or wrong.
    pub async fn send(&self, ask: Ask) -> reqwest::Response {
        let epoch = self.epoch().await;
        ask.send(&self.server.url(), epoch).await
    }
}

static NONCES: AtomicU64 = AtomicU64::new(1);

/// A request that can be wrong in each of its parts.
pub struct Ask {
    pub method: &'static str,
    pub path: String,
    pub body: Vec<u8>,
    pub content_type: Option<&'static str>,
    pub role: Role,
    pub access: Access,
    pub expires: u64,
    /// A fresh one if unset.
    pub nonce: Option<B256>,
    /// What is signed in place of the path.
    pub signed_path: Option<String>,
    /// And in place of the body.
    pub signed_body: Option<Vec<u8>>,
    pub deployment: Deployment,
}

impl Ask {
    pub fn new(method: &'static str, path: &str) -> Self {
        Ask {
            method,
            path: path.to_owned(),
            body: Vec::new(),
            content_type: None,
            role: Role::Anyone,
            access: Access::new(&key(1)),
            expires: NOW + 60,
            nonce: None,
            signed_path: None,
            signed_body: None,
            deployment: deployment(),
        }
    }

    pub fn get(path: &str) -> Self {
        Ask::new("GET", path)
    }

    pub fn json(method: &'static str, path: &str, role: Role, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("written");
        Ask { body, role, content_type: Some("application/json"), ..Ask::new(method, path) }
    }

    pub fn binary(method: &'static str, path: &str, body: Vec<u8>) -> Self {
        Ask { body, content_type: Some("application/octet-stream"), ..Ask::new(method, path) }
    }

    /// Sends it to a broker of that epoch.
    pub async fn send(self, url: &str, epoch: FixedBytes<16>) -> reqwest::Response {
        let mut nonce = B256::ZERO;
        nonce[..16].copy_from_slice(&epoch[..]);
        nonce[16..].copy_from_slice(&B256::from(U256::from(NONCES.fetch_add(1, SeqCst)))[16..]);
        let terms = (self.role, self.nonce.unwrap_or(nonce), self.expires);
        let target = (self.method, self.signed_path.clone().unwrap_or(self.path.clone()));
        let digest = B256::new(sha256(self.signed_body.as_ref().unwrap_or(&self.body)).0);
        let signed = SignedRequest::sign(
            (target.0, &target.1),
            digest,
            terms,
            &self.deployment,
            (self.access.signer().expect("a key"), self.access.capabilities().cloned()),
        );
        let method = reqwest::Method::from_bytes(self.method.as_bytes()).expect("a method");
        let mut request = http().request(method, format!("{url}{}", self.path)).body(self.body);
        for (name, value) in signed.expect("signed").headers() {
            request = request.header(name, value);
        }
        if let Some(kind) = self.content_type {
            request = request.header("content-type", kind);
        }
        request.send().await.expect("sent")
    }

    pub fn by(self, number: u64) -> Self {
        Ask { access: Access::new(&key(number)), ..self }
    }
}

/// A client that does not try again, so that tests see what is answered.
pub fn client(url: &str) -> BrokerClient {
    client_of(url, 1)
}

/// The same with a key.
pub fn client_of(url: &str, number: u64) -> BrokerClient {
    let config = BrokerClientConfig { retries: 0, ..BrokerClientConfig::default() };
    BrokerClient::with_config(url, deployment(), &key(number), config, SystemClock).expect("a URL")
}

pub fn deployment() -> Deployment {
    let contract = Address::repeat_byte;
    Deployment {
        schema: DEPLOYMENT_SCHEMA.to_owned(),
        chain_id: 31_337,
        genesis_hash: B256::repeat_byte(7),
        from_block: 0,
        token: contract(1),
        market: contract(2),
        stakes: contract(3),
        verifiers: contract(4),
        disputes: contract(5),
        step: contract(6),
        anchors: contract(7),
        fraud_proofs: 1,
    }
}

/// A key that is the same in every run.
pub fn key(number: u64) -> PrivateKeySigner {
    let secret = keccak256(format!("assay broker test key {number}"));
    PrivateKeySigner::from_bytes(&secret).expect("a valid key")
}

pub fn unsigned(requester: Address, nonce: u64) -> Market::Order {
    Market::Order {
        requester,
        provider: Address::ZERO,
        beneficiary: requester,
        programId: B256::repeat_byte(0xaa),
        inputRoot: B256::repeat_byte(0xbb),
        datasetRoot: B256::repeat_byte(0xcc),
        termsHash: B256::ZERO,
        nonce: U256::from(nonce),
        stepLimit: 1 << 30,
        verifierId: 1,
        lockDeadline: U40::from(NOW + 3_600),
        beginSecs: 0,
        runSecs: 600,
        windowSecs: 60,
        stake: U96::from(1_000_000),
        lapseFee: U96::ZERO,
        chunkFee: U96::ZERO,
        dataOwner: Address::repeat_byte(0xdd),
        dataFee: U96::from(250_000),
        compensationBps: 5_000,
        bountyBps: 2_500,
        price: Market::Price {
            min: U96::from(1),
            max: U96::from(5_000_000),
            base: U96::from(5_000_000),
            mebistep: U96::ZERO,
            rampStartAt: U40::from(NOW),
            rampSecs: 60,
        },
    }
}

/// Order `nonce` of key `number`.
pub fn order(number: u64, nonce: u64) -> SignedOrder {
    let key = key(number);
    SignedOrder::sign(unsigned(key.address(), nonce), &deployment(), &key).expect("signed")
}

/// A slot whose first page holds the bytes, and its root.
pub fn slot(bytes: &[u8]) -> (BlobRoot, Vec<u8>) {
    let pages: Vec<Page> = bytes
        .chunks(4096)
        .map(|piece| std::array::from_fn(|i| piece.get(i).copied().unwrap_or_default()))
        .collect();
    let numbered: BTreeMap<u32, Page> = (0..).zip(pages).collect();
    let mut tree = MemoryTree::new();
    for (number, page) in &numbered {
        tree.update(&[(2 * SLOT_PAGES + number, u16::MAX, page)]);
    }
    let mut image = Vec::new();
    let Ok(()) = write_image(numbered.iter().map(|(number, page)| (*number, page)), |bytes| {
        image.extend_from_slice(bytes);
        Ok::<_, Infallible>(())
    });
    (tree.slot_root(2), image)
}

pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client")
}

/// An answer's problem, which must be well-formed.
pub async fn problem(response: reqwest::Response) -> Problem {
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").expect("a content type").clone();
    let text = response.text().await.expect("a body");
    assert_eq!(kind, "application/problem+json", "{status} {text}");
    let problem: Problem = serde_json::from_str(&text).expect("a problem");
    assert_eq!(problem.status, status, "the body says the same as the head");
    problem
}

/// The kind of an answer's problem.
pub async fn kind(response: reqwest::Response) -> ProblemKind {
    let problem = problem(response).await;
    problem.kind().unwrap_or_else(|| panic!("{problem:?} is in no table"))
}

/// The kind of what a client was refused for.
pub fn refused<T: std::fmt::Debug>(result: Result<T, assay_broker_client::Error>) -> ProblemKind {
    match result {
        Err(assay_broker_client::Error::Refused(problem)) => problem.kind().expect("a known kind"),
        other => panic!("not refused: {other:?}"),
    }
}

/// Opens a book whose last user may still be letting go.
pub async fn reopen(path: &std::path::Path) -> Book {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        match Book::open(path, BookLimits::default()) {
            Ok(book) => return book,
            Err(error) if Instant::now() > patience => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}
