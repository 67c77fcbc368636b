//! A whole market in one process, on its real chain.

use std::time::Duration;

use alloy_primitives::B256;
use alloy_primitives::aliases::{U40, U96};
use assay_market::PriceTerms;
use assay_node::{
    Contracts, Error, Home, JobEvent, JobRecord, JobStatus, JobTerms, LocalMarket, MarketPlan,
};
use assay_types::sha256;

const WORDCOUNT: &[u8] = include_bytes!("../../../programs/prebuilt/wordcount.elf");

const DOLLAR: u128 = 1_000_000;

/// How long a job may take here before something hangs.
const PATIENCE: Duration = Duration::from_secs(120);

fn wordcount(input: &str) -> JobTerms {
    JobTerms {
        program: WORDCOUNT.to_vec(),
        input: Some(input.as_bytes().to_vec()),
        dataset: None,
        step_limit: 1 << 30,
        price: PriceTerms::fixed(DOLLAR / 10),
        stake: 100 * DOLLAR,
        provider: None,
        lock_secs: 60,
        run_secs: 60,
        window_secs: None,
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
    let record = requester.order(sha256(key), terms).await.expect("ordered");
    let mut events = Vec::new();
    let followed = requester.follow(&record, |event| events.push(event.clone()));
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
        mebistep: 0,
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
    let record = requester.order(sha256(b"job"), &terms).await.expect("ordered");
    let (order, signature) = (record.signed.order.clone(), record.signed.signature.clone());
    let lock = contracts.market.lock(order, signature, U96::ZERO, U40::MAX);
    let locked = contracts.send(lock.into_transaction_request()).await;
    locked.expect("locked");
    let mut events = Vec::new();
    let followed = requester.follow(&record, |event| events.push(event.clone()));
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
    second.requester().finish(key, &again).expect("written");
    let anew = second.requester().order(key, &terms).await.expect("ordered");
    assert_ne!(anew.job_id, record.job_id, "what is finished is ordered anew");
    second.close().await.expect("closed");
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
    assert!(matches!(requester.order(key, &no_elf).await, Err(Error::Job(_))));
    let poor = JobTerms { price: PriceTerms::fixed(1 << 80), ..wordcount("x") };
    assert!(matches!(requester.order(key, &poor).await, Err(Error::Funds { .. })));
    let (_, status, events) = run(&market, b"good", &wordcount("")).await;
    assert_eq!(status, JobStatus::Paid, "the market is healthy after it: {events:?}");
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn forecasts_of_price_and_pay_are_the_contracts() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let requester = market.requester();
    let metered = PriceTerms { base: DOLLAR / 20, mebistep: 5, ..PriceTerms::fixed(DOLLAR / 10) };
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
        let terms = PriceTerms { min, max, base, mebistep: 0, ramp_start_at, ramp_secs };
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
