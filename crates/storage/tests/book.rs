//! The book: order, duplicates, bounds, and what is there after a drop in mid-load.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use assay_storage::{BookLimits, Error, Kind, OrderBook, RedbBook};
use tempfile::TempDir;

fn key(number: u64) -> [u8; 32] {
    let mut key = [0xaa; 32];
    key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key
}

fn author(number: u8) -> [u8; 20] {
    [number; 20]
}

fn account_key(number: u8) -> [u8; 32] {
    let mut key = [0; 32];
    key[12..].copy_from_slice(&author(number));
    key
}

fn book(limits: BookLimits) -> (TempDir, RedbBook) {
    let folder = tempfile::tempdir().expect("a folder");
    let book = RedbBook::open(folder.path().join("book.redb"), limits).expect("opened");
    (folder, book)
}

#[tokio::test]
async fn the_same_again_is_harmless() {
    let (_folder, book) = book(BookLimits::default());
    for kind in [Kind::Order, Kind::Refusal, Kind::Offer] {
        let key = if kind == Kind::Offer { account_key(1) } else { key(1) };
        let first = book.put(kind, key, author(1), b"first".to_vec()).await.expect("put");
        assert!(first.is_new);
        let again = book.put(kind, key, author(1), b"first".to_vec()).await.expect("put");
        assert_eq!((again.sequence, again.is_new), (first.sequence, false), "{kind}");
        let other = book.put(kind, key, author(1), b"second".to_vec()).await.expect("put");
        assert_eq!(other.is_new, kind == Kind::Offer, "{kind}");
        assert_eq!(book.count(kind).expect("read"), 1, "{kind}");
    }
    assert_eq!(book.order(key(1)).expect("read").expect("there").body, b"first");
    assert_eq!(book.refusals(key(1)).expect("read")[0].body, b"first");
    let offers = book.offers().expect("read");
    assert_eq!((offers[0].sequence, offers[0].body.as_slice()), (4, b"second".as_slice()));
    assert_eq!(book.offer(author(1)).expect("read"), Some(offers[0].clone()));
    assert_eq!(*book.newest().borrow(), 4, "three entries and a replacement");
    assert_eq!(book.order(key(2)).expect("read"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequences_are_given_once_and_in_order() {
    let (_folder, book) = book(BookLimits::default());
    let mut newest = book.newest();
    let puts = (0..64u64).map(|task| {
        let book = book.clone();
        tokio::spawn(async move {
            let mut given = Vec::new();
            for i in 0..20 {
                // Half of the orders are put by two tasks each.
                let order = if i % 2 == 0 { (task / 2) * 100 + i } else { task * 1000 + 7 + i };
                let put = book.put(Kind::Order, key(order), author(1), vec![7; 300]).await;
                given.push((order, put.expect("put")));
            }
            given
        })
    });
    let mut all = Vec::new();
    for task in puts.collect::<Vec<_>>() {
        let given = task.await.expect("no panic");
        all.extend(given);
    }
    let orders: BTreeSet<_> = all.iter().map(|(order, _)| *order).collect();
    let fresh: BTreeSet<_> =
        all.iter().filter(|(_, put)| put.is_new).map(|(_, put)| put.sequence).collect();
    assert_eq!(fresh, (1..=orders.len() as u64).collect(), "no gap, none twice");
    for (order, put) in &all {
        let entry = book.order(key(*order)).expect("read").expect("there");
        assert_eq!(entry.sequence, put.sequence, "both who put it got one sequence");
    }
    let mut pages = Vec::new();
    loop {
        let after = pages.last().map_or(0, |entry: &assay_storage::Entry| entry.sequence);
        let page = book.orders(after, 7).expect("read");
        assert!(page.len() <= 7);
        if page.is_empty() {
            break;
        }
        pages.extend(page);
    }
    let read: Vec<_> = pages.iter().map(|entry| entry.sequence).collect();
    assert_eq!(read, (1..=orders.len() as u64).collect::<Vec<_>>(), "pages are complete and exact");
    assert_eq!(*newest.borrow_and_update(), orders.len() as u64);
    assert!(book.orders(u64::MAX, 10).expect("read").is_empty());
}

#[tokio::test]
async fn a_removed_order_takes_its_refusals_and_not_its_sequence() {
    let (folder, book) = book(BookLimits::default());
    for number in 1..=3 {
        book.put(Kind::Order, key(number), author(9), b"order".to_vec()).await.expect("put");
    }
    for provider in [1, 2] {
        book.put(Kind::Refusal, key(3), author(provider), b"no".to_vec()).await.expect("put");
    }
    book.put(Kind::Offer, account_key(1), author(1), b"offer".to_vec()).await.expect("put");
    assert!(book.remove_order(key(3)).await.expect("removed"));
    assert!(!book.remove_order(key(3)).await.expect("nothing to remove"));
    assert!(book.remove_offer(author(1)).await.expect("removed"));
    assert!(book.refusals(key(3)).expect("read").is_empty());
    assert!(book.count(Kind::Refusal).expect("read") == 0);
    assert!(book.count(Kind::Offer).expect("read") == 0);
    drop(book);
    let book =
        RedbBook::open(folder.path().join("book.redb"), BookLimits::default()).expect("opened");
    assert_eq!(*book.newest().borrow(), 6, "also after a restart");
    let put = book.put(Kind::Order, key(3), author(9), b"order".to_vec()).await.expect("put");
    assert_eq!((put.sequence, put.is_new), (7, true));
}

#[tokio::test]
async fn one_author_has_several_entries_about_a_key_by_their_parts() {
    let (folder, book) = book(BookLimits { wraps_per_owner_max: 3, ..BookLimits::default() });
    let put = async |kind, part: u8, body: &[u8]| {
        book.put_part(kind, key(1), author(1), [part; 32], body.to_vec()).await
    };
    for kind in [Kind::Wrap, Kind::KeyRefusal, Kind::Dataset, Kind::OwnerDocument] {
        let first = put(kind, 1, b"first").await.expect("put");
        let second = put(kind, 2, b"second").await.expect("put");
        assert!(first.is_new && second.is_new, "{kind}: the part tells them apart");
        assert!(!put(kind, 1, b"first").await.expect("put").is_new, "{kind}");
        let other = put(kind, 1, b"other").await.expect("put");
        assert_eq!(other.is_new, kind == Kind::Dataset, "{kind}");
        let found = book.entry(kind, key(1), author(1), [1; 32]).expect("read").expect("there");
        let expected: &[u8] = if kind == Kind::Dataset { b"other" } else { b"first" };
        assert_eq!(found.body, expected, "{kind}");
        assert_eq!(book.entry(kind, key(1), author(2), [1; 32]).expect("read"), None);
        book.put_part(kind, key(1), author(2), [1; 32], vec![]).await.expect("put");
        let about =
            book.entries_about(kind, key(1), (0, 10), &|author: &[u8; 20], _: &[u8; 32]| {
                *author == [1; 20]
            });
        let about = about.expect("read");
        assert_eq!(about.len(), 2, "{kind}: not another author's");
        assert!(about[0].sequence < about[1].sequence, "{kind}: in order");
        let after = book.entries_about(kind, key(1), (about[0].sequence, 10), &|_, _| true);
        assert_eq!(after.expect("read").len(), 2, "{kind}");
    }
    put(Kind::Wrap, 3, b"").await.expect("the third");
    let full = put(Kind::Wrap, 4, b"").await;
    assert!(matches!(full, Err(Error::Full { kind: Kind::Wrap, max: 3 })), "{full:?}");
    let other = book.put_part(Kind::Wrap, key(1), author(3), [4; 32], vec![]).await;
    assert!(other.is_ok(), "one author's bound is not another's");
    let newest = *book.newest().borrow();
    drop(book);
    let book =
        RedbBook::open(folder.path().join("book.redb"), BookLimits::default()).expect("opened");
    assert_eq!(*book.newest().borrow(), newest);
    book.put(Kind::Order, key(1), author(9), vec![]).await.expect("put");
    book.remove_order(key(1)).await.expect("removed");
    assert!(book.count(Kind::Wrap).expect("read") == 0, "wraps go with their order");
    assert!(book.count(Kind::KeyRefusal).expect("read") == 0, "key services' refusals as well");
    assert_eq!(book.count(Kind::Dataset).expect("read"), 3, "datasets stay");
}

#[tokio::test]
async fn what_has_ended_is_removed_by_its_part() {
    let limits = BookLimits { capability_revocations_per_issuer_max: 2, ..BookLimits::default() };
    let (folder, book) = book(limits);
    let kind = Kind::CapabilityRevocation;
    let put = async |by: u8, part: u8| {
        book.put_part(kind, account_key(by), author(by), [part; 32], vec![part]).await
    };
    for (by, part) in [(1, 1), (1, 5), (2, 3)] {
        assert!(put(by, part).await.expect("put").is_new);
    }
    assert!(matches!(put(1, 6).await, Err(Error::Full { .. })), "an issuer's bound");
    assert!(book.remove_parts_below(kind, [4; 32]).await.expect("removed"));
    assert!(!book.remove_parts_below(kind, [4; 32]).await.expect("nothing is left below"));
    assert!(put(1, 6).await.expect("there is room again").is_new);
    drop(book);
    let book =
        RedbBook::open(folder.path().join("book.redb"), BookLimits::default()).expect("opened");
    let kept = book.entries(kind, 0, 10).expect("read");
    let kept: Vec<_> = kept.into_iter().map(|entry| entry.body[0]).collect();
    assert_eq!(kept, [5, 6], "what is not below stays, over a restart");
}

/// A book as version 1 wrote it: an index of key and author, and three kinds.
#[tokio::test]
async fn a_book_of_version_1_becomes_one_of_this_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("book.redb");
    let kinds = [("order", 1u64), ("refusal", 2), ("offer", 3)];
    {
        let database = redb::Database::create(&path).expect("made");
        let transaction = database.begin_write().expect("begun");
        let facts: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("facts");
        let mut table = transaction.open_table(facts).expect("made");
        table.insert("format", b"assayb\x01\x00".as_slice()).expect("put");
        table.insert("sequence", 3u64.to_be_bytes().as_slice()).expect("put");
        drop(table);
        for (name, sequence) in kinds {
            let (entries, index) = (format!("{name}_entries"), format!("{name}_index"));
            let entries: redb::TableDefinition<'_, u64, &[u8]> =
                redb::TableDefinition::new(&entries);
            let index: redb::TableDefinition<'_, (&[u8; 32], &[u8; 20]), u64> =
                redb::TableDefinition::new(&index);
            let key = if name == "offer" { account_key(1) } else { key(1) };
            let record = [key.as_slice(), &author(1), name.as_bytes()].concat();
            let mut table = transaction.open_table(entries).expect("made");
            table.insert(sequence, record.as_slice()).expect("put");
            let mut table = transaction.open_table(index).expect("made");
            table.insert((&key, &author(1)), sequence).expect("put");
        }
        transaction.commit().expect("committed");
    }
    for round in 0..2 {
        let book = RedbBook::open(&path, BookLimits::default()).expect("opened");
        assert_eq!(book.order(key(1)).expect("read").expect("kept").body, b"order");
        assert_eq!(book.refusals(key(1)).expect("read")[0].body, b"refusal");
        assert_eq!(book.offer(author(1)).expect("read").expect("kept").body, b"offer");
        let again = book.put(Kind::Order, key(1), author(1), vec![]).await.expect("put");
        assert_eq!((again.sequence, again.is_new), (1, false), "it is known in round {round}");
        let new = book.put(Kind::SealKeys, account_key(round), author(round), vec![1]).await;
        assert_eq!(new.expect("put").sequence, 4 + u64::from(round), "sequences go on");
    }
}

#[tokio::test]
async fn every_bound_is_an_error_of_its_own() {
    let limits = BookLimits {
        orders_max: 2,
        refusals_per_order_max: 1,
        offers_max: 1,
        ..BookLimits::default()
    };
    let (_folder, book) = book(limits);
    for number in 1..=2 {
        book.put(Kind::Order, key(number), author(1), vec![]).await.expect("put");
    }
    let full = book.put(Kind::Order, key(3), author(1), vec![]).await;
    assert!(matches!(full, Err(Error::Full { kind: Kind::Order, max: 2 })), "{full:?}");
    let again = book.put(Kind::Order, key(1), author(1), vec![]).await.expect("known already");
    assert!(!again.is_new, "a full book still knows what it has");
    book.put(Kind::Refusal, key(1), author(1), vec![]).await.expect("put");
    let full = book.put(Kind::Refusal, key(1), author(2), vec![]).await;
    assert!(matches!(full, Err(Error::Full { kind: Kind::Refusal, max: 1 })), "{full:?}");
    book.put(Kind::Refusal, key(2), author(2), vec![]).await.expect("another order's");
    book.put(Kind::Offer, account_key(1), author(1), vec![1]).await.expect("put");
    book.put(Kind::Offer, account_key(1), author(1), vec![2]).await.expect("replaced");
    let full = book.put(Kind::Offer, account_key(2), author(2), vec![]).await;
    assert!(matches!(full, Err(Error::Full { kind: Kind::Offer, max: 1 })), "{full:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_says_busy_and_loses_nothing() {
    let (_folder, book) = book(BookLimits { waiting_max: 4, ..BookLimits::default() });
    let puts = (0..200u64).map(|number| {
        let book = book.clone();
        tokio::spawn(async move { book.put(Kind::Order, key(number), author(1), vec![]).await })
    });
    let (mut done, mut busy) = (0, 0);
    for put in puts.collect::<Vec<_>>() {
        match put.await.expect("no panic") {
            Ok(_) => done += 1,
            Err(error) if error.is_retryable() => busy += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(busy > 0 && done > 0, "{done} done, {busy} busy: the bound was not met");
    assert_eq!(book.count(Kind::Order).expect("read"), done, "busy means not put");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_drop_in_mid_load() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("book.redb");
    let mut acknowledged = BTreeSet::new();
    let mut last = 0;
    for round in 0..10u64 {
        let book = RedbBook::open(&path, BookLimits::default()).expect("a start always works");
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..16u64).map(|task| {
            let (book, stop) = (book.clone(), stop.clone());
            tokio::spawn(async move {
                let mut done = Vec::new();
                for i in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let order = (round << 40) + (task << 32) + i;
                    let put = book.put(Kind::Order, key(order), author(1), vec![1; 200]).await;
                    done.push((put.expect("put").sequence, order));
                }
                done
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let abandoned = tokio::spawn({
            let book = book.clone();
            async move {
                for i in 0.. {
                    let _ = book.put(Kind::Refusal, key(i), author(1), vec![]).await;
                }
            }
        });
        drop(book);
        tokio::time::sleep(Duration::from_millis(30)).await;
        abandoned.abort();
        let _ = abandoned.await;
        stop.store(true, Ordering::Relaxed);
        for task in tasks {
            acknowledged.extend(task.await.expect("no panic"));
        }
        assert!(acknowledged.first().is_some_and(|(sequence, _)| *sequence > 0));
        let newest = acknowledged.last().expect("some").0;
        assert!(newest > last, "sequences go on where they ended");
        last = newest;
    }
    let book = RedbBook::open(&path, BookLimits::default()).expect("opened");
    let stored: BTreeSet<_> =
        book.orders(0, usize::MAX).expect("read").iter().map(|e| (e.sequence, e.key)).collect();
    let expected: BTreeSet<_> = acknowledged.iter().map(|(s, order)| (*s, key(*order))).collect();
    assert_eq!(stored, expected, "each order once, under the sequence that was told");
}

#[test]
fn a_book_is_opened_once_and_other_files_never() {
    let (folder, book) = book(BookLimits::default());
    let path = folder.path().join("book.redb");
    let twice = RedbBook::open(&path, BookLimits::default());
    assert!(matches!(twice, Err(Error::AlreadyOpen { .. })), "{twice:?}");
    drop(book);
    RedbBook::open(&path, BookLimits::default()).expect("released by the drop");
    let other = folder.path().join("other.redb");
    std::fs::write(&other, b"not a database").expect("written");
    assert!(matches!(RedbBook::open(&other, BookLimits::default()), Err(Error::Open { .. })));
    let foreign = folder.path().join("foreign.redb");
    let database = redb::Database::create(&foreign).expect("made");
    let transaction = database.begin_write().expect("begun");
    let table: redb::TableDefinition<'_, u64, u64> = redb::TableDefinition::new("x");
    transaction.open_table(table).expect("made");
    transaction.commit().expect("committed");
    drop(database);
    let opened = RedbBook::open(&foreign, BookLimits::default());
    assert!(matches!(opened, Err(Error::Format { .. })), "{opened:?}");
}
