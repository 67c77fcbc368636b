//! Jobs whose receipts can be made without a chain: blocks of our own, with true headers, tries and
//! signatures.

#![allow(dead_code, reason = "each test file uses its share")]

use std::collections::BTreeMap;

use alloy_consensus::{Eip658Value, Header, Receipt as ConsensusReceipt, ReceiptEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::aliases::{U40, U96};
use alloy_primitives::{Address, B256, Bytes, Log, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolEvent;
use assay_contracts::{Anchors, Market, job_id_on};
use assay_contracts::{Deployment, EventProof, prove_receipt};
use assay_market::{Account, SealedSlot, Terms};
use assay_protocol::SignedOrder;
use assay_receipt::{
    Binding, BlockRef, Claimed, Envelope, Judgement, Locked, LoggedStatement, MarketId, Move,
    Moved, Operator, Ordered, Receipt, ReceiptAnchor, ReceiptLog, RoleKey, Settled, Statement,
    TRUST_SCHEMA, Trust, TrustedLog, Verdict, binding_text, operator_text, run_statement,
};
use assay_tlog::{
    AddCheckpoint, Checkpoint, KeyKind, Log as PublicLog, NoteKey, Policy, Reader, Witness,
};
use assay_types::{Hash, sha256};

pub(crate) use tlog::Disk;

#[path = "../../../tlog/tests/common/mod.rs"]
mod tlog;

/// A market with its roles, its log and its witness, all from one seed.
pub(crate) struct World {
    pub(crate) market: MarketId,
    /// What its jobs come to.
    pub(crate) output_root: B256,
    requester: PrivateKeySigner,
    provider: PrivateKeySigner,
    auditor: PrivateKeySigner,
    operator: PrivateKeySigner,
    anchors: Address,
    log_secret: [u8; 32],
    log_key: NoteKey,
    witness_key: NoteKey,
    log: PublicLog<std::sync::Arc<Disk>>,
    disk: std::sync::Arc<Disk>,
    /// What is not as it should be with the receipts from now on.
    pub(crate) twist: Option<Twist>,
}

/// One thing about a receipt that is otherwise sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twist {
    /// The settlement statement is of a market of the same chain id and address with another first
    /// block.
    SettledElsewhere,
    /// The verdict is the provider's own.
    JudgedByProvider,
    /// The inputs are sealed, and the keys were for another auditor.
    SealedForOthers,
    /// The inputs are sealed, and the keys were for the auditor.
    SealedForAuditor,
    /// Another may still deliver.
    StillOpen,
    /// The claim is in a later block than the end.
    ClaimedAfterwards,
    /// The lock's statement says that more was in escrow than the order allows.
    LockedForMore,
    /// The run's statement has the claim's trace, and another output.
    RanToAnother,
    /// The run's statement is about another program.
    RanAnother,
    /// The verdict follows the lock, and so is about no claim.
    JudgedTheLock,
    /// The stake of another than the claimant was slashed for the claim.
    FellOfAnother,
}

/// What a job came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Paid,
    /// Missed by one and delivered by another.
    Late,
    Slashed,
    Missed,
}

fn signer(seed: u8, number: u8) -> PrivateKeySigner {
    let mut secret = [seed; 32];
    secret[0] = number + 1;
    PrivateKeySigner::from_bytes(&B256::from(secret)).expect("a key")
}

