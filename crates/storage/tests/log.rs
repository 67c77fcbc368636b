//! A log in a folder: one writer, many at once, and what is in the way.

use std::time::Duration;

use assay_storage::{Error, LogFiles, Sequencer, WAITING_MAX};
use assay_tlog::{CHECKPOINT, ENTRY_BYTES_MAX, KeyKind, NoteKey, Policy, Storage, fsck};
use tokio::task::JoinSet;

fn key() -> NoteKey {
    NoteKey::new("log.example", KeyKind::Log, &[7; 32]).expect("a key")
}

fn policy() -> Policy {
    Policy::of_log(key().vkey().clone()).expect("a policy")
}

#[tokio::test]
async fn many_add_at_once_and_share_batches() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Sequencer::open(LogFiles::open(folder.path())?, key());
    let log = open().expect("begun");
    let mut checkpoints = log.checkpoint();
    let mut adders = JoinSet::new();
    for adder in 0..64u32 {
        let log = log.clone();
        adders.spawn(async move {
            let mut places = Vec::new();
            for number in 0..20u32 {
                // Every entry comes from two of them.
                let entry = format!("{} {number}", adder / 2).into_bytes();
                places.push(log.add(entry).await.expect("added").index);
            }
            places
        });
    }
    let mut places: Vec<u64> = adders.join_all().await.into_iter().flatten().collect();
    places.sort_unstable();
    let twice: Vec<u64> = (0..640).flat_map(|place| [place, place]).collect();
    assert_eq!(places, twice, "each entry has one place");
    assert!(checkpoints.has_changed().expect("it lives"));
    let tree = policy().open(&checkpoints.borrow_and_update()).expect("signed").checkpoint;
    assert_eq!(tree.size, 640);

    let taken = open().err();
    assert!(matches!(taken, Some(Error::LogOpen { .. })), "{taken:?}");
    drop(log);
    let log = open().expect("the last one let go");
    let again = log.add(b"3 7".to_vec()).await.expect("added");
    assert!(!again.is_new, "known after a restart");
    let read = LogFiles::read_only(folder.path());
    assert_eq!(fsck(&read, &policy(), &[]).expect("read").faults, []);
}

#[tokio::test]
async fn what_is_in_the_way_is_said_and_passes() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = LogFiles::open(folder.path()).expect("free");
    let log = Sequencer::open(files, key()).expect("begun");
    let long = log.add(vec![0; ENTRY_BYTES_MAX + 1]).await;
    assert!(long.is_err_and(|error| error.to_string().contains("65536 bytes")));
    log.add(b"one".to_vec()).await.expect("added");
    // A file where a folder must be: the disk refuses, and later does not.
    let drafts = folder.path().join("drafts");
    std::fs::remove_dir(&drafts).expect("empty");
    let refused = log.add(b"two".to_vec()).await;
    assert!(
        matches!(&refused, Err(Error::Log { what }) if what.contains("writing")),
        "{refused:?}"
    );
    std::fs::create_dir(&drafts).expect("made");
    let added = log.add(b"two".to_vec()).await.expect("the next batch starts afresh");
    assert_eq!((added.index, added.is_new), (1, true));
    assert!(log.add(b"one".to_vec()).await.is_ok_and(|added| !added.is_new));
}

#[tokio::test]
async fn more_than_may_wait_are_told_to_come_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = LogFiles::open(folder.path()).expect("free");
    let log = Sequencer::open(files, key()).expect("begun");
    // This thread puts them all before the log's takes more than a batch or two.
    let mut adders = JoinSet::new();
    for number in 0..4 * WAITING_MAX {
        let log = log.clone();
        adders.spawn(async move { log.add(number.to_be_bytes().to_vec()).await });
    }
    let done = tokio::time::timeout(Duration::from_secs(60), adders.join_all()).await;
    let done = done.expect("nobody waits for ever");
    let added = done.iter().filter(|added| added.is_ok()).count();
    let busy = done.iter().filter(|one| matches!(one, Err(error) if error.is_retryable())).count();
    assert_eq!(added + busy, 4 * WAITING_MAX, "each is durable or told to come again");
    assert!(added >= WAITING_MAX, "{added} were added");
    let read = LogFiles::read_only(folder.path());
    let note = read.get(CHECKPOINT).expect("read").expect("there is one");
    assert_eq!(policy().open(&note).expect("signed").checkpoint.size, added as u64);
}
