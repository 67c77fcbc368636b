//! The dispute game on a real chain: honest parties win, whatever the other side does.
//!
//! `ASSAY_GAMES` changes how many of each kind are played. The games on anvil need it installed
//! (contracts/).

mod common;

use std::sync::{Arc, Mutex};

use alloy_primitives::aliases::{U40, U96};
use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256};
use alloy_provider::{DynProvider, Provider};
use alloy_rpc_types_eth::TransactionReceipt;
use alloy_signer::SignerSync;
use alloy_sol_types::SolEvent;
use assay_chain::{
    ChainClientConfig, Client, DeploymentPlan, EmbeddedChain, Endpoint, GovernancePlan, connect,
};
use assay_contracts::{Deployment, DisputeTerms};
use assay_contracts::{Disputes, Market, Stakes, TestDollar, Verifiers, job_id};
use assay_dispute::{
    Challenge, Claim, Known, Opening, Own, Pointing, Segment, TraceTree, Tracer, answer, challenge,
    opening, reveal,
};
use assay_fuzz::differential::{random_job, random_machine};
use assay_fuzz::liar::{LIES, Liar};
use assay_machine::{Engine, Interpreter, Machine, Program, Run, Status};
use assay_merkle::empty_slot;
use assay_types::Clock;
use assay_types::Hash;
use fastrand::Rng;

/// Games of each kind without the environment's word.
const GAMES: u64 = 300;

/// Games of each kind on anvil, which is slower.
const GAMES_ON_ANVIL: u64 = 20;

const DOLLAR: u128 = 1_000_000;
const STAKE: u128 = 500 * DOLLAR;
const PRICE: u128 = 10 * DOLLAR;
const WINDOW_SECS: u32 = 1000;

/// Who owns the data that every job here reads, and what that earns.
const DATA_OWNER: Address = Address::repeat_byte(0xda);
const DATA_FEE: u128 = 2 * DOLLAR;

const TERMS: DisputeTerms = DisputeTerms {
    bond: 1_000 * DOLLAR,
    stake_bps: 0,
    cost_base: 50 * DOLLAR,
    cost_answer: 20 * DOLLAR,
    cost_reveal: 10 * DOLLAR,
    steps_per_sec: 1 << 30,
    retrace_steps_per_sec: 1 << 20,
    run_bps: 0,
    fetch_secs: 1,
    censorship_secs: 1,
    opening_secs: 600,
    clock_secs: 3600,
    move_floor_secs: 300,
    spacing_secs: 10,
};

fn games() -> u64 {
    std::env::var("ASSAY_GAMES").map_or(GAMES, |count| count.parse().expect("a number"))
}

fn b256(hash: Hash) -> B256 {
    B256::from(hash.0)
}

/// Where the games are played, and how time passes there. Accounts: the requester, the claimant,
/// the challenger.
struct Arena {
    requester: Market::MarketInstance<DynProvider>,
    provider: Market::MarketInstance<DynProvider>,
    claimant: Disputes::DisputesInstance<DynProvider>,
    challenger: Disputes::DisputesInstance<DynProvider>,
    accounts: [Address; 3],
    client: Client,
    deployment: Deployment,
    time: Time,
}

/// A claim that was made.
struct Claimed {
    id: B256,
    order: Market::Order,
    start: Hash,
    root: Hash,
}

/// The second may end between any two readings, so a move is often mined later than it was
/// prepared: it must not rest on the clock's standing still, in its gas as in its meaning.
struct RestlessClock(Mutex<(u64, Rng)>);

impl RestlessClock {
    fn new() -> Self {
        Self(Mutex::new((1_700_000_000, Rng::with_seed(0))))
    }
}

impl Clock for RestlessClock {
    fn unix_secs(&self) -> u64 {
        let mut state = self.0.lock().expect("no panic under it");
        state.0 += u64::from(state.1.bool());
        state.0
    }
}

enum Time {
    Embedded(EmbeddedChain),
    Anvil,
}

