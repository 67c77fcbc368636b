//! The ledger of uses: who was given which key for which job, and what it spent (spec/policy.md#ledger).

use std::collections::{BTreeMap, BTreeSet};

use assay_types::{Account, Hash, JobId};
use serde::{Deserialize, Serialize};

use super::dataset::DatasetName;
use super::document::{Document, DocumentError, Form, NUMBER_MAX, Word, number};
use super::rules::Permit;

/// One key to one recipient. A job's first is its use; the others of the same job spend nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its place, from 0.
    #[serde(with = "number")]
    pub sequence: u64,
    /// The digest of the entry before; zeros for the first.
    pub previous: Hash,
    /// Whose data.
    pub owner: Account,
    /// The dataset.
    pub name: Word,
    /// Its version.
    #[serde(with = "number")]
    pub version: u64,
    /// The policy that permitted it, by digest.
    pub policy: Hash,
    /// The grant that it rests on, by digest.
    pub grant: Option<Hash>,
    /// The job.
    pub job: JobId,
    /// Who is given the key.
    pub recipient: Account,
    /// 1 for the job's first entry, else 0.
    #[serde(with = "number")]
    pub uses: u64,
    /// What it spends of the budget, in millionths of epsilon.
    #[serde(with = "number")]
    pub micro_epsilon: u64,
    /// When, in Unix seconds, by the keeper's clock.
    #[serde(with = "number")]
    pub at: u64,
}

impl Form for Entry {
    const SCHEMA: &'static str = "assay.use/1";

    fn check(&self) -> Result<(), DocumentError> {
        Ok(())
    }
}

/// What is spent of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Jobs.
    pub uses: u64,
    /// Of the budget, in millionths of epsilon.
    pub micro_epsilon: u64,
}

/// Why an entry has no place in a ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Its bytes are no entry.
    #[error("entry {sequence} of the ledger is damaged, restore the file: {error}")]
    Document {
        /// Its place.
        sequence: u64,
        /// What is wrong.
        error: DocumentError,
    },
    /// It does not follow the one before.
    #[error(
        "entry {0} does not follow the one before: entries are missing or changed, restore the file"
    )]
    Chain(u64),
    /// It counts a job twice or not at all, or is there twice.
    #[error("entry {0} counts its job otherwise than the entries before allow: restore the file")]
    Count(u64),
    /// A sum would be above [`NUMBER_MAX`].
    #[error("the ledger cannot count so far: publish the data under another name")]
    Full,
    /// The dataset has no uses left.
    #[error("the dataset has no uses left")]
    UsesSpent,
    /// The grant has no uses left.
    #[error("the grant has no uses left")]
    GrantSpent,
    /// The budget does not cover the use.
    #[error("the privacy budget does not cover another use")]
    BudgetSpent,
    /// The permit is not for this recipient.
    #[error("{0} is neither the provider nor an auditor of the job")]
    OtherRecipient(Account),
}

/// What was spent, by dataset. Only ever grows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    size: u64,
    head: Hash,
    datasets: BTreeMap<DatasetName, Counted>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Counted {
    spent: Spent,
    by_grant: BTreeMap<Hash, u64>,
    jobs: BTreeMap<JobId, BTreeSet<Account>>,
}

impl Ledger {
    /// An empty one.
    pub fn new() -> Self {
        Ledger::default()
    }

    /// Reads and checks all entries from the first.
    ///
    /// # Errors
    ///
    /// [`LedgerError`], for the first that is wrong. That the last ones are missing only a [`Ledger::head`] kept elsewhere tells.
    pub fn from_entries<B: AsRef<[u8]>>(
        entries: impl IntoIterator<Item = B>,
    ) -> Result<Self, LedgerError> {
        let mut ledger = Ledger::new();
        for bytes in entries {
            let sequence = ledger.size;
            let entry = Document::from_bytes(bytes.as_ref())
                .map_err(|error| LedgerError::Document { sequence, error })?;
            ledger.apply(&entry)?;
        }
        Ok(ledger)
    }

    /// How many entries there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The last entry's digest; zeros if there is none.
    pub fn head(&self) -> Hash {
        self.head
    }

    /// What is spent of a dataset, over all versions.
    pub fn spent(&self, dataset: &DatasetName) -> Spent {
        self.datasets.get(dataset).map_or(Spent::default(), |counted| counted.spent)
    }

    /// How many uses rest on a grant.
    pub fn spent_under(&self, dataset: &DatasetName, grant: &Hash) -> u64 {
        let counted = self.datasets.get(dataset);
        counted.and_then(|counted| counted.by_grant.get(grant)).copied().unwrap_or_default()
    }

