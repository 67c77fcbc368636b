//! Many wrong games against one honest claim, opened at the worst moments, on the real chain with
//! the stock node: the claim stands, and the attackers pay for it.
//!
//! `ASSAY_FLOOD` changes how many games are opened; the full figure is 200.

use std::time::Duration;

use alloy_primitives::aliases::U96;
use alloy_primitives::{B256, U256};
use alloy_provider::Provider as _;
use alloy_rpc_types_eth::{BlockNumberOrTag, Filter};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolEvent;
use assay_chain::{ChainClientConfig, Endpoint};
use assay_contracts::{Disputes, Market};
use assay_dispute::{Pointing, TraceTree};
use assay_market::PriceTerms;
use assay_node::{
    Contracts, DatasetTerms, Env, Home, JobStatus, JobTerms, LocalMarket, ManualTime, MarketPlan,
};
use assay_types::{Hash, sha256};

const WORDCOUNT: &[u8] = include_bytes!("../../../programs/prebuilt/wordcount.elf");
const DOLLAR: u128 = 1_000_000;

/// Games without the environment's word.
const GAMES: u32 = 40;

/// How long anything may take here, in real time, before something hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// Who opens games: as many accounts as take turns.
const ATTACKERS: u8 = 4;

const AWAITING_OPENING: u8 = 1;
const AWAITING_POINT: u8 = 4;
const LOST: u8 = 6;

/// What an attacker says its own leaf is, where it points.
const WRONG: Hash = Hash([0xee; 32]);

/// A market on a time that the test moves.
struct Flood {
    _folder: tempfile::TempDir,
    env: Env,
    time: ManualTime,
    market: LocalMarket,
    attackers: Vec<Contracts>,
}

/// The claim under attack.
struct Claim {
    id: B256,
    start: Hash,
    end: Hash,
    root: B256,
    opens_until: u64,
    claimant: alloy_primitives::Address,
    block: u64,
}

/// A wrong game: where it points in the top tree, and who plays it.
struct Game {
    id: u64,
    by: usize,
    index: u32,
}

fn games() -> u32 {
    std::env::var("ASSAY_FLOOD").map_or(GAMES, |count| count.parse().expect("a number"))
}