impl Arena {
    /// Deploys a market; fills the requester's purse, the claimant's stake and the challenger's
    /// pocket.
    async fn new(clients: [Client; 3], time: Time) -> Self {
        let plan =
            DeploymentPlan { token: None, governance: None, base_fee_reference: 0, terms: TERMS };
        let deployment = assay_chain::deploy(&clients[0], &plan).await.expect("deployed");
        assay_chain::check_deployment(&deployment, &clients[0]).await.expect("belongs together");
        let accounts = clients.each_ref().map(|client| client.signer().expect("signs"));
        let [requester, provider, challenger] = clients.each_ref().map(|c| c.provider().clone());
        let amounts = [(PRICE + DATA_FEE) * 1000, STAKE * 1000, TERMS.bond * 1000];
        let payees = [deployment.market, deployment.stakes, deployment.disputes];
        for (client, (amount, payee)) in clients.iter().zip(amounts.into_iter().zip(payees)) {
            let token = TestDollar::new(deployment.token, client.provider().clone());
            mint(&token, client.signer().expect("signs"), amount).await;
            mined(token.approve(payee, U256::MAX).send().await).await;
        }
        let market = Market::new(deployment.market, requester);
        mined(market.deposit(accounts[0], U256::from(amounts[0])).send().await).await;
        let stakes = Stakes::new(deployment.stakes, provider.clone());
        mined(stakes.deposit(accounts[1], U96::from(amounts[1])).send().await).await;
        Arena {
            requester: market,
            provider: Market::new(deployment.market, provider.clone()),
            claimant: Disputes::new(deployment.disputes, provider),
            challenger: Disputes::new(deployment.disputes, challenger),
            accounts,
            client: clients[0].clone(),
            deployment,
            time,
        }
    }

    async fn embedded() -> (tempfile::TempDir, Self) {
        let mut config = common::funded(3);
        config.test_controls = true;
        config.clock = Arc::new(RestlessClock::new());
        let (folder, chain) = common::chain(config);
        let clients = [
            common::client(&chain, 0).await,
            common::client(&chain, 1).await,
            common::client(&chain, 2).await,
        ];
        (folder, Arena::new(clients, Time::Embedded(chain)).await)
    }

    async fn pass(&self, secs: u64) {
        match &self.time {
            Time::Embedded(chain) => {
                chain.advance_time(secs);
                chain.mine().await.expect("mined");
            }
            Time::Anvil => {
                let provider = self.client.provider();
                let _: serde_json::Value =
                    provider.raw_request("evm_increaseTime".into(), [secs]).await.expect("time");
                let _: serde_json::Value =
                    provider.raw_request("evm_mine".into(), ()).await.expect("mined");
            }
        }
    }

    /// An order for the job, locked by the claimant.
    async fn lock(&self, number: u64, program: &Program, limit: u64) -> (B256, Market::Order) {
        let order = Market::Order {
            requester: self.accounts[0],
            provider: self.accounts[1],
            beneficiary: self.accounts[0],
            programId: b256(program.id().0),
            inputRoot: b256(empty_slot().0),
            datasetRoot: b256(empty_slot().0),
            termsHash: B256::ZERO,
            nonce: U256::from(number),
            stepLimit: limit,
            verifierId: self.deployment.fraud_proofs,
            lockDeadline: U40::MAX,
            beginSecs: 0,
            runSecs: 86_400,
            windowSecs: WINDOW_SECS,
            stake: U96::from(STAKE),
            lapseFee: U96::ZERO,
            chunkFee: U96::ZERO,
            dataOwner: DATA_OWNER,
            dataFee: U96::from(DATA_FEE),
            compensationBps: 4_000,
            bountyBps: 3_000,
            price: Market::Price {
                min: U96::from(PRICE),
                max: U96::from(PRICE),
                base: U96::from(PRICE),
                mebistep: U96::ZERO,
                rampStartAt: U40::ZERO,
                rampSecs: 0,
            },
        };
        let id = job_id(&self.deployment, &order);
        let asked = self.requester.jobIdOf(order.clone()).call().await.expect("an id");
        assert_eq!(asked, id, "the contract hashes orders as wallets do");
        let signature = common::key(0).sign_hash_sync(&id).expect("signed").as_bytes();
        let lock = self.provider.lock(order.clone(), signature.into(), U96::from(PRICE), U40::MAX);
        mined(lock.send().await).await;
        (id, order)
    }

