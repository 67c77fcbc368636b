//! Whether the owner's decision lets a key out.

use alloy_primitives::{Address, B256};
use assay_market::JobId;
use assay_merkle::empty_slot;
use assay_policy::{Decision, ReleaseRequest};
use assay_types::{BlobRoot, Hash};

use crate::Result;
use crate::base::ids::{account, program_id};
use crate::board::KeyReasons;
use crate::job::keys::giver::{Kept, KeyGiver, Lock};
use crate::job::keys::rules::DatasetRules;

/// What the owner says about a key.
pub(super) enum Verdict {
    /// It is the requester's own.
    Own,
    /// The policy permits what is asked, as things stand; it is asked once more as it is spent.
    Permit(Box<ReleaseRequest>),
    /// It stays.
    Refuse(KeyReasons),
}

impl<D: DatasetRules> KeyGiver<D> {
    /// Whether the owner's decision lets a key out.
    pub(super) fn decide(&self, lock: &Lock<'_>, kept: &Kept) -> Result<Verdict> {
        let Lock { job: id, order, provider, stake, terms } = *lock;
        let refuse = |code: &str| {
            Ok(Verdict::Refuse(KeyReasons { code: code.to_owned(), reasons: Vec::new() }))
        };
        let Some(policy) = kept.sealed.policy else {
            // Whoever has signed the order has decided about what it brings.
            let is_own = order.requester == self.contracts.account();
            return if is_own { Ok(Verdict::Own) } else { refuse("other_requester") };
        };
        // A key service of inputs leaves datasets to the key service that has their ledger.
        let Some(rules) = &self.rules else { return Ok(Verdict::Refuse(KeyReasons::silent())) };
        let input_sealed = terms.input.is_some() && order.inputRoot.0 != empty_slot().0.0;
        let asked = ReleaseRequest {
            job: JobId(id.0),
            requester: account(order.requester),
            provider: account(provider),
            beneficiary: account(order.beneficiary),
            auditors: terms.auditors.iter().copied().collect(),
            program: program_id(order),
            dataset: BlobRoot(Hash(order.datasetRoot.0)),
            input_sealed,
            // The SDK seals the output of whatever has a sealed input, and of nothing else. That
            // what is under the seal has a salt, the provider sees, and begins nothing else.
            output_sealed: input_sealed,
            step_limit: order.stepLimit,
            verifier: order.verifierId,
            window_secs: order.windowSecs,
            stake,
            data_owner: (!order.dataOwner.is_zero()).then(|| account(order.dataOwner)),
            data_fee: order.dataFee.to(),
            purpose: kept.sealed.purpose.as_ref().and_then(|purpose| purpose.parse().ok()),
            measurement: None,
            now: self.contracts.now(),
        };
        let decision = rules.decide((kept.sealed.envelope, policy), &asked)?;
        Ok(match reasons_against(decision) {
            None => Verdict::Permit(Box::new(asked)),
            Some(reasons) => Verdict::Refuse(reasons),
        })
    }

    /// Says, signed and once, why a key stays where it is.
    pub(super) async fn refuse(&self, id: B256, to: Address, reasons: KeyReasons) -> Result<()> {
        if reasons.code.is_empty() || !self.given().insert((id, to, REFUSED)) {
            return Ok(());
        }
        tracing::info!(%id, code = reasons.code, "a key is refused");
        self.board.refuse_key(self.contracts.signer(), id, to, &reasons, self.contracts.now()).await
    }
}

/// Why a key stays where it is, if it does.
pub(super) fn reasons_against(decision: Option<Decision>) -> Option<KeyReasons> {
    match decision {
        Some(Decision::Permit(_)) => None,
        Some(Decision::Refuse(reasons)) => Some(KeyReasons { code: "policy".to_owned(), reasons }),
        None => Some(KeyReasons { code: "version_unknown".to_owned(), reasons: Vec::new() }),
    }
}

/// Stands in a slot's place for a refusal that was said.
const REFUSED: u8 = u8::MAX;