impl World {
    pub(crate) fn new(seed: u8) -> Self {
        let disk = Disk::new();
        let name = format!("log-{seed}.example");
        let log_key = NoteKey::new(&name, KeyKind::Log, &[seed; 32]).expect("a key");
        let secret = [seed.wrapping_add(100); 32];
        let witness_key =
            NoteKey::new("witness.example", KeyKind::Witness, &secret).expect("a key");
        let log = PublicLog::open(disk.clone(), log_key.clone()).expect("begun");
        let market = MarketId {
            chain_id: 31_337 + u64::from(seed),
            genesis_hash: B256::repeat_byte(seed),
            market: Address::repeat_byte(seed),
        };
        let [requester, provider, auditor, operator] =
            [0, 1, 2, 3].map(|number| signer(seed, number));
        let (anchors, log_secret) = (Address::repeat_byte(seed.wrapping_add(50)), [seed; 32]);
        World {
            market,
            output_root: B256::repeat_byte(0x55),
            requester,
            provider,
            auditor,
            operator,
            anchors,
            log_secret,
            log_key,
            witness_key,
            log,
            disk,
            twist: None,
        }
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust {
            schema: TRUST_SCHEMA.into(),
            market: Some(self.market),
            log: Some(TrustedLog {
                key: self.log_key.vkey().to_string(),
                witnesses: vec![self.witness_key.vkey().to_string()],
                quorum: 1,
                operator: Some(self.operator.address()),
            }),
            observers: [self.requester.address()].into(),
            observer_quorum: 1,
            headers: Default::default(),
            verifiers: [1].into(),
        }
    }

    pub(crate) fn data_owner(&self) -> Address {
        Address::repeat_byte(0xdd)
    }

    /// Every entry of the log, in order.
    pub(crate) fn entries(&mut self) -> Vec<Vec<u8>> {
        let tree = self.tree();
        let reader = Reader::new(&self.disk, &tree);
        (0..tree.size).map(|index| reader.entry(index).expect("there")).collect()
    }

    pub(crate) fn requester(&self) -> Address {
        self.requester.address()
    }

    /// The key of the requester's statements, and what binds it to the account.
    pub(crate) fn requester_key(&self) -> (RoleKey, Binding) {
        let Statement::Binding(binding) = self.binding(&self.requester) else {
            unreachable!("a binding")
        };
        (Self::role(&self.requester), binding)
    }

    /// What is agreed besides.
    fn terms(&self) -> Option<assay_protocol::JsonObject> {
        let auditor = match self.twist? {
            Twist::SealedForAuditor => self.auditor.address(),
            Twist::SealedForOthers => Address::repeat_byte(0xaa),
            _ => return None,
        };
        let slot = SealedSlot {
            envelope: Hash([1; 32]),
            bytes: 1_000,
            owner: Account(self.requester.address().into_array()),
            policy: None,
            purpose: None,
        };
        let auditors = vec![Account(auditor.into_array())];
        let terms = Terms { input: Some(slot), auditors, ..Terms::open() };
        Some(terms.to_text().parse().expect("an object"))
    }

    /// Somebody who has seen what noisy jobs came to, and said so last.
    pub(crate) fn observer() -> PrivateKeySigner {
        signer(0, 99)
    }

    fn role(signer: &PrivateKeySigner) -> RoleKey {
        RoleKey::derive(&signer.to_bytes().0)
    }

    fn binding(&self, signer: &PrivateKeySigner) -> Statement {
        let (account, key) = (signer.address(), Self::role(signer).public());
        let text = binding_text(&self.market, account, key);
        let signature = signer.sign_message_sync(text.as_bytes()).expect("signed");
        let signature = signature.as_bytes().to_vec().into();
        Statement::Binding(Binding { market: self.market, account, key, signature })
    }

    fn order(&self, nonce: u64) -> Market::Order {
        let price = Market::Price {
            min: U96::from(10),
            max: U96::from(1_000),
            base: U96::ZERO,
            mebistep: U96::ZERO,
            rampStartAt: U40::ZERO,
            rampSecs: 0,
        };
        Market::Order {
            requester: self.requester.address(),
            provider: Address::ZERO,
            beneficiary: self.requester.address(),
            programId: B256::repeat_byte(0x11),
            inputRoot: B256::repeat_byte(0x22),
            datasetRoot: B256::repeat_byte(0x33),
            termsHash: B256::ZERO,
            nonce: U256::from(nonce),
            stepLimit: 1 << 20,
            verifierId: 1,
            lockDeadline: U40::from(2_000_000_000u64),
            beginSecs: 0,
            runSecs: 60,
            windowSecs: 60,
            stake: U96::from(5_000),
            lapseFee: U96::ZERO,
            chunkFee: U96::ZERO,
            dataOwner: self.data_owner(),
            dataFee: U96::from(70),
            compensationBps: 4_000,
            bountyBps: 3_000,
            price,
        }
    }

