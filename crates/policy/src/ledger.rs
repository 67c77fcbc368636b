//! The ledger of uses: who was given which key for which job, and what it spent, of the data and of
//! what that was made of (spec/policy.md#ledger).

use std::collections::{BTreeMap, BTreeSet};

use assay_types::{Account, Hash, JobId};
use serde::{Deserialize, Serialize};

use super::dataset::DatasetName;
use super::document::{Document, DocumentError, Form, NUMBER_MAX, Word, number};
use super::rules::{Charge, Permit};

/// Between the entries of a release: white space, of which an entry has none.
const BETWEEN: u8 = b' ';

/// One key to one recipient, for the dataset whose key it is or for one that this was made of. A
/// job's first is its use; the others of the same job spend nothing.
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
    /// The owner's dataset whose key went out, made of this one; `None` if it was this one's own.
    pub through: Option<Word>,
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
    /// When, in Unix seconds, by the key service's clock.
    #[serde(with = "number")]
    pub at: u64,
}

impl Form for Entry {
    const SCHEMA: &'static str = "assay.use/1";

    fn check(&self) -> Result<(), DocumentError> {
        Ok(())
    }
}

/// The entries of one key to one recipient: of the dataset whose key it is, then of those that it
/// was made of. They become durable together, as one line, or none counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release(Vec<Document<Entry>>);

