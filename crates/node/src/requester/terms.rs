//! What is asked for, whether the owner of its data would allow it, and the order that it becomes.

use std::collections::BTreeSet;

use alloy_primitives::aliases::U40;
use alloy_primitives::{Address, B256, U256};
use assay_contracts::Market;
use assay_machine::Program;
use assay_market::{Account, JobId, PriceTerms, Repricing};
use assay_policy::{Document, Grant, Policy, Publication, ReleaseRequest, Revocation, Rules, Word};
use assay_protocol::SignedOrder;
use assay_types::{Hash, sha256};

use crate::base::ids::account;
use crate::base::ids::b256;
use crate::chain::contracts::amount;
use crate::chain::price::price;
use crate::requester::publish::Reads;
use crate::requester::{JobRecord, Requester};
use crate::{Error, Result};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct JobTerms {
    /// The program's ELF.
    pub program: Vec<u8>,
    /// The input's bytes; `None` for an empty slot.
    pub input: Option<Vec<u8>>,
    /// The job whose result the input is, if it is to be said.
    pub input_of: Option<B256>,
    /// The dataset.
    pub dataset: DatasetTerms,
    /// How what the requester brings is sealed; `None` publishes it, and the output.
    pub sealing: Option<Sealing>,
    /// The least reputation of a provider, in basis points.
    pub reputation_min: Option<u16>,
    /// The most steps, 1 to 2^45.
    pub step_limit: u64,
    /// What it pays the provider.
    pub price: PriceTerms,
    /// Whose data it reads, and what that earns if the job is paid, in the token's smallest unit;
    /// `None` for nobody's, and for what a dataset's publication says.
    pub data_fee: Option<(Address, u128)>,
    /// What the provider puts at stake, in the token's smallest unit.
    pub stake: u128,
    /// The only provider that may lock it.
    pub provider: Option<Address>,
    /// How long it can be locked, in seconds.
    pub lock_secs: u64,
    /// How long a run may take, in seconds.
    pub run_secs: u32,
    /// How long a claim may be challenged, in seconds; `None` for the shortest that the verifier
    /// admits.
    pub window_secs: Option<u32>,
    /// How far the price may rise while nobody takes the order.
    pub repricing: Option<Repricing>,
}

/// Where a job's dataset is from.
#[derive(Clone, Debug)]
pub enum DatasetTerms {
    /// There is none: an empty slot.
    None,
    /// The requester brings it, and it is sealed or public as the input is.
    Own(Vec<u8>),
    /// Another owner publishes it under seal.
    Of(Box<DatasetUse>),
}

/// The use of a dataset that is published under seal.
#[derive(Clone, Debug)]
pub struct DatasetUse {
    /// What its owner publishes of it.
    pub publication: Publication,
    /// Its policy, which the order is held to before it is signed; `None` leaves that to the
    /// key service, whose refusal costs the lapse fee.
    pub policy: Option<Document<Policy>>,
    /// For what it is to be used.
    pub purpose: String,
}

/// Who may open what a job reads and writes.
#[derive(Clone, Debug, Default)]
pub struct Sealing {
    /// Who gets the keys besides the provider, to check the claim.
    pub auditors: BTreeSet<Address>,
    /// Who may read the result; the requester itself if it names nobody.
    pub beneficiary: Option<Address>,
    /// How long the provider is left from its lock until it has opened the inputs, in seconds.
    pub begin_secs: u32,
}

/// The longest window (spec/contracts.md#limits), in seconds.
const WINDOW_SECS_MAX: u64 = 30 * 86_400;

/// What each side pays for a lapse, in basis points of the lesser of the least price and the stake.
const LAPSE_FEE_BPS: u128 = 100;

