//! Giving the keys of a locked job to everyone who is to have them, each once.

use alloy_primitives::{Address, B256};
use assay_policy::ReleaseRequest;
use assay_receipt::GivenKey;
use assay_seal::{ContentKey, Wrap, WrapContext as Context};
use assay_types::{Clock as _, Hash};

use crate::Result;
use crate::base::ids::account;
use crate::board::KeyReasons;
use crate::job::keys::decide::{Verdict, reasons_against};
use crate::job::keys::giver::{INPUT_SLOT, Kept, KeyGiver, Lock};
use crate::job::keys::rules::DatasetRules;
use crate::job::sealed::OUTPUT_SLOT;

/// What became of a key for an account.
enum Given {
    /// It is on its way, in a wrap of this digest.
    Now(B256),
    /// It was given before.
    Before,
    /// The account has published no keys that a key can be wrapped to.
    NoKeys,
    /// The policy permits it no more: something changed since it was asked first.
    Refused(KeyReasons),
}

impl<D: DatasetRules> KeyGiver<D> {
    /// Gives the keys of a locked job to everyone who is to have them. True if somebody has
    /// published no keys to wrap to yet.
    pub(super) async fn give_all(&self, lock: &Lock<'_>, readers: &[Address]) -> Result<bool> {
        let Lock { job: id, order, provider, terms, .. } = *lock;
        let mut waits = !self.say_rest(id).await;
        for kept in self.kept(terms)? {
            if let (Some(rules), Some(policy)) = (&self.rules, kept.sealed.policy) {
                let now = self.contracts.env().unix_secs();
                rules.refresh(&self.board, (kept.sealed.envelope, policy), now).await?;
            }
            let asked = match self.decide(lock, &kept)? {
                Verdict::Own => None,
                Verdict::Permit(asked) => Some(asked),
                Verdict::Refuse(reasons) => {
                    self.refuse(id, provider, reasons).await?;
                    continue;
                }
            };
            // Read before anything goes out, so that whatever does can be said.
            let locked = self.lock_said(id, order, &kept, readers).await?;
            let (given, waiting) = self.give_each(lock, &kept, asked.as_deref(), readers).await;
            // What has gone out is said, also if the rest could not.
            if let Some(locked) = locked.filter(|_| !given.is_empty()) {
                self.unsaid().push(self.released(id, locked, &kept, given));
                waits |= !self.say_rest(id).await;
            }
            waits |= waiting?;
            let is_requester = order.requester == self.contracts.account();
            if is_requester && order.beneficiary != order.requester && kept.slot == INPUT_SLOT {
                let none = Hash::default();
                let context = self.context(id, OUTPUT_SLOT, none, none, order.beneficiary);
                let given = self.give(&context, &kept.secret.output_key(), None).await?;
                waits |= matches!(given, Given::NoKeys);
            }
        }
        Ok(waits)
    }

    /// Gives a slot's key to each reader, as far as it goes, and tells to whom it went now; true if
    /// somebody has no keys to wrap to yet.
    async fn give_each(
        &self,
        lock: &Lock<'_>,
        kept: &Kept,
        asked: Option<&ReleaseRequest>,
        readers: &[Address],
    ) -> (Vec<GivenKey>, Result<bool>) {
        let (id, policy) = (lock.job, kept.sealed.policy.unwrap_or_default());
        let (mut now, mut waits) = (Vec::new(), false);
        for reader in readers {
            let context = self.context(id, kept.slot, kept.sealed.envelope, policy, *reader);
            match self.give(&context, &kept.secret.key, asked).await {
                Ok(Given::Now(wrap)) => now.push(GivenKey { recipient: *reader, wrap }),
                Ok(Given::Before) => {}
                Ok(Given::NoKeys) => waits = true,
                Ok(Given::Refused(reasons)) => {
                    return (now, self.refuse(id, lock.provider, reasons).await.map(|()| waits));
                }
                Err(error) => return (now, Err(error)),
            }
        }
        (now, Ok(waits))
    }

    fn context(&self, id: B256, slot: u8, envelope: Hash, policy: Hash, to: Address) -> Context {
        Context {
            job: Hash(id.0),
            slot,
            envelope,
            policy,
            owner: self.contracts.account().into_array(),
            recipient: to.into_array(),
        }
    }

    /// Gives one key to one account, once.
    async fn give(
        &self,
        context: &Context,
        key: &ContentKey,
        asked: Option<&ReleaseRequest>,
    ) -> Result<Given> {
        let (id, to) = (B256::new(context.job.0), Address::from(context.recipient));
        if self.given().contains(&(id, to, context.slot)) {
            return Ok(Given::Before);
        }
        let Some(public) = self.board.seal_keys(to).await? else { return Ok(Given::NoKeys) };
        // Keys that nothing can be wrapped to cost no use of the data, and keep nobody else from
        // theirs.
        let wrap = match Wrap::seal(key, &public, context, &mut self.contracts.env().rng()) {
            Ok(wrap) => wrap.to_bytes(),
            Err(error) => {
                tracing::debug!(%id, %error, "a recipient's keys can't be used");
                return Ok(Given::NoKeys);
            }
        };
        if let (Some(asked), Some(rules)) = (asked, &self.rules) {
            // Since the decision others may have spent, and the owner may have taken back.
            let asked = ReleaseRequest { now: self.contracts.now(), ..asked.clone() };
            let version = (context.envelope, context.policy);
            let decision = rules.release(version, &asked, account(to))?;
            if let Some(reasons) = reasons_against(decision) {
                return Ok(Given::Refused(reasons));
            }
        }
        let digest = self.board.put_wrap(self.contracts.signer(), context, wrap).await?.0.into();
        tracing::info!(%id, slot = context.slot, "a key was given");
        self.given().insert((id, to, context.slot));
        Ok(Given::Now(digest))
    }
}
