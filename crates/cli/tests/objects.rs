//! A log and a witness's state in an object store, anchored on a real chain (anvil), by processes
//! that are killed while entries come in.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

#[path = "../../chain/tests/common/mod.rs"]
mod common;
mod daemons;
mod nowhere;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::TransactionRequest;
use assay_broker_client::BrokerClient;
use assay_chain::{ChainClientConfig, Endpoint, connect};
use assay_contracts::Deployment;
use common::{Anvil, anvil, anvil_key};
use daemons::{ANYWHERE, Daemon, ObjectStore, client, cosigned, entry, size_of, until};
use serde_json::Value;

const WRITERS: u64 = 4;

/// How often the broker is killed, and how many entries are acknowledged between two deaths.
const DEATHS: usize = 3;
const BETWEEN: usize = 30;

/// Where the log lies, and where the witness's state does.
const LOG: &str = "s3://logs/market";
const STATE: &str = "s3://logs/witness";

struct World {
    folder: tempfile::TempDir,
    anvil: Anvil,
    store: ObjectStore,
    operator: Address,
}

impl World {
    /// A chain with a market, a bucket, and an account that can pay for anchors; nothing where one
    /// of them can't be had.
    async fn new(test: &str) -> Option<Self> {
        let store = ObjectStore::start(test)?;
        let anvil = anvil(test, &["--block-time", "1"])?;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), "a password of tests\n").unwrap();
        let mut world = World { folder, anvil, store, operator: Address::ZERO };
        let made = world.json(&["account", "new", "--password-file", &world.path("password")]);
        world.operator = made["accounts"][0]["account"].as_str().unwrap().parse().unwrap();
        let endpoint = Endpoint::Url(world.anvil.url.clone());
        let anvils =
            connect(endpoint, Some(anvil_key()), ChainClientConfig::default()).await.unwrap();
        let ether = U256::from(10).pow(U256::from(19));
        let gas = TransactionRequest::default().with_to(world.operator).with_value(ether);
        anvils.execute(gas).await.unwrap();
        let deploy =
            ["chain", "deploy", "--rpc", &world.anvil.url, "--test-dollar", "--test-market"];
        let rest = ["--terms", "local", "--output", &world.path("deployment.json")];
        let key = world.key();
        world.json(&[&deploy[..], &rest, &key.each_ref().map(String::as_str)].concat());
        Some(world)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// The options that sign as the operator.
    fn key(&self) -> [String; 4] {
        let (account, password) = (self.operator.to_string(), self.path("password"));
        ["--account".into(), account, "--password-file".into(), password]
    }

    /// What a command prints, which must succeed.
    fn json(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command.args(arguments).args(["--json", "--home", &self.path("home")]);
        let output = command.envs(self.store.environment()).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn deployment(&self) -> Deployment {
        serde_json::from_slice(&std::fs::read(self.path("deployment.json")).unwrap()).unwrap()
    }

    /// A broker whose log lies in the bucket and is anchored each second.
    fn broker(&self, listen: &[&str], witness: &[&str]) -> Daemon {
        let key = self.key();
        let anchoring = ["--log-url", LOG, "--anchor-secs", "1", "--rpc", &self.anvil.url];
        let options = [listen, &anchoring, &key.each_ref().map(String::as_str), witness].concat();
        let deployment = PathBuf::from(self.path("deployment.json"));
        Daemon::broker(self.folder.path(), &deployment, &options, &self.store.environment())
    }

    fn witness(&self, log: &str, listen: &[&str]) -> Daemon {
        let folder = self.folder.path().join("witness");
        std::fs::create_dir_all(&folder).unwrap();
        let options = [listen, &["--state-url", STATE]].concat();
        Daemon::witness(&folder, log, &options, &self.store.environment())
    }

    /// The whole log as a reader with the bucket and the chain checks it.
    fn fsck(&self, trust: &Path) -> Value {
        let (trust, deployment) = (trust.to_str().unwrap(), self.path("deployment.json"));
        let chain = ["--rpc", &self.anvil.url, "--deployment", &deployment];
        self.json(&[&["log", "fsck", LOG, "--trust", trust], &chain[..]].concat())
    }

    /// What that reader pins.
    fn trust(&self, log: &str, witness: &str) -> PathBuf {
        let log = serde_json::json!({
            "key": log, "witnesses": [witness], "quorum": 1, "operator": self.operator,
        });
        let trust = serde_json::json!({ "schema": "assay.trust/1", "log": log });
        let path = PathBuf::from(self.path("trust.json"));
        std::fs::write(&path, trust.to_string()).unwrap();
        path
    }
}