impl Requester {
    /// Refuses what the key service of the dataset would refuse, as far as it shows: a key that
    /// never comes costs both sides the lapse fee.
    pub(super) async fn check_policy(&self, program: &Program, terms: &JobTerms) -> Result<()> {
        let (DatasetTerms::Of(of), Some(sealing)) = (&terms.dataset, &terms.sealing) else {
            return Ok(());
        };
        let DatasetUse { publication, policy: Some(policy), purpose } = &**of else {
            return Ok(());
        };
        let (requester, dataset) = (account(self.contracts.account()), publication.dataset());
        let owner = Address::from(publication.owner.0);
        let published = Document::new(publication.clone());
        let published = published.map_err(Error::DocumentInvalid)?;
        let mut rules = Rules::new(published, policy.clone())?;
        let ours = |of: Account, name: &Word| of == dataset.owner && *name == dataset.name;
        for revocation in self.board.documents::<Revocation>(owner, "revocation").await? {
            if ours(revocation.body().owner, &revocation.body().name) {
                rules.revoke(&revocation)?;
            }
        }
        let mut grants = self.board.documents::<Grant>(owner, "grant").await?;
        grants.retain(|grant| ours(grant.body().owner, &grant.body().name));
        rules.grant_all(grants)?;
        let reasons = rules.foresee(&ReleaseRequest {
            // Of the job nothing is known yet, and no clause asks.
            job: JobId(Default::default()),
            requester,
            provider: account(terms.provider.unwrap_or_default()),
            beneficiary: sealing.beneficiary.map_or(requester, account),
            auditors: sealing.auditors.iter().map(|auditor| account(*auditor)).collect(),
            program: program.id(),
            dataset: publication.root,
            data_owner: Some(publication.owner),
            data_fee: publication.fee,
            input_sealed: true,
            output_sealed: true,
            step_limit: terms.step_limit,
            verifier: self.contracts.deployment.fraud_proofs,
            window_secs: terms.window_secs.unwrap_or_default(),
            stake: terms.stake,
            purpose: purpose.parse().ok(),
            measurement: None,
            now: self.contracts.now(),
        });
        if reasons.is_empty() { Ok(()) } else { Err(Error::Policy { dataset, reasons }) }
    }

    pub(super) async fn sign(
        &self,
        key: Hash,
        program: &Program,
        reads: Reads,
        terms: &JobTerms,
    ) -> Result<JobRecord> {
        let requester = self.contracts.account();
        let sealing = terms.sealing.as_ref();
        let nonce = self.contracts.env().random::<32>()?;
        let verifier = self.contracts.deployment.fraud_proofs;
        // The longest that a claim of this order could have must be one that it can have.
        let most_secs =
            self.contracts.window_secs_min(verifier, terms.step_limit, terms.run_secs)?;
        if most_secs > WINDOW_SECS_MAX {
            return Err(Error::WindowLarge { window_secs: most_secs });
        }
        let window_secs = match terms.window_secs {
            Some(secs) => secs,
            // What even the shortest claim has.
            None => {
                let secs = self.contracts.window_secs_min(verifier, 0, terms.run_secs)?;
                u32::try_from(secs).map_err(|_| Error::WindowLarge { window_secs: secs })?
            }
        };
        let (data_owner, data_fee) = match &terms.dataset {
            DatasetTerms::Of(of) => (of.publication.owner.0.into(), of.publication.fee),
            DatasetTerms::Own(_) | DatasetTerms::None => terms.data_fee.unwrap_or_default(),
        };
        if data_owner.is_zero() && data_fee != 0 {
            return Err(Error::DataOwnerMissing);
        }
        let order = Market::Order {
            requester,
            provider: terms.provider.unwrap_or_default(),
            beneficiary: sealing.and_then(|sealing| sealing.beneficiary).unwrap_or(requester),
            programId: b256(program.id().0),
            inputRoot: b256(reads.input.0),
            datasetRoot: b256(reads.dataset.0),
            termsHash: if reads.agreed.is_open() {
                B256::ZERO
            } else {
                b256(reads.agreed.digest())
            },
            nonce: U256::from_be_bytes(nonce),
            stepLimit: terms.step_limit,
            verifierId: verifier,
            lockDeadline: U40::from(self.contracts.now() + terms.lock_secs),
            beginSecs: sealing.map_or(0, |sealing| sealing.begin_secs),
            runSecs: terms.run_secs,
            windowSecs: window_secs,
            stake: amount(terms.stake)?,
            lapseFee: amount(sealing.map_or(0, |_| lapse_fee(terms)))?,
            chunkFee: amount(self.contracts.chunk_fee_least())?,
            dataOwner: data_owner,
            dataFee: amount(data_fee)?,
            compensationBps: 4_000,
            bountyBps: 3_000,
            price: price(&terms.price)?,
        };
        let job_id = self.contracts.job_id(&order);
        let agreed = (!reads.agreed.is_open()).then(|| reads.agreed.to_text().parse()).transpose();
        let agreed = agreed.map_err(Error::TermsForm)?;
        let (deployment, signer) = (&self.contracts.deployment, self.contracts.signer());
        let signed = SignedOrder::sign_with(order, agreed, deployment, signer)?;
        Ok(JobRecord {
            key,
            job_id,
            signed,
            earlier: Vec::new(),
            posted_at: self.contracts.now(),
            repricing: terms.repricing,
            is_done: false,
        })
    }
}