    fn deployment(&self) -> Deployment {
        Deployment {
            schema: assay_contracts::DEPLOYMENT_SCHEMA.into(),
            chain_id: self.market.chain_id,
            genesis_hash: self.market.genesis_hash,
            from_block: 0,
            token: Address::ZERO,
            market: self.market.market,
            stakes: Address::ZERO,
            verifiers: Address::ZERO,
            disputes: Address::ZERO,
            step: Address::ZERO,
            anchors: Address::ZERO,
            fraud_proofs: 1,
        }
    }

    /// A job's receipt, with everything said that roles say.
    pub(crate) fn job(&mut self, nonce: u64, ending: Ending) -> Receipt {
        self.receipt(nonce, ending, 0)
    }

    /// A paid job's, about which strangers say something too: half of them with keys that nobody
    /// bound.
    pub(crate) fn job_with_noise(&mut self, nonce: u64, strangers: u8) -> Receipt {
        self.receipt(nonce, Ending::Paid, strangers)
    }

    fn receipt(&mut self, nonce: u64, ending: Ending, strangers: u8) -> Receipt {
        let mut order = self.order(nonce);
        let market = self.market;
        let terms = self.terms();
        order.termsHash = SignedOrder::terms_hash(terms.as_ref());
        let job = job_id_on(market.chain_id, market.market, &order);
        let signed =
            SignedOrder::sign_with(order.clone(), terms, &self.deployment(), &self.requester);
        let signed = signed.expect("signed");
        let provider = self.provider.address();
        let claim_event = Market::JobClaimed {
            jobId: job,
            provider,
            finalState: B256::repeat_byte(0x44),
            outputRoot: self.output_root,
            traceRoot: B256::repeat_byte(0x66),
            steps: 12_345,
            status: 1,
            exitCode: 0,
        };
        let claim = event_proof(
            market.market,
            nonce * 10 + if self.twist == Some(Twist::ClaimedAfterwards) { 3 } else { 1 },
            1_800_000_000,
            claim_event.encode_log_data(),
        );
        let end = match ending {
            Ending::Paid => self.paid(job, [900, 100, 70]),
            Ending::Late => self.paid(job, [1_500, 0, 0]),
            Ending::Slashed | Ending::Missed => Market::JobSlashed {
                jobId: job,
                provider: match self.twist {
                    Some(Twist::FellOfAnother) => self.auditor.address(),
                    _ => provider,
                },
                informer: self.auditor.address(),
                // Refuted, or Missed, or not yet.
                status: match (ending, self.twist) {
                    (Ending::Slashed, _) => 7,
                    (_, Some(Twist::StillOpen)) => 5,
                    _ => 9,
                },
                refunded: U96::from(1_070),
                compensation: U96::from(2_000),
                bounty: U96::from(1_500),
                cover: U96::from(1_500),
            }
            .encode_log_data(),
        };
        let settlement = event_proof(market.market, nonce * 10 + 2, 1_800_000_061, end);
        let claim = (ending != Ending::Missed).then_some(claim);
        let log = self.say(job, &order, ending, claim.as_ref(), &settlement, strangers);
        Receipt::new(market, job, signed, claim, settlement, Some(log))
    }

    /// What the provider, the requester and the data owner get.
    fn paid(&self, job: B256, amounts: [u64; 3]) -> alloy_primitives::LogData {
        let [paid, refunded, data_fee] = amounts.map(U96::from);
        let provider = self.provider.address();
        Market::JobPaid { jobId: job, provider, paid, refunded, dataFee: data_fee }
            .encode_log_data()
    }

