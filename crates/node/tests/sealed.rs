//! Sealed jobs, on a market of one process with its real chain: what comes of them, and who can
//! read what.

use std::path::Path;
use std::time::Duration;

use alloy_primitives::{B256, hex};
use alloy_signer_local::PrivateKeySigner;
use assay_chain::{ChainClientConfig, Endpoint};
use assay_machine::Program;
use assay_market::{Account, PriceTerms, Terms};
use assay_mask::MaskStatement;
use assay_node::{
    Board, Contracts, DatasetTerms, DatasetUse, DevelopmentKeys, Env, Error, Home, JobEvent,
    JobRecord, JobStatus, JobTerms, KeyService, LocalMarket, MarketPlan, MaskFiles, Owner,
    Recorder, Requester, Role, Sealing, SourceName, mask_key, mask_table,
};
use assay_policy::{
    Allowed, Clause, ClauseReason, DatasetName, Document, Grant, Guarantees, Output, OutputClass,
    Policy, Revoked, Spent, Word,
};
use assay_receipt::{Outcome, Standing, Statement, verify};
use assay_types::sha256;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const WORDCOUNT: &[u8] = include_bytes!("../../../programs/prebuilt/wordcount.elf");

const SHA256: &[u8] = include_bytes!("../../../programs/prebuilt/sha256.elf");

const DOLLAR: u128 = 1_000_000;

/// How long a job may take here before something hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Words that nobody but those entitled may find anywhere.
const CANARY: &str = "xyzzyplugh";

async fn market(plan: &MarketPlan) -> (tempfile::TempDir, LocalMarket) {
    let folder = tempfile::tempdir().expect("a folder");
    let market = LocalMarket::open(&Home::at(folder.path()), plan).await.expect("a market");
    (folder, market)
}

