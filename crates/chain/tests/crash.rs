//! `kill -9` under load: nothing acknowledged is lost, and every start succeeds.
//!
//! `ASSAY_CRASH_ROUNDS` sets how often the chain is killed; 200 if unset.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use alloy_primitives::B256;
use alloy_provider::Provider;
use assay_chain::EmbeddedChain;
use common::{Random, call, client, deploy, funded, key, token_init_code, transfer};

const SENDERS: u64 = 8;
const CHILD: &str = "ASSAY_CRASH_CHILD";

#[test]
fn no_acknowledged_block_is_lost_and_no_start_fails() {
    let rounds: u64 =
        std::env::var("ASSAY_CRASH_ROUNDS").map_or(200, |n| n.parse().expect("a number"));
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("chain.redb");
    let mut random = Random(0x5eed);
    let (mut acknowledged, mut checked_to) = (0, 0);
    for round in 0..rounds {
        let kill_after = Duration::from_millis(random.pick(0..=150));
        let lines = run_and_kill(&path, kill_after);
        let (count, head) = check(&path, &lines, checked_to);
        acknowledged += count;
        checked_to = head;
        assert!(round < 5 || acknowledged > 0, "no load: this test would show nothing");
    }
    println!("{rounds} kills, {acknowledged} acknowledged transactions, head {checked_to}");
}

/// Starts a child that sends and reports what was acknowledged; kills it; answers its report.
fn run_and_kill(path: &Path, kill_after: Duration) -> Vec<B256> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_under_load", "--nocapture", "--ignored"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let lines = read_lines(BufReader::new(child.stdout.take().expect("piped")));
    let started = Duration::from_secs(60);
    loop {
        let line = lines.recv_timeout(started).expect("the child opens the chain");
        if line.ends_with("OPEN") {
            break;
        }
    }
    std::thread::sleep(kill_after);
    child.kill().expect("SIGKILL");
    child.wait().expect("gone");
    // A line cut off by the kill was not an acknowledgement that anyone could read.
    lines.iter().filter_map(|line| line.strip_prefix("ACK ")?.parse().ok()).collect()
}

fn read_lines(reader: impl BufRead + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in reader.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}

/// Opens the chain as anyone would and looks for every acknowledged transaction.
#[tokio::main(flavor = "current_thread")]
async fn check(path: &PathBuf, acknowledged: &[B256], checked_to: u64) -> (usize, u64) {
    let chain = EmbeddedChain::open(path, funded(SENDERS)).expect("a start after a crash works");
    let client = client(&chain, 0).await;
    for hash in acknowledged {
        let receipt = client.provider().get_transaction_receipt(*hash).await.expect("read");
        let receipt = receipt.unwrap_or_else(|| panic!("{hash} was acknowledged and is lost"));
        assert!(receipt.status(), "{hash} failed");
    }
    let head = chain.head().number;
    let mut parent = None;
    for number in checked_to..=head {
        let block = client.provider().get_block(number.into()).await.expect("read").expect("there");
        assert_eq!(block.header.inner.hash_slow(), block.header.hash);
        assert!(parent.is_none_or(|parent| parent == block.header.parent_hash));
        parent = Some(block.header.hash);
    }
    drop(client);
    chain.close();
    (acknowledged.len(), head)
}

/// Not a test: the process that gets killed.
#[test]
#[ignore = "runs as the child of the crash test"]
fn child_under_load() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    load(Path::new(&path));
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn load(path: &Path) {
    let chain = EmbeddedChain::open(path, funded(SENDERS)).expect("a start after a crash works");
    say("OPEN");
    let deployer = client(&chain, 0).await;
    let (token, _) = deploy(&deployer, token_init_code()).await;
    let senders = (0..SENDERS).map(|number| {
        let chain = chain.clone();
        tokio::spawn(async move {
            let client = client(&chain, number).await;
            for amount in 0.. {
                // Only the deployer has tokens; the others move nothing, which costs the same.
                let amount = if number == 0 { amount } else { 0 };
                let to = key(number + 1).address();
                let receipt = client.execute(call(token, transfer(to, amount))).await;
                say(&format!("ACK {}", receipt.expect("mined").transaction_hash));
            }
        })
    });
    futures_util::future::join_all(senders).await;
}

/// One write a line, so that a kill can't mix two.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(format!("{line}\n").as_bytes());
    let _ = out.flush();
}
