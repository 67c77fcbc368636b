//! What is asked for, whether the owner of its data would allow it, and the order that it becomes.

use std::collections::BTreeSet;

use alloy_primitives::aliases::U40;
use alloy_primitives::{Address, B256, U256};
use assay_contracts::Market;
use assay_machine::Program;
use assay_market::{Account, JobId, PriceTerms, Repricing};
use assay_policy::{Document, Grant, Policy, Publication, ReleaseRequest, Revocation, Rules, Word};
use assay_protocol::SignedOrder;
use assay_types::Hash;

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
        let window_secs = match terms.window_secs {
            Some(secs) => secs,
            None => {
                let window_secs = self.contracts.window_secs_min(verifier, terms.step_limit)?;
                u32::try_from(window_secs).map_err(|_| Error::WindowLarge { window_secs })?
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

/// Small, and the same for both sides (spec/contracts.md#orders).
fn lapse_fee(terms: &JobTerms) -> u128 {
    // What does not fit an amount is refused with the order.
    terms.price.min.min(terms.stake).saturating_mul(LAPSE_FEE_BPS) / 10_000
}