    /// What the claimant says of a run, for the contract.
    async fn say(&self, program: &Program, claim: &Claim) -> Market::Claim {
        // Not the head: some nodes try a call out in the head's own place, where its hash is not
        // known yet. And not a block before the lock.
        self.pass(1).await;
        let provider = self.client.provider();
        let block = provider.get_block_number().await.expect("a head") - 1;
        let header = provider.get_block_by_number(block.into()).await.expect("read");
        let header = header.expect("a block before the head").header;
        Market::Claim {
            program: program.id_preimage().to_vec().into(),
            finalState: claim.final_state().to_vec().into(),
            traceRoot: b256(claim.trace_root),
            traceProof: claim.trace_proof.0.map(b256),
            outputRoot: b256(claim.output_root.0),
            outputProof: claim.output_proof.0.map(b256),
            blockNumber: block,
            blockHash: header.hash,
            evidence: Bytes::new(),
        }
    }

    /// Locks an order for the job and claims what the tracer says of it.
    async fn claim<E: Engine + Clone>(
        &self,
        number: u64,
        program: &Program,
        tracer: &mut Tracer<E>,
    ) -> Claimed {
        let claim = Claim::of(tracer);
        let (id, order) = self.lock(number, program, claim.end.cpu.step_limit.steps()).await;
        let said = self.say(program, &claim).await;
        mined(self.provider.claim(order.clone(), said).send().await).await;
        Claimed { id, order, start: tracer.state_hash(0).0, root: claim.trace_root }
    }

    /// Settles, and gives what the market did.
    async fn settle(&self, claim: &Claimed) -> TransactionReceipt {
        mined(self.requester.settle(claim.order.clone()).send().await).await
    }

    async fn purse(&self, account: Address) -> U256 {
        self.requester.purseOf(account).call().await.expect("read")
    }

    /// What the market holds is its purses, the escrow and the data fees of its open jobs, and the
    /// cover pool, to the unit.
    async fn expect_exact(&self) {
        let locks = self.requester.JobLocked_filter().from_block(0u64).query().await;
        let mut sum = self.requester.coverPool().call().await.expect("read");
        for (lock, _) in locks.expect("read") {
            let job = self.requester.jobOf(lock.jobId).call().await.expect("read");
            if OPEN.contains(&job.status) {
                sum += U256::from(job.price) + U256::from(DATA_FEE);
            }
        }
        // The disputes' purse has the costs of challengers that were right.
        for account in self.accounts.iter().chain([&DATA_OWNER, &self.deployment.disputes]) {
            sum += self.purse(*account).await;
        }
        let token = TestDollar::new(self.deployment.token, self.client.provider().clone());
        let held = token.balanceOf(self.deployment.market).call().await.expect("read");
        assert_eq!(held, sum, "the market holds other than what it owes");
    }

    /// The claim is refuted: the requester has its price, its fee and its share, the challenger the
    /// bounty.
    async fn expect_slashed(&self, claim: &Claimed, what: &str) {
        let earned = self.purse(DATA_OWNER).await;
        let receipt = self.settle(claim).await;
        assert_eq!(self.purse(DATA_OWNER).await, earned, "{what}: a false result paid for data");
        let logs = receipt.inner.logs();
        let slashed = logs.iter().find_map(|log| Market::JobSlashed::decode_log(&log.inner).ok());
        let slashed = slashed.unwrap_or_else(|| panic!("{what}: not slashed"));
        assert_eq!(slashed.informer, self.accounts[2], "{what}: another informer");
        assert_eq!(
            slashed.refunded,
            U96::from(PRICE + DATA_FEE),
            "{what}: price and fee are not back"
        );
        let shares = [slashed.compensation, slashed.bounty, slashed.cover];
        let expected = [STAKE * 4 / 10, STAKE * 3 / 10, STAKE * 3 / 10].map(U96::from);
        assert_eq!(shares, expected, "{what}: the stake is shared otherwise");
    }

