//! The dispute game on a real chain: honest parties win, whatever the other side does.
//!
//! `ASSAY_GAMES` changes how many of each kind are played. The games on anvil need it installed (contracts/).

mod common;

use std::sync::{Arc, Mutex};

use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256};
use alloy_provider::{DynProvider, Provider};
use alloy_rpc_types_eth::TransactionReceipt;
use alloy_sol_types::SolEvent;
use assay_chain::contracts::{Disputes, Step, TestDollar};
use assay_chain::{Client, ClientConfig, Clock, EmbeddedChain, Endpoint, connect};
use assay_dispute::{Challenge, Known, Pointing, Segment, Tracer, answer, challenge, reveal};
use assay_fuzz::differential::random_job;
use assay_fuzz::liar::{LIES, Liar};
use assay_machine::{Engine, Interpreter, Machine, Run};
use assay_types::Hash;
use fastrand::Rng;

/// Games of each kind without the environment's word.
const GAMES: u64 = 300;

/// Games of each kind on anvil, which is slower.
const GAMES_ON_ANVIL: u64 = 20;

const BOND: u128 = 1_000_000_000;
const WINDOW_SECS: u64 = 1000;

fn games() -> u64 {
    std::env::var("ASSAY_GAMES").map_or(GAMES, |count| count.parse().expect("a number"))
}

fn b256(hash: Hash) -> B256 {
    B256::from(hash.0)
}

/// Where the games are played, and how time passes there.
struct Arena {
    claimant: Disputes::DisputesInstance<DynProvider>,
    challenger: Disputes::DisputesInstance<DynProvider>,
    market: Disputes::DisputesInstance<DynProvider>,
    accounts: [Address; 3],
    client: Client,
    time: Time,
}

