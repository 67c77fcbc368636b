//! Jobs whose receipts can be made without a chain: blocks of our own, with true headers, tries and signatures.

#![allow(dead_code, reason = "each test file uses its share")]

use std::collections::BTreeMap;

use alloy_consensus::{Eip658Value, Header, Receipt as ConsensusReceipt, ReceiptEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::aliases::{U40, U96};
use alloy_primitives::{Address, B256, Bytes, Log, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolEvent;
use assay_api::SignedOrder;
use assay_chain::contracts::{Market, job_id_on};
use assay_chain::{Deployment, EventProof, prove_receipt};
use assay_provenance::{
    Binding, BlockRef, Claimed, Envelope, Judgement, Locked, MarketId, Ordered, Receipt,
    ReceiptLog, RoleKey, Said, Settled, TRUST_SCHEMA, Trust, TrustedLog, Verdict, binding_text,
    run_statement,
};
use assay_tlog::{AddCheckpoint, KeyKind, Log as PublicLog, NoteKey, Policy, Reader, Witness};

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
    log_key: NoteKey,
    witness_key: NoteKey,
    log: PublicLog<std::sync::Arc<Disk>>,
    disk: std::sync::Arc<Disk>,
}

/// What a job came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Paid,
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
        let [requester, provider, auditor] = [0, 1, 2].map(|number| signer(seed, number));
        let output_root = B256::repeat_byte(0x55);
        World { market, output_root, requester, provider, auditor, log_key, witness_key, log, disk }
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust {
            schema: TRUST_SCHEMA.into(),
            market: Some(self.market),
            log: Some(TrustedLog {
                key: self.log_key.vkey().to_string(),
                witnesses: vec![self.witness_key.vkey().to_string()],
                quorum: 1,
            }),
            observers: [self.requester.address()].into(),
            observer_quorum: 1,
            headers: Default::default(),
        }
    }

    pub(crate) fn requester(&self) -> Address {
        self.requester.address()
    }

    /// The key of the requester's statements, and what binds it to the account.
    pub(crate) fn requester_key(&self) -> (RoleKey, Binding) {
        let Said::Binding(binding) = self.binding(&self.requester) else {
            unreachable!("a binding")
        };
        (Self::role(&self.requester), binding)
    }

    fn role(signer: &PrivateKeySigner) -> RoleKey {
        RoleKey::derive(&signer.to_bytes().0)
    }

    fn binding(&self, signer: &PrivateKeySigner) -> Said {
        let (account, key) = (signer.address(), Self::role(signer).public());
        let text = binding_text(&self.market, account, key);
        let signature = signer.sign_message_sync(text.as_bytes()).expect("signed");
        let signature = signature.as_bytes().to_vec().into();
        Said::Binding(Binding { market: self.market, account, key, signature })
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
            compensationBps: 4_000,
            bountyBps: 3_000,
            price,
        }
    }

    fn deployment(&self) -> Deployment {
        Deployment {
            schema: assay_chain::DEPLOYMENT_SCHEMA.into(),
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
        let order = self.order(nonce);
        let market = self.market;
        let job = job_id_on(market.chain_id, market.market, &order);
        let signed = SignedOrder::sign(order.clone(), &self.deployment(), &self.requester);
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
        let claim =
            event_proof(&market, nonce * 10 + 1, 1_800_000_000, claim_event.encode_log_data());
        let end = match ending {
            Ending::Paid => Market::JobPaid {
                jobId: job,
                provider,
                paid: U96::from(900),
                refunded: U96::from(100),
            }
            .encode_log_data(),
            Ending::Slashed | Ending::Missed => Market::JobSlashed {
                jobId: job,
                provider,
                informer: self.auditor.address(),
                status: 7,
                refunded: U96::from(1_000),
                compensation: U96::from(2_000),
                bounty: U96::from(1_500),
                cover: U96::from(1_500),
            }
            .encode_log_data(),
        };
        let settlement = event_proof(&market, nonce * 10 + 2, 1_800_000_061, end);
        let claim = (ending != Ending::Missed).then_some(claim);
        let log = self.say(job, &order, ending, claim.as_ref(), &settlement);
        Receipt::new(market, job, signed, claim, settlement, Some(log))
    }

    fn say(
        &mut self,
        job: B256,
        order: &Market::Order,
        ending: Ending,
        claim: Option<&EventProof>,
        settlement: &EventProof,
    ) -> ReceiptLog {
        let market = self.market;
        let block = |proof: &EventProof| {
            let proved = proof.check().expect("proved");
            BlockRef { number: proved.block_number, hash: proved.block_hash }
        };
        let ordered = Said::Ordered(Ordered::of(market, job, order));
        let locked = Said::Locked(Locked {
            job,
            after: vec![ordered.digest()],
            provider: self.provider.address(),
            price: "1000".into(),
            deadline: 1_800_000_060,
            late: false,
            block: BlockRef { number: 7, hash: B256::repeat_byte(7) },
        });
        let mut said = vec![
            (self.binding(&self.requester), &self.requester),
            (self.binding(&self.provider), &self.provider),
            (self.binding(&self.auditor), &self.auditor),
            (ordered.clone(), &self.requester),
            (locked.clone(), &self.provider),
        ];
        let mut last = ordered.digest();
        if let Some(proof) = claim {
            let event = assay_provenance::claim_of(proof).expect("a claim");
            let claimed = Claimed {
                job,
                after: vec![locked.digest()],
                provider: event.provider,
                final_state: event.finalState,
                trace_root: event.traceRoot,
                output_root: event.outputRoot,
                steps: event.steps,
                status: event.status,
                exit_code: event.exitCode,
                block: block(proof),
            };
            let facts = BTreeMap::from([("engine".to_owned(), "interpreter".to_owned())]);
            let run = run_statement(order, &claimed, locked.digest(), facts);
            let trace_root = claimed.trace_root;
            let claimed = Said::Claimed(claimed);
            last = claimed.digest();
            said.push((Said::Ran(Box::new(run)), &self.provider));
            said.push((claimed, &self.provider));
            let verdict = Verdict {
                job,
                after: vec![last],
                auditor: self.auditor.address(),
                trace_root,
                verdict: match ending {
                    Ending::Paid => Judgement::Agrees,
                    Ending::Slashed | Ending::Missed => Judgement::Disagrees,
                },
            };
            said.push((Said::Judged(verdict), &self.auditor));
        }
        let settled = Settled {
            job,
            after: vec![last],
            observer: self.requester.address(),
            event: if ending == Ending::Paid { "JobPaid" } else { "JobSlashed" }.into(),
            claim_block: claim.map(block),
            block: block(settlement),
        };
        said.push((Said::Settled(settled), &self.requester));
        let envelopes: Vec<_> = said
            .iter()
            .map(|(said, signer)| Envelope::sign(&said.to_payload(), &Self::role(signer)))
            .collect();
        let entries: Vec<_> = envelopes.iter().map(Envelope::to_bytes).collect();
        let added = self.log.add(&entries).expect("added");
        let note = self.log.checkpoint().expect("there is one").to_vec();
        let policy = Policy::of_log(self.log_key.vkey().clone()).expect("a policy");
        let tree = policy.open(&note).expect("signed").checkpoint;
        let reader = Reader::new(&self.disk, &tree);
        let logged = added.iter().zip(envelopes).map(|(added, envelope)| {
            (added.index, reader.prove_inclusion(added.index).expect("proved"), envelope)
        });
        let mut logged: Vec<_> = logged.collect();
        logged.sort_by_key(|(index, ..)| *index);
        let logs = vec![self.log_key.vkey().clone()];
        let witness = Witness::new(Disk::new(), self.witness_key.clone(), logs).expect("a witness");
        let request =
            AddCheckpoint { old_size: 0, consistency: Vec::new(), checkpoint: note.clone() };
        let line = witness.add_checkpoint(&request.to_bytes(), 1_800_000_100).expect("cosigned");
        let checkpoint = String::from_utf8([note, line].concat()).expect("text");
        ReceiptLog::new(checkpoint, logged)
    }
}

/// A block in which the second of three transactions says something as its second event.
fn event_proof(
    market: &MarketId,
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
                logs.push(log(market.market, data.clone()));
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
