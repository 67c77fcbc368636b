//! The book, the blobs and the log under SIGKILL: nothing acknowledged is lost, and every start
//! succeeds.
//!
//! `ASSAY_CRASH_ROUNDS` sets how often they are killed; 50 if unset.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use assay_storage::{
    BlobKind, Blobs, BookLimits, FileBlobs, Kind, LogFiles, OrderBook, RedbBook, Sequencer,
};
use assay_tlog::{CHECKPOINT, KeyKind, NoteKey, Policy, Reader, Storage, fsck};

const CHILD: &str = "ASSAY_STORE_CRASH_CHILD";
const BLOB_BYTES: usize = 20_000;

/// So much of what was acknowledged is looked at after each kill, several kills' worth; all of it
/// at the end.
const NEWEST: usize = 2_000;

#[test]
fn nothing_acknowledged_is_lost_and_no_start_fails() {
    let rounds: u64 =
        std::env::var("ASSAY_CRASH_ROUNDS").map_or(50, |n| n.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let (mut acknowledged, began) = (Vec::new(), Instant::now());
    for round in 0..rounds {
        acknowledged.extend(run_and_kill(folder.path(), Duration::from_millis(round * 37 % 120)));
        let newest = acknowledged.len().saturating_sub(NEWEST);
        check(folder.path(), &acknowledged[newest..]);
        assert!(round < 10 || !acknowledged.is_empty(), "no load: this test would show nothing");
    }
    check(folder.path(), &acknowledged);
    println!(
        "{rounds} kills, {} acknowledged, none lost, in {:?}",
        acknowledged.len(),
        began.elapsed()
    );
}

/// What the child said it was told is durable, as it said it: `order KEY SEQUENCE`, `wrap KEY
/// SEQUENCE`, `blob NAME`, `sealed NAME` or `entry NAME INDEX`.
fn run_and_kill(folder: &Path, after: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_under_load", "--nocapture", "--ignored"])
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let (sender, lines) = std::sync::mpsc::channel();
    let reader = BufReader::new(child.stdout.take().expect("piped"));
    std::thread::spawn(move || {
        for line in reader.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let patience = Duration::from_secs(60);
    while !lines.recv_timeout(patience).expect("the child opens the store").ends_with("OPEN") {}
    std::thread::sleep(after);
    child.kill().expect("SIGKILL");
    child.wait().expect("gone");
    // A line cut off by the kill was not an acknowledgement that anyone could read.
    lines
        .iter()
        .filter_map(|line| Some(line.strip_prefix("ACK ")?.strip_suffix('.')?.to_owned()))
        .collect()
}

fn check(folder: &Path, acknowledged: &[String]) {
    let (book, blobs) = open(folder);
    let files = LogFiles::read_only(folder.join("log"));
    let policy = Policy::of_log(log_key().vkey().clone()).expect("a policy");
    let note = files.get(CHECKPOINT).expect("read").expect("begun");
    let tree = policy.open(&note).expect("signed").checkpoint;
    let log = Reader::new(&files, &tree);
    for said in acknowledged {
        let words: Vec<_> = said.split(' ').collect();
        let mut name = [0; 32];
        hex::decode_to_slice(words[1], &mut name).expect("a name");
        if words[0] == "order" {
            let entry = book.order(name).expect("read");
            let entry = entry.unwrap_or_else(|| panic!("{said} was acknowledged and is lost"));
            assert_eq!(entry.sequence.to_string(), words[2]);
        } else if words[0] == "wrap" {
            let entry = book.entry(Kind::Wrap, name, [1; 20], [3; 32]).expect("read");
            let entry = entry.unwrap_or_else(|| panic!("{said} was acknowledged and is lost"));
            assert_eq!(entry.sequence.to_string(), words[2]);
        } else if words[0] == "sealed" {
            let content = blobs.get(BlobKind::Envelope, name).expect("read");
            assert_eq!(content, Some(content_of(name)), "{said} was acknowledged");
        } else if words[0] == "entry" {
            let entry = log.entry(words[2].parse().expect("an index")).expect("there");
            assert_eq!(entry, entry_of(name), "{said} was acknowledged");
        } else {
            let content = blobs.get(BlobKind::Slot, name).expect("read");
            assert_eq!(content, Some(content_of(name)), "{said} was acknowledged");
        }
    }
    let folders = ["blobs/slots", "blobs/envelopes"].map(|kind| folder.join(kind));
    let stored = folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("read"));
    let sizes = stored.map(|file| file.expect("read").metadata().expect("read").len());
    let sizes: Vec<u64> = sizes.collect();
    assert!(sizes.iter().all(|size| *size == BLOB_BYTES as u64), "no half blob is left");
    assert_eq!(blobs.bytes_total(), sizes.iter().sum::<u64>());
    let report = fsck(&files, &policy, &[]).expect("read");
    assert_eq!(report.faults, [], "a log of {} entries", tree.size);
    Sequencer::open(LogFiles::open(folder.join("log")).expect("free"), log_key()).expect("a start");
}

fn log_key() -> NoteKey {
    NoteKey::new("log.example", KeyKind::Log, &[7; 32]).expect("a key")
}

fn entry_of(name: [u8; 32]) -> Vec<u8> {
    name.repeat(30)
}

fn open(folder: &Path) -> (RedbBook, FileBlobs) {
    let book = RedbBook::open(folder.join("book.redb"), BookLimits::default());
    let blobs = FileBlobs::open(folder.join("blobs"), 1 << 30);
    (book.expect("a start after a crash works"), blobs.expect("a start after a crash works"))
}

fn content_of(name: [u8; 32]) -> Vec<u8> {
    name.iter().copied().cycle().take(BLOB_BYTES).collect()
}

/// Not a test: the process that gets killed.
#[test]
#[ignore = "runs as the child of the crash test"]
fn child_under_load() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    load(Path::new(&folder));
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn load(folder: &Path) {
    let (book, blobs) = open(folder);
    let files = LogFiles::open(folder.join("log")).expect("the killed one has let go");
    let log = Sequencer::open(files, log_key()).expect("a start after a crash works");
    say("OPEN");
    let start = *book.newest().borrow();
    let tasks = (0..8u64).map(|task| {
        let (book, blobs, log) = (book.clone(), blobs.clone(), log.clone());
        tokio::spawn(async move {
            for i in 0u64.. {
                let mut name = [0; 32];
                let words = [start + 1, task + 1, i + 1];
                for (place, word) in name.chunks_exact_mut(8).zip(words) {
                    place.copy_from_slice(&word.to_be_bytes());
                }
                let put = book.put(Kind::Order, name, [1; 20], vec![7; 700]).await.expect("put");
                say(&format!("ACK order {} {}.", hex::encode(name), put.sequence));
                let put = book.put_part(Kind::Wrap, name, [1; 20], [3; 32], vec![8; 300]).await;
                say(&format!("ACK wrap {} {}.", hex::encode(name), put.expect("put").sequence));
                let added = log.add(entry_of(name)).await.expect("added");
                assert!(added.is_new);
                say(&format!("ACK entry {} {}.", hex::encode(name), added.index));
                if task == 0 {
                    let put = blobs.put(BlobKind::Slot, name, &content_of(name));
                    assert!(put.expect("put"), "new");
                    say(&format!("ACK blob {}.", hex::encode(name)));
                    let mut draft = blobs.begin(BlobKind::Envelope).expect("begun");
                    for piece in content_of(name).chunks(3_000) {
                        draft.write(piece).expect("written");
                    }
                    assert!(draft.finish(name).expect("named"), "new");
                    say(&format!("ACK sealed {}.", hex::encode(name)));
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        let _ = task.await;
    }
}

/// One write a line, so that a kill can't mix two.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(format!("{line}\n").as_bytes());
    let _ = out.flush();
}