impl Release {
    /// Reads a line, without its end.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]. Whether its entries belong together [`Ledger::apply`] asks.
    pub fn from_line(line: &[u8]) -> Result<Self, DocumentError> {
        line.split(|byte| *byte == BETWEEN)
            .map(Document::from_bytes)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The line that it is kept as, without its end.
    pub fn to_line(&self) -> Vec<u8> {
        let entries: Vec<&[u8]> = self.0.iter().map(Document::as_bytes).collect();
        entries.join(&BETWEEN)
    }

    /// Its entries, that of the dataset whose key it is first.
    pub fn entries(&self) -> &[Document<Entry>] {
        &self.0
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
    /// It stands in a line with entries of another release.
    #[error("entry {0} is of another release than its line: restore the file")]
    Release(u64),
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

    /// Reads and checks all entries from the first, a release a line.
    ///
    /// # Errors
    ///
    /// [`LedgerError`], for the first that is wrong. That the last ones are missing only a
    /// [`Ledger::head`] kept elsewhere tells.
    pub fn from_lines<B: AsRef<[u8]>>(
        lines: impl IntoIterator<Item = B>,
    ) -> Result<Self, LedgerError> {
        let mut ledger = Ledger::new();
        for line in lines {
            let sequence = ledger.size;
            let release = Release::from_line(line.as_ref())
                .map_err(|error| LedgerError::Document { sequence, error })?;
            ledger.apply(&release)?;
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

    /// The entries that must be durable before the key goes out; `None` if they are there already,
    /// so that the key goes out again for nothing.
    ///
    /// Limits are checked here too: between a decision and its entries others may have spent.
    ///
    /// # Errors
    ///
    /// [`LedgerError`].
    pub fn next(
        &self,
        permit: &Permit,
        recipient: Account,
        at: u64,
    ) -> Result<Option<Release>, LedgerError> {
        let Permit { job, own, .. } = permit;
        if !permit.recipients.contains(&recipient) {
            return Err(LedgerError::OtherRecipient(recipient));
        }
        if self.released(&own.dataset, job, &recipient) {
            return Ok(None);
        }
        let (mut entries, mut previous) = (Vec::new(), self.head);
        for (charge, sequence) in permit.charges().zip(self.size..) {
            let Charge { dataset, version, policy, .. } = charge;
            let first = !self.counts(dataset, job);
            if first {
                self.check_limits(charge, permit.micro_epsilon)?;
            }
            let through = (!entries.is_empty()).then(|| own.dataset.name.clone());
            let entry = Document::new(Entry {
                sequence,
                previous,
                owner: dataset.owner,
                name: dataset.name.clone(),
                version: *version,
                policy: *policy,
                grant: charge.grant.map(|(grant, _)| grant),
                through,
                job: *job,
                recipient,
                uses: u64::from(first),
                micro_epsilon: if first { permit.micro_epsilon } else { 0 },
                at,
            });
            let entry = entry.map_err(|error| LedgerError::Document { sequence, error })?;
            previous = entry.digest();
            entries.push(entry);
        }
        Ok(Some(Release(entries)))
    }

    fn check_limits(&self, charge: &Charge, micro_epsilon: u64) -> Result<(), LedgerError> {
        let spent = self.spent(&charge.dataset);
        if spent.uses >= charge.uses_max {
            return Err(LedgerError::UsesSpent);
        }
        let micro_epsilon = spent.micro_epsilon.saturating_add(micro_epsilon);
        if micro_epsilon > charge.micro_epsilon_max {
            return Err(LedgerError::BudgetSpent);
        }
        let grant =
            charge.grant.map(|(grant, most)| (self.spent_under(&charge.dataset, &grant), most));
        if grant.is_some_and(|(spent, most)| spent >= most) {
            return Err(LedgerError::GrantSpent);
        }
        if micro_epsilon > NUMBER_MAX { Err(LedgerError::Full) } else { Ok(()) }
    }

    /// Counts a release.
    ///
    /// # Errors
    ///
    /// [`LedgerError`], if it is not the next one; nothing is counted then.
    pub fn apply(&mut self, release: &Release) -> Result<(), LedgerError> {
        let Some(first) = release.0.first().map(Document::body) else {
            return Err(LedgerError::Release(self.size));
        };
        let (mut sequence, mut head, mut datasets) = (self.size, self.head, BTreeSet::new());
        for entry in &release.0 {
            let said = entry.body();
            if said.sequence != sequence || said.previous != head {
                return Err(LedgerError::Chain(sequence));
            }
            let through = (!datasets.is_empty()).then_some(&first.name);
            let same =
                (said.job, said.recipient, said.at) == (first.job, first.recipient, first.at);
            if !same || said.through.as_ref() != through || !datasets.insert(said.dataset()) {
                return Err(LedgerError::Release(sequence));
            }
            self.check_count(said, sequence)?;
            (sequence, head) = (sequence + 1, entry.digest());
        }
        for entry in &release.0 {
            self.count(entry.body());
        }
        (self.size, self.head) = (sequence, head);
        Ok(())
    }

    /// Whether an entry counts its job as the entries before allow.
    fn check_count(&self, said: &Entry, sequence: u64) -> Result<(), LedgerError> {
        let dataset = said.dataset();
        let first = !self.counts(&dataset, &said.job);
        let counts_right = said.uses == u64::from(first) && (first || said.micro_epsilon == 0);
        if !counts_right || self.released(&dataset, &said.job, &said.recipient) {
            return Err(LedgerError::Count(sequence));
        }
        let micro_epsilon = self.spent(&dataset).micro_epsilon + said.micro_epsilon;
        if micro_epsilon > NUMBER_MAX { Err(LedgerError::Full) } else { Ok(()) }
    }

    fn count(&mut self, said: &Entry) {
        let counted = self.datasets.entry(said.dataset()).or_default();
        counted.spent.uses += said.uses;
        counted.spent.micro_epsilon += said.micro_epsilon;
        if let Some(grant) = said.grant {
            *counted.by_grant.entry(grant).or_default() += said.uses;
        }
        counted.jobs.entry(said.job).or_default().insert(said.recipient);
    }

    /// [`Ledger::next`], counted at once. What it returns must be durable before the key goes out;
    /// if that fails, read the ledger again.
    ///
    /// # Errors
    ///
    /// [`LedgerError`].
    pub fn spend(
        &mut self,
        permit: &Permit,
        recipient: Account,
        at: u64,
    ) -> Result<Option<Release>, LedgerError> {
        let release = self.next(permit, recipient, at)?;
        if let Some(release) = &release {
            self.apply(release)?;
        }
        Ok(release)
    }
}

impl Entry {
    fn dataset(&self) -> DatasetName {
        DatasetName { owner: self.owner, name: self.name.clone() }
    }
}
