//! A whole market in one process, on its real chain.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use alloy_primitives::aliases::{U40, U96};
use alloy_primitives::{Address, B256, U256};
use alloy_signer_local::PrivateKeySigner;
use assay_broker_client::BrokerClient;
use assay_chain::{ChainClientConfig, Endpoint, SystemClock};
use assay_contracts::{ContractError, Market};
use assay_machine::Program;
use assay_market::{CostModel, OutcomeKind, PriceTerms, Reason, Refusal, Repricing, reputation};
use assay_merkle::{BlobHeader, Page, write_image};
use assay_node::{
    Auditor, AuditorPlan, Board, Contracts, DatasetTerms, DevelopmentKeys, Env, Error, Home,
    InProcess, JobEvent, JobRecord, JobStatus, JobTerms, Liar, LocalMarket, MarketPlan, Provider,
    ProviderPlan, Requester, Role, Sealing, Store, provider_record, provider_records,
};
use assay_protocol::{SignedOrder, SlotHasher};
use assay_storage::{BookLimits, Kind, OrderBook as _, RedbBook};
use assay_types::{BlobRoot, Clock, Hash, Salt, sha256};

const WORDCOUNT: &[u8] = include_bytes!("../../../programs/prebuilt/wordcount.elf");

const SHA256: &[u8] = include_bytes!("../../../programs/prebuilt/sha256.elf");

const DOLLAR: u128 = 1_000_000;

/// Whose data jobs with a data fee read.
const DATA_OWNER: Address = Address::repeat_byte(0xda);

/// How long a job may take here before something hangs.
const PATIENCE: Duration = Duration::from_secs(120);

fn wordcount(input: &str) -> JobTerms {
    JobTerms {
        input_of: None,
        program: WORDCOUNT.to_vec(),
        input: Some(input.as_bytes().to_vec()),
        dataset: DatasetTerms::None,
        sealing: None,
        reputation_min: None,
        step_limit: 1 << 30,
        price: PriceTerms::fixed(DOLLAR / 10),
        data_fee: None,
        stake: 100 * DOLLAR,
        provider: None,
        lock_secs: 60,
        run_secs: 60,
        window_secs: None,
        repricing: None,
    }
}

async fn market(plan: &MarketPlan) -> (tempfile::TempDir, LocalMarket) {
    let folder = tempfile::tempdir().expect("a folder");
    let market = LocalMarket::open(&Home::at(folder.path()), plan).await.expect("a market");
    (folder, market)
}

async fn run(
    market: &LocalMarket,
    key: &[u8],
    terms: &JobTerms,
) -> (JobRecord, JobStatus, Vec<JobEvent>) {
    let requester = market.requester();
    let mut record = requester.order(sha256(key), terms).await.expect("ordered");
    let mut events = Vec::new();
    let followed = requester.follow(&mut record, |_, event| events.push(event.clone()));
    let status =
        tokio::time::timeout(PATIENCE, followed).await.expect("in time").expect("followed");
    (record, status, events)
}

/// What the requester's purse and account hold together.
async fn wealth(contracts: &Contracts) -> u128 {
    let account = contracts.account();
    let purse = contracts.market.purseOf(account).call().await.expect("read");
    let balance = contracts.token.balanceOf(account).call().await.expect("read");
    (purse + balance).to()
}