    /// The receipt of a paid job whose event says other amounts, with everything else as it should
    /// be.
    pub(crate) fn job_paying(&mut self, nonce: u64, amounts: [u64; 3]) -> Receipt {
        let receipt = self.job(nonce, Ending::Paid);
        let event = self.paid(receipt.job, amounts);
        let settlement = event_proof(self.market.market, nonce * 10 + 2, 1_800_000_061, event);
        let (order, claim) = (receipt.order.clone(), receipt.claim.clone());
        let paid = Ending::Paid;
        let log = self.say(receipt.job, &order.order, paid, claim.as_ref(), &settlement, 0);
        Receipt::new(self.market, receipt.job, order, claim, settlement, Some(log))
    }

    fn say(
        &mut self,
        job: B256,
        order: &Market::Order,
        ending: Ending,
        claim: Option<&EventProof>,
        settlement: &EventProof,
        strangers: u8,
    ) -> ReceiptLog {
        let market = self.market;
        let block = |proof: &EventProof| {
            let proved = proof.check().expect("proved");
            BlockRef { number: proved.block_number, hash: proved.block_hash }
        };
        let ordered = Statement::Ordered(Ordered::of(market, job, order));
        let locked = Statement::Locked(Locked {
            job,
            after: vec![ordered.digest()],
            provider: self.provider.address(),
            price: if self.twist == Some(Twist::LockedForMore) { "1001" } else { "1000" }.into(),
            deadline: 1_800_000_060,
            late: ending == Ending::Late,
            block: BlockRef { number: 7, hash: B256::repeat_byte(7) },
        });
        let mut said = vec![
            (self.binding(&self.requester), &self.requester),
            (self.binding(&self.provider), &self.provider),
            (self.binding(&self.auditor), &self.auditor),
            (ordered.clone(), &self.requester),
            (locked.clone(), &self.provider),
        ];
        let (mut last, mut after) = (ordered.digest(), Vec::new());
        if let Some(proof) = claim {
            let event = assay_receipt::claim_of(proof).expect("a claim");
            let claimed = Claimed {
                job,
                after: vec![locked.digest()],
                provider: event.provider,
                final_state: event.final_state,
                trace_root: event.trace_root,
                output_root: event.output_root,
                steps: event.steps,
                status: event.status,
                exit_code: event.exit_code,
                block: block(proof),
            };
            let facts = BTreeMap::from([("engine".to_owned(), "interpreter".to_owned())]);
            let of_another = |mut order: Market::Order| {
                order.programId = B256::repeat_byte(0xdd);
                order
            };
            let run = match self.twist {
                Some(Twist::RanToAnother) => {
                    let another = Claimed { output_root: B256::repeat_byte(9), ..claimed.clone() };
                    run_statement(order, &another, locked.digest(), facts)
                }
                Some(Twist::RanAnother) => {
                    run_statement(&of_another(order.clone()), &claimed, locked.digest(), facts)
                }
                _ => run_statement(order, &claimed, locked.digest(), facts),
            };
            let trace_root = claimed.trace_root;
            let claimed = Statement::Claimed(claimed);
            last = claimed.digest();
            said.push((Statement::Ran(Box::new(run)), &self.provider));
            said.push((claimed, &self.provider));
            let judge = match self.twist {
                Some(Twist::JudgedByProvider) => &self.provider,
                _ => &self.auditor,
            };
            let verdict = Verdict {
                job,
                after: match self.twist {
                    Some(Twist::JudgedTheLock) => vec![locked.digest()],
                    _ => vec![last],
                },
                auditor: judge.address(),
                trace_root,
                verdict: match ending {
                    Ending::Paid | Ending::Late => Judgement::Agrees,
                    Ending::Slashed | Ending::Missed => Judgement::Disagrees,
                },
            };
            let verdict = Statement::Judged(verdict);
            after.push(last);
            if ending == Ending::Slashed {
                for moved in self.dispute(job, last, verdict.digest()) {
                    after = vec![last, moved.0.digest()];
                    said.push(moved);
                }
            }
            said.push((verdict, judge));
        } else {
            after.push(last);
        }
        let mut envelopes: Vec<_> = said
            .iter()
            .map(|(said, signer)| Envelope::sign(&said.to_payload(), &Self::role(signer)))
            .collect();
        let trace_root = B256::repeat_byte(0x66);
        for number in 0..strangers {
            let stranger = signer(number, 77);
            let verdict = Statement::Judged(Verdict {
                job,
                after: vec![ordered.digest()],
                auditor: stranger.address(),
                trace_root,
                verdict: Judgement::Disagrees,
            });
            let said = [Some(self.binding(&stranger)).filter(|_| number % 2 == 0), Some(verdict)];
            let said = said.iter().flatten();
            envelopes.extend(
                said.map(|said| Envelope::sign(&said.to_payload(), &Self::role(&stranger))),
            );
        }
        // What is anchored has the bindings and the order; who anchors is said before.
        let is_anchored = ending != Ending::Missed;
        let mut added = Vec::new();
        let mut anchor = None;
        if is_anchored {
            let operator = self.operator_statement();
            let key = RoleKey::of_log(&self.log_secret);
            envelopes.insert(3, Envelope::sign(&operator.to_payload(), &key));
            added.extend(self.add(&envelopes[..5]));
            let tree = self.tree();
            let anchored = self.anchored(job, &tree);
            anchor = Some((anchored, tree));
        }
        let settled = Settled {
            market: match self.twist {
                Some(Twist::SettledElsewhere) => {
                    MarketId { genesis_hash: B256::repeat_byte(0xee), ..self.market }
                }
                _ => self.market,
            },
            job,
            after,
            observer: self.requester.address(),
            event: match ending {
                Ending::Paid | Ending::Late => "JobPaid",
                Ending::Slashed | Ending::Missed => "JobSlashed",
            }
            .into(),
            paid: Market::JobPaid::decode_log(&settlement.check().expect("proved").log)
                .ok()
                .map(|event| event.data.paid.to_string()),
            time: settlement.check().expect("proved").timestamp,
            claim_block: claim.map(block),
            block: block(settlement),
            anchor_block: anchor.as_ref().map(|(event, _)| block(event)),
        };
        let payload = Statement::Settled(settled.clone()).to_payload();
        envelopes.push(Envelope::sign(&payload, &Self::role(&self.requester)));
        if strangers > 0 {
            let observer = Self::observer();
            let settled = Statement::Settled(Settled { observer: observer.address(), ..settled });
            let said = [self.binding(&observer), settled];
            let signed =
                |said: &Statement| Envelope::sign(&said.to_payload(), &Self::role(&observer));
            envelopes.extend(said.iter().map(signed));
        }
        added.extend(self.add(&envelopes[added.len()..]));
        let (note, tree) = (self.note(), self.tree());
        let reader = Reader::new(&self.disk, &tree);
        let statements = added.iter().zip(envelopes).map(|(index, envelope)| {
            let path = reader.prove_inclusion(*index).expect("proved");
            LoggedStatement { index: *index, path, envelope }
        });
        let mut statements: Vec<_> = statements.collect();
        statements.sort_by_key(|one| one.index);
        let anchor = anchor.map(|(event, tree)| {
            let consistency = reader.prove_consistency(tree.size).expect("proved");
            ReceiptAnchor { event, size: tree.size, consistency }
        });
        let logs = vec![self.log_key.vkey().clone()];
        let witness = Witness::new(Disk::new(), self.witness_key.clone(), logs).expect("a witness");
        let request =
            AddCheckpoint { old_size: 0, consistency: Vec::new(), checkpoint: note.clone() };
        let line = witness.add_checkpoint(&request.to_bytes(), 1_800_000_100).expect("cosigned");
        let checkpoint = String::from_utf8([note, line].concat()).expect("text");
        ReceiptLog { checkpoint, statements, anchor }
    }