    /// Whether a job's use is counted.
    pub fn counts(&self, dataset: &DatasetName, job: &JobId) -> bool {
        self.datasets.get(dataset).is_some_and(|counted| counted.jobs.contains_key(job))
    }

    /// Whether a recipient was given a job's key.
    pub fn released(&self, dataset: &DatasetName, job: &JobId, recipient: &Account) -> bool {
        let counted = self.datasets.get(dataset);
        let recipients = counted.and_then(|counted| counted.jobs.get(job));
        recipients.is_some_and(|recipients| recipients.contains(recipient))
    }

    /// The entry that must be durable before the key goes out; `None` if it is there already, so that the key goes out again for nothing.
    ///
    /// Limits are checked here too: between a decision and its entry others may have spent.
    ///
    /// # Errors
    ///
    /// [`LedgerError`].
    pub fn next(
        &self,
        permit: &Permit,
        recipient: Account,
        at: u64,
    ) -> Result<Option<Document<Entry>>, LedgerError> {
        let Permit { dataset, job, .. } = permit;
        if !permit.recipients.contains(&recipient) {
            return Err(LedgerError::OtherRecipient(recipient));
        }
        if self.released(dataset, job, &recipient) {
            return Ok(None);
        }
        let first = !self.counts(dataset, job);
        if first {
            self.check_limits(permit)?;
        }
        let entry = Document::new(Entry {
            sequence: self.size,
            previous: self.head,
            owner: dataset.owner,
            name: dataset.name.clone(),
            version: permit.version,
            policy: permit.policy,
            grant: permit.grant(),
            job: *job,
            recipient,
            uses: u64::from(first),
            micro_epsilon: if first { permit.micro_epsilon } else { 0 },
            at,
        });
        let sequence = self.size;
        entry.map(Some).map_err(|error| LedgerError::Document { sequence, error })
    }

    fn check_limits(&self, permit: &Permit) -> Result<(), LedgerError> {
        let spent = self.spent(&permit.dataset);
        if spent.uses >= permit.uses_max {
            return Err(LedgerError::UsesSpent);
        }
        let micro_epsilon = spent.micro_epsilon.saturating_add(permit.micro_epsilon);
        if micro_epsilon > permit.micro_epsilon_max {
            return Err(LedgerError::BudgetSpent);
        }
        let grant =
            permit.grant.map(|(grant, most)| (self.spent_under(&permit.dataset, &grant), most));
        if grant.is_some_and(|(spent, most)| spent >= most) {
            return Err(LedgerError::GrantSpent);
        }
        if micro_epsilon > NUMBER_MAX { Err(LedgerError::Full) } else { Ok(()) }
    }

    /// Counts an entry.
    ///
    /// # Errors
    ///
    /// [`LedgerError`], if it is not the next one; nothing is counted then.
    pub fn apply(&mut self, entry: &Document<Entry>) -> Result<(), LedgerError> {
        let said = entry.said();
        if said.sequence != self.size || said.previous != self.head {
            return Err(LedgerError::Chain(self.size));
        }
        let dataset = DatasetName { owner: said.owner, name: said.name.clone() };
        let first = !self.counts(&dataset, &said.job);
        let counts_right = said.uses == u64::from(first) && (first || said.micro_epsilon == 0);
        if !counts_right || self.released(&dataset, &said.job, &said.recipient) {
            return Err(LedgerError::Count(self.size));
        }
        let micro_epsilon = self.spent(&dataset).micro_epsilon + said.micro_epsilon;
        if micro_epsilon > NUMBER_MAX {
            return Err(LedgerError::Full);
        }
        let counted = self.datasets.entry(dataset).or_default();
        counted.spent.uses += said.uses;
        counted.spent.micro_epsilon = micro_epsilon;
        if let Some(grant) = said.grant {
            *counted.by_grant.entry(grant).or_default() += said.uses;
        }
        counted.jobs.entry(said.job).or_default().insert(said.recipient);
        self.size += 1;
        self.head = entry.digest();
        Ok(())
    }

    /// [`Ledger::next`], counted at once. What it returns must be durable before the key goes out; if that fails, read the ledger again.
    ///
    /// # Errors
    ///
    /// [`LedgerError`].
    pub fn spend(
        &mut self,
        permit: &Permit,
        recipient: Account,
        at: u64,
    ) -> Result<Option<Document<Entry>>, LedgerError> {
        let entry = self.next(permit, recipient, at)?;
        if let Some(entry) = &entry {
            self.apply(entry)?;
        }
        Ok(entry)
    }
}