    /// The claim stands: the provider and the data owner are paid.
    async fn expect_paid(&self, claim: &Claimed, what: &str) {
        let earned = self.purse(DATA_OWNER).await;
        let receipt = self.settle(claim).await;
        let earned = self.purse(DATA_OWNER).await - earned;
        assert_eq!(earned, U256::from(DATA_FEE), "{what}: the data owner has another sum");
        let logs = receipt.inner.logs();
        let paid = logs.iter().find_map(|log| Market::JobPaid::decode_log(&log.inner).ok());
        let paid = paid.unwrap_or_else(|| panic!("{what}: not paid"));
        assert_eq!(paid.paid, U96::from(PRICE), "{what}: not the price");
        assert_eq!(paid.dataFee, U96::from(DATA_FEE), "{what}: not the fee");
    }
}

async fn mint(token: &TestDollar::TestDollarInstance<DynProvider>, to: Address, amount: u128) {
    let most = token.MINT_MAX().call().await.expect("a bound");
    let mut left = U256::from(amount);
    while !left.is_zero() {
        let part = left.min(most);
        mined(token.mint(to, part).send().await).await;
        left -= part;
    }
}

/// A job's statuses with a first lock's escrow: from AwaitingBegin to AwaitingAnswer.
const OPEN: std::ops::RangeInclusive<u8> = 1..=4;

const AWAITING_OPENING: u8 = 1;
const AWAITING_ANSWER: u8 = 2;
const AWAITING_REVEAL: u8 = 3;
const AWAITING_POINT: u8 = 4;
const WON: u8 = 5;
const LOST: u8 = 6;

type Pending = Result<
    alloy_provider::PendingTransactionBuilder<alloy_network::Ethereum>,
    alloy_contract::Error,
>;

/// Waits for a transaction, which must succeed.
async fn mined(pending: Pending) -> TransactionReceipt {
    let receipt = pending.expect("accepted").get_receipt().await.expect("mined");
    assert!(receipt.status(), "reverted: {receipt:?}");
    receipt
}

/// Takes in what a transaction's events reveal.
fn read_reveals(known: &mut Known, receipt: &TransactionReceipt) {
    for log in receipt.inner.logs() {
        if let Ok(event) = Disputes::Revealed::decode_log(&log.inner) {
            let children: Vec<Hash> = event.children.iter().map(|child| Hash(child.0)).collect();
            known.reveal(Hash(event.node.0), children.try_into().expect("32 children"));
        }
    }
}

fn pointing(pointing: Pointing) -> Disputes::Pointing {
    Disputes::Pointing {
        index: pointing.index,
        predecessor: b256(pointing.predecessor),
        leaf: b256(pointing.leaf),
        siblings: pointing.siblings.into_iter().map(b256).collect(),
    }
}

fn opened(own: Own, salt: B256) -> Disputes::Own {
    Disputes::Own {
        root: b256(own.root),
        salt,
        leaf: b256(own.leaf),
        siblings: own.siblings.into_iter().map(b256).collect(),
    }
}

/// How a challenger chooses its moves.
trait Player {
    fn opening(&mut self, start: Hash, root: Hash, seen: &Known) -> Option<Opening>;

    fn next(
        &mut self,
        segment: Segment,
        start: Hash,
        root: Hash,
        seen: &Known,
    ) -> Option<Challenge>;
}

struct Honest(Tracer<Interpreter>);

impl Player for Honest {
    fn opening(&mut self, start: Hash, root: Hash, seen: &Known) -> Option<Opening> {
        opening(&mut self.0, start, root, seen)
    }

    fn next(
        &mut self,
        segment: Segment,
        start: Hash,
        root: Hash,
        seen: &Known,
    ) -> Option<Challenge> {
        challenge(&mut self.0, segment, start, root, seen)
    }
}

/// Points anywhere at a true claim: it has the claimant's own trees, up to where it points.
struct Random {
    tracer: Tracer<Interpreter>,
    rng: Rng,
    /// Where it will point next, and the tree that it has bound itself to.
    plan: Option<(u32, TraceTree)>,
}

