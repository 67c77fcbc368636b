//! Giving the keys of a locked job to everyone who is to have them, each once.

use alloy_primitives::{Address, B256};
use assay_policy::Permit;
use assay_receipt::GivenKey;
use assay_seal::{ContentKey, Wrap, WrapContext as Context};
use assay_types::{Clock as _, Hash};

use crate::Result;
use crate::base::ids::account;
use crate::job::keys::decide::Verdict;
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
            let permit = match self.decide(lock, &kept)? {
                Verdict::Own => None,
                Verdict::Permit(permit) => Some(permit),
                Verdict::Refuse(reasons) => {
                    self.refuse(id, provider, reasons).await?;
                    continue;
                }
            };
            // Read before anything goes out, so that whatever does can be said.
            let locked = self.lock_said(id, order, &kept, readers).await?;
            let (given, waiting) = self.give_each(id, &kept, permit.as_deref(), readers).await;
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
        id: B256,
        kept: &Kept,
        permit: Option<&Permit>,
        readers: &[Address],
    ) -> (Vec<GivenKey>, Result<bool>) {
        let policy = kept.sealed.policy.unwrap_or_default();
        let (mut now, mut waits) = (Vec::new(), false);
        for reader in readers {
            let context = self.context(id, kept.slot, kept.sealed.envelope, policy, *reader);
            match self.give(&context, &kept.secret.key, permit).await {
                Ok(Given::Now(wrap)) => now.push(GivenKey { recipient: *reader, wrap }),
                Ok(Given::Before) => {}
                Ok(Given::NoKeys) => waits = true,
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
        permit: Option<&Permit>,
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
        if let (Some(permit), Some(rules)) = (permit, &self.rules) {
            rules.spend(permit, account(to), self.contracts.now())?;
        }
        let digest = self.board.put_wrap(self.contracts.signer(), context, wrap).await?.0.into();
        tracing::info!(%id, slot = context.slot, "a key was given");
        self.given().insert((id, to, context.slot));
        Ok(Given::Now(digest))
    }
}
