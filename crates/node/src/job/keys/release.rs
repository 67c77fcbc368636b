//! Saying in the log to whom keys were given.

use std::sync::{MutexGuard, PoisonError};

use alloy_primitives::{Address, B256};
use assay_contracts::Market;
use assay_receipt::{GivenKey, Released, ReleasedSlot, Statement};
use assay_types::Hash;

use crate::Result;
use crate::chain::timeline::Timeline;
use crate::job::keys::giver::{INPUT_SLOT, Kept, KeyGiver};
use crate::job::keys::rules::DatasetRules;

impl<D: DatasetRules> KeyGiver<D> {
    /// The digest of what is said of a job's lock, if there is a log and somebody whom nothing was
    /// given yet.
    pub(super) async fn lock_said(
        &self,
        id: B256,
        order: &Market::Order,
        kept: &Kept,
        readers: &[Address],
    ) -> Result<Option<Hash>> {
        let has = |reader: &Address| self.given().contains(&(id, *reader, kept.slot));
        if self.recorder.is_none() || readers.iter().all(has) {
            return Ok(None);
        }
        let timeline = Timeline::read(&self.contracts, id, order).await?;
        Ok(timeline.locked.map(|locked| Statement::Locked(locked).digest()))
    }

    /// That keys were given: to whom, for what, under which policy.
    pub(super) fn released(
        &self,
        id: B256,
        locked: Hash,
        kept: &Kept,
        given: Vec<GivenKey>,
    ) -> Statement {
        let is_input = kept.slot == INPUT_SLOT;
        let rules = self.rules.as_ref().filter(|_| kept.sealed.policy.is_some());
        Statement::Released(Released {
            job: id,
            after: vec![locked],
            owner: self.contracts.account(),
            slot: if is_input { ReleasedSlot::Input } else { ReleasedSlot::Dataset },
            envelope: kept.sealed.envelope.0.into(),
            policy: kept.sealed.policy.map(|policy| policy.0.into()),
            ledger: rules.map(DatasetRules::head),
            given,
        })
    }

    /// Says in the log what was not said yet of a job. False if the log can't be had just now.
    pub(super) async fn say_rest(&self, id: B256) -> bool {
        let Some(recorder) = &self.recorder else { return true };
        loop {
            let next = self.unsaid().iter().find(|said| said.job() == Some(id)).cloned();
            let Some(said) = next else { return true };
            if let Err(error) = recorder.say(&said).await {
                tracing::warn!(%id, %error, "a release could not be logged yet");
                return false;
            }
            self.unsaid().retain(|other| *other != said);
        }
    }

    pub(super) fn unsaid(&self) -> MutexGuard<'_, Vec<Statement>> {
        // As for what is given.
        self.unsaid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