/// Adds entries until told to stop, and says which of them have which places.
fn writers(
    client: &BrokerClient,
    stopped: &tokio::sync::watch::Receiver<bool>,
    acknowledged: &Arc<Mutex<Vec<(u64, u64)>>>,
) -> tokio::task::JoinSet<()> {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (client, stopped) = (client.clone(), stopped.clone());
        let acknowledged = Arc::clone(acknowledged);
        writers.spawn(async move {
            for number in (writer << 32).. {
                // As whoever wants it logged would: again, until it is.
                let added = loop {
                    match client.log_add(entry(number)).await {
                        Ok(added) => break added,
                        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                };
                acknowledged.lock().unwrap().push((number, added.index));
                if *stopped.borrow() {
                    return;
                }
            }
        });
    }
    writers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_a_bucket_is_cosigned_and_anchored_and_loses_nothing_when_its_broker_is_killed() {
    let Some(world) = World::new("a_log_in_a_bucket").await else { return };
    let broker = world.broker(&ANYWHERE, &[]);
    let (log_key, listen) = (broker.key.clone(), broker.listen().to_owned());
    let listen = ["--listen", &listen];
    drop(broker);
    let witness = world.witness(&log_key, &ANYWHERE);
    let (witness_key, witness_at) = (witness.key.clone(), witness.listen().to_owned());
    let asked = ["--witness", &format!("{witness_key}@{}", witness.url)];
    let trust = world.trust(&log_key, &witness_key);
    let mut broker = world.broker(&listen, &asked);
    assert_eq!(broker.key, log_key, "the home has the key, and the bucket the log");
    let client = client(&broker.url, &world.deployment());
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let count = || acknowledged.lock().unwrap().len();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writers = writers(&client, &stopped, &acknowledged);
    let any = || async { size_of(&client, "cosigned").await };
    until(any, || format!("nothing is cosigned: {}", broker.said())).await;
    let (mut witness, mut known) = (Some(witness), 1);
    for death in 1..=DEATHS + 1 {
        let enough = || async { (count() >= death * BETWEEN).then_some(()) };
        until(enough, || format!("{} are acknowledged: {}", count(), broker.said())).await;
        // What was anchored before a death holds after it.
        let more = || async { world.fsck(&trust)["known"].as_u64().filter(|trees| *trees > known) };
        known = until(more, || format!("no new anchor: {}", broker.said())).await;
        if death <= DEATHS {
            drop(broker);
            if death == 2 {
                drop(witness.take());
                witness = Some(world.witness(&log_key, &["--listen", &witness_at]));
            }
            broker = world.broker(&listen, &asked);
        }
    }
    stop.send(true).unwrap();
    writers.join_all().await;
    let size = size_of(&client, "checkpoint").await.unwrap();
    cosigned(&client, &broker, size).await;
    let checked = world.fsck(&trust);
    assert_eq!((&checked["size"], &checked["cosigned"]), (&size.into(), &size.into()));
    let places = acknowledged.lock().unwrap().clone();
    assert!(places.len() >= (DEATHS + 1) * BETWEEN && size >= places.len() as u64);
    // What was acknowledged has the place that it was told: the log is asked for each once more,
    // and grows by none.
    for (number, place) in places {
        let again = client.log_add(entry(number)).await.unwrap();
        assert_eq!(again.index, place, "it was acknowledged, and is lost");
    }
    assert_eq!(size_of(&client, "checkpoint").await, Some(size));
    drop(broker);
    let homes = [world.path("home"), world.path("witness")].map(PathBuf::from);
    for kept in [homes[0].join("log"), homes[1].join("home").join("witness")] {
        assert!(!kept.exists(), "{}: it lies in the bucket alone", kept.display());
    }
}