/// What makes two orders the same, field by field: each with its length before it, so that no two
/// lists of fields are the same bytes.
struct KeyText(Vec<u8>);

impl KeyText {
    fn put(&mut self, field: &[u8]) -> &mut Self {
        self.0.extend((field.len() as u64).to_be_bytes());
        self.0.extend(field);
        self
    }

    fn number(&mut self, number: impl Into<u128>) -> &mut Self {
        self.put(&number.into().to_be_bytes())
    }

    /// A field that need not be there.
    fn maybe(&mut self, field: Option<impl AsRef<[u8]>>) -> &mut Self {
        match field {
            Some(field) => self.number(1u8).put(field.as_ref()),
            None => self.number(0u8),
        }
    }
}

impl Requester {
    /// What makes an order the same as another of this account on this market: all that was asked
    /// for. An unfinished order of the same key is taken up again, so nothing is paid twice. A
    /// price that was not asked for but quoted is left out.
    pub fn key(&self, terms: &JobTerms, is_quoted: bool) -> Hash {
        let mut key = KeyText(Vec::new());
        let deployment = &self.contracts.deployment;
        key.number(deployment.chain_id)
            .put(deployment.genesis_hash.as_slice())
            .put(deployment.market.as_slice())
            .put(self.contracts.account().as_slice());
        terms.put_to(&mut key, is_quoted);
        sha256(&key.0)
    }
}

impl JobTerms {
    fn put_to(&self, key: &mut KeyText, is_quoted: bool) {
        // Every field has its say: one that is new must be put somewhere to compile.
        let JobTerms {
            program,
            input,
            input_of,
            dataset,
            sealing,
            reputation_min,
            step_limit,
            price,
            data_fee,
            stake,
            provider,
            lock_secs,
            run_secs,
            window_secs,
            repricing,
        } = self;
        key.put(&sha256(program).0).maybe(input.as_ref().map(|input| sha256(input).0));
        key.maybe(input_of.map(|job| job.0));
        match dataset {
            DatasetTerms::None => key.number(0u8),
            DatasetTerms::Own(bytes) => key.number(1u8).put(&sha256(bytes).0),
            DatasetTerms::Of(of) => {
                let DatasetUse { publication, policy, purpose } = &**of;
                // The policy is held to the publication that names it, before anything is signed.
                let _ = policy;
                key.number(2u8).put(&publication.root.0.0).put(&publication.envelope_digest.0);
                key.put(&publication.owner.0).put(&publication.policy.0);
                key.number(publication.fee).put(purpose.as_bytes())
            }
        };
        match sealing {
            None => key.number(0u8),
            Some(Sealing { auditors, beneficiary, begin_secs }) => {
                key.number(1u8).number(*begin_secs).number(auditors.len() as u64);
                for auditor in auditors {
                    key.put(auditor.as_slice());
                }
                key.maybe(*beneficiary)
            }
        };
        key.maybe(reputation_min.map(u16::to_be_bytes)).number(*step_limit);
        match is_quoted {
            true => key.number(0u8),
            false => {
                let PriceTerms { min, max, base, per_mebistep, ramp_start_at, ramp_secs } = *price;
                key.number(1u8).number(min).number(max).number(base).number(per_mebistep);
                key.number(ramp_start_at).number(ramp_secs)
            }
        };
        match data_fee {
            None => key.number(0u8),
            Some((owner, fee)) => key.number(1u8).put(owner.as_slice()).number(*fee),
        };
        key.number(*stake).maybe(*provider).number(*lock_secs).number(*run_secs);
        key.maybe(window_secs.map(u32::to_be_bytes));
        match repricing {
            None => key.number(0u8),
            Some(Repricing { raise_bps, every_secs, price_max, times_max }) => {
                key.number(1u8).number(*raise_bps).number(*every_secs);
                key.number(*price_max).number(*times_max)
            }
        };
    }
}