    /// A short dispute, which the auditor wins.
    fn dispute(
        &self,
        job: B256,
        claim: Hash,
        verdict: Hash,
    ) -> Vec<(Statement, &PrivateKeySigner)> {
        let (auditor, provider) = (&self.auditor, &self.provider);
        let (game, level, position) = (7, 0, 5);
        let hash = B256::repeat_byte;
        let moves = [
            (auditor, Move::Commit { game, commitment: hash(1) }),
            (auditor, Move::Demand { game, level, depth: 0, index: 0, node: hash(2) }),
            (provider, Move::Reveal { node: hash(2) }),
            (auditor, Move::Point { game, level, position, start: hash(3), leaf: hash(4) }),
            (provider, Move::Answer { level: 1, position, root: hash(5) }),
            (auditor, Move::Step { game, claimed: hash(6), actual: hash(7) }),
            (auditor, Move::End { game, outcome: 5 }),
        ];
        let mut after = vec![claim, verdict];
        let said = (20_000..).zip(moves).map(|(number, (signer, made))| {
            let block = BlockRef { number, hash: B256::repeat_byte(number as u8) };
            let after = std::mem::take(&mut after);
            (Moved { job, after, account: signer.address(), made, block }, signer)
        });
        let mut said: Vec<_> = said.collect();
        for k in 1..said.len() {
            said[k].0.after = vec![Statement::Moved(said[k - 1].0.clone()).digest()];
        }
        said.into_iter().map(|(moved, signer)| (Statement::Moved(moved), signer)).collect()
    }

