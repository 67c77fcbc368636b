//! The market's log over HTTP, and under SIGKILL.
//!
//! `ASSAY_CRASH_ROUNDS` sets how often the broker is killed; 25 if unset.

mod common;
mod watch;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use assay_broker::{Broker, HostedLog, Limits, Rate, Server, serve};
use assay_chain::SystemClock;
use assay_protocol::ProblemKind;
use assay_storage::{Blobs, Book, BookLimits, LogFiles, Sequencer};
use assay_tlog::{CHECKPOINT, KeyKind, NoteKey, Policy, Reader, Storage, StorageError, fsck};
use assay_types::Clock;
use common::{Ask, Fixture, client, deployment, http, kind};
use tokio::task::JoinSet;

const CHILD: &str = "ASSAY_LOG_CRASH_CHILD";

fn key() -> NoteKey {
    NoteKey::new("log.example", KeyKind::Log, &[7; 32]).expect("a key")
}

fn policy() -> Policy {
    Policy::of_log(key().vkey().clone()).expect("a policy")
}

/// An entry as brokers take them.
fn entry(number: u64) -> Vec<u8> {
    let padding = "A".repeat(400);
    format!(
        "{{\"payload\":\"{padding}{number:08}\",\"payloadType\":\"application/vnd.in-toto+json\",\"signatures\":[{{\"keyid\":\"k\",\"sig\":\"c2ln\"}}]}}"
    )
    .into_bytes()
}

async fn broker(folder: &Path) -> Server {
    let book = Book::open(folder.join("book.redb"), BookLimits::default()).expect("opened");
    let blobs = Blobs::open(folder.join("blobs"), 1 << 30).expect("opened");
    let files = LogFiles::open(folder.join("log")).expect("opened");
    let log = HostedLog {
        sequencer: Sequencer::open(files, key()).expect("a start after a crash works"),
        files: Arc::new(LogFiles::read_only(folder.join("log"))),
        key: key().vkey().clone(),
    };
    let plenty = Rate { per_sec: 1_000_000, burst: 1_000_000 };
    let limits = Limits { rate_per_address: plenty, rate_per_account: plenty, ..Limits::default() };
    let broker = Broker::new(book, blobs, deployment(), limits, SystemClock).with_log(log);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    serve(address, broker.router()).await.expect("served")
}

/// What a broker serves, fetched as a mirror would.
struct Fetched(String, tokio::runtime::Handle);

impl Storage for Fetched {
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let found = self.1.block_on(client(&self.0).log_object(name));
        found.map_err(|error| StorageError(Box::new(error)))
    }

    fn has_any(&self, _: &str) -> Result<bool, StorageError> {
        unreachable!("fsck only reads by name")
    }

    fn put_all(&self, _: &[(String, Vec<u8>)]) -> Result<(), StorageError> {
        unreachable!("fsck only reads")
    }

    fn replace(&self, _: &str, _: Option<&[u8]>, _: &[u8]) -> Result<bool, StorageError> {
        unreachable!("fsck only reads")
    }

    fn remove_all(&self, _: &str) -> Result<(), StorageError> {
        unreachable!("fsck only reads")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_added_can_be_mirrored_and_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = broker(folder.path()).await;
    let client = client(&server.url());
    let mut adders = JoinSet::new();
    for adder in 0..8u64 {
        let client = client.clone();
        adders.spawn(async move {
            let mut places = Vec::new();
            for number in 0..80 {
                // Each entry comes from two of them.
                places.push(
                    client.log_add(entry(adder / 2 * 80 + number)).await.expect("added").index,
                );
            }
            places
        });
    }
    let mut places: Vec<u64> = adders.join_all().await.into_iter().flatten().collect();
    places.sort_unstable();
    assert_eq!(places, (0..320).flat_map(|place| [place, place]).collect::<Vec<_>>());
    assert_eq!(
        client.log_object("key").await.expect("read"),
        Some(key().vkey().to_string().into())
    );
    assert_eq!(client.log_object("cosigned").await.expect("read"), None, "nobody has cosigned yet");
    let fetched = Fetched(server.url(), tokio::runtime::Handle::current());
    let report = tokio::task::spawn_blocking(move || fsck(&fetched, &policy(), &[])).await;
    let report = report.expect("no panic").expect("read");
    assert_eq!((report.faults.len(), report.entries), (0, 320), "{report:?}");
}