impl Random {
    /// Chooses where to point in a segment. Gives the root of its own tree there.
    fn plan(&mut self, segment: Segment) -> Hash {
        let tree = self.tracer.tree(segment);
        // Half of the time near the start, where something happens.
        let index = if self.rng.bool() { self.rng.u32(..8) } else { self.rng.u32(..1 << 15) };
        let agreed = (0..index).map(|index| tree.leaf(index)).collect();
        let own = TraceTree::new(agreed, Hash([0xee; 32]));
        let root = own.root();
        self.plan = Some((index, own));
        root
    }
}

impl Player for Random {
    fn opening(&mut self, _: Hash, _: Hash, _: &Known) -> Option<Opening> {
        let own = self.plan(Segment::WHOLE);
        let index = self.plan.as_ref().expect("a plan").0;
        Some(Opening { depth: 15, index, own })
    }

    fn next(&mut self, segment: Segment, start: Hash, root: Hash, _: &Known) -> Option<Challenge> {
        let tree = self.tracer.tree(segment);
        assert_eq!(tree.root(), root, "an honest claim has the honest tree");
        let (index, own) = self.plan.take().expect("a plan");
        let pointing = Pointing::open(&tree, start, index);
        let Pointing { leaf, siblings, .. } = Pointing::open(&own, start, index);
        let own = Own { root: own.root(), leaf, siblings };
        Some(match segment.refined(index) {
            Some(finer) => Challenge::Point { pointing, own, next: self.plan(finer) },
            None => {
                let witness = self.tracer.witness(segment.start() + u64::from(index)).to_bytes();
                Challenge::Prove { pointing, own, witness: witness[72..].to_vec() }
            }
        })
    }
}

/// Plays one game to its end. `None` if the challenger has nothing to challenge; else the game's
/// last stage.
async fn play<C: Engine + Clone>(
    arena: &Arena,
    claim: &Claimed,
    challenger: &mut impl Player,
    claimant: &mut Tracer<C>,
    published: bool,
) -> Option<u8> {
    let mut seen = Known::new();
    if published {
        seen.publish(claimant.tree(Segment::WHOLE));
    }
    let start = claim.start;
    let Opening { depth, index, own } = challenger.opening(start, claim.root, &seen)?;
    let salt = B256::repeat_byte(7);
    let (claim_id, root, account) = (claim.id, b256(claim.root), arena.accounts[2]);
    let commitment =
        arena.challenger.commitmentOf(claim_id, account, depth as u8, index, b256(own), salt);
    let commitment = commitment.call().await.expect("a commitment");
    let (stake, most) = (U96::from(STAKE), U96::MAX);
    let call = arena.challenger.commit(claim_id, b256(start), root, stake, commitment, most);
    let receipt = mined(call.send().await).await;
    let committed = receipt
        .inner
        .logs()
        .iter()
        .find_map(|log| Disputes::Committed::decode_log(&log.inner).ok());
    let id = committed.expect("an event").id;
    loop {
        let view = arena.challenger.gameOf(id).call().await.expect("a game");
        let game = view.game;
        let segment = Segment::new(game.level, game.position).expect("a segment");
        let stage = game.stage;
        let state_hash = view.stateHash;
        match stage {
            AWAITING_OPENING | AWAITING_POINT => {
                let next = challenger.next(segment, Hash(game.start.0), Hash(view.root.0), &seen);
                match next.expect("a game once begun has a next move") {
                    Challenge::Point { pointing: at, own, next } => {
                        let seal = arena.challenger.sealOf(claim_id, account, b256(next), salt);
                        let seal = seal.call().await.expect("a seal");
                        let (at, own) = (pointing(at), opened(own, salt));
                        let call = arena.challenger.point(id, state_hash, at, own, seal);
                        mined(call.send().await).await;
                    }
                    Challenge::Demand { depth, index, node, siblings, own } => {
                        let siblings = siblings.into_iter().map(b256).collect();
                        let (depth, node, own) = (depth as u8, b256(node), b256(own));
                        let call = arena
                            .challenger
                            .demand(id, state_hash, own, salt, depth, index, node, siblings);
                        mined(call.send().await).await;
                    }
                    Challenge::Prove { pointing: at, own, witness } => {
                        let (at, own) = (pointing(at), opened(own, salt));
                        let call = arena.challenger.prove(id, state_hash, at, own, witness.into());
                        mined(call.send().await).await;
                    }
                }
            }
            AWAITING_ANSWER => {
                let answer = answer(claimant, segment);
                let proof = answer.last_leaf_proof.0.map(b256);
                let call = arena.claimant.answer(id, state_hash, b256(answer.root), proof);
                mined(call.send().await).await;
                if published {
                    seen.publish(claimant.tree(segment));
                }
            }
            AWAITING_REVEAL => {
                let children =
                    reveal(&claimant.tree(segment), Hash(game.target.0)).expect("its own node");
                let children = children.map(b256).to_vec();
                let call = arena.claimant.reveal(id, state_hash, children);
                read_reveals(&mut seen, &mined(call.send().await).await);
            }
            ended => return Some(ended),
        }
    }
}

