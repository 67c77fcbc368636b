//! Blobs: whole or not at all, once, within bounds.

use std::time::{Duration, SystemTime};

use assay_storage::{BlobKind, Blobs, Error, FileBlobs};

const NAME: [u8; 32] = [0xab; 32];

#[test]
fn a_blob_is_put_once_and_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let blobs = FileBlobs::open(folder.path(), 1000).expect("opened");
    assert_eq!(blobs.get(BlobKind::Slot, NAME).expect("read"), None);
    assert_eq!(blobs.size(BlobKind::Slot, NAME).expect("read"), None);
    assert!(blobs.put(BlobKind::Slot, NAME, b"first").expect("put"));
    assert!(!blobs.put(BlobKind::Slot, NAME, b"other").expect("harmless"), "not new");
    assert_eq!(blobs.get(BlobKind::Slot, NAME).expect("read").as_deref(), Some(&b"first"[..]));
    assert_eq!(blobs.size(BlobKind::Slot, NAME).expect("read"), Some(5));
    assert!(!blobs.has(BlobKind::Program, NAME).expect("read"), "kinds are apart");
    let file = folder.path().join(format!("slots/{}.image", "ab".repeat(32)));
    assert!(file.is_file(), "where the shelf keeps it");
    assert_eq!(blobs.bytes_total(), 5);
    assert!(blobs.remove(BlobKind::Slot, NAME).expect("removed"));
    assert!(!blobs.remove(BlobKind::Slot, NAME).expect("nothing to remove"));
    assert_eq!(blobs.bytes_total(), 0);
}

#[test]
fn the_bound_holds_for_all_together_and_over_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let blobs = FileBlobs::open(folder.path(), 100).expect("opened");
    assert!(blobs.put(BlobKind::Slot, [1; 32], &[1; 60]).expect("put"));
    let full = blobs.put(BlobKind::Program, [2; 32], &[2; 41]);
    assert!(matches!(full, Err(Error::BlobsFull { bytes_max: 100 })), "{full:?}");
    assert_eq!(blobs.bytes_total(), 60, "what was refused takes no room");
    assert!(!blobs.put(BlobKind::Slot, [1; 32], &[1; 60]).expect("there already"));
    drop(blobs);
    std::fs::write(folder.path().join("slots/ab.draft-7"), [0; 90]).expect("left by a crash");
    let blobs = FileBlobs::open(folder.path(), 100).expect("opened");
    assert_eq!(blobs.bytes_total(), 60, "drafts are removed and not counted");
    assert!(blobs.put(BlobKind::Program, [2; 32], &[2; 40]).expect("put"));
    assert_eq!(blobs.bytes_total(), 100);
}

#[test]
fn what_nobody_asks_for_grows_old() {
    let folder = tempfile::tempdir().expect("a folder");
    let blobs = FileBlobs::open(folder.path(), 100).expect("opened");
    let hour = Duration::from_secs(3_600);
    let (now, old) = (SystemTime::now(), [[1; 32], [2; 32], [3; 32]]);
    for name in old {
        blobs.put(BlobKind::Slot, name, &[7; 10]).expect("put");
        let file = format!("slots/{}.image", format!("{:02x}", name[0]).repeat(32));
        let file = folder.path().join(file);
        let file = std::fs::File::options().write(true).open(file).expect("there");
        file.set_modified(now - 2 * hour).expect("set");
    }
    let draft = blobs.begin(BlobKind::Slot).expect("begun");
    assert_eq!(blobs.older_than(BlobKind::Slot, now - 3 * hour).expect("read").len(), 0);
    let mut found = blobs.older_than(BlobKind::Slot, now - hour).expect("read");
    found.sort_unstable();
    assert_eq!(found, old, "those, and nothing that is being put");
    // What is asked for, or put again, is wanted.
    assert!(blobs.touch(BlobKind::Slot, [1; 32]).expect("touched"));
    assert!(!blobs.touch(BlobKind::Slot, [9; 32]).expect("there is none"));
    assert!(!blobs.put(BlobKind::Slot, [2; 32], &[7; 10]).expect("put again"));
    let removed =
        old.map(|name| blobs.remove_older(BlobKind::Slot, name, now - hour).expect("tried"));
    assert_eq!(removed, [false, false, true], "one that somebody waits for is gone");
    assert_eq!(blobs.bytes_total(), 20, "its room is free again");
    drop(draft);
}

#[test]
fn many_may_put_the_same_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let blobs = FileBlobs::open(folder.path(), 1 << 20).expect("opened");
    let content: Vec<u8> = (0..5000).map(|i| i as u8).collect();
    let new = std::thread::scope(|scope| {
        let puts: Vec<_> =
            (0..16).map(|_| scope.spawn(|| blobs.put(BlobKind::Slot, NAME, &content))).collect();
        let puts = puts.into_iter().map(|put| put.join().expect("no panic").expect("put"));
        puts.filter(|is_new| *is_new).count()
    });
    assert_eq!(new, 1, "one of them put it");
    assert_eq!(blobs.get(BlobKind::Slot, NAME).expect("read"), Some(content));
    assert_eq!(blobs.bytes_total(), 5000);
    let left = std::fs::read_dir(folder.path().join("slots")).expect("read").count();
    assert_eq!(left, 1, "no draft is left");
}

#[test]
fn what_comes_in_pieces_is_there_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let blobs = FileBlobs::open(folder.path(), 100).expect("opened");
    let files = || std::fs::read_dir(folder.path().join("envelopes")).expect("read").count();
    let mut draft = blobs.begin(BlobKind::Envelope).expect("begun");
    draft.write(&[1; 40]).expect("written");
    draft.write(&[2; 20]).expect("written");
    assert_eq!(blobs.get(BlobKind::Envelope, NAME).expect("read"), None, "it has no name yet");
    assert_eq!(blobs.bytes_total(), 60, "and takes room");
    assert!(draft.finish(NAME).expect("named"));
    let content = [[1; 40].as_slice(), &[2; 20]].concat();
    assert_eq!(blobs.get(BlobKind::Envelope, NAME).expect("read"), Some(content));

    let mut again = blobs.begin(BlobKind::Envelope).expect("begun");
    again.write(&[3; 7]).expect("written");
    assert!(!again.finish(NAME).expect("harmless"), "what has the name stays");
    let mut full = blobs.begin(BlobKind::Envelope).expect("begun");
    full.write(&[4; 40]).expect("written");
    let over = full.write(&[4; 1]);
    assert!(matches!(over, Err(Error::BlobsFull { bytes_max: 100 })), "{over:?}");
    assert_eq!(blobs.bytes_total(), 100);
    drop(full);
    assert_eq!((blobs.bytes_total(), files()), (60, 1), "what is dropped leaves nothing");

    let mut left = blobs.begin(BlobKind::Envelope).expect("begun");
    left.write(&[5; 10]).expect("written");
    std::mem::forget(left);
    let blobs = FileBlobs::open(folder.path(), 100).expect("opened after a crash");
    assert_eq!((blobs.bytes_total(), files()), (60, 1), "a crash neither");
}
