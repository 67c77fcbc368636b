//! Sealed jobs, on a market of one process with its real chain: what comes of them, and who can read what.

use std::path::Path;
use std::time::Duration;

use alloy_primitives::{B256, hex};
use alloy_signer_local::PrivateKeySigner;
use assay_chain::{ClientConfig, Endpoint};
use assay_machine::Program;
use assay_market::{PriceTerms, Terms};
use assay_node::{
    Contracts, DatasetTerms, DatasetUse, Error, Home, JobEvent, JobRecord, JobStatus, JobTerms,
    Keeper, LocalMarket, MarketPlan, MaskFiles, Owner, Recorder, Requester, Sealing, mask_key,
    mask_table,
};
use assay_privacy::mask::MaskStatement;
use assay_privacy::policy::{
    Allowed, Clause, Guarantees, Output, OutputClass, Policy, Reason, Revoked, Spent, Word,
};
use assay_provenance::{Outcome, Said, Standing, verify};
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
    let contracts = Contracts::connect(endpoint, key, deployment, ClientConfig::default()).await;
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
    assert!(matches!(&keyless, Err(Error::Job(why)) if why.contains("no keys")), "{keyless:?}");
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
    // The game went down to one step, and what it shows are hashes, registers and two leaves, none of which held the input.
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

/// A dataset of an owner's, on a market with a keeper for it.
struct Data {
    owner: Owner,
    contracts: Contracts,
    home: tempfile::TempDir,
    name: Word,
    keeper: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

const SECRET: &str = "Ada,36,plugh-canary\nGrace,85,plugh-canary\n";

const FEE: u128 = DOLLAR / 20;

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
        let owner = Owner::new(key, &Home::at(home.path()));
        let name: Word = "people".parse().expect("a word");
        let program = Program::from_elf(SHA256).expect("a program").id();
        let guarantees = Guarantees { group_min: 1, output_size_max: 1_000, steps_constant: false };
        let policy = Policy::deny_all()
            .program(program, guarantees)
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
            .budget(10_000_000, 1_000_000)
            .finish()
            .expect("a policy");
        owner.seal(name.clone(), bytes, policy, FEE).await.expect("sealed");
        Data { owner, contracts, home, name, keeper: None }
    }

    /// Starts the keeper, as after a crash.
    fn start(&mut self, market: &LocalMarket) {
        let (stop, stopped) = watch::channel(false);
        let home = Home::at(self.home.path());
        let keeper = Keeper::new(self.contracts.clone(), market.board(), &home, 0);
        let working = tokio::spawn(keeper.expect("a keeper").run(stopped));
        self.keeper = Some((stop, working));
    }

    async fn stop(&mut self) {
        if let Some((stop, working)) = self.keeper.take() {
            let _ = stop.send(true);
            working.await.expect("stopped");
        }
    }

    fn spent(&self) -> Spent {
        self.owner.spent(&self.name).expect("read")
    }

    async fn terms(&self, market: &LocalMarket, purpose: &str) -> JobTerms {
        let found = market.board().dataset(self.owner.account(), "people").await;
        let publication = found.expect("read").expect("published").publication.said().clone();
        let purpose = purpose.to_owned();
        let mut terms = JobTerms {
            program: SHA256.to_vec(),
            dataset: DatasetTerms::Of(Box::new(DatasetUse { publication, purpose })),
            ..sealed(market, "whose words")
        };
        terms.sealing.as_mut().expect("sealed").begin_secs = 4;
        terms
    }

    /// The clauses that the keeper named.
    async fn refused(&self, market: &LocalMarket, id: B256) -> Vec<Clause> {
        let refusals = market.board().key_refusals(id).await.expect("read");
        let own = refusals.iter().filter(|(owner, _)| *owner == self.owner.account());
        own.flat_map(|(_, said)| said.reasons.iter().map(Reason::clause)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn code_comes_to_the_data_and_its_owner_is_paid() {
    let (folder, market) = market(&MarketPlan::default()).await;
    let mut data = Data::publish(&market, 2).await;
    let requester = market.requester();
    let terms = data.terms(&market, "research").await;
    let mut record = requester.order(sha256(b"research"), &terms).await.expect("ordered");
    // Twice the same keeper gives the same keys and spends nothing more.
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
    let done = mask_table(&files, &key, None).expect("masked");
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
        Recorder::new(market.log().clone(), key, deployment).await.expect("a voice")
    };
    // Another says the same of the data, in its own name; nobody keeps it from that.
    let home = tempfile::tempdir().expect("a folder");
    let stranger = Owner::new(other.clone(), &Home::at(home.path()));
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
    let said = said.filter(|payload| matches!(Said::from_payload(payload), Ok(Said::Masked(_))));
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
