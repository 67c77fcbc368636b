//! A broker as a process of its own, killed while orders come in.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

mod nowhere;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alloy_signer_local::PrivateKeySigner;
use assay_broker_client::BrokerClient;
use assay_protocol::SignedOrder;
use nowhere::{deployment, order};

const WRITERS: u8 = 4;
const DEATHS: usize = 3;

/// So many orders are acknowledged between two deaths, and after the last.
const BETWEEN: usize = 25;

const PATIENCE: Duration = Duration::from_secs(120);

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
    let client = BrokerClient::new(
        &url,
        deployment(),
        &PrivateKeySigner::random(),
        assay_chain::SystemClock,
    )
    .unwrap();
    let acknowledged = Arc::new(Mutex::new(Vec::<SignedOrder>::new()));
    let count = || acknowledged.lock().unwrap().len();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (client, acknowledged) = (client.clone(), Arc::clone(&acknowledged));
        let stopped = stopped.clone();
        writers.spawn(async move {
            for nonce in 0.. {
                // A key for each, so that no account's rate is reached.
                let key = PrivateKeySigner::random();
                let order = order(&key, u64::from(writer) << 32 | nonce);
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