impl Flood {
    async fn new(bonds: u128) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (env, time) = Env::manual(2_000_000_000, 7);
        let plan = MarketPlan { with_liar: false, ..MarketPlan::default() };
        let home = Home::at(folder.path());
        let market = LocalMarket::open_in(env.clone(), &home, &plan).await.expect("a market");
        let mut attackers = Vec::new();
        for number in 0..ATTACKERS {
            let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(0x40 + number));
            let key = key.expect("a key");
            let endpoint = Endpoint::Embedded(market.chain().chain().clone());
            let deployment = market.requester().contracts().deployment.clone();
            let config = ChainClientConfig::default();
            let account = Contracts::connect(&env, endpoint, key, &deployment, config).await;
            let account = account.expect("connected");
            let most: u128 = account.token.MINT_MAX().call().await.expect("read").to();
            let mut left = bonds;
            while left > 0 {
                let part = left.min(most);
                let mint = account.token.mint(account.account(), U256::from(part));
                account.send(mint.into_transaction_request()).await.expect("minted");
                left -= part;
            }
            account.allow(deployment.disputes).await.expect("allowed");
            attackers.push(account);
        }
        Flood { _folder: folder, env, time, market, attackers }
    }

    /// Lets the roles work, on a clock that stands still, until something holds.
    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
    }

    /// Moves the clock to a time.
    fn move_to(&self, time: u64) {
        let now = self.env.unix_time().as_secs();
        self.time.advance(Duration::from_secs(time.checked_sub(now).expect("no way back")));
    }

    /// An honest claim, whose window has just begun.
    async fn claim(&self) -> Claim {
        let terms = JobTerms {
            input_of: None,
            program: WORDCOUNT.to_vec(),
            input: Some(b"to be or not to be".to_vec()),
            dataset: DatasetTerms::None,
            sealing: None,
            reputation_min: None,
            step_limit: 1 << 30,
            price: PriceTerms::fixed(DOLLAR),
            data_fee: None,
            stake: 100 * DOLLAR,
            provider: None,
            lock_secs: 60,
            run_secs: 600,
            window_secs: None,
            repricing: None,
        };
        let requester = self.market.requester();
        let record = requester.order(sha256(b"job"), &terms).await.expect("ordered");
        let (id, contracts) = (record.job_id, requester.contracts());
        self.until("a claim", async || {
            // Roles that pause between two looks need a clock that goes on.
            self.time.advance(Duration::from_millis(50));
            self.status(id).await == JobStatus::AwaitingVerdict as u8
        })
        .await;
        let provider = contracts.client().provider();
        let filter = Filter::new().from_block(BlockNumberOrTag::Earliest).topic1(id);
        let logs = provider.get_logs(&filter).await.expect("read");
        let opened = logs.iter().find_map(|log| Disputes::ClaimOpened::decode_log(&log.inner).ok());
        let claimed = logs.iter().find_map(|log| {
            let event = Market::JobClaimed::decode_log(&log.inner).ok()?;
            Some((event, log.block_number.expect("mined")))
        });
        let (opened, (claimed, block)) = (opened.expect("opened"), claimed.expect("claimed"));
        Claim {
            id,
            start: Hash(opened.initialState.0),
            end: Hash(claimed.finalState.0),
            root: opened.traceRoot,
            opens_until: opened.opensUntil,
            claimant: opened.claimant,
            block,
        }
    }

    async fn status(&self, id: B256) -> u8 {
        self.market.requester().contracts().market.jobOf(id).call().await.expect("read").status
    }

    async fn game(&self, id: u64) -> Disputes::gameOfReturn {
        self.attackers[0].disputes.gameOf(id).call().await.expect("read")
    }

    /// What an account holds in tokens and in its purse.
    async fn wealth(&self, account: alloy_primitives::Address) -> u128 {
        let contracts = self.market.requester().contracts();
        let purse = contracts.market.purseOf(account).call().await.expect("read");
        let tokens = contracts.token.balanceOf(account).call().await.expect("read");
        (purse + tokens).to()
    }

    /// What all attackers hold.
    async fn attackers_wealth(&self) -> u128 {
        let mut sum = 0;
        for attacker in &self.attackers {
            sum += self.wealth(attacker.account()).await;
        }
        sum
    }

    async fn commit(&self, claim: &Claim, by: usize, index: u32) -> Game {
        let attacker = &self.attackers[by];
        let (own, salt) = (b256(wrong(claim.end, index).root()), salt(index));
        let commitment = attacker
            .disputes
            .commitmentOf(claim.id, attacker.account(), 15, index, own, salt)
            .call()
            .await
            .expect("a commitment");
        let (stake, most) = (U96::from(100 * DOLLAR), U96::MAX);
        let start = b256(claim.start);
        let call = attacker.disputes.commit(claim.id, start, claim.root, stake, commitment, most);
        let receipt = attacker.send(call.into_transaction_request()).await.expect("committed");
        let logs = receipt.inner.logs();
        let committed =
            logs.iter().find_map(|log| Disputes::Committed::decode_log(&log.inner).ok());
        Game { id: committed.expect("an event").id, by, index }
    }

    /// Points in a tree whose leaves are all the final state, with an own tree that leaves it
    /// there.
    async fn point(&self, claim: &Claim, game: &Game, index: u32) {
        let (attacker, view) = (&self.attackers[game.by], self.game(game.id).await);
        let start = Hash(view.game.start.0);
        let tree = TraceTree::new(Vec::new(), claim.end);
        assert_eq!(b256(tree.root()), view.root, "past its end a run stands still");
        let own = wrong(claim.end, index);
        let at = Pointing::open(&own, start, index);
        let own = Disputes::Own {
            root: b256(own.root()),
            salt: salt(game.index),
            leaf: b256(at.leaf),
            siblings: at.siblings.into_iter().map(b256).collect(),
        };
        let at = Pointing::open(&tree, start, index);
        let at = Disputes::Pointing {
            index,
            predecessor: b256(at.predecessor),
            leaf: b256(at.leaf),
            siblings: at.siblings.into_iter().map(b256).collect(),
        };
        // Where it points next, in the same way.
        let next = b256(wrong(claim.end, game.index % 7).root());
        let seal = attacker.disputes.sealOf(claim.id, attacker.account(), next, salt(game.index));
        let seal = seal.call().await.expect("a seal");
        let call = attacker.disputes.point(game.id, view.stateHash, at, own, seal);
        attacker.send(call.into_transaction_request()).await.expect("pointed");
    }

    /// Waits until the claimant has answered all games.
    async fn until_answered(&self, games: &[Game]) {
        self.until("all answers", async || {
            for game in games {
                if self.game(game.id).await.game.stage != AWAITING_POINT {
                    return false;
                }
            }
            true
        })
        .await;
    }
}