    fn operator_statement(&self) -> Statement {
        let (market, account, anchors) = (self.market, self.operator.address(), self.anchors);
        let origin = self.log_key.vkey().name().to_owned();
        let key = Hash(self.log_key.vkey().bytes());
        let text = operator_text(&market, account, anchors, &origin, key);
        let signature = self.operator.sign_message_sync(text.as_bytes()).expect("signed");
        let signature = signature.as_bytes().to_vec().into();
        Statement::Operated(Operator { market, account, anchors, origin, key, signature })
    }

    fn anchored(&self, job: B256, tree: &Checkpoint) -> EventProof {
        let event = Anchors::CheckpointAnchored {
            originHash: B256::from(sha256(tree.origin.as_bytes()).0),
            operator: self.operator.address(),
            size: tree.size,
            root: B256::from(tree.root.0),
        };
        let number = u64::from(job[0]) + 100;
        event_proof(self.anchors, number, 1_799_999_000, event.encode_log_data())
    }

    fn add(&mut self, envelopes: &[Envelope]) -> Vec<u64> {
        let entries: Vec<_> = envelopes.iter().map(Envelope::to_bytes).collect();
        let added = self.log.add(&entries).expect("added");
        added.into_iter().map(|added| added.index).collect()
    }

    fn note(&mut self) -> Vec<u8> {
        self.log.checkpoint().expect("there is one").to_vec()
    }

    fn tree(&mut self) -> Checkpoint {
        let policy = Policy::of_log(self.log_key.vkey().clone()).expect("a policy");
        policy.open(&self.note()).expect("signed").checkpoint
    }
}

/// A block in which the second of three transactions says something as its second event.
fn event_proof(
    contract: Address,
    number: u64,
    time: u64,
    data: alloy_primitives::LogData,
) -> EventProof {
    let log = |address, data| Log { address, data };
    let other = alloy_primitives::LogData::new_unchecked(vec![B256::ZERO], Bytes::new());
    let receipts: Vec<Vec<u8>> = (0..3u64)
        .map(|place| {
            let mut logs = vec![log(Address::ZERO, other.clone())];
            if place == 1 {
                logs.push(log(contract, data.clone()));
            }
            let status = Eip658Value::Eip658(true);
            let receipt =
                ConsensusReceipt { status, cumulative_gas_used: 21_000 * (place + 1), logs };
            ReceiptEnvelope::Eip1559(receipt.with_bloom()).encoded_2718()
        })
        .collect();
    let (receipts_root, nodes) = prove_receipt(&receipts, 1);
    let header = Header { number, timestamp: time, receipts_root, ..Header::default() };
    EventProof { header: alloy_rlp::encode(&header).into(), transaction_index: 1, nodes, log: 1 }
}