/// What all hold together is what the market and the stakes hold.
async fn expect_exact(contracts: &Contracts, jobs: &[B256]) {
    let token = &contracts.token;
    let held = token.balanceOf(contracts.deployment.market).call().await.expect("read");
    let deposited = contracts.market.PurseDeposited_filter().from_block(0u64).query().await;
    let accounts: std::collections::BTreeSet<_> =
        deposited.expect("read").into_iter().map(|(event, _)| event.account).collect();
    let mut sum = contracts.market.coverPool().call().await.expect("read");
    let mut others = accounts;
    // The disputes hold the costs of challengers that were right until they take them.
    others.extend([DATA_OWNER, contracts.deployment.disputes]);
    for id in jobs {
        let job = contracts.market.jobOf(*id).call().await.expect("read");
        others.insert(job.provider);
        let slashed = contracts.market.JobSlashed_filter().topic1(*id).from_block(0u64);
        others.extend(
            slashed.query().await.expect("read").into_iter().map(|(event, _)| event.informer),
        );
        let paid = contracts.market.JobPaid_filter().topic1(*id).from_block(0u64);
        others
            .extend(paid.query().await.expect("read").into_iter().map(|(event, _)| event.provider));
    }
    for account in others {
        sum += contracts.market.purseOf(account).call().await.expect("read");
    }
    assert_eq!(sum, held, "the market holds other than what it owes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_job_settles_and_the_cheaper_provider_has_it() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let requester = market.requester();
    let before = wealth(requester.contracts()).await;
    // The price begins where nobody works and rises past the cheaper one first.
    let now = requester.contracts().now();
    let price = PriceTerms {
        min: 0,
        max: DOLLAR / 10,
        base: DOLLAR / 10,
        per_mebistep: 0,
        ramp_start_at: now,
        ramp_secs: 10,
    };
    let terms = JobTerms {
        price: PriceTerms { base: DOLLAR / 10, ..price },
        ..wordcount("to be or not to be")
    };
    let (record, status, events) = run(&market, b"job", &terms).await;
    assert_eq!(status, JobStatus::Paid, "{events:?}");
    let [
        JobEvent::Locked { price, provider: locked, .. },
        JobEvent::Claimed { .. },
        JobEvent::Paid { paid, provider, .. },
    ] = events.as_slice()
    else {
        panic!("an honest job's life is another: {events:?}");
    };
    assert_eq!((price, locked), (paid, provider));
    assert!(*paid < DOLLAR / 25, "the dearer provider was paid {paid}");
    let output = requester.output(record.job_id).await.expect("an output");
    let text = String::from_utf8_lossy(&output);
    assert!(text.contains("to") && text.contains("be"), "{text}");
    assert_eq!(wealth(requester.contracts()).await, before - paid);
    expect_exact(requester.contracts(), &[record.job_id]).await;
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_owner_is_paid_for_results_and_for_nothing_else() {
    let (_folder, market) = market(&MarketPlan { with_liar: true, ..MarketPlan::default() }).await;
    let requester = market.requester();
    let contracts = requester.contracts();
    let earned = async || contracts.market.purseOf(DATA_OWNER).call().await.expect("read");
    let fee = DOLLAR / 4;
    let terms = JobTerms { data_fee: Some((DATA_OWNER, fee)), ..wordcount("whose words") };

    let before = wealth(contracts).await;
    let (first, status, events) = run(&market, b"paid", &terms).await;
    assert_eq!(status, JobStatus::Paid, "{events:?}");
    let Some(JobEvent::Paid { paid, data_fee, .. }) = events.last() else {
        panic!("not paid: {events:?}");
    };
    assert_eq!(*data_fee, fee, "the story tells another fee");
    assert_eq!(wealth(contracts).await, before - paid - fee, "the job cost something else");
    assert_eq!(earned().await, U256::from(fee), "the data owner's purse has another sum");
    expect_exact(contracts, &[first.job_id]).await;

    let before = wealth(contracts).await;
    let lie = JobTerms { provider: market.liar(), ..terms.clone() };
    let (second, status, events) = run(&market, b"slashed", &lie).await;
    assert_eq!(status, JobStatus::Refuted, "{events:?}");
    let refunded = events.iter().find_map(|event| match event {
        JobEvent::Slashed { refunded, .. } => Some(*refunded),
        _ => None,
    });
    assert_eq!(refunded, Some(DOLLAR / 10 + fee), "the fee is not back: {events:?}");
    assert_eq!(wealth(contracts).await, before + 40 * DOLLAR, "price and fee are not back");
    assert_eq!(earned().await, U256::from(fee), "a false result paid for data");
    expect_exact(contracts, &[first.job_id, second.job_id]).await;

    // A purse that was emptied of what the fee needs is told so, by name.
    let cheap = JobTerms { price: PriceTerms::fixed(10), lock_secs: 60, ..terms.clone() };
    let record = requester.order(sha256(b"poor"), &cheap).await.expect("ordered");
    let purse = contracts.market.purseOf(contracts.account()).call().await.expect("read");
    let left = U256::from(10 + fee - 1);
    assert!(purse > left, "the order filled the purse with price and fee");
    let withdraw = contracts.market.withdraw(contracts.account(), purse - left);
    contracts.send(withdraw.into_transaction_request()).await.expect("withdrawn");
    let why = requester.why(&record).await.expect("explained");
    assert_eq!((why.findings[0].code, why.next.as_str()), ("purse_short", "deposit 1 or more"));

    let nobodys = JobTerms { data_fee: Some((Address::ZERO, fee)), ..terms };
    let refused = requester.order(sha256(b"nobody"), &nobodys).await;
    assert!(matches!(refused, Err(Error::DataOwnerMissing)), "a fee for nobody: {refused:?}");
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_is_challenged_and_slashed_and_the_requester_is_whole() {
    let (_folder, market) = market(&MarketPlan { with_liar: true, ..MarketPlan::default() }).await;
    let requester = market.requester();
    let before = wealth(requester.contracts()).await;
    let terms = JobTerms { provider: market.liar(), ..wordcount("truth") };
    let (record, status, events) = run(&market, b"job", &terms).await;
    assert_eq!(status, JobStatus::Refuted, "{events:?}");
    let slashed = events.iter().find_map(|event| match event {
        JobEvent::Slashed { refunded, compensation, informer, bounty, .. } => {
            Some((*refunded, *compensation, *informer, *bounty))
        }
        _ => None,
    });
    let (refunded, compensation, informer, bounty) = slashed.expect("slashed");
    assert_eq!((refunded, compensation, bounty), (DOLLAR / 10, 40 * DOLLAR, 30 * DOLLAR));
    let challenger = events.iter().find_map(|event| match event {
        JobEvent::Challenged { challenger, .. } => Some(*challenger),
        _ => None,
    });
    assert_eq!(challenger, Some(informer), "the bounty is the challenger's");
    assert_eq!(wealth(requester.contracts()).await, before + compensation);
    expect_exact(requester.contracts(), &[record.job_id]).await;
    // Who names nobody does not get the liar, not even for a price that it alone would work for.
    let open = JobTerms { price: PriceTerms::fixed(10), lock_secs: 2, ..wordcount("truth") };
    let (_, status, events) = run(&market, b"open", &open).await;
    assert_eq!(status, JobStatus::None, "an ordinary job fell to the liar: {events:?}");
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_provider_is_slashed_and_another_delivers_late() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let requester = market.requester();
    let contracts = requester.contracts().clone();
    // The requester's own account locks its own order, and then says nothing.
    let stake = U96::from(100 * DOLLAR);
    let account = contracts.account();
    contracts.allow(contracts.deployment.stakes).await.expect("allowed");
    let deposit = contracts.stakes.deposit(account, stake).into_transaction_request();
    contracts.send(deposit).await.expect("staked");
    // A price that nobody else works for.
    let terms = JobTerms {
        price: PriceTerms::fixed(1),
        run_secs: 3,
        step_limit: 1 << 26,
        ..wordcount("late but there")
    };
    let mut record = requester.order(sha256(b"job"), &terms).await.expect("ordered");
    let (order, signature) = (record.signed.order.clone(), record.signed.signature.clone());
    let lock = contracts.market.lock(order, signature, U96::ZERO, U40::MAX);
    let locked = contracts.send(lock.into_transaction_request()).await;
    locked.expect("locked");
    let mut events = Vec::new();
    let followed = requester.follow(&mut record, |_, event| events.push(event.clone()));
    let status =
        tokio::time::timeout(PATIENCE, followed).await.expect("in time").expect("followed");
    assert_eq!(status, JobStatus::Paid, "{events:?}");
    assert!(matches!(events[0], JobEvent::Locked { late: false, .. }), "{events:?}");
    assert!(
        matches!(events[1], JobEvent::Slashed { status: JobStatus::AwaitingLate, compensation, .. } if compensation == 40 * DOLLAR),
        "{events:?}"
    );
    assert!(matches!(events[2], JobEvent::Locked { late: true, .. }), "{events:?}");
    let paid = matches!(events.last(), Some(JobEvent::Paid { paid, .. }) if *paid == 30 * DOLLAR);
    assert!(paid, "who delivers late has the bounty: {events:?}");
    assert!(!requester.output(record.job_id).await.expect("an output").is_empty());
    expect_exact(&contracts, &[record.job_id]).await;
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_taken_up_again_and_never_paid_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = Home::at(folder.path());
    let (terms, key) = (wordcount("once"), sha256(b"job"));
    let first = LocalMarket::open(&home, &MarketPlan::default()).await.expect("a market");
    let record = first.requester().order(key, &terms).await.expect("ordered");
    // As after Ctrl-C: nobody waits for the end of anything.
    first.close().await.expect("closed");
    let second = LocalMarket::open(&home, &MarketPlan::default()).await.expect("opened again");
    let (again, status, events) = run(&second, b"job", &terms).await;
    assert_eq!((again.job_id, status), (record.job_id, JobStatus::Paid), "{events:?}");
    second.requester().finish(&again).await.expect("written");
    let anew = second.requester().order(key, &terms).await.expect("ordered");
    assert_ne!(anew.job_id, record.job_id, "what is finished is ordered anew");
    second.close().await.expect("closed");
}

/// Two processes that order the same at once are two requesters of one home.
#[tokio::test(flavor = "multi_thread")]
async fn what_two_order_at_once_is_one_job() {
    let (folder, market) = market(&MarketPlan::default()).await;
    let one = market.requester();
    let home = Home::at(folder.path());
    let other = Requester::new(one.contracts().clone(), one.board().clone(), &home);
    for round in 0..10u8 {
        let (key, terms) = (sha256(&[round]), wordcount("the same"));
        let (mine, its) = tokio::join!(one.order(key, &terms), other.order(key, &terms));
        let (mine, its) = (mine.expect("ordered"), its.expect("ordered"));
        assert_eq!(mine.job_id, its.job_id, "it would be paid twice");
        // Who finishes late takes nothing from the next order of the same.
        one.finish(&mine).await.expect("written");
        let next = one.order(key, &terms).await.expect("ordered");
        other.finish(&its).await.expect("written");
        assert_eq!(other.order(key, &terms).await.expect("ordered").job_id, next.job_id);
    }
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_no_block_shows_to_be_over_is_cancelled() {
    let (folder, mut market) = market(&MarketPlan::default()).await;
    let rpc = market.serve(0, 0).await.expect("served").rpc;
    let deployment = market.requester().contracts().deployment.clone();
    let key = DevelopmentKeys::open(&Home::at(folder.path())).expect("keys").key(Role::Requester);
    let (env, url) = (Env::system(), Endpoint::Url(rpc));
    let contracts = Contracts::connect(&env, url, key, &deployment, ChainClientConfig::default());
    let contracts = contracts.await.expect("connected");
    // Where no provider sees the order, as if one had it and waited.
    let own = tempfile::tempdir().expect("a folder");
    let board = Board::of_store(Store::open(own.path()).expect("a store"), &deployment);
    let requester = Requester::new(contracts, board, &Home::at(own.path()));
    let terms = JobTerms { lock_secs: 1, ..wordcount("in a second") };
    let mut record = requester.order(sha256(b"job"), &terms).await.expect("ordered");
    let status = requester.follow(&mut record, |_, _| ()).await.expect("followed");
    assert_eq!(status, JobStatus::None);
    let facts = requester.facts(&record).await.expect("read");
    assert!(facts.nonce_used, "a provider could lock it yet, beside the next order");
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_nobody_takes_says_why_and_costs_nothing() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let requester = market.requester();
    let before = wealth(requester.contracts()).await;
    let terms = JobTerms { price: PriceTerms::fixed(10), lock_secs: 2, ..wordcount("too cheap") };
    let (record, status, events) = run(&market, b"job", &terms).await;
    assert_eq!((status, events.len()), (JobStatus::None, 0), "{events:?}");
    let refusals = requester.board().refusals(record.job_id).await.expect("read");
    assert_eq!(refusals.len(), 2, "each provider says why");
    let needed = refusals.iter().filter_map(|refusal| refusal.reason.price_needed()).min();
    let needed = needed.expect("a price would mend it");
    assert_eq!(wealth(requester.contracts()).await, before);
    // And that price does mend it.
    let terms = JobTerms { price: PriceTerms::fixed(needed), ..terms };
    let (_, status, events) = run(&market, b"dearer", &terms).await;
    assert_eq!(status, JobStatus::Paid, "{events:?}");
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_orders_are_refused_and_harm_nobody() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let requester = market.requester();
    let key = sha256(b"job");
    let no_elf = JobTerms { program: b"not an ELF".to_vec(), ..wordcount("x") };
    assert!(matches!(requester.order(key, &no_elf).await, Err(Error::ProgramFile(_))));
    let poor = JobTerms { price: PriceTerms::fixed(1 << 80), ..wordcount("x") };
    assert!(matches!(requester.order(key, &poor).await, Err(Error::Funds { .. })));
    let (_, status, events) = run(&market, b"good", &wordcount("")).await;
    assert_eq!(status, JobStatus::Paid, "the market is healthy after it: {events:?}");
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_record_is_what_the_chain_shows_of_it() {
    let plan = MarketPlan { with_liar: true, ..MarketPlan::default() };
    let (_folder, market) = market(&plan).await;
    let (contracts, liar) = (market.requester().contracts(), market.liar().expect("there is one"));
    assert_eq!(provider_records(contracts).await.expect("read"), []);
    let honest = JobTerms { stake: 60 * DOLLAR, ..wordcount("kept") };
    let (_, status, events) = run(&market, b"kept", &honest).await;
    assert_eq!(status, JobStatus::Paid, "{events:?}");
    let lie = JobTerms { provider: Some(liar), ..wordcount("broken") };
    let (_, status, events) = run(&market, b"broken", &lie).await;
    assert_eq!(status, JobStatus::Refuted, "{events:?}");

    let records = provider_records(contracts).await.expect("read");
    assert_eq!(records.len(), 2, "who has locked nothing has no record: {records:?}");
    for record in &records {
        let [outcome] = record.outcomes[..] else { panic!("one lock each: {record:?}") };
        let (kind, value) = match record.provider == liar {
            true => (OutcomeKind::Refuted, 100 * DOLLAR),
            false => (OutcomeKind::Completed, 60 * DOLLAR),
        };
        assert_eq!((outcome.kind, outcome.value), (kind, value), "the stake that was at risk");
        assert!(outcome.at.abs_diff(record.at) < 120, "the time of its block: {record:?}");
        assert_eq!(record.reputation, reputation(&record.outcomes, record.at), "the same for all");
        assert_eq!(record.reputation.score > 4_000, kind == OutcomeKind::Completed);
        let alone = provider_record(contracts, record.provider).await.expect("read");
        assert_eq!(alone.outcomes, record.outcomes, "alone or among all");
    }
    // An order can ask for a record: newcomers decline it, and who has kept its word takes it.
    let kept = records.iter().find(|record| record.provider != liar).expect("it is there");
    let least = kept.reputation.score;
    let asks = |least| JobTerms { reputation_min: Some(least), lock_secs: 5, ..wordcount("asks") };
    let (record, status, events) = run(&market, b"asks", &asks(least)).await;
    assert_eq!(status, JobStatus::Paid, "{events:?}");
    let taken = matches!(events[0], JobEvent::Locked { provider, .. } if provider == kept.provider);
    assert!(taken, "only one has such a record: {events:?}");
    let (more, status, _) = run(&market, b"asks more", &asks(9_999)).await;
    assert_eq!(status, JobStatus::None, "nobody has such a record");
    let refusals = market.requester().board().refusals(more.job_id).await.expect("read");
    let is_low = |refusal: &Refusal| matches!(refusal.reason, Reason::ReputationLow { score, least: 9_999 } if score < 9_999);
    assert!(refusals.len() == 2 && refusals.iter().all(is_low), "{refusals:?}");
    assert_ne!(record.job_id, more.job_id);
    let nobody = provider_record(contracts, contracts.account()).await.expect("read");
    assert_eq!((nobody.reputation.score, nobody.outcomes.len()), (4_000, 0));
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_whose_disk_is_full_declines_and_says_so() {
    let (_folder, market) = market(&MarketPlan { providers: vec![], with_liar: false }).await;
    let requester = market.requester();
    let contracts = stranger(&market).await;
    contracts.stake(100 * DOLLAR).await.expect("staked");
    // More than any disk has: what it reads of its own is real.
    let plan = ProviderPlan { disk_free_min: 1 << 60, ..asks_nothing() };
    let provider = Working::start(&contracts, market.board(), plan).await;
    let terms = JobTerms { lock_secs: 3, ..wordcount("large") };
    let (record, status, _) = run(&market, b"job", &terms).await;
    assert_eq!(status, JobStatus::None, "it must not bind itself to what it can't keep");
    let refusals = requester.board().refusals(record.job_id).await.expect("read");
    let [Refusal { reason: Reason::DiskSmall { needed_size, free_size }, .. }] = refusals[..]
    else {
        panic!("{refusals:?}");
    };
    assert!(needed_size > 1 << 60 && free_size > 0, "{needed_size} of {free_size}");
    provider.stop().await;
    market.close().await.expect("closed");
}

/// A plan that asks for nothing.
fn asks_nothing() -> ProviderPlan {
    ProviderPlan {
        cost: CostModel { job: 0, per_mebistep: 0, margin_bps: 0 },
        steps_per_sec: 50_000_000,
        confirmations: 0,
        loss_day_max: 1_000_000 * DOLLAR,
        failures_max: 3,
        runs_at_once: 1,
        margin_secs: Some(1),
        chunk_fee_min: None,
        sweep_every: Duration::from_millis(200),
        only_named: false,
        disk_free_min: 0,
        memory_max: 4 << 30,
        host_facts: Vec::new(),
    }
}

/// A provider that works on a market's board until it is told to stop.
struct Working {
    stop: tokio::sync::watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Working {
    async fn start(contracts: &Contracts, board: Board, plan: ProviderPlan) -> Self {
        let provider = Provider::new(contracts.clone(), board, plan, InProcess::default()).await;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let task = tokio::spawn(provider.expect("a provider").run(stopped));
        Working { stop, task }
    }

    async fn stop(self) {
        self.stop.send(true).expect("told");
        self.task.await.expect("stopped");
    }
}

/// Orders many jobs at once, leaves a provider time, and counts those that it has locked.
async fn locked_of(market: &LocalMarket, name: &str, terms: &JobTerms) -> (usize, Vec<Reason>) {
    let requester = market.requester();
    let jobs: Vec<_> = (0..40u64)
        .map(|number| (sha256(format!("{name} {number}").as_bytes()), terms.clone()))
        .collect();
    let records: Vec<_> = requester.order_all(&jobs).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let (mut locked, mut reasons) = (0, Vec::new());
    for record in records {
        let id = record.expect("ordered").job_id;
        let job = requester.contracts().market.jobOf(id).call().await.expect("read");
        locked += usize::from(job.status != JobStatus::None as u8);
        let refusals = requester.board().refusals(id).await.expect("read");
        reasons.extend(refusals.into_iter().map(|refusal| refusal.reason));
    }
    (locked, reasons)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_locks_only_what_it_can_finish_beside_all_that_it_has_locked() {
    let (_folder, market) = market(&MarketPlan { providers: vec![], with_liar: false }).await;
    let contracts = stranger(&market).await;
    contracts.stake(1_000 * DOLLAR).await.expect("staked");
    // It waits for blocks that never come, so all that it locks stays to be run: 21 s each by its
    // plan.
    let waits = ProviderPlan { confirmations: 100_000, ..asks_nothing() };
    let provider = Working::start(&contracts, market.board(), waits).await;
    let terms = JobTerms { stake: DOLLAR, ..wordcount("loop to the limit") };
    let (locked, reasons) = locked_of(&market, "first", &terms).await;
    assert_eq!(locked, 2, "two take 43 s of the 60 s that each has, and three take 64 s");
    let near = Reason::DeadlineNear { run_secs: 60, needed_secs: 66 };
    assert_eq!((reasons.len(), &reasons[0]), (38, &near), "and the others are told");
    // A start is no way around it.
    provider.stop().await;
    let waits = ProviderPlan { confirmations: 100_000, ..asks_nothing() };
    let provider = Working::start(&contracts, market.board(), waits).await;
    assert_eq!(locked_of(&market, "second", &terms).await.0, 0, "it has locked what it can");
    provider.stop().await;
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_at_risk_counts_the_locks_that_are_on_their_way() {
    let (_folder, market) = market(&MarketPlan { providers: vec![], with_liar: false }).await;
    let contracts = stranger(&market).await;
    contracts.stake(1_000 * DOLLAR).await.expect("staked");
    let careful =
        ProviderPlan { loss_day_max: 35 * DOLLAR, confirmations: 100_000, ..asks_nothing() };
    let provider = Working::start(&contracts, market.board(), careful).await;
    let terms = JobTerms { stake: 10 * DOLLAR, step_limit: 1 << 20, ..wordcount("at once") };
    let (locked, reasons) = locked_of(&market, "risk", &terms).await;
    assert_eq!(locked, 3, "a fourth would put 40 dollars at risk, of 35");
    let is_cap =
        |reason: &Reason| matches!(reason, Reason::RiskCap { cap, .. } if *cap == 35 * DOLLAR);
    assert!(reasons.len() == 37 && reasons.iter().all(is_cap), "{reasons:?}");
    provider.stop().await;
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missed_deadline_trips_the_breaker_for_an_hour_and_a_start_does_not_trip_it_again() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Arc::new(Ahead::default()));
    let none = MarketPlan { providers: vec![], with_liar: false };
    let market = LocalMarket::open_at(&Home::at(folder.path()), &none, clock.clone()).await;
    let market = market.expect("a market");
    let requester = market.requester();
    let contracts = stranger(&market).await;
    contracts.stake(500 * DOLLAR).await.expect("staked");
    let once = ProviderPlan { failures_max: 1, ..asks_nothing() };
    let slow = ProviderPlan { confirmations: 100_000, ..once.clone() };
    let provider = Working::start(&contracts, market.board(), slow).await;
    let short = JobTerms { step_limit: 1 << 20, run_secs: 3, ..wordcount("missed") };
    let missed_id = |market: &LocalMarket| market.requester().records().expect("read")[0].job_id;
    let mut missed = requester.order(sha256(b"missed"), &short).await.expect("ordered");
    let status = async |id: B256| {
        let job = requester.contracts().market.jobOf(id).call().await.expect("read");
        JobStatus::try_from(job.status).expect("known")
    };
    {
        let following = requester.follow(&mut missed, |_, _| {});
        let late = async {
            while status(missed_id(&market)).await != JobStatus::AwaitingLate {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            ended = following => panic!("it is not delivered late: {ended:?}"),
            () = late => {}
        }
    }
    let next = JobTerms { lock_secs: 4, ..wordcount("next") };
    let (record, ended, _) = run(&market, b"next", &next).await;
    assert_eq!(ended, JobStatus::None, "a node that misses must not go on to lock");
    let refusals = requester.board().refusals(record.job_id).await.expect("read");
    let [Refusal { reason: Reason::CircuitBreaker { failures: 1, .. }, .. }] = refusals[..] else {
        panic!("{refusals:?}");
    };
    provider.stop().await;
    // The late lock's time passes, and whoever misses it ends the job. That is no loss of the day
    // on which a node starts.
    clock.pass(4 * 86_400, &stranger(&market).await).await;
    let ended = tokio::time::timeout(PATIENCE, requester.follow(&mut missed, |_, _| {})).await;
    assert_eq!(ended.expect("in time").expect("followed"), JobStatus::Missed);
    let provider = Working::start(&contracts, market.board(), once).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut after = requester.order(sha256(b"after"), &wordcount("after")).await.expect("ordered");
    // Where the clock is ahead, only blocks show that time goes on.
    let others = stranger(&market).await;
    let passing = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            clock.pass(1, &others).await;
        }
    };
    let followed = tokio::time::timeout(PATIENCE, requester.follow(&mut after, |_, _| {}));
    let ended = tokio::select! {
        ended = followed => ended.expect("in time").expect("followed"),
        () = passing => unreachable!("time goes on"),
    };
    assert_eq!(ended, JobStatus::Paid, "days later it works again");
    provider.stop().await;
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demand_must_pay_for_its_answer() {
    let (_folder, market) = market(&MarketPlan { providers: vec![], with_liar: false }).await;
    let contracts = stranger(&market).await;
    contracts.stake(100 * DOLLAR).await.expect("staked");
    let dear = ProviderPlan { chunk_fee_min: Some(9), ..asks_nothing() };
    let provider = Working::start(&contracts, market.board(), dear).await;
    let terms = JobTerms { lock_secs: 3, ..wordcount("2^17 answers for nothing") };
    let (record, status, _) = run(&market, b"job", &terms).await;
    assert_eq!(status, JobStatus::None, "a requester could have it answer at a loss");
    let refusals = market.requester().board().refusals(record.job_id).await.expect("read");
    let [Refusal { reason: Reason::ChunkFeeLow { fee: 0, needed: 9 }, .. }] = refusals[..] else {
        panic!("{refusals:?}");
    };
    provider.stop().await;
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shortest_window_is_what_the_contract_lets_pass() {
    let (_folder, market) = market(&MarketPlan { providers: vec![], with_liar: false }).await;
    let contracts = market.requester().contracts();
    let verifier = contracts.deployment.fraud_proofs;
    for steps in [0, 1, (1 << 30) - (1 << 15), 1 << 30, (1 << 30) + 1, 1 << 45] {
        for run_secs in [0, 1, 86_400] {
            let asked = contracts.disputes.windowMin(steps, u64::from(run_secs));
            let said = asked.call().await.expect("read");
            let forecast = contracts.window_secs_min(verifier, steps, run_secs);
            assert_eq!(forecast.expect("known"), said, "of {steps} steps in {run_secs} s");
        }
    }
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_too_long_to_be_defended_is_declined() {
    let (_folder, market) = market(&MarketPlan { providers: vec![], with_liar: false }).await;
    let contracts = stranger(&market).await;
    contracts.stake(100 * DOLLAR).await.expect("staked");
    let provider = Working::start(&contracts, market.board(), asks_nothing()).await;
    let terms = JobTerms { step_limit: 1 << 34, run_secs: 600, lock_secs: 3, ..wordcount("long") };
    let (record, status, _) = run(&market, b"job", &terms).await;
    assert_eq!(status, JobStatus::None, "it could lose though its claim is true");
    let refusals = market.requester().board().refusals(record.job_id).await.expect("read");
    let [Refusal { reason: Reason::ClockShort { clock_secs: 120, .. }, .. }] = refusals[..] else {
        panic!("{refusals:?}");
    };
    provider.stop().await;
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_keeps_no_claim_back() {
    let (folder, market) = market(&MarketPlan { providers: vec![], with_liar: false }).await;
    let requester = market.requester();
    let contracts = stranger(&market).await;
    contracts.stake(100 * DOLLAR).await.expect("staked");
    let terms = JobTerms { input: None, window_secs: Some(60), ..wordcount("") };
    let record = requester.order(sha256(b"job"), &terms).await.expect("ordered");
    let path = folder.path().join("own");
    let own = Board::of_store(Store::open(&path).expect("a store"), market.chain().deployment());
    let program = Program::from_elf(WORDCOUNT).expect("a program");
    own.put_program(&program, WORDCOUNT.to_vec()).await.expect("kept");
    own.put_order(record.job_id, &record.signed).await.expect("kept");
    let slots = path.join("blobs").join("slots");
    std::fs::remove_dir_all(&slots).expect("the disk fails");
    let provider = Working::start(&contracts, own.clone(), asks_nothing()).await;
    let claimed = async {
        loop {
            let job = requester.contracts().market.jobOf(record.job_id).call().await.expect("read");
            if job.status == JobStatus::AwaitingVerdict as u8 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let claimed = tokio::time::timeout(Duration::from_secs(20), claimed).await;
    claimed.expect("a run that is not claimed costs the stake");
    // What could not be kept is kept as soon as it can be.
    std::fs::create_dir(&slots).expect("the disk is well again");
    let until = Instant::now() + Duration::from_secs(30);
    while std::fs::read_dir(&slots).expect("read").next().is_none() {
        assert!(Instant::now() < until, "the output was given up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    provider.stop().await;
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_vanishes_is_missed_before_the_lock_and_not_after_it() {
    let (folder, mut market) = market(&MarketPlan { providers: vec![], with_liar: false }).await;
    let broker = market.serve(0, 0).await.expect("served").broker.expect("a broker");
    let key = PrivateKeySigner::random();
    let contracts = stranger_of(&market, key.clone()).await;
    contracts.stake(500 * DOLLAR).await.expect("staked");
    let deployment = market.chain().deployment().clone();
    let broker = BrokerClient::new(&broker, deployment, &key, assay_chain::SystemClock);
    let own = Store::open(&folder.path().join("own")).expect("a store");
    let own = Board::of_broker(broker.expect("a client"), Some(own));
    // What an order names. Its output may be there by then, and nobody may keep that back.
    let vanish = |order: &SignedOrder| {
        let named = serde_json::to_string(order).expect("an order");
        let mut count = 0;
        for kind in ["envelopes", "slots"] {
            let blobs = folder.path().join("board/blobs").join(kind);
            for file in std::fs::read_dir(blobs).expect("a folder") {
                let file = file.expect("a file").path();
                let name = file.file_stem().and_then(|name| name.to_str()).expect("a name");
                if named.contains(name) {
                    std::fs::remove_file(&file).expect("removed");
                    count += 1;
                }
            }
        }
        assert_eq!(count, 1, "its input is there to vanish");
    };
    let auditors = [market.auditor()].into();
    let sealing = Some(Sealing { auditors, beneficiary: None, begin_secs: 60 });
    let sealed = |words: &str| JobTerms { sealing: sealing.clone(), ..wordcount(words) };
    let requester = market.requester();
    let mut early = Vec::new();
    for (key, terms) in [(b"a", sealed("early")), (b"b", wordcount("early"))] {
        let record = requester.order(sha256(key), &terms).await.expect("ordered");
        vanish(&record.signed);
        early.push(record.job_id);
    }
    let provider = Working::start(&contracts, own, asks_nothing()).await;
    let until = Instant::now() + PATIENCE;
    for job in early {
        let why = loop {
            let said = requester.board().refusals(job).await.expect("read");
            if let [refusal] = said.as_slice() {
                break refusal.reason.clone();
            }
            assert!(Instant::now() < until, "nobody says why");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert!(matches!(why, Reason::InputMissing { .. }), "{why:?}");
    }
    for (key, terms) in [(b"c", sealed("late")), (b"d", wordcount("late"))] {
        let mut record = requester.order(sha256(key), &terms).await.expect("ordered");
        let job = || async { contracts.market.jobOf(record.job_id).call().await.expect("read") };
        while job().await.status == 0 {
            assert!(Instant::now() < until, "nobody locks it");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // A sealed one waits for its key, which goes out while it is followed.
        vanish(&record.signed);
        let followed = requester.follow(&mut record, |_, _| ());
        let followed = tokio::time::timeout(PATIENCE, followed).await.expect("in time");
        assert_eq!(followed.expect("followed"), JobStatus::Paid, "the lock was for nothing");
    }
    provider.stop().await;
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_own_store_keeps_only_what_unfinished_jobs_name() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Arc::new(Ahead::default()));
    let none = MarketPlan { providers: vec![], with_liar: false };
    let market = LocalMarket::open_at(&Home::at(folder.path()), &none, clock.clone()).await;
    let mut market = market.expect("a market");
    let broker = market.serve(0, 0).await.expect("served").broker.expect("a broker");
    let key = PrivateKeySigner::random();
    let contracts = stranger_of(&market, key.clone()).await;
    contracts.stake(100 * DOLLAR).await.expect("staked");
    let path = folder.path().join("own");
    let own = own_board(&market, &broker, &key, &path);
    let provider = Working::start(&contracts, own, asks_nothing()).await;
    // One that nobody takes, since it needs a better record, and that stays open.
    let unfilled = JobTerms {
        lock_secs: 100_000,
        reputation_min: Some(10_000),
        ..wordcount("still to be had")
    };
    let requester = market.requester();
    requester.order(sha256(b"unfilled"), &unfilled).await.expect("ordered");
    let files = |kind: &str| {
        let folder = std::fs::read_dir(path.join("blobs").join(kind)).expect("read");
        folder.map(|file| file.expect("read").file_name()).collect::<Vec<_>>()
    };
    let (_, status, events) = run(&market, b"first", &wordcount("done")).await;
    assert_eq!(status, JobStatus::Paid, "{events:?}");
    assert_eq!(files("slots").len(), 2, "an input and an output");
    clock.pass(1_000, &stranger(&market).await).await;
    let until = Instant::now() + Duration::from_secs(20);
    while !files("slots").is_empty() {
        assert!(Instant::now() < until, "the store only ever grows: {:?}", files("slots"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(files("programs").len(), 1, "an order that is open names the same program");
    provider.stop().await;
    // The order that is over has gone as well, and the other has not.
    let book = RedbBook::open(path.join("book.redb"), BookLimits::default()).expect("opened");
    assert_eq!(book.count(Kind::Order).expect("counted"), 1);
    market.close().await.expect("closed");
}

/// A board of one's own at a market that is served, in a folder.
fn own_board(market: &LocalMarket, broker: &str, key: &PrivateKeySigner, path: &Path) -> Board {
    let deployment = market.chain().deployment().clone();
    let broker = assay_broker_client::BrokerClient::new(broker, deployment, key, SystemClock);
    Board::of_broker(broker.expect("a client"), Some(Store::open(path).expect("a store")))
}

/// The reasons that a provider gives for an order, once it gives one.
async fn reasons_for(board: &Board, id: B256) -> Vec<Reason> {
    let told = async {
        loop {
            let refusals = board.refusals(id).await.expect("read");
            if !refusals.is_empty() {
                return refusals.into_iter().map(|refusal| refusal.reason).collect();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("a reason")
}

/// The most memory that this process has had, in bytes.
fn peak_size() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("on Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("a number") << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_costs_nothing_before_it_is_funded_and_no_memory_before_it_is_locked() {
    let folder = tempfile::tempdir().expect("a folder");
    let none = MarketPlan { providers: vec![], with_liar: false };
    let mut market =
        LocalMarket::open(&Home::at(folder.path().join("home")), &none).await.expect("a market");
    let broker = market.serve(0, 0).await.expect("served").broker.expect("a broker");
    let key = PrivateKeySigner::random();
    let provider = stranger_of(&market, key.clone()).await;
    // Enough beside what the template binds, which it may lock.
    provider.stake(300 * DOLLAR).await.expect("staked");
    let path = folder.path().join("own");
    let own = own_board(&market, &broker, &key, &path);
    let plan = ProviderPlan { memory_max: 1 << 30, ..asks_nothing() };
    let working = Working::start(&provider, own, plan).await;

    // A byte in each page of a slot: an image of 34 MB that would be 2.7 GB of a machine.
    let mut image = b"assayi\x01\x01".to_vec();
    for page in 0..1u32 << 17 {
        image.extend((16 * page).to_be_bytes());
        image.extend(1u32.to_be_bytes());
        image.extend([7; 256]);
    }
    let mut hasher = SlotHasher::new();
    hasher.update(&image).expect("an image");
    let root = hasher.finish().expect("an image").root;
    let requester_key = PrivateKeySigner::random();
    let requester = stranger_of(&market, requester_key.clone()).await;
    // For nobody who is here.
    let elsewhere = JobTerms { provider: Some(DATA_OWNER), ..wordcount("other") };
    let template = market.requester().order(sha256(b"template"), &elsewhere).await;
    let deployment = market.chain().deployment();
    let with_input = |nonce: u64| {
        let order = Market::Order {
            requester: requester.account(),
            provider: Address::ZERO,
            beneficiary: requester.account(),
            inputRoot: B256::from(root.0.0),
            nonce: U256::from(nonce),
            ..template.as_ref().expect("ordered").signed.order.clone()
        };
        SignedOrder::sign(order, deployment, &requester_key).expect("signed")
    };
    let before = peak_size();
    market.board().put_slot(root, image).await.expect("published");
    let unfunded = with_input(1);
    let id = unfunded.job_id(deployment);
    market.board().put_order(id, &unfunded).await.expect("posted");
    let reasons = reasons_for(&market.board(), id).await;
    assert!(matches!(reasons[..], [Reason::PurseShort { purse: 0, .. }]), "{reasons:?}");
    let kept = path.join("blobs").join("slots").join(format!("{root}.image"));
    assert!(!kept.exists(), "what nobody pays for was fetched");

    let purse = U256::from(100 * DOLLAR);
    let allow = requester.token.approve(deployment.market, purse).into_transaction_request();
    requester.send(allow).await.expect("allowed");
    let fill = requester.market.deposit(requester.account(), purse).into_transaction_request();
    requester.send(fill).await.expect("filled");
    let funded = with_input(2);
    let id = funded.job_id(deployment);
    market.board().put_order(id, &funded).await.expect("posted");
    let reasons = reasons_for(&market.board(), id).await;
    let [Reason::MemorySmall { needed_size, free_size }] = reasons[..] else {
        panic!("{reasons:?}");
    };
    assert!(needed_size > 2 << 30 && free_size == 1 << 30, "{needed_size} of {free_size}");
    let grown = peak_size() - before;
    assert!(grown < 400 << 20, "an order that nobody has locked took {grown} bytes of memory");
    working.stop().await;
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_are_made_together_are_each_made_once() {
    const KEYS: u64 = 40;
    let (_folder, market) = market(&MarketPlan { providers: vec![], with_liar: false }).await;
    let requester = market.requester();
    // Each key three times, at once.
    let jobs: Vec<_> = (0..3 * KEYS)
        .map(|number| (sha256(&(number % KEYS).to_be_bytes()), wordcount("again")))
        .collect();
    let ids = async || -> Vec<B256> {
        let ordered = requester.order_all(&jobs).await;
        ordered.into_iter().map(|record| record.expect("ordered").job_id).collect()
    };
    let first = ids().await;
    let distinct: std::collections::BTreeSet<_> = first.iter().copied().collect();
    assert_eq!(distinct.len() as u64, KEYS, "a second order under a key would be a second payment");
    assert_eq!(ids().await, first, "and the same again is the same");
    assert_eq!(requester.records().expect("read").len() as u64, KEYS);
    let contracts = requester.contracts();
    let purse = contracts.market.purseOf(contracts.account()).call().await.expect("read");
    assert_eq!(purse.to::<u128>(), u128::from(KEYS) * DOLLAR / 10, "the purse covers each, once");
    let filled = contracts.market.PurseDeposited_filter().from_block(0u64).query().await;
    let filled = filled.expect("read").len() as u64;
    assert!(filled < KEYS / 2, "one transfer serves several orders: {filled} for {KEYS}");
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_this_process_tells_how_far_it_is() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let requester = market.requester();
    // Some seconds of work.
    let terms =
        JobTerms { program: SHA256.to_vec(), input: Some(vec![7; 1 << 21]), ..wordcount("") };
    let mut record = requester.order(sha256(b"job"), &terms).await.expect("ordered");
    let (id, progress) = (record.job_id, market.progress());
    let mut told = Vec::new();
    let telling = async {
        loop {
            told.extend(progress.steps(id));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let status = tokio::select! {
        status = requester.follow(&mut record, |_, _| {}) => status,
        () = telling => unreachable!("it goes on"),
    };
    assert_eq!(status.expect("followed"), JobStatus::Paid);
    assert!(told.is_sorted(), "a run never goes back: {told:?}");
    told.dedup();
    assert!(told.len() > 4, "nobody could see that it went on: {told:?}");
    assert_eq!(progress.steps(id), None, "it has ended");
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn forecasts_of_price_and_pay_are_the_contracts() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let requester = market.requester();
    let metered =
        PriceTerms { base: DOLLAR / 20, per_mebistep: 5, ..PriceTerms::fixed(DOLLAR / 10) };
    let terms = JobTerms { price: metered, ..wordcount("paid by the step") };
    let (record, status, events) = run(&market, b"job", &terms).await;
    assert_eq!(status, JobStatus::Paid, "{events:?}");
    let steps = events.iter().find_map(|event| match event {
        JobEvent::Claimed { steps, .. } => Some(*steps),
        _ => None,
    });
    let due = metered.due(DOLLAR / 10, steps.expect("claimed"));
    let paid = matches!(events.last(), Some(JobEvent::Paid { paid, .. }) if *paid == due);
    assert!(paid, "{due} was forecast: {events:?}");

    let mut rng = fastrand::Rng::with_seed(4);
    let mut order = record.signed.order;
    for case in 0..200 {
        let (a, b) = (rng.u128(..1 << 90) >> rng.u32(..80), rng.u128(..1 << 90) >> rng.u32(..80));
        let (ramp_start_at, ramp_secs) = (rng.u64(..2_000_000_000), rng.u32(..) >> rng.u32(..32));
        let (min, max, base) = (a.min(b), a.max(b), 0);
        let terms = PriceTerms { min, max, base, per_mebistep: 0, ramp_start_at, ramp_secs };
        let time = (ramp_start_at + rng.u64(..2 * u64::from(ramp_secs) + 3)).saturating_sub(1);
        order.price.min = U96::from(min);
        order.price.max = U96::from(max);
        order.price.rampStartAt = U40::from(ramp_start_at);
        order.price.rampSecs = ramp_secs;
        let market = &requester.contracts().market;
        let price = market.priceAt(order.clone(), U40::from(time)).call().await.expect("a price");
        assert_eq!(price.to::<u128>(), terms.price_at(time), "case {case}: {terms:?} at {time}");
    }
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn re_pricing_fills_an_order_within_its_bound() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let requester = market.requester();
    let rule = |price_max| Repricing { raise_bps: 100, every_secs: 1, price_max, times_max: 3 };
    // A little below what the cheaper provider asks; its refusal says how much.
    let terms = JobTerms {
        price: PriceTerms::fixed(DOLLAR / 60),
        repricing: Some(rule(DOLLAR / 10)),
        ..wordcount("worth more")
    };
    let first = requester.order(sha256(b"raised"), &terms).await.expect("ordered");
    let (record, status, events) = run(&market, b"raised", &terms).await;
    assert_eq!(status, JobStatus::Paid, "{events:?}");
    assert_ne!(record.job_id, first.job_id, "a higher price is another order");
    let order = &record.signed.order;
    assert_eq!(order.nonce, first.signed.order.nonce, "of the same nonce: one of them is paid");
    let paid = order.price.max.to::<u128>();
    assert!(paid > DOLLAR / 60 && paid <= DOLLAR / 10, "{paid}");
    let filled = record.job_id;
    let why = requester.why(&first).await.expect("explained");
    assert!(why.price_needed.is_some_and(|price| price == paid), "{why:?}");
    // Where the bound is below what anyone asks, it stays unfilled and says why.
    let bounded = JobTerms { repricing: Some(rule(DOLLAR / 55)), lock_secs: 6, ..terms };
    let (record, status, _) = run(&market, b"bounded", &bounded).await;
    assert_eq!(status, JobStatus::None);
    assert!(record.signed.order.price.max.to::<u128>() <= DOLLAR / 55);
    let why = requester.why(&record).await.expect("explained");
    assert!(why.price_needed.is_some_and(|price| price > DOLLAR / 55), "{why:?}");
    expect_exact(requester.contracts(), &[filled, record.job_id]).await;
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_order_is_taken_by_nobody() {
    let (_folder, market) = market(&MarketPlan { providers: vec![], with_liar: false }).await;
    let requester = market.requester();
    let terms = wordcount("never mind");
    let record = requester.order(sha256(b"job"), &terms).await.expect("ordered");
    requester.cancel(&record).await.expect("cancelled");
    let (order, signature) = (record.signed.order.clone(), record.signed.signature.clone());
    let contracts = requester.contracts();
    let lock = contracts.market.lock(order, signature, U96::ZERO, U40::MAX);
    let refused = contracts.send(lock.into_transaction_request()).await;
    let Err(Error::Refused(reason)) = refused else { panic!("{refused:?}") };
    let is_nonce = matches!(*reason, ContractError::Market(Market::MarketErrors::NonceUsed(_)));
    assert!(is_nonce, "{reason}");
    assert!(requester.records().expect("read")[0].is_done);
    market.close().await.expect("closed");
}

/// A clock that is ahead of the system's by as much as a test says.
#[derive(Default)]
struct Ahead(AtomicU64);

impl Clock for Ahead {
    fn unix_secs(&self) -> u64 {
        SystemClock.unix_secs() + self.0.load(Ordering::Relaxed)
    }
}

impl Ahead {
    /// Lets time pass. Only a block shows it.
    async fn pass(&self, secs: u64, contracts: &Contracts) {
        self.0.fetch_add(secs, Ordering::Relaxed);
        let mint = contracts.token.mint(contracts.account(), U256::from(1));
        contracts.send(mint.into_transaction_request()).await.expect("a block");
    }
}

/// A chain's clock that is an hour behind the machine's: the machine's is fast.
struct HourBehind;

impl Clock for HourBehind {
    fn unix_secs(&self) -> u64 {
        SystemClock.unix_secs() - 3_600
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_fast_by_an_hour_costs_nobody_a_stake() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = MarketPlan::default();
    let market = LocalMarket::open_at(&Home::at(folder.path()), &plan, Arc::new(HourBehind)).await;
    let market = market.expect("a market");
    let (_, status, events) = run(&market, b"job", &wordcount("in time")).await;
    assert_eq!(status, JobStatus::Paid, "{events:?}");
    let contracts = market.requester().contracts();
    let chain = HourBehind.unix_secs();
    assert!(contracts.now().abs_diff(chain) < 60, "it is {chain}, not {}", contracts.now());
    market.close().await.expect("closed");
}

/// An account of its own on a market's chain, with a thousand test dollars.
async fn stranger(market: &LocalMarket) -> Contracts {
    stranger_of(market, PrivateKeySigner::random()).await
}

async fn stranger_of(market: &LocalMarket, key: PrivateKeySigner) -> Contracts {
    let endpoint = Endpoint::Embedded(market.chain().chain().clone());
    let config = ChainClientConfig::default();
    let contracts =
        Contracts::connect(&Env::system(), endpoint, key, market.chain().deployment(), config)
            .await;
    let contracts = contracts.expect("connected");
    let mint = contracts.token.mint(contracts.account(), U256::from(1_000 * DOLLAR));
    contracts.send(mint.into_transaction_request()).await.expect("minted");
    contracts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_withholds_the_output_loses() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Arc::new(Ahead::default()));
    let plan = MarketPlan { providers: vec![], with_liar: false };
    let market = LocalMarket::open_at(&Home::at(folder.path()), &plan, clock.clone()).await;
    let market = market.expect("a market");
    let requester = market.requester();
    let withholder = stranger(&market).await;
    withholder.stake(100 * DOLLAR).await.expect("staked");
    let before = wealth(requester.contracts()).await;
    let terms = JobTerms {
        input: None,
        provider: Some(withholder.account()),
        window_secs: Some(60),
        ..wordcount("")
    };
    let mut record = requester.order(sha256(b"job"), &terms).await.expect("ordered");
    // Its store is its own, so what it publishes reaches nobody.
    let store = Store::open(&folder.path().join("own")).expect("a store");
    let own = Board::of_store(store, market.chain().deployment());
    let program = Program::from_elf(WORDCOUNT).expect("a program");
    own.put_program(&program, WORDCOUNT.to_vec()).await.expect("kept");
    own.put_order(record.job_id, &record.signed).await.expect("kept");
    let plan = ProviderPlan { only_named: true, ..asks_nothing() };
    let provider = Working::start(&withholder, own, plan).await;
    let status = async || {
        let job = requester.contracts().market.jobOf(record.job_id).call().await.expect("read");
        JobStatus::try_from(job.status).expect("known")
    };
    while status().await != JobStatus::AwaitingVerdict {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    provider.stop().await;
    let mut events = Vec::new();
    let passing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        clock.pass(86_500, &withholder).await;
    };
    let followed = requester.follow(&mut record, |_, event| events.push(event.clone()));
    let (status, ()) = tokio::join!(tokio::time::timeout(PATIENCE, followed), passing);
    assert_eq!(status.expect("in time").expect("followed"), JobStatus::Silent, "{events:?}");
    assert_eq!(wealth(requester.contracts()).await, before + 40 * DOLLAR, "whole, and more");
    let free = withholder.stakes.freeOf(withholder.account()).call().await.expect("read");
    assert_eq!(free.to::<u128>(), 0, "the stake is gone");
    expect_exact(requester.contracts(), &[record.job_id]).await;
    market.close().await.expect("closed");
}

/// A provider that shows every chunk that is demanded, and publishes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_is_published_nowhere_comes_by_demands() {
    let (folder, market) = market(&MarketPlan { providers: vec![], with_liar: false }).await;
    let requester = market.requester();
    let contracts = stranger(&market).await;
    contracts.stake(100 * DOLLAR).await.expect("staked");
    // An output of five chunks.
    let words: Vec<String> = (0..1_500).map(|number| format!("word{number:04}")).collect();
    let terms = JobTerms {
        provider: Some(contracts.account()),
        window_secs: Some(120),
        ..wordcount(&words.join(" "))
    };
    let mut record = requester.order(sha256(b"job"), &terms).await.expect("ordered");
    let store = Store::open(&folder.path().join("own")).expect("a store");
    let own = Board::of_store(store, market.chain().deployment());
    let program = Program::from_elf(WORDCOUNT).expect("a program");
    own.put_program(&program, WORDCOUNT.to_vec()).await.expect("kept");
    let root = BlobRoot(Hash(record.signed.order.inputRoot.0));
    own.put_slot(root, slot_image(&words.join(" "))).await.expect("kept");
    own.put_order(record.job_id, &record.signed).await.expect("kept");
    let provider = Working::start(&contracts, own, asks_nothing()).await;
    let id = record.job_id;
    let found = async {
        loop {
            if let Ok(output) = requester.output(id).await {
                return output;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let followed = requester.follow(&mut record, |_, _| {});
    let output = tokio::select! {
        ended = followed => panic!("the window is longer: {ended:?}"),
        output = tokio::time::timeout(PATIENCE, found) => output.expect("in time"),
    };
    let text = String::from_utf8(output).expect("text");
    assert!(text.starts_with("word,count\n") && text.ends_with("word1499,1\n"), "{text}");
    assert_eq!(text.lines().count(), 1_501);
    provider.stop().await;
    // It is kept, and asked of nobody any more.
    assert_eq!(requester.output(id).await.expect("kept"), text.into_bytes());
    // A claim does not wait for a round for each chunk, so all but the first come in one.
    let (head, _) = contracts.last_block().await.expect("read");
    let said = assay_node::events(&contracts, id, 0..=head).await.expect("read");
    let demands = said.iter().filter_map(|event| match event {
        JobEvent::ChunkRequested { first, count, .. } => Some((*first, *count)),
        _ => None,
    });
    assert_eq!(demands.collect::<Vec<_>>(), [(0, 1), (1, 4)]);
    market.close().await.expect("closed");
}

/// The image of a slot that holds a public blob.
fn slot_image(text: &str) -> Vec<u8> {
    let header = BlobHeader::new(text.len() as u64, Salt::PUBLIC).expect("it fits");
    let content = [&header.to_bytes()[..], text.as_bytes()].concat();
    let page = |piece: &[u8]| -> Page {
        std::array::from_fn(|k| piece.get(k).copied().unwrap_or_default())
    };
    let pages: Vec<Page> = content.chunks(4096).map(page).collect();
    let mut image = Vec::new();
    let Ok(()) = write_image((0..).zip(&pages), |bytes| {
        image.extend_from_slice(bytes);
        Ok::<_, std::convert::Infallible>(())
    });
    image
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frivolous_challenger_loses_its_bond() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Arc::new(Ahead::default()));
    let home = Home::at(folder.path());
    let market = LocalMarket::open_at(&home, &MarketPlan::default(), clock.clone()).await;
    let market = market.expect("a market");
    let requester = market.requester();
    // An auditor whose own runs are false, so that it doubts every true claim, and means it.
    let challenger = stranger(&market).await;
    let tokens = async || {
        let balance = challenger.token.balanceOf(challenger.account()).call().await;
        balance.expect("read").to::<u128>()
    };
    let before = tokens().await;
    let plan = AuditorPlan { share_bps: 10_000, runs_at_once: 1 };
    let (challenges, board) = (folder.path().join("frivolous"), market.board());
    let auditor = Auditor::new(challenger.clone(), board, plan, challenges, Liar).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let working = tokio::spawn(auditor.expect("an auditor").run(stopped));
    let mut record = requester.order(sha256(b"job"), &wordcount("true")).await.expect("ordered");
    let mut events = Vec::new();
    let followed = requester.follow(&mut record, |_, event| events.push(event.clone()));
    let contracts = stranger(&market).await;
    let passing = async {
        // Slow enough for whoever has a move to make.
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            clock.pass(20, &contracts).await;
        }
    };
    let status = tokio::select! {
        status = tokio::time::timeout(PATIENCE, followed) => status.expect("in time"),
        () = passing => unreachable!("time goes on"),
    };
    assert_eq!(status.expect("followed"), JobStatus::Paid, "{events:?}");
    let ended = events.iter().find_map(|event| match event {
        JobEvent::GameEnded { claim_false, .. } => Some(*claim_false),
        _ => None,
    });
    assert_eq!(ended, Some(false), "there was a game, and the claim stood: {events:?}");
    stop.send(true).expect("told");
    working.await.expect("stopped");
    assert_eq!(before - tokens().await, 101 * DOLLAR, "the bond and a part of the stake are lost");
    expect_exact(requester.contracts(), &[record.job_id]).await;
    market.close().await.expect("closed");
}

/// Five hundred jobs, three power cuts, a liar that is asked for and orders that nobody wants.
#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_jobs_with_faults_all_settle_or_refund() {
    const JOBS: usize = 500;
    let folder = tempfile::tempdir().expect("a folder");
    let home = Home::at(folder.path());
    let plan = MarketPlan { with_liar: true, ..MarketPlan::default() };
    let mut market = LocalMarket::open(&home, &plan).await.expect("a market");
    let mut records = Vec::new();
    for number in 0..JOBS {
        let terms = JobTerms { stake: 10 * DOLLAR, ..wordcount(&number.to_string()) };
        let terms = match number % 50 {
            7 => JobTerms { provider: market.liar(), ..terms },
            3 | 13 | 23 => JobTerms { price: PriceTerms::fixed(10), lock_secs: 20, ..terms },
            _ => terms,
        };
        let key = sha256(&number.to_be_bytes());
        records.push(market.requester().order(key, &terms).await.expect("ordered"));
        if number % 150 == 149 {
            // Nobody is told; whatever was under way is cut off.
            drop(market);
            let patience = Instant::now() + PATIENCE;
            market = loop {
                match LocalMarket::open(&home, &plan).await {
                    Ok(market) => break market,
                    Err(error) if Instant::now() > patience => panic!("{error}"),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            };
        }
    }
    let requester = market.requester();
    let (mut paid, mut refuted, mut untaken) = (0, 0, 0);
    for record in &mut records {
        let followed = tokio::time::timeout(PATIENCE, requester.follow(record, |_, _| {})).await;
        match followed.expect("in time").expect("followed") {
            JobStatus::Paid => paid += 1,
            JobStatus::Refuted => refuted += 1,
            JobStatus::None => untaken += 1,
            other => panic!("{other:?}"),
        }
    }
    // The liar is asked for ten times, and stops after three losses; thirty orders pay too little.
    assert_eq!((paid, refuted, untaken), (460, 3, 37));
    let jobs: Vec<B256> = records.iter().map(|record| record.job_id).collect();
    expect_exact(requester.contracts(), &jobs).await;
    market.close().await.expect("closed");
}