/// Small, and the same for both sides (spec/contracts.md#orders).
fn lapse_fee(terms: &JobTerms) -> u128 {
    // What does not fit an amount is refused with the order.
    terms.price.min.min(terms.stake).saturating_mul(LAPSE_FEE_BPS) / 10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(terms: &JobTerms, is_quoted: bool) -> Vec<u8> {
        let mut key = KeyText(Vec::new());
        terms.put_to(&mut key, is_quoted);
        key.0
    }

    #[test]
    fn orders_are_the_same_only_if_all_that_was_asked_is() {
        let account = Address::repeat_byte(7);
        let sealing = Sealing { auditors: [account].into(), beneficiary: None, begin_secs: 60 };
        let repricing = Repricing { raise_bps: 1, every_secs: 2, price_max: 3, times_max: 4 };
        let terms = JobTerms {
            program: vec![1],
            input: None,
            input_of: None,
            dataset: DatasetTerms::None,
            sealing: Some(sealing.clone()),
            reputation_min: None,
            step_limit: 1,
            price: PriceTerms::fixed(1),
            data_fee: None,
            stake: 1,
            provider: None,
            lock_secs: 1,
            run_secs: 1,
            window_secs: None,
            repricing: Some(repricing),
        };
        let other = |change: fn(&mut JobTerms)| {
            let mut other = terms.clone();
            change(&mut other);
            other
        };
        let sealed = |change: fn(&mut Sealing)| {
            let mut sealing = sealing.clone();
            change(&mut sealing);
            JobTerms { sealing: Some(sealing), ..terms.clone() }
        };
        let raised = |repricing| JobTerms { repricing: Some(repricing), ..terms.clone() };
        let all = [
            terms.clone(),
            other(|terms| terms.program = vec![2]),
            other(|terms| terms.input = Some(vec![])),
            other(|terms| terms.input = Some(vec![1])),
            other(|terms| terms.input_of = Some(B256::ZERO)),
            other(|terms| terms.dataset = DatasetTerms::Own(vec![])),
            other(|terms| terms.sealing = None),
            sealed(|sealing| sealing.auditors = BTreeSet::new()),
            sealed(|sealing| sealing.beneficiary = Some(Address::repeat_byte(7))),
            sealed(|sealing| sealing.begin_secs = 61),
            other(|terms| terms.reputation_min = Some(0)),
            other(|terms| terms.step_limit = 2),
            other(|terms| terms.price = PriceTerms::fixed(2)),
            other(|terms| terms.price.min = 0),
            other(|terms| terms.price.base = 0),
            other(|terms| terms.price.per_mebistep = 1),
            other(|terms| terms.price.ramp_start_at = 1),
            other(|terms| terms.price.ramp_secs = 1),
            other(|terms| terms.data_fee = Some((Address::ZERO, 0))),
            other(|terms| terms.stake = 2),
            other(|terms| terms.provider = Some(Address::ZERO)),
            other(|terms| terms.lock_secs = 2),
            other(|terms| terms.run_secs = 2),
            other(|terms| terms.window_secs = Some(1)),
            other(|terms| terms.repricing = None),
            raised(Repricing { raise_bps: 9, ..repricing }),
            raised(Repricing { every_secs: 9, ..repricing }),
            raised(Repricing { price_max: 9, ..repricing }),
            raised(Repricing { times_max: 9, ..repricing }),
        ];
        let keys: BTreeSet<_> = all.iter().map(|terms| key(terms, false)).collect();
        assert_eq!(keys.len(), all.len(), "two orders that differ are taken for one");
        // What a quote says today is not what was asked for.
        assert_eq!(key(&all[0], true), key(&all[12], true), "an order would be paid twice");
        assert_ne!(key(&all[0], true), key(&all[0], false));
    }
}