/// The second may end between any two readings, so a move is often mined later than it was prepared: it must not rest on
/// the clock's standing still, in its gas as in its meaning.
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
    /// Deploys the contracts with the first account as the market, and funds the challenger.
    async fn new(clients: [Client; 3], time: Time) -> Self {
        let [market, claimant, challenger] = clients.each_ref().map(|c| c.provider().clone());
        let accounts = clients.each_ref().map(|client| client.signer().expect("signs"));
        let token = TestDollar::deploy(market.clone()).await.expect("deployed");
        let step = Step::deploy(market.clone()).await.expect("deployed");
        let parameters = Disputes::DisputeParameters {
            token: *token.address(),
            market: accounts[0],
            step: *step.address(),
            bond: BOND,
            costBase: 50_000_000,
            costAnswer: 20_000_000,
            costReveal: 10_000_000,
            stepsPerSec: 1 << 30,
            retraceStepsPerSec: 1 << 20,
            fetchSecs: 1,
            censorshipSecs: 1,
            openingSecs: 600,
            clockSecs: 3600,
            moveFloorSecs: 300,
        };
        let disputes = Disputes::deploy(market.clone(), parameters).await.expect("deployed");
        let address = *disputes.address();
        let funds = U256::from(BOND * 1000);
        let mut minted = U256::ZERO;
        while minted < funds {
            let part = token.MINT_MAX().call().await.expect("a bound").min(funds - minted);
            mined(token.mint(accounts[2], part).send().await).await;
            minted += part;
        }
        let token = TestDollar::new(*token.address(), challenger.clone());
        mined(token.approve(address, U256::MAX).send().await).await;
        Arena {
            claimant: Disputes::new(address, claimant),
            challenger: Disputes::new(address, challenger),
            market: disputes,
            accounts,
            client: clients[0].clone(),
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

    async fn open_claim<E: Engine + Clone>(
        &self,
        number: u64,
        tracer: &mut Tracer<E>,
    ) -> (B256, Hash) {
        let claim = B256::from(U256::from(number + 1));
        let root = tracer.tree(Segment::WHOLE).root();
        let facts = Disputes::ClaimFacts {
            claimant: self.accounts[1],
            initialState: b256(tracer.state_hash(0).0),
            finalState: b256(tracer.state_hash(u64::MAX).0),
            traceRoot: b256(root),
            stepLimit: 1 << 45,
            windowSecs: WINDOW_SECS,
        };
        mined(self.market.open(claim, facts, Bytes::new()).send().await).await;
        (claim, root)
    }

    /// Upheld, refuted or pending; and who informed.
    async fn verdict(&self, claim: B256) -> (u8, Address) {
        let verdict = self.market.verdictOf(claim).call().await.expect("a verdict");
        (verdict.verdict, verdict.informer)
    }
}

const UPHELD: u8 = 1;
const REFUTED: u8 = 2;
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

/// How a challenger chooses its moves.
trait Player {
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

/// Points anywhere at a true claim: it has the claimant's own trees.
struct Random(Tracer<Interpreter>, Rng);

impl Player for Random {
    fn next(&mut self, segment: Segment, start: Hash, root: Hash, _: &Known) -> Option<Challenge> {
        let tree = self.0.tree(segment);
        assert_eq!(tree.root(), root, "an honest claim has the honest tree");
        // Half of the time near the start, where something happens.
        let index = if self.1.bool() { self.1.u32(..8) } else { self.1.u32(..1 << 15) };
        let pointing = Pointing::open(&tree, start, index);
        Some(if segment.refined(0).is_none() {
            let witness = self.0.witness(segment.start() + u64::from(index)).to_bytes();
            Challenge::Prove { pointing, witness: witness[72..].to_vec() }
        } else {
            Challenge::Point(pointing)
        })
    }
}

/// Plays one game to its end. `None` if the challenger has nothing to challenge; else the game's last stage.
async fn play<C: Engine + Clone>(
    arena: &Arena,
    claim: (B256, Hash),
    challenger: &mut impl Player,
    claimant: &mut Tracer<C>,
    published: bool,
) -> Option<u8> {
    let mut seen = Known::new();
    if published {
        seen.publish(claimant.tree(Segment::WHOLE));
    }
    let start = claimant.state_hash(0).0;
    let first = challenger.next(Segment::WHOLE, start, claim.1, &seen)?;
    let (depth, index) = match &first {
        Challenge::Point(pointing) => (15, pointing.index),
        Challenge::Demand { depth, index, .. } => (*depth as u8, *index),
        Challenge::Prove { .. } => unreachable!("not at the top"),
    };
    let salt = B256::repeat_byte(7);
    let (claim_id, root) = (claim.0, b256(claim.1));
    let commitment = arena.challenger.commitmentOf(claim_id, arena.accounts[2], depth, index, salt);
    let commitment = commitment.call().await.expect("a commitment");
    let receipt = mined(arena.challenger.commit(claim_id, b256(start), root, commitment).send().await).await;
    let committed = receipt
        .inner
        .logs()
        .iter()
        .find_map(|log| Disputes::Committed::decode_log(&log.inner).ok());
    let id = committed.expect("an event").id;
    let mut prepared = Some(first);
    loop {
        let view = arena.market.gameOf(id).call().await.expect("a game");
        let game = view.game;
        let segment = Segment::new(game.level, game.position).expect("a segment");
        let stage = game.stage;
        let state_hash = view.stateHash;
        match stage {
            AWAITING_OPENING | AWAITING_POINT => {
                let next = prepared.take().or_else(|| {
                    challenger.next(segment, Hash(game.start.0), Hash(view.root.0), &seen)
                });
                match next.expect("a game once begun has a next move") {
                    Challenge::Point(at) => {
                        let call = arena.challenger.point(id, state_hash, salt, pointing(at));
                        mined(call.send().await).await;
                    }
                    Challenge::Demand { depth, index, node, siblings } => {
                        let siblings = siblings.into_iter().map(b256).collect();
                        let (depth, node) = (depth as u8, b256(node));
                        let call = arena
                            .challenger
                            .demand(id, state_hash, salt, depth, index, node, siblings);
                        mined(call.send().await).await;
                    }
                    Challenge::Prove { pointing: at, witness } => {
                        let call =
                            arena.challenger.prove(id, state_hash, pointing(at), witness.into());
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

/// False claims about every kind of thing, leaves published and withheld by turns: each is refuted.
async fn lies_are_refuted(arena: &Arena, count: u64) {
    let (mut played, mut seed) = (0, 0);
    while played < count {
        let (machine, steps, mut rng) = random_job(seed);
        let lie = LIES[seed as usize % LIES.len()];
        let at = rng.u64(1..=steps);
        seed += 1;
        let mut claimant = Tracer::new(Run::new(Liar::new(machine.clone(), at, lie)));
        let mut challenger = Honest(tracer(&machine));
        let claim = arena.open_claim(seed, &mut claimant).await;
        let published = seed % 2 == 0;
        let Some(stage) = play(arena, claim, &mut challenger, &mut claimant, published).await
        else {
            // The lie left no mark on what is claimed: the claim is true.
            assert_eq!(claimant.tree(Segment::WHOLE), challenger.0.tree(Segment::WHOLE));
            continue;
        };
        assert_eq!(stage, WON, "seed {}: {lie:?} at {at}, published {published}", seed - 1);
        assert_eq!(arena.verdict(claim.0).await, (REFUTED, arena.accounts[2]));
        played += 1;
    }
}

/// True claims stand, whatever is pointed at.
async fn true_claims_stand(arena: &Arena, count: u64) {
    for number in 0..count {
        let (machine, _, rng) = random_job(1_000_000 + number);
        let mut claimant = tracer(&machine);
        let claim = arena.open_claim(1_000_000 + number, &mut claimant).await;
        let mut challenger = Random(tracer(&machine), rng);
        let stage = play(arena, claim, &mut challenger, &mut claimant, true).await;
        assert_eq!(stage, Some(LOST), "job {number}");
    }
    arena.pass(WINDOW_SECS + 1).await;
    for number in 0..count {
        let claim = B256::from(U256::from(1_000_000 + number + 1));
        assert_eq!(arena.verdict(claim).await, (UPHELD, Address::ZERO), "job {number}");
    }
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
        ClientConfig::default(),
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
        let config = ClientConfig {
            poll: Some(std::time::Duration::from_millis(20)),
            ..ClientConfig::default()
        };
        let client = connect(Endpoint::Url(anvil.url.clone()), Some(key), config).await;
        clients.push(client.expect("connected"));
    }
    let clients = clients.try_into().expect("three");
    let arena = Arena::new(clients, Time::Anvil).await;
    lies_are_refuted(&arena, GAMES_ON_ANVIL.min(games())).await;
    true_claims_stand(&arena, GAMES_ON_ANVIL.min(games())).await;
}
