//! A broker as a process of its own, killed while orders come in.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloy_primitives::aliases::{U40, U96};
use alloy_primitives::{Address, B256, U256};
use alloy_signer_local::PrivateKeySigner;
use assay_api::{BrokerClient, SignedOrder};
use assay_chain::contracts::Market;
use assay_chain::{DEPLOYMENT_SCHEMA, Deployment};

const WRITERS: u8 = 4;
const DEATHS: usize = 3;

/// So many orders are acknowledged between two deaths, and after the last.
const BETWEEN: usize = 25;

const PATIENCE: Duration = Duration::from_secs(120);

fn deployment() -> Deployment {
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

fn order(nonce: u64) -> SignedOrder {
    // A key for each, so that no account's rate is reached.
    let key = PrivateKeySigner::random();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let amount = |units: u64| U96::from(units);
    let order = Market::Order {
        requester: key.address(),
        provider: Address::ZERO,
        beneficiary: key.address(),
        programId: B256::repeat_byte(0xaa),
        inputRoot: B256::repeat_byte(0xbb),
        datasetRoot: B256::repeat_byte(0xcc),
        termsHash: B256::ZERO,
        nonce: U256::from(nonce),
        stepLimit: 1 << 30,
        verifierId: 1,
        lockDeadline: U40::from(now + 3_000),
        beginSecs: 0,
        runSecs: 600,
        windowSecs: 60,
        stake: amount(1_000_000),
        lapseFee: amount(0),
        chunkFee: amount(0),
        dataOwner: Address::ZERO,
        dataFee: amount(0),
        compensationBps: 5_000,
        bountyBps: 2_500,
        price: Market::Price {
            min: amount(5),
            max: amount(5),
            base: amount(5),
            mebistep: amount(0),
            rampStartAt: U40::ZERO,
            rampSecs: 0,
        },
    };
    SignedOrder::sign(order, &deployment(), &key).unwrap()
}

/// A broker that is killed when dropped, as a power cut would.
struct Broker(Child);

impl Broker {
    /// Starts it at an address, and gives its URL once it serves.
    fn start(folder: &std::path::Path, listen: &str) -> (Self, String) {
        let file = folder.join("deployment.json");
        std::fs::write(&file, serde_json::to_vec(&deployment()).unwrap()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command.args(["broker", "--listen", listen]).stdin(Stdio::null()).stdout(Stdio::piped());
        command.arg("--deployment").arg(file).arg("--home").arg(folder.join("home"));
        let mut child = command.spawn().unwrap();
        let line = BufReader::new(child.stdout.take().unwrap()).lines().next();
        let line = line.expect("it serves").unwrap();
        (Broker(child), line.trim_start_matches("broker").trim().to_owned())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_under_load_loses_nothing_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (mut broker, url) = Broker::start(folder.path(), "127.0.0.1:0");
    let listen = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let client = BrokerClient::new(&url, deployment(), &PrivateKeySigner::random()).unwrap();
    let acknowledged = Arc::new(Mutex::new(Vec::<SignedOrder>::new()));
    let count = || acknowledged.lock().unwrap().len();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (client, acknowledged) = (client.clone(), Arc::clone(&acknowledged));
        let stopped = stopped.clone();
        writers.spawn(async move {
            for nonce in 0.. {
                let order = order(u64::from(writer) << 32 | nonce);
                // As whoever wants it in the book would: again, until it is.
                while client.post_order(&order).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                acknowledged.lock().unwrap().push(order);
                if *stopped.borrow() {
                    return;
                }
            }
        });
    }
    let started = Instant::now();
    for death in 1..=DEATHS + 1 {
        while count() < death * BETWEEN {
            assert!(started.elapsed() < PATIENCE, "{} are acknowledged", count());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if death <= DEATHS {
            drop(broker);
            broker = Broker::start(folder.path(), &listen).0;
        }
    }
    stop.send(true).unwrap();
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    for signed in &acknowledged {
        let id = signed.job_id(&deployment());
        let found = client.order(id).await.unwrap().expect("it was acknowledged, and is gone");
        assert_eq!(found.signed(), *signed);
    }
    // What is posted again is no second order.
    let newest = client.health().await.unwrap().newest;
    for signed in acknowledged.iter().take(BETWEEN) {
        let (_, is_new) = client.post_order(signed).await.unwrap();
        assert!(!is_new, "a duplicate is harmless");
    }
    assert_eq!(client.health().await.unwrap().newest, newest);
    drop(broker);
}