fn tracer(machine: &Machine) -> Tracer<Interpreter> {
    Tracer::new(Run::new(Interpreter::new(machine.clone())))
}

fn program(seed: u64) -> Program {
    random_machine(&mut Rng::with_seed(seed)).0
}

/// False claims about every kind of thing, leaves published and withheld by turns: each is refuted
/// and paid for. The seventh kind is a false end to a true trace, which the market refuses at once.
async fn lies_are_refuted(arena: &Arena, count: u64) {
    let (mut played, mut seed) = (0, 0);
    while played < count {
        let (machine, steps, mut rng) = random_job(seed);
        let program = program(seed);
        let what = format!("seed {seed}");
        let lie = LIES.get(seed as usize % (LIES.len() + 1)).copied();
        seed += 1;
        let Some(lie) = lie else {
            a_false_end_is_refused(arena, seed, &program, &machine).await;
            played += 1;
            continue;
        };
        let at = rng.u64(1..=steps);
        let mut claimant = Tracer::new(Run::new(Liar::new(machine.clone(), at, lie)));
        let mut challenger = Honest(tracer(&machine));
        let claim = arena.claim(seed, &program, &mut claimant).await;
        let published = seed % 2 == 0;
        let Some(stage) = play(arena, &claim, &mut challenger, &mut claimant, published).await
        else {
            // The lie left no mark on what is claimed: the claim is true.
            assert_eq!(claimant.tree(Segment::WHOLE), challenger.0.tree(Segment::WHOLE));
            continue;
        };
        assert_eq!(stage, WON, "{what}: {lie:?} at {at}, published {published}");
        arena.expect_slashed(&claim, &what).await;
        played += 1;
    }
    arena.expect_exact().await;
}

async fn a_false_end_is_refused(arena: &Arena, seed: u64, program: &Program, machine: &Machine) {
    let mut claim = Claim::of(&mut tracer(machine));
    let (id, order) = arena.lock(seed, program, claim.end.cpu.step_limit.steps()).await;
    claim.end.cpu.status = match claim.end.cpu.status {
        Status::Exited { code } => Status::Exited { code: code ^ 1 },
        _ => Status::Exited { code: 0 },
    };
    let said = arena.say(program, &claim).await;
    let refused = arena
        .provider
        .claim(order, said)
        .from(arena.accounts[1])
        .call()
        .await
        .expect_err("refused");
    let refused = refused.as_decoded_interface_error::<Market::MarketErrors>();
    let as_meant = matches!(refused, Some(Market::MarketErrors::TraceNotFinal(_)));
    assert!(as_meant, "job {id}: {refused:?}");
}

