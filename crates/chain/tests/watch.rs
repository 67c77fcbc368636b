//! Watching: every event once, in order, across restarts and reorganisations.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, address};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{Filter, Log, TransactionRequest};
use assay_chain::{
    ChainClientConfig, Change, Client, Cursor, CursorStore, Depth, Endpoint, Error, Event,
    MemoryCursors, OnReorganisation, RedbCursors, WatchConfig, Watcher, connect,
};
use common::{
    EMITTER, Random, anvil, call, chain, client, deploy, emitter_topic, funded, with_constructor,
    word,
};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::Mutex;

const SEEN: TableDefinition<'_, u64, u64> = TableDefinition::new("seen");

fn value(log: &Log) -> u64 {
    U256::from_be_slice(log.topics()[1].as_slice()).to()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_once_and_in_order_across_restarts() {
    let (directory, chain) = chain(funded(4));
    let sender = client(&chain, 0).await;
    let (emitter, _) = deploy(&sender, with_constructor(&[], EMITTER)).await;
    let load = tokio::spawn({
        let chain = chain.clone();
        async move {
            for round in 0..25u64 {
                let clients = [client(&chain, 0).await, client(&chain, 1).await];
                let sends = (0..8u64).map(|i| {
                    clients[(i % 2) as usize].execute(call(emitter, word(round * 8 + i + 1)))
                });
                for sent in futures_util::future::join_all(sends).await {
                    sent.expect("emitted");
                }
            }
        }
    });
    let database = Arc::new(Database::create(directory.path().join("consumer")).expect("created"));
    let cursors = RedbCursors::new(database.clone(), "emitter");
    let watching = client(&chain, 3).await;
    let config = WatchConfig::new(&watching, Filter::new().address(emitter));
    let mut random = Random(7);
    let mut count = 0;
    while count < 200 {
        // Each watcher lives for a few events, some of which it hands out in vain.
        let cursor = cursors.load().expect("loaded");
        let mut watcher = Watcher::new(&watching, config.clone(), cursor).expect("fits");
        for _ in 0..random.pick(1..=20).min(200 - count) {
            keep(&database, &cursors, &watcher.next().await.expect("an event"), count);
            count += 1;
        }
    }
    load.await.expect("all sent");
    let transaction = database.begin_read().expect("read");
    let table = transaction.open_table(SEEN).expect("there");
    let mut values: Vec<_> =
        table.iter().expect("read").map(|r| r.expect("ok").1.value()).collect();
    let logs = watching.provider().get_logs(&Filter::new().address(emitter).from_block(0)).await;
    let expected: Vec<_> = logs.expect("logs").iter().map(value).collect();
    assert_eq!(values, expected, "the order of the chain, nothing twice, nothing missed");
    values.sort_unstable();
    assert_eq!(values, (1..=200).collect::<Vec<_>>());
}

/// The effect and the cursor in one transaction: what makes it exactly once.
fn keep(database: &Database, cursors: &RedbCursors, event: &Event, position: u64) {
    let transaction = database.begin_write().expect("begun");
    transaction
        .open_table(SEEN)
        .expect("opened")
        .insert(position, value(&event.log))
        .expect("kept");
    cursors.save_in(&transaction, &event.cursor).expect("kept");
    transaction.commit().expect("committed");
}

#[tokio::test]
async fn a_cursor_fits_its_own_chain_and_filter_only() {
    let (_a, first) = chain(funded(1));
    let (_b, second) = chain(funded(1));
    let (here, there) = (client(&first, 0).await, client(&second, 0).await);
    let (emitter, _) = deploy(&here, with_constructor(&[], EMITTER)).await;
    here.execute(call(emitter, word(5))).await.expect("emitted");
    let filter = Filter::new().address(emitter).event_signature(emitter_topic());
    let config = WatchConfig::new(&here, filter);
    let mut watcher = Watcher::new(&here, config.clone(), None).expect("new");
    let cursor = watcher.next().await.expect("an event").cursor;

    let store = MemoryCursors::default();
    store.save(&cursor).expect("kept");
    assert_eq!(store.load().expect("loaded"), Some(cursor.clone()));
    let elsewhere = Watcher::new(&there, config.clone(), Some(cursor.clone()));
    assert!(matches!(elsewhere, Err(Error::Cursor { .. })), "another chain's cursor");
    let other = WatchConfig { filter: Filter::new().address(Address::ZERO), ..config };
    let other = Watcher::new(&here, other, Some(cursor));
    assert!(matches!(other, Err(Error::Cursor { .. })), "another filter's cursor");
}

/// Where [`deploy_on`] puts the emitter: the first contract of anvil's tenth account.
const ON_ANVIL: Address = address!("700b6A60ce7EaaEA56F065753d8dcB9653dbAD35");
const REORGANISATIONS: u64 = 100;

/// A consumer that can undo: the events applied now, by place. Panics on a repeat.
#[derive(Default)]
struct Applied {
    events: BTreeMap<(u64, u64), (B256, u64)>,
    removed: u64,
}

impl Applied {
    fn apply(&mut self, event: &Event) {
        let log = &event.log;
        let place = (log.block_number.expect("mined"), log.log_index.expect("mined"));
        let what = (log.block_hash.expect("mined"), value(log));
        match event.change {
            Change::Added => {
                assert!(
                    self.events.last_key_value().is_none_or(|(last, _)| *last < place),
                    "order"
                );
                assert_eq!(self.events.insert(place, what), None, "{place:?} came twice");
            }
            Change::Removed => {
                self.removed += 1;
                assert_eq!(self.events.pop_last(), Some((place, what)), "undone in reverse");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reorganisations_lose_and_repeat_nothing() {
    let name = "a_hundred_reorganisations_lose_and_repeat_nothing";
    let Some(anvil) = anvil(name, &["--no-mining"]) else { return };
    let endpoint = Endpoint::Url(anvil.url.clone());
    let client = connect(endpoint, None, ChainClientConfig::default()).await.expect("connected");
    let rpc = client.provider().client();
    deploy_on(&client).await;
    let _: () = rpc.request("anvil_mine", (U256::from(20),)).await.expect("mined");

    let stop = Arc::new(AtomicBool::new(false));
    // anvil can't mine while it reorganises (its chain then no longer links up): one at a time.
    let mining = Arc::new(Mutex::new(()));
    let load = tokio::spawn(send_until(client.clone(), stop.clone(), mining.clone()));
    let base = WatchConfig {
        poll: Duration::from_millis(10),
        pause_max: Duration::from_millis(200),
        ..WatchConfig::new(&client, Filter::new().address(ON_ANVIL))
    };
    let fast = WatchConfig {
        depth: Depth::Confirmations(0),
        on_reorganisation: OnReorganisation::Retract { window_blocks: 64 },
        ..base.clone()
    };
    let slow = WatchConfig { depth: Depth::Confirmations(16), ..base };
    let fast = tokio::spawn(watch(client.clone(), fast, 1));
    let slow = tokio::spawn(watch(client.clone(), slow, 2));

    let mut random = Random(0xbadc0de);
    for _ in 0..REORGANISATIONS {
        // 750 blocks in all: past some 900, reorganising makes anvil forget contracts.
        let until = client.provider().get_block_number().await.expect("read") + random.pick(3..=12);
        while client.provider().get_block_number().await.expect("read") < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let depth = random.pick(1..=16);
        let none: [u8; 0] = [];
        let _mining = mining.lock().await;
        let _: () = rpc.request("anvil_reorg", (depth, none)).await.expect("reorganised");
    }
    stop.store(true, Ordering::SeqCst);
    let sent = load.await.expect("no panic");
    end_marker(&client).await;
    let ended = tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(fast, slow) });
    let (fast, slow) = ended.await.expect("both watchers see the end");
    let (fast, slow) = (fast.expect("no panic"), slow.expect("no panic"));

    let logs = client.provider().get_logs(&Filter::new().address(ON_ANVIL).from_block(0)).await;
    let chain: BTreeMap<_, _> = logs
        .expect("logs")
        .iter()
        .map(|log| {
            let place = (log.block_number.expect("mined"), log.log_index.expect("mined"));
            (place, (log.block_hash.expect("mined"), value(log)))
        })
        .collect();
    assert_eq!(fast.events, chain, "the fast view converges on the chain");
    assert_eq!(slow.events, chain, "the final view missed nothing");
    assert!(fast.removed > 0, "no event was ever taken back: the test showed nothing");
    assert_eq!(slow.removed, 0, "what is final stays");
    println!("{sent} sent, {} on the chain, {} taken back", chain.len(), fast.removed);
}

async fn deploy_on(client: &Client) {
    let accounts: Vec<Address> = client.provider().get_accounts().await.expect("accounts");
    let code = Bytes::from(with_constructor(&[], EMITTER));
    let request =
        TransactionRequest::default().from(accounts[9]).gas_limit(200_000).input(code.into());
    let rpc = client.provider().client();
    let _: B256 = rpc.request("eth_sendTransaction", (request,)).await.expect("accepted");
    let _: () = rpc.request("anvil_mine", (U256::ONE,)).await.expect("mined");
    assert_eq!(accounts[9].create(0), ON_ANVIL);
}

/// The value that ends the watching.
const END: u64 = u64::MAX;

async fn end_marker(client: &Client) {
    let rpc = client.provider().client();
    send(client, END, 9).await;
    let _: () = rpc.request("anvil_mine", (U256::from(20),)).await.expect("mined");
}

async fn send(client: &Client, number: u64, account: usize) {
    let accounts: Vec<Address> = client.provider().get_accounts().await.expect("accounts");
    let request = call(ON_ANVIL, word(number)).from(accounts[account]).gas_limit(100_000);
    let sent: Result<B256, _> =
        client.provider().client().request("eth_sendTransaction", (request,)).await;
    sent.expect("accepted");
}

async fn send_until(client: Client, stop: Arc<AtomicBool>, mining: Arc<Mutex<()>>) -> u64 {
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        let _mining = mining.lock().await;
        for _ in 0..number % 4 + 1 {
            number += 1;
            send(&client, number, (number % 8) as usize).await;
        }
        let _: () =
            client.provider().client().request("anvil_mine", (U256::ONE,)).await.expect("mined");
    }
    number
}

/// Watches until the end marker, starting again from the kept cursor every few events.
async fn watch(client: Client, config: WatchConfig, seed: u64) -> Applied {
    let mut applied = Applied::default();
    let mut cursor: Option<Cursor> = None;
    let mut random = Random(seed);
    loop {
        let mut watcher = Watcher::new(&client, config.clone(), cursor.clone()).expect("fits");
        for _ in 0..random.pick(1..=40) {
            let event = watcher.next().await.expect("watching goes on");
            applied.apply(&event);
            if event.change == Change::Added && value(&event.log) == END {
                return applied;
            }
            cursor = Some(event.cursor);
        }
    }
}

#[tokio::test]
async fn a_reorganised_final_block_is_an_error_and_not_a_gap() {
    let name = "a_reorganised_final_block_is_an_error_and_not_a_gap";
    let Some(anvil) = anvil(name, &[]) else { return };
    let endpoint = Endpoint::Url(anvil.url.clone());
    let client = connect(endpoint, None, ChainClientConfig::default()).await.expect("connected");
    let rpc = client.provider().client();
    deploy_on(&client).await;
    send(&client, 1, 0).await;
    let config = WatchConfig {
        depth: Depth::Confirmations(0),
        poll: Duration::from_millis(10),
        ..WatchConfig::new(&client, Filter::new().address(ON_ANVIL))
    };
    let mut watcher = Watcher::new(&client, config, None).expect("new");
    assert_eq!(value(&watcher.next().await.expect("an event").log), 1);
    let none: [u8; 0] = [];
    let _: () = rpc.request("anvil_reorg", (1, none)).await.expect("reorganised");
    let refused = watcher.next().await.expect_err("what was delivered is gone");
    assert!(matches!(refused, Error::Reorganised { number: 3, .. }), "{refused}");
}