fn sealed(market: &LocalMarket, input: &str) -> JobTerms {
    JobTerms {
        input_of: None,
        program: WORDCOUNT.to_vec(),
        input: Some(input.as_bytes().to_vec()),
        dataset: DatasetTerms::None,
        sealing: Some(Sealing {
            auditors: [market.auditor()].into(),
            beneficiary: None,
            begin_secs: 60,
        }),
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

async fn follow(requester: &Requester, record: &mut JobRecord) -> (JobStatus, Vec<JobEvent>) {
    let mut events = Vec::new();
    let followed = requester.follow(record, |_, event| events.push(event.clone()));
    let status =
        tokio::time::timeout(PATIENCE, followed).await.expect("in time").expect("followed");
    (status, events)
}

async fn status(market: &LocalMarket, id: B256) -> JobStatus {
    let job = market.requester().contracts().market.jobOf(id).call().await.expect("read");
    JobStatus::try_from(job.status).expect("a status")
}

async fn until(market: &LocalMarket, id: B256, wanted: JobStatus) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while status(market, id).await != wanted {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("the job never was {wanted:?}"));
}

/// Every file below a folder that holds the words, except in a folder of that name.
fn holding(folder: &Path, words: &str, but: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != but) {
                found.extend(holding(&path, words, but));
            }
        } else if let Ok(bytes) = std::fs::read(&path)
            && bytes.windows(words.len()).any(|window| window == words.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Another account on the market's chain, with test dollars.
async fn stranger(market: &LocalMarket) -> Contracts {
    funded(market, PrivateKeySigner::random()).await
}

async fn funded(market: &LocalMarket, key: PrivateKeySigner) -> Contracts {
    let endpoint = Endpoint::Embedded(market.chain().chain().clone());
    let deployment = market.chain().deployment();
    let contracts =
        Contracts::connect(&Env::system(), endpoint, key, deployment, ChainClientConfig::default())
            .await;
    let contracts = contracts.expect("connected");
    let mint =
        contracts.token.mint(contracts.account(), (1_000 * DOLLAR).try_into().expect("fits"));
    contracts.send(mint.into_transaction_request()).await.expect("minted");
    contracts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_job_is_run_checked_and_opened_and_leaves_nothing_in_the_clear() {
    let (folder, market) = market(&MarketPlan::default()).await;
    let requester = market.requester();
    let input = format!("{CANARY} {CANARY} to be or not to be");
    let terms = sealed(&market, &input);
    let mut record = requester.order(sha256(b"sealed"), &terms).await.expect("ordered");
    let agreed = record.signed.terms.as_ref().expect("terms").as_str();
    let agreed = Terms::from_text(agreed).expect("terms");
    assert!(agreed.is_sealed());
    let (status, events) = follow(requester, &mut record).await;
    assert_eq!(status, JobStatus::Paid, "{events:?}");
    let output = requester.output(record.job_id).await.expect("an output");
    let text = String::from_utf8(output).expect("text");
    assert!(
        text.contains(&format!("2 {CANARY}"))
            || text.contains(&format!("{CANARY} 2"))
            || text.contains(&format!("{CANARY}\t2"))
            || text.contains(&format!("{CANARY},2")),
        "{text}"
    );

    // The auditor was given the keys and has checked the claim.
    let auditor = market.auditor();
    assert!(agreed.auditors.iter().any(|named| named.0 == auditor.into_array()));

    let receipt = requester.receipt(&record).await.expect("a receipt");
    let receipt = String::from_utf8(receipt.to_bytes()).expect("text");
    assert!(!receipt.contains(CANARY));
    market.close().await.expect("closed");
    let leaked = holding(folder.path(), CANARY, "");
    assert!(leaked.is_empty(), "the canary stands in {leaked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_beneficiary_reads_and_strangers_do_not() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let (reader, other) = (stranger(&market).await, stranger(&market).await);
    let homes = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let [reader, other] = [(reader, &homes[0]), (other, &homes[1])]
        .map(|(contracts, home)| Requester::new(contracts, market.board(), &Home::at(home.path())));
    let mut terms = sealed(&market, "for your eyes only");
    let sealing = terms.sealing.as_mut().expect("sealed");
    sealing.beneficiary = Some(reader.contracts().account());
    let requester = market.requester();
    let keyless = requester.order(sha256(b"keyless"), &terms).await;
    assert!(matches!(&keyless, Err(Error::BeneficiaryKeysMissing { .. })), "{keyless:?}");
    reader.publish_seal_keys().await.expect("published");
    let mut record = requester.order(sha256(b"for another"), &terms).await.expect("ordered");
    let (status, events) = follow(requester, &mut record).await;
    assert_eq!(status, JobStatus::Paid, "{events:?}");
    let read = reader.output(record.job_id).await.expect("the beneficiary opens it");
    assert!(String::from_utf8_lossy(&read).contains("eyes"));
    let refused = other.output(record.job_id).await;
    assert!(matches!(refused, Err(Error::KeyMissing { .. })), "{refused:?}");
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_over_sealed_data_is_found_by_the_named_auditor() {
    let plan = MarketPlan { with_liar: true, ..MarketPlan::default() };
    let (folder, market) = market(&plan).await;
    let requester = market.requester();
    let terms = JobTerms { provider: market.liar(), ..sealed(&market, &format!("{CANARY} lies")) };
    let mut record = requester.order(sha256(b"a lie"), &terms).await.expect("ordered");
    let (status, events) = follow(requester, &mut record).await;
    assert_eq!(status, JobStatus::Refuted, "{events:?}");
    market.close().await.expect("closed");
    // The game went down to one step, and what it shows are hashes, registers and two leaves, none
    // of which held the input.
    let leaked = holding(folder.path(), CANARY, "");
    assert!(leaked.is_empty(), "the canary stands in {leaked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_never_comes_costs_both_sides_the_same_small_fee() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let requester = market.requester();
    let contracts = requester.contracts();
    let mut terms = sealed(&market, "no key for you");
    terms.sealing.as_mut().expect("sealed").begin_secs = 2;
    // Nobody follows the job, so nobody gives the key.
    let record = requester.order(sha256(b"no key"), &terms).await.expect("ordered");
    let account = contracts.account();
    until(&market, record.job_id, JobStatus::Lapsed).await;
    let lapsed = contracts.market.JobLapsed_filter().topic1(record.job_id).from_block(0u64);
    let lapsed = lapsed.query().await.expect("read");
    let fee = lapsed[0].0.feeEach.to::<u128>();
    assert_eq!(fee, DOLLAR / 1_000, "a hundredth of the price");
    let provider = lapsed[0].0.provider;
    let purse = contracts.market.purseOf(account).call().await.expect("read").to::<u128>();
    assert_eq!(purse, DOLLAR / 10 - fee, "the requester pays the fee and no more");
    let stakes = &contracts.stakes;
    let reserved = stakes.reservedOf(provider).call().await.expect("read").to::<u128>();
    let slashed = stakes.StakeSlashed_filter().from_block(0u64).query().await.expect("read");
    let taken: u128 = slashed.iter().map(|(event, _)| event.amount.to::<u128>()).sum();
    assert_eq!((reserved, taken), (0, fee), "the provider pays the fee and no more");
    let pool = contracts.market.coverPool().call().await.expect("read").to::<u128>();
    assert_eq!(pool, 2 * fee);
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_never_meant_costs_both_sides_the_same_small_fee() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let idle = stranger(&market).await;
    idle.stake(100 * DOLLAR).await.expect("staked");
    let requester = market.requester();
    let mut terms = JobTerms { provider: Some(idle.account()), ..sealed(&market, "begin!") };
    terms.sealing.as_mut().expect("sealed").begin_secs = 2;
    let mut record = requester.order(sha256(b"idle"), &terms).await.expect("ordered");
    let signed = record.signed.clone();
    let price = signed.order.price.max;
    let until = alloy_primitives::aliases::U40::from(idle.now() + 60);
    let lock = idle.market.lock(signed.order, signed.signature, price, until);
    idle.send(lock.into_transaction_request()).await.expect("locked");
    let (status, events) = follow(requester, &mut record).await;
    assert_eq!(status, JobStatus::Lapsed, "{events:?}");
    let free = idle.stakes.freeOf(idle.account()).call().await.expect("read").to::<u128>();
    assert_eq!(free, 100 * DOLLAR - DOLLAR / 1_000, "the provider pays the fee and no more");
    let account = requester.contracts().account();
    let purse = requester.contracts().market.purseOf(account).call().await.expect("read");
    assert_eq!(purse.to::<u128>(), DOLLAR / 10 - DOLLAR / 1_000);
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_checked_or_opened_is_not_begun() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let requester = market.requester();
    let mut terms = JobTerms { lock_secs: 3, ..sealed(&market, "unchecked") };
    terms.sealing.as_mut().expect("sealed").auditors.clear();
    let mut record = requester.order(sha256(b"unchecked"), &terms).await.expect("ordered");
    let (status, _) = follow(requester, &mut record).await;
    assert_eq!(status, JobStatus::None, "no provider takes what nobody can check");
    let refusals = requester.board().refusals(record.job_id).await.expect("read");
    let codes: Vec<_> = refusals.iter().map(|refusal| refusal.reason.code()).collect();
    assert_eq!(codes, ["auditor_missing"; 2], "each provider says why");
    market.close().await.expect("closed");
}

/// A dataset of an owner's, on a market with a key service for it.
struct Data {
    owner: Owner,
    contracts: Contracts,
    home: tempfile::TempDir,
    name: Word,
    key_service: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

const SECRET: &str = "Ada,36,plugh-canary\nGrace,85,plugh-canary\n";

const FEE: u128 = DOLLAR / 20;

fn policy_of(programs: &[&[u8]], uses: u64, (total, cost): (u64, u64)) -> Document<Policy> {
    let guarantees = Guarantees { group_min: 1, output_size_max: 1_000, steps_constant: false };
    let listed = programs.iter().fold(Policy::deny_all(), |policy, elf| {
        policy.program(Program::from_elf(elf).expect("a program").id(), guarantees)
    });
    listed
        .providers(Allowed::Any, DOLLAR)
        .parties(
            Allowed::Any,
            Allowed::Any,
            ["research".parse::<Word>().expect("a word")].into_iter().collect(),
        )
        .assurance(Allowed::Any, Allowed::Any, 1)
        .output(Output {
            class: OutputClass::Sealed,
            size_max: 1_000,
            step_limit_max: 1 << 30,
            steps_constant: false,
            group_min: 1,
        })
        .uses(uses, 4_000_000_000)
        .budget(total, cost)
        .finish()
        .expect("a policy")
}

impl Data {
    async fn publish(market: &LocalMarket, uses: u64) -> Self {
        let mut data = Self::seal(market, uses, PrivateKeySigner::random(), SECRET.into()).await;
        data.owner.publish(&market.board(), &data.name).await.expect("published");
        data.start(market);
        data
    }

    /// Sealed and not published, and nobody keeps its keys yet.
    async fn seal(market: &LocalMarket, uses: u64, key: PrivateKeySigner, bytes: Vec<u8>) -> Self {
        let contracts = funded(market, key.clone()).await;
        let home = tempfile::tempdir().expect("a folder");
        let owner = Owner::new(&Env::system(), key, &Home::at(home.path()));
        let name: Word = "people".parse().expect("a word");
        let policy = policy_of(&[SHA256], uses, (10_000_000, 1_000_000));
        owner.seal(name.clone(), bytes, policy, FEE).await.expect("sealed");
        Data { owner, contracts, home, name, key_service: None }
    }

    /// Starts the key service, as after a crash.
    fn start(&mut self, market: &LocalMarket) {
        let (stop, stopped) = watch::channel(false);
        let home = Home::at(self.home.path());
        let key_service = KeyService::new(self.contracts.clone(), market.board(), &home, 0);
        let working = tokio::spawn(key_service.expect("a key service").run(stopped));
        self.key_service = Some((stop, working));
    }

    async fn stop(&mut self) {
        if let Some((stop, working)) = self.key_service.take() {
            let _ = stop.send(true);
            working.await.expect("stopped");
        }
    }

    /// What its key service has counted of any owner's dataset.
    fn counted(&self, owner: &Data, name: &str) -> (u64, u64) {
        let owner = Account(owner.owner.account().into_array());
        let dataset = DatasetName { owner, name: name.parse().expect("a word") };
        let spent = self.owner.datasets().spent(&dataset).expect("read");
        (spent.uses, spent.micro_epsilon)
    }

    fn spent(&self) -> Spent {
        self.owner.spent(&self.name).expect("read")
    }

    async fn terms(&self, market: &LocalMarket, purpose: &str) -> JobTerms {
        self.terms_over(market, "people", purpose).await
    }

    async fn terms_over(&self, market: &LocalMarket, name: &str, purpose: &str) -> JobTerms {
        let found = market.board().dataset(self.owner.account(), name).await;
        let version = found.expect("read").expect("published");
        let publication = version.publication.body().clone();
        // Unchecked before, so that the key service is what refuses.
        let (policy, purpose) = (None, purpose.to_owned());
        let mut terms = JobTerms {
            program: SHA256.to_vec(),
            dataset: DatasetTerms::Of(Box::new(DatasetUse { publication, policy, purpose })),
            ..sealed(market, "whose words")
        };
        terms.sealing.as_mut().expect("sealed").begin_secs = 4;
        terms
    }

    /// The clauses that the key service named.
    async fn refused(&self, market: &LocalMarket, id: B256) -> Vec<Clause> {
        let refusals = market.board().key_refusals(id).await.expect("read");
        let own = refusals.iter().filter(|(owner, _)| *owner == self.owner.account());
        own.flat_map(|(_, said)| said.reasons.iter().map(ClauseReason::clause)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn code_comes_to_the_data_and_its_owner_is_paid() {
    let (folder, market) = market(&MarketPlan::default()).await;
    let mut data = Data::publish(&market, 2).await;
    let requester = market.requester();
    let terms = data.terms(&market, "research").await;
    let mut record = requester.order(sha256(b"research"), &terms).await.expect("ordered");
    // Twice the same key service gives the same keys and spends nothing more.
    let (status, events) = follow(requester, &mut record).await;
    assert_eq!(status, JobStatus::Paid, "{events:?}");
    let output = String::from_utf8(requester.output(record.job_id).await.expect("opened"));
    let digests = format!("{}\n{}\n", sha256(b"whose words"), sha256(SECRET.as_bytes()));
    assert_eq!(output.expect("text"), digests, "the program had the data");
    let purse = data.contracts.market.purseOf(data.owner.account()).call().await.expect("read");
    assert_eq!(purse.to::<u128>(), FEE, "the owner is paid with the result");
    let once = Spent { uses: 1, micro_epsilon: 1_000_000 };
    assert_eq!(data.spent(), once, "provider and auditor together are one use");
    data.stop().await;
    data.start(&market);
    let mut again = requester.order(sha256(b"again"), &terms).await.expect("ordered");
    let (status, events) = follow(requester, &mut again).await;
    assert_eq!(status, JobStatus::Paid, "{events:?}");
    assert_eq!(data.spent().uses, 2, "a restart neither forgets nor doubles");
    let mut third = requester.order(sha256(b"third"), &terms).await.expect("ordered");
    let (status, _) = follow(requester, &mut third).await;
    assert_eq!(status, JobStatus::Lapsed, "no use is left");
    assert_eq!(data.refused(&market, third.job_id).await, [Clause::Uses]);
    assert_eq!(data.spent().uses, 2, "what is refused spends nothing");
    data.stop().await;
    market.close().await.expect("closed");
    let leaked = holding(folder.path(), "plugh-canary", "");
    assert!(leaked.is_empty(), "the owner's data stands in {leaked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_refuses_by_clause_and_a_revocation_stops_it_at_once() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let mut data = Data::publish(&market, 10).await;
    let requester = market.requester();
    let advertising = data.terms(&market, "advertising").await;
    let mut record = requester.order(sha256(b"ads"), &advertising).await.expect("ordered");
    let (status, _) = follow(requester, &mut record).await;
    assert_eq!(status, JobStatus::Lapsed, "no key comes");
    assert_eq!(data.refused(&market, record.job_id).await, [Clause::Purposes]);

    let counting =
        JobTerms { program: WORDCOUNT.to_vec(), ..data.terms(&market, "research").await };
    let mut record = requester.order(sha256(b"words"), &counting).await.expect("ordered");
    let (status, _) = follow(requester, &mut record).await;
    assert_eq!(status, JobStatus::Lapsed);
    let refused = data.refused(&market, record.job_id).await;
    assert!(refused.contains(&Clause::Programs), "a program by its id, and no other: {refused:?}");

    let board = market.board();
    data.owner.revoke(&board, &data.name, Revoked::All).await.expect("revoked");
    let terms = data.terms(&market, "research").await;
    let mut record = requester.order(sha256(b"too late"), &terms).await.expect("ordered");
    let (status, _) = follow(requester, &mut record).await;
    assert_eq!(status, JobStatus::Lapsed, "revoked is revoked, without a restart");
    assert_eq!(data.refused(&market, record.job_id).await, [Clause::RevokedAll]);
    assert_eq!(data.spent(), Spent::default(), "nothing went out");
    data.stop().await;
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_the_keeper_would_refuse_is_not_signed() {
    let (folder, market) = market(&MarketPlan::default()).await;
    let mut data = Data::publish(&market, 10).await;
    let (requester, board) = (market.requester(), market.board());
    let keys = DevelopmentKeys::open(&Home::at(folder.path())).expect("keys");
    let provider = keys.key(Role::Provider(0)).address();
    // Now only one provider, one requester and small jobs.
    let listed = data.owner.newest(&data.name).expect("kept").policy.body().clone();
    let listed = Policy { requesters: Allowed::default(), ..listed };
    let listed =
        Policy { output: Output { step_limit_max: 1 << 29, ..listed.output.clone() }, ..listed };
    let listed = listed.providers([Account(provider.into_array())].into_iter().collect(), DOLLAR);
    let policy = listed.finish().expect("a policy");
    data.owner.amend(&data.name, policy.clone(), FEE).expect("amended");
    data.owner.publish(&board, &data.name).await.expect("published");
    let terms = data.terms(&market, "advertising").await;
    let DatasetTerms::Of(of) = terms.dataset.clone() else { panic!("a dataset of another") };
    let known = DatasetUse { policy: Some(policy), ..*of };
    let over = |purpose: &str| {
        DatasetTerms::Of(Box::new(DatasetUse { purpose: purpose.to_owned(), ..known.clone() }))
    };
    let mut bold =
        JobTerms { program: WORDCOUNT.to_vec(), dataset: over("advertising"), stake: 1, ..terms };
    bold.sealing.as_mut().expect("sealed").auditors.clear();
    let refused = async |key: &[u8], terms: &JobTerms| match requester
        .order(sha256(key), terms)
        .await
    {
        Err(Error::Policy { reasons, .. }) => {
            let told =
                Error::Policy { dataset: known.publication.dataset(), reasons: reasons.clone() };
            assert!(told.to_string().contains(&reasons[0].to_string()), "{told}");
            reasons.iter().map(ClauseReason::clause).collect::<Vec<_>>()
        }
        other => panic!("signed, and it would lapse: {other:?}"),
    };
    let all = [
        Clause::Programs,
        Clause::StepLimit,
        Clause::Providers,
        Clause::StakeMin,
        Clause::Requesters,
        Clause::Purposes,
        Clause::AuditorsLeast,
    ];
    assert_eq!(refused(b"bold", &bold).await, all);
    let mut fit = JobTerms {
        dataset: over("research"),
        provider: Some(provider),
        step_limit: 1 << 29,
        ..data.terms(&market, "research").await
    };
    assert_eq!(refused(b"stranger", &fit).await, [Clause::Requesters], "without a grant");
    assert_eq!(requester.records().expect("read"), [], "nothing is signed");
    let contracts = requester.contracts();
    let purse = contracts.market.purseOf(contracts.account()).call().await.expect("read");
    assert!(purse.is_zero(), "nothing is paid");
    assert_eq!(data.spent(), Spent::default());
    let grant = Grant {
        owner: Account(data.owner.account().into_array()),
        name: data.name.clone(),
        number: 1,
        requester: Account(contracts.account().into_array()),
        purposes: Allowed::Any,
        uses_max: 5,
        expires_at: 4_000_000_000,
    };
    data.owner.grant(&board, grant.clone()).await.expect("granted");
    fit.provider = None;
    assert_eq!(refused(b"anybody", &fit).await, [Clause::Providers], "it is to be named");
    fit.provider = Some(provider);
    let (id, status) = ran(&market, b"fit", &fit).await;
    assert_eq!(status, JobStatus::Paid, "{:?}", data.refused(&market, id).await);

    // A grant too many is refused before it is kept, and the key service goes on.
    let (mut many, mut number) = (Ok(()), 1);
    while many.is_ok() && number < 100 {
        number += 1;
        let next = Grant { number, ..grant.clone() };
        many = data.owner.grant(&board, next).await.map(drop);
    }
    assert!(
        matches!(&many, Err(Error::Rules(why)) if why.to_string().contains("revoke one")),
        "{many:?}"
    );
    assert_eq!(number, 65);
    let (id, status) = ran(&market, b"still", &fit).await;
    assert_eq!(status, JobStatus::Paid, "{:?}", data.refused(&market, id).await);
    data.stop().await;
    market.close().await.expect("closed");
}

/// Orders a job, and what becomes of it.
async fn ran(market: &LocalMarket, key: &[u8], terms: &JobTerms) -> (B256, JobStatus) {
    let requester = market.requester();
    let mut record = requester.order(sha256(key), terms).await.expect("ordered");
    let (status, _) = follow(requester, &mut record).await;
    (record.job_id, status)
}

#[tokio::test(flavor = "multi_thread")]
async fn combined_data_is_bound_by_all_that_it_was_made_of() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let mut data = Data::publish(&market, 10).await;
    let board = market.board();
    let word = |name: &str| name.parse::<Word>().expect("a word");
    let names = |names: &[&str]| -> Vec<SourceName> {
        names.iter().map(|name| name.parse().expect("a name")).collect()
    };
    // "people" lets sha256 run, ten times; "visits" also wordcount, twice, and dearer.
    let visits = policy_of(&[SHA256, WORDCOUNT], 2, (3_000_000, 1_500_000));
    data.owner.seal(word("visits"), SECRET.into(), visits, FEE).await.expect("sealed");
    data.owner.publish(&board, &word("visits")).await.expect("published");
    let draft = policy_of(&[SHA256, WORDCOUNT], 50, (90_000_000, 1));
    let from = names(&["people", "visits"]);
    let combine =
        data.owner.combine(None, word("both"), SECRET.into(), (&from, Some(draft.clone())), FEE);
    let both = combine.await.expect("combined");
    let expect = policy_of(&[SHA256], 2, (3_000_000, 1_500_000));
    assert_eq!(both.policy.body(), expect.body(), "the stricter rule on every point");
    let listed: Vec<_> =
        both.publication.body().sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(listed, ["people", "visits"]);
    data.owner.publish(&board, &word("both")).await.expect("published");

    let research = data.terms_over(&market, "both", "research").await;
    let (_, status) = ran(&market, b"both", &research).await;
    assert_eq!(status, JobStatus::Paid);
    for name in ["both", "people", "visits"] {
        assert_eq!(
            data.counted(&data, name),
            (1, 1_500_000),
            "of {name}, what the combination costs"
        );
    }
    let counting = JobTerms { program: WORDCOUNT.to_vec(), ..research.clone() };
    let (id, status) = ran(&market, b"counting", &counting).await;
    assert_eq!(status, JobStatus::Lapsed, "only one of the two lets it run");
    assert!(data.refused(&market, id).await.contains(&Clause::Programs));

    // A job over one of them alone takes the last of its uses from the combination too, and a
    // restart forgets nothing.
    data.stop().await;
    data.start(&market);
    let alone = data.terms_over(&market, "visits", "research").await;
    let (_, status) = ran(&market, b"alone", &alone).await;
    assert_eq!(status, JobStatus::Paid);
    let (id, status) = ran(&market, b"overspent", &research).await;
    assert_eq!(status, JobStatus::Lapsed, "the combination has a use left, its source has none");
    assert_eq!(data.refused(&market, id).await, [Clause::SourcesSpent]);
    assert_eq!(data.counted(&data, "both"), (1, 1_500_000), "what is refused spends nothing");

    // A source that becomes stricter stops what was made of it, until that is as strict.
    let strict = policy_of(&[SHA256], 1, (3_000_000, 1_500_000));
    data.owner.amend(&word("people"), strict, FEE).expect("amended");
    data.owner.publish(&board, &word("people")).await.expect("published");
    let (id, status) = ran(&market, b"laxer", &research).await;
    assert_eq!(status, JobStatus::Lapsed);
    let refused = data.refused(&market, id).await;
    assert!(refused.contains(&Clause::SourcesPolicy), "{refused:?}");
    let laxer = data.owner.publish(&board, &word("both")).await;
    assert!(
        matches!(&laxer, Err(Error::PolicyLaxer(of)) if of.name.as_str().contains("people")),
        "{laxer:?}"
    );
    let again = data.owner.amend(&word("both"), draft, FEE).expect("amended");
    assert_eq!(again.policy.body().uses_max, 1);
    data.owner.publish(&board, &word("both")).await.expect("as strict now");
    // Made of what is made of others, it is made of those too; and never of itself.
    let from = names(&["both"]);
    let more = data.owner.combine(None, word("more"), SECRET.into(), (&from, None), FEE).await;
    assert_eq!(more.expect("combined").publication.body().sources.len(), 3);
    let itself = data.owner.combine(None, word("visits"), SECRET.into(), (&from, None), FEE).await;
    assert!(matches!(itself, Err(Error::Document(_))), "{itself:?}");
    data.stop().await;
    market.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_owner_published_binds_what_is_made_of_it() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let (mut theirs, mut ours) = (Data::publish(&market, 3).await, Data::publish(&market, 9).await);
    let board = market.board();
    let name: Word = "both".parse().expect("a word");
    let their = format!("{}/people", theirs.owner.account());
    let from: Vec<SourceName> =
        ["people", &their].iter().map(|name| name.parse().expect("a name")).collect();
    let made = |from: &[SourceName], board: Option<&Board>| {
        let (name, from, board) = (name.clone(), from.to_vec(), board.cloned());
        let owner = &ours.owner;
        async move { owner.combine(board.as_ref(), name, SECRET.into(), (&from, None), FEE).await }
    };
    let apart = made(&from, None).await;
    assert!(matches!(&apart, Err(Error::DatasetElsewhere(_))), "{apart:?}");
    let missing = format!("{}/nothing", theirs.owner.account()).parse().expect("a name");
    let missing = made(&[missing], Some(&board)).await;
    assert!(matches!(&missing, Err(Error::DatasetUnpublished(_))));
    let both = made(&from, Some(&board)).await.expect("combined");
    assert_eq!(both.policy.body().uses_max, 3, "the other owner's is the lower");
    ours.owner.publish(&board, &name).await.expect("published");

    let terms = ours.terms_over(&market, "both", "research").await;
    let (_, status) = ran(&market, b"both", &terms).await;
    assert_eq!(status, JobStatus::Paid);
    assert_eq!(ours.counted(&theirs, "people"), (1, 1_000_000), "by this key service");
    assert_eq!(theirs.spent(), Spent::default(), "the other owner's ledger is elsewhere");
    let known = ours.owner.made_of(&both).expect("read");
    let whose: Vec<_> = known.iter().map(|made| (made.is_own, made.spent.uses)).collect();
    assert!(whose.contains(&(true, 1)) && whose.contains(&(false, 1)), "{whose:?}");

    // What the other owner says later is read at the board before each key.
    theirs.owner.revoke(&board, &theirs.name, Revoked::All).await.expect("revoked");
    let (id, status) = ran(&market, b"revoked", &terms).await;
    assert_eq!(status, JobStatus::Lapsed);
    assert_eq!(ours.refused(&market, id).await, [Clause::SourcesRevoked]);
    let strict = policy_of(&[SHA256], 2, (10_000_000, 1_000_000));
    theirs.owner.amend(&theirs.name, strict, FEE).expect("amended");
    theirs.owner.publish(&board, &theirs.name).await.expect("published");
    let (id, status) = ran(&market, b"stricter", &terms).await;
    assert_eq!(status, JobStatus::Lapsed);
    let refused = ours.refused(&market, id).await;
    assert_eq!(refused, [Clause::SourcesPolicy, Clause::SourcesRevoked]);
    theirs.stop().await;
    ours.stop().await;
    market.close().await.expect("closed");
}

/// Masks a small table under a home, and gives what came of it and what is stated of that.
fn masked(owner: &PrivateKeySigner, folder: &Path) -> (Vec<u8>, MaskStatement) {
    let path = |name: &str| folder.join(name);
    let plan = format!(
        "schema = \"assay.mask-plan/1\"\nowner = \"{}\"\npurpose = \"research\"\nquasi_identifiers = [\"age\"]\n\
         suppress = {{ k = 2, how = \"drop\" }}\n[columns]\nname = {{ action = \"drop\" }}\n\
         age = {{ action = \"generalise\", prefix = 1 }}\n",
        owner.address()
    );
    std::fs::write(path("plan.toml"), plan).expect("written");
    let rows = "name,age\nplugh-canary,31\nplugh-canary,36\nplugh-canary,85\n";
    std::fs::write(path("table.csv"), rows).expect("written");
    let files = MaskFiles {
        plan: path("plan.toml"),
        table: path("table.csv"),
        output: path("masked.csv"),
        statement: Some(path("said.json")),
    };
    let key = mask_key(&path("mask.key")).expect("a key");
    let done = mask_table(&Env::system(), &files, &key, None).expect("masked");
    let bytes = std::fs::read(path("masked.csv")).expect("written");
    (bytes, done.statement.expect("asked for"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_data_was_masked_by_stands_in_the_receipts_of_jobs_over_it() {
    let (_folder, market) = market(&MarketPlan::default()).await;
    let (key, other) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let table = tempfile::tempdir().expect("a folder");
    let (bytes, mask) = masked(&key, table.path());
    assert_eq!((mask.rows_in, mask.rows_out), (3, 2));
    let mut data = Data::seal(&market, 2, key.clone(), bytes).await;
    let version = data.owner.newest(&data.name).expect("sealed");
    let recorder = async |key: &PrivateKeySigner| {
        let deployment = market.chain().deployment();
        Recorder::new(&Env::system(), market.log().clone(), key, deployment).await.expect("a voice")
    };
    // Another says the same of the data, in its own name; nobody keeps it from that.
    let home = tempfile::tempdir().expect("a folder");
    let stranger = Owner::new(&Env::system(), other.clone(), &Home::at(home.path()));
    let (_, forged) = masked(&other, home.path());
    assert!(stranger.keep_mask(&version, &mask).is_err(), "it is not its to state");
    stranger.keep_mask(&version, &forged).expect("kept");
    stranger.say_mask(&recorder(&other).await, &version).await.expect("said");
    data.owner.keep_mask(&version, &mask).expect("kept");
    data.owner.say_mask(&recorder(&key).await, &version).await.expect("said");
    data.owner.publish(&market.board(), &data.name).await.expect("published");
    data.start(&market);

    let requester = market.requester();
    let terms = data.terms(&market, "research").await;
    let mut record = requester.order(sha256(b"masked"), &terms).await.expect("ordered");
    let (status, events) = follow(requester, &mut record).await;
    assert_eq!(status, JobStatus::Paid, "{events:?}");
    let receipt = requester.receipt(&record).await.expect("a receipt");
    let said = receipt.log.iter().flat_map(|log| &log.statements);
    let said = said.filter_map(|logged| Some(logged.envelope.open().ok()?.0));
    let said =
        said.filter(|payload| matches!(Statement::from_payload(payload), Ok(Statement::Masked(_))));
    let sizes: Vec<usize> = said.map(|payload| payload.len()).collect();
    assert!(sizes.iter().all(|size| *size < 1_300), "{sizes:?} bytes: a receipt is to stay small");
    let text = String::from_utf8(receipt.to_bytes()).expect("text");
    assert!(!text.contains("plugh-canary"));
    assert_eq!(text.matches("urn:assay:masked:v1").count(), 1, "the owner's word and no other's");
    let report = verify(&receipt, Some(&requester.trust()));
    let line = report.checks.iter().find(|check| check.what.starts_with("mask, logged"));
    let line = line.unwrap_or_else(|| panic!("{report:#?}"));
    assert_eq!(line.outcome, Outcome::Held, "{report:#?}");
    assert!(line.what.contains(&data.owner.account().to_string()), "{line:?}");
    assert_eq!(report.standing, Standing::Vouched, "{report:#?}");
    let mask = hex::encode(mask.output.0);
    assert!(text.contains(&mask), "by the commitment that the owner can open");

    // A job over other data has nothing of it.
    let mut record =
        requester.order(sha256(b"plain"), &sealed(&market, "x")).await.expect("ordered");
    follow(requester, &mut record).await;
    let receipt = requester.receipt(&record).await.expect("a receipt").to_bytes();
    assert!(!String::from_utf8_lossy(&receipt).contains("urn:assay:masked:v1"));
    data.stop().await;
    market.close().await.expect("closed");
}