fn b256(hash: Hash) -> B256 {
    B256::from(hash.0)
}

fn salt(index: u32) -> B256 {
    b256(sha256(&index.to_le_bytes()))
}

/// A tree that is the claim's before an index, and something else from there on.
fn wrong(end: Hash, index: u32) -> TraceTree {
    TraceTree::new(vec![end; index as usize], WRONG)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_claim_survives_a_flood_of_games_which_its_attackers_pay_for() {
    let count = games();
    let flood = Flood::new(u128::from(count) * u128::from(count) * 20 * DOLLAR).await;
    let claim = flood.claim().await;
    let before = (flood.attackers_wealth().await, flood.wealth(claim.claimant).await);

    // All at the window's last second; all first moves at the opening's last; all second ones at
    // the last second of their clocks. Each asks for a tree of its own.
    flood.move_to(claim.opens_until);
    let mut opened = Vec::new();
    for number in 0..count {
        let by = number as usize % flood.attackers.len();
        // The first game is about the last segment.
        opened.push(flood.commit(&claim, by, count - number).await);
    }
    let last = |view: Disputes::gameOfReturn| u64::try_from(view.deadline).expect("a time");
    assert_eq!(flood.game(opened[0].id).await.game.stage, AWAITING_OPENING);
    flood.move_to(last(flood.game(opened[0].id).await));
    for game in &opened {
        flood.point(&claim, game, game.index).await;
    }
    flood.until_answered(&opened).await;
    flood.move_to(last(flood.game(opened[0].id).await));
    for game in &opened {
        flood.point(&claim, game, game.index % 7).await;
    }
    flood.until_answered(&opened).await;

    // A step that is true can't be proved false, so the challengers are late; and the provider is
    // paid.
    let mut end = 0;
    for game in &opened {
        end = end.max(last(flood.game(game.id).await));
    }
    flood.move_to(end + 1);
    flood
        .until("payment", async || {
            flood.time.advance(Duration::from_millis(50));
            flood.status(claim.id).await == JobStatus::Paid as u8
        })
        .await;
    let mut bonds = 0;
    for game in &opened {
        let game = flood.game(game.id).await.game;
        assert_eq!(game.stage, LOST, "an honest claimant lost a game");
        bonds += game.bond.to::<u128>();
    }
    flood
        .until("the lost bonds", async || {
            flood.time.advance(Duration::from_millis(50));
            let mut left = false;
            for game in &opened {
                left |= !flood.game(game.id).await.game.collected;
            }
            !left
        })
        .await;

    let lost = before.0 - flood.attackers_wealth().await;
    let price = DOLLAR;
    let earned = flood.wealth(claim.claimant).await - before.1 - price;
    let spent = gas_of(&flood, &claim).await;
    println!(
        "{count} games: attackers lost {lost}, the claimant was paid {earned} and spent {spent} \
         (millionths of a dollar)"
    );
    assert_eq!(lost, bonds, "every bond is lost");
    assert!(earned > spent, "defending cost the claimant {spent}, and it was paid {earned}");
    assert!(lost >= 2 * earned.max(spent), "attackers lost {lost}, the claimant spent {spent}");
    flood.market.close().await.expect("closed");
}

/// What the claimant's gas since its claim would cost at the base fee that chunk fees are made for:
/// 20,000,000 wei, with ether at 3,400 dollars; in millionths of a dollar.
async fn gas_of(flood: &Flood, claim: &Claim) -> u128 {
    let provider = flood.market.requester().contracts().client().provider();
    let head = provider.get_block_number().await.expect("a head");
    let mut gas = 0;
    for number in claim.block + 1..=head {
        let block = provider.get_block_receipts(number.into()).await.expect("read");
        let own = block.into_iter().flatten().filter(|receipt| receipt.from == claim.claimant);
        gas += own.map(|receipt| u128::from(receipt.gas_used)).sum::<u128>();
    }
    gas * 20_000_000 * 3_400 / 1_000_000_000_000
}
