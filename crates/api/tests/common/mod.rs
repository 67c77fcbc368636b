//! What the tests share: a broker on a real socket, keys, orders, and raw requests.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::aliases::{U40, U96};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use assay_api::{
    Broker, BrokerClient, ClientConfig, Limits, Problem, ProblemKind, Rate, Server, ServerConfig,
    SignedOrder, serve,
};
use assay_chain::contracts::Market;
use assay_chain::{DEPLOYMENT_SCHEMA, Deployment, ManualClock};
use assay_merkle::{MemoryTree, Page, SLOT_PAGES, write_image};
use assay_store::{Blobs, Book, BookLimits};
use assay_types::BlobRoot;
use tempfile::TempDir;

/// When all tests begin, in Unix seconds.
pub const NOW: u64 = 2_000_000_000;

/// A broker on loopback.
pub struct Fixture {
    pub folder: TempDir,
    pub clock: Arc<ManualClock>,
    pub server: Server,
    pub book: Book,
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
        let broker =
            Broker::with_clock(book.clone(), blobs, deployment(), setup.limits, clock.clone());
        let server = serve(setup.server, broker.router()).await.expect("served");
        Fixture { folder, clock, server, book }
    }

    pub fn client(&self) -> BrokerClient {
        client(&self.server.url())
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url())
    }
}

/// A client that does not try again, so that tests see what is answered.
pub fn client(url: &str) -> BrokerClient {
    let config = ClientConfig { retries: 0, ..ClientConfig::default() };
    BrokerClient::with_config(url, deployment(), config).expect("a URL")
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
pub fn refused<T: std::fmt::Debug>(result: Result<T, assay_api::Error>) -> ProblemKind {
    match result {
        Err(assay_api::Error::Refused(problem)) => problem.kind().expect("a known kind"),
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