#[tokio::test]
async fn what_is_no_entry_and_no_tile_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = broker(folder.path()).await;
    client(&server.url()).log_add(entry(1)).await.expect("added");
    let market = client(&server.url()).market().await.expect("public");
    let post = async |kind: &'static str, body: Vec<u8>| {
        let ask = Ask::binary("POST", "/v1/log/add", body);
        let expires = SystemClock.unix_secs() + 60;
        let ask = Ask { content_type: Some(kind), expires, ..ask };
        ask.send(&server.url(), market.epoch).await
    };
    let binary = "application/octet-stream";
    let whole = String::from_utf8(entry(2)).expect("text");
    for body in [
        b"".to_vec(),
        b"a free disk".to_vec(),
        b"{}".to_vec(),
        whole.replace("in-toto", "something").into_bytes(),
        whole.replace("\"sig\"", "\"more\":1,\"sig\"").into_bytes(),
        whole.replace("[{\"keyid\":\"k\",\"sig\":\"c2ln\"}]", "[]").into_bytes(),
    ] {
        let answer = post(binary, body).await;
        assert_eq!(kind(answer).await, ProblemKind::BodyMalformed);
    }
    let answer = post("application/json", entry(2)).await;
    assert_eq!(kind(answer).await, ProblemKind::ContentType);
    let answer = post(binary, vec![b' '; 65_536]).await;
    assert_eq!(kind(answer).await, ProblemKind::BodyTooLarge);
    for path in [
        "tile/0/001",
        "tile/0/000",
        "tile/0/000.p/2",
        "tile/entries/000",
        "tile/1/000",
        "tile/0/x",
        "tile/..%2Fcheckpoint",
        "tile/%2e%2e/%2e%2e/book.redb",
        "tile/0/000.p/1/",
    ] {
        let url = format!("{}/v1/log/{path}", server.url());
        let answer = http().get(url).send().await.expect("sent");
        let found = kind(answer).await;
        let none = [ProblemKind::TileUnknown, ProblemKind::PathUnknown];
        assert!(none.contains(&found), "{path}: {found:?}");
    }
    for path in ["tile/0/000.p/1", "tile/entries/000.p/1", "checkpoint", "key"] {
        let url = format!("{}/v1/log/{path}", server.url());
        let answer = http().get(url).send().await.expect("sent");
        assert!(answer.status().is_success(), "{path}");
    }
    let without = Fixture::new().await;
    let answer = http().get(without.url("/v1/log/checkpoint")).send().await.expect("sent");
    assert_eq!(kind(answer).await, ProblemKind::LogAbsent);
    assert_eq!(without.client().log_object("key").await.expect("read"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_entry_is_lost_when_the_broker_is_killed() {
    let rounds: u64 =
        std::env::var("ASSAY_CRASH_ROUNDS").map_or(25, |rounds| rounds.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let mut acknowledged: Vec<(u64, u64)> = Vec::new();
    let (began, mut total) = (std::time::Instant::now(), 0);
    for round in 0..rounds {
        let added = load_and_kill(folder.path(), round).await;
        total += added.len() as u64;
        acknowledged.extend(added);
        check(folder.path(), &acknowledged);
        // What was held against the log once is held by its root; the newest are what a crash can
        // cost.
        acknowledged.drain(..acknowledged.len().saturating_sub(2_000));
    }
    assert!(total > rounds, "no load: this test would show nothing");
    println!("{rounds} kills, {total} entries acknowledged, none lost, in {:?}", began.elapsed());
}

/// Posts to a broker of its own process until it is killed, and gives what was acknowledged: number
/// and place.
async fn load_and_kill(folder: &Path, round: u64) -> Vec<(u64, u64)> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_that_serves", "--nocapture", "--ignored"])
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let url = loop {
        let line = lines.next().expect("the child serves").expect("text");
        if let Some((_, url)) = line.split_once("URL ") {
            break url.to_owned();
        }
    };
    let over = Arc::new(AtomicBool::new(false));
    let mut adders = JoinSet::new();
    for adder in 0..8u64 {
        let (client, over) = (client(&url), over.clone());
        adders.spawn(async move {
            let mut added = Vec::new();
            for number in 0..10_000 {
                let number = (round * 8 + adder) * 10_000 + number;
                match client.log_add(entry(number)).await {
                    Ok(done) => added.push((number, done.index)),
                    Err(_) if over.load(Ordering::SeqCst) => break,
                    Err(error) => panic!("before it was killed: {error}"),
                }
            }
            added
        });
    }
    tokio::time::sleep(Duration::from_millis(5 + round * 37 % 90)).await;
    over.store(true, Ordering::SeqCst);
    child.kill().expect("SIGKILL");
    child.wait().expect("gone");
    adders.join_all().await.into_iter().flatten().collect()
}

fn check(folder: &Path, acknowledged: &[(u64, u64)]) {
    let files = LogFiles::read_only(folder.join("log"));
    let note = files.get(CHECKPOINT).expect("read").expect("begun");
    let tree = policy().open(&note).expect("signed").checkpoint;
    let log = Reader::new(&files, &tree);
    for (number, index) in acknowledged {
        let found = log.entry(*index).unwrap_or_else(|error| panic!("entry {index}: {error}"));
        assert_eq!(found, entry(*number), "entry {index} was acknowledged");
    }
    assert_eq!(fsck(&files, &policy(), &[]).expect("read").faults, [], "of {} entries", tree.size);
}

/// Not a test: the process that gets killed.
#[test]
#[ignore = "runs as the child of the crash test"]
fn child_that_serves() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let server = broker(Path::new(&folder)).await;
        let mut out = std::io::stdout().lock();
        writeln!(out, "URL {}", server.url()).expect("told");
        out.flush().expect("told");
        std::future::pending::<()>().await;
    });
}