/// True claims stand, whatever is pointed at.
async fn true_claims_stand(arena: &Arena, count: u64) {
    let mut claims = Vec::new();
    for number in 0..count {
        let seed = 1_000_000 + number;
        let (machine, _, rng) = random_job(seed);
        let mut claimant = tracer(&machine);
        let claim = arena.claim(seed, &program(seed), &mut claimant).await;
        let mut challenger = Random { tracer: tracer(&machine), rng, plan: None };
        let stage = play(arena, &claim, &mut challenger, &mut claimant, true).await;
        assert_eq!(stage, Some(LOST), "job {number}");
        claims.push(claim);
    }
    arena.pass(u64::from(WINDOW_SECS) + 1).await;
    for claim in claims {
        arena.expect_paid(&claim, &format!("job {}", claim.id)).await;
    }
    arena.expect_exact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_challengers_win_on_the_embedded_chain() {
    let (_folder, arena) = Arena::embedded().await;
    lies_are_refuted(&arena, games()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_claimants_win_on_the_embedded_chain() {
    let (_folder, arena) = Arena::embedded().await;
    true_claims_stand(&arena, games()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_win_on_anvil() {
    let Some(anvil) = common::anvil("both_win_on_anvil", &[]) else { return };
    let funder = connect(
        Endpoint::Url(anvil.url.clone()),
        Some(common::anvil_key()),
        ChainClientConfig::default(),
    );
    let funder = funder.await.expect("connected");
    let mut clients = Vec::new();
    for number in 0..3 {
        let key = common::key(number);
        let ether = FixedBytes::<32>::from(U256::from(10).pow(U256::from(20)));
        let gift = alloy_rpc_types_eth::TransactionRequest::default()
            .to(key.address())
            .value(U256::from_be_bytes(ether.0));
        funder.execute(gift).await.expect("funded");
        let config = ChainClientConfig {
            poll: Some(std::time::Duration::from_millis(20)),
            ..ChainClientConfig::default()
        };
        let client = connect(Endpoint::Url(anvil.url.clone()), Some(key), config).await;
        clients.push(client.expect("connected"));
    }
    let clients = clients.try_into().expect("three");
    let arena = Arena::new(clients, Time::Anvil).await;
    lies_are_refuted(&arena, GAMES_ON_ANVIL.min(games())).await;
    true_claims_stand(&arena, GAMES_ON_ANVIL.min(games())).await;
}

/// A deployment leaves its deployer nothing, unless it says that it is a test market.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_hands_everything_over_or_is_a_test_market() {
    let mut config = common::funded(2);
    config.test_controls = true;
    let (_folder, chain) = common::chain(config);
    let (client, council) = (common::client(&chain, 0).await, common::client(&chain, 1).await);
    let member = council.signer().expect("signs");
    let guardian = Address::repeat_byte(0x9a);
    let plan = DeploymentPlan {
        token: None,
        governance: Some(GovernancePlan { council: vec![member], delay_secs: 86_400, guardian }),
        base_fee_reference: 7,
        terms: TERMS,
    };
    let deployment = assay_chain::deploy(&client, &plan).await.expect("deployed");
    assay_chain::check_deployment(&deployment, &client).await.expect("belongs together");
    let governed = assay_chain::governance(&deployment, &client).await.expect("read");
    let timelock = governed.registry_owner;
    assert_eq!((governed.market_owner, governed.guardian), (timelock, guardian));
    assert_eq!(governed.founder, None, "the deployer acts for the owner for ever");
    let deployer = client.signer().expect("signs");
    assert!(timelock != deployer && timelock != member, "{timelock} is no timelock");
    let verifiers = Verifiers::new(deployment.verifiers, client.provider().clone());
    let retire = verifiers.retire(deployment.fraud_proofs);
    let refused = retire.from(deployer).call().await.expect_err("the deployer still governs");
    let refused = refused.as_decoded_interface_error::<Verifiers::VerifiersErrors>();
    assert!(matches!(refused, Some(Verifiers::VerifiersErrors::NotGovernance(_))), "{refused:?}");
    let market = Market::new(deployment.market, client.provider().clone());
    let pause = market.pauseOrders().from(deployer).call().await;
    pause.expect_err("the deployer still owns the market");

    let nobody = GovernancePlan { council: vec![], delay_secs: 0, guardian };
    let plan = DeploymentPlan { governance: Some(nobody), ..plan };
    let refused = assay_chain::deploy(&client, &plan).await.expect_err("a market without council");
    assert!(refused.to_string().contains("council"), "{refused}");

    let plan = DeploymentPlan { governance: None, ..plan };
    let deployment = assay_chain::deploy(&client, &plan).await.expect("deployed");
    let governed = assay_chain::governance(&deployment, &client).await.expect("read");
    assert_eq!(governed.founder, Some(deployer), "nobody is told that this is a test market");
}
