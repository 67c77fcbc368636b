//! What a keeper decides by: a dataset's policy, its grants and revocations, and the ledger of uses (spec/policy.md#decisions).

use std::collections::{BTreeMap, BTreeSet};

use assay_types::{Account, BlobRoot, Hash, JobId, ProgramId};

use super::cedar::{Compiled, Known};
use super::clause::{Clause, Reason};
use super::dataset::{DatasetName, Grant, Publication, Revocation, Revoked};
use super::document::{Document, Measurement, Word};
use super::ledger::Ledger;
use super::terms::Policy;

/// The most grants that an account has of one dataset.
pub const GRANTS_MAX: usize = 64;

/// What a keeper knows of a job whose lock is final. Whoever asks proves the rest elsewhere; nothing here is the asker's word but the
/// purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRequest {
    /// The job.
    pub job: JobId,
    /// Who orders and pays.
    pub requester: Account,
    /// Who holds the lock.
    pub provider: Account,
    /// Who may read the result.
    pub beneficiary: Account,
    /// Who else would be given the key, to check claims.
    pub auditors: BTreeSet<Account>,
    /// What runs.
    pub program: ProgramId,
    /// The order's dataset root.
    pub dataset: BlobRoot,
    /// Whom the order names as the data's owner, to be paid its fee.
    pub data_owner: Option<Account>,
    /// What it would be paid, in the token's smallest unit.
    pub data_fee: u128,
    /// Whether the input is sealed too.
    pub input_sealed: bool,
    /// Whether the result is sealed to the beneficiary.
    pub output_sealed: bool,
    /// The order's step limit.
    pub step_limit: u64,
    /// What makes a claim final.
    pub verifier: u16,
    /// How long a claim may be challenged, in seconds.
    pub window_secs: u32,
    /// What the provider has at stake, in the token's smallest unit.
    pub stake: u128,
    /// What the requester says that it is for.
    pub purpose: Option<Word>,
    /// What the provider's processor attests to run, if its evidence was checked.
    pub measurement: Option<Measurement>,
    /// When, in Unix seconds.
    pub now: u64,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The key may go out, once the ledger has recorded it.
    Permit(Box<Permit>),
    /// It may not: at least one reason, in the order of [`Clause::ALL`].
    Refuse(Vec<Reason>),
}

/// That a key may go out for a job, and what that spends. Only a decision makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    pub(super) dataset: DatasetName,
    pub(super) version: u64,
    pub(super) policy: Hash,
    pub(super) job: JobId,
    pub(super) recipients: BTreeSet<Account>,
    pub(super) grant: Option<(Hash, u64)>,
    pub(super) uses_max: u64,
    pub(super) micro_epsilon: u64,
    pub(super) micro_epsilon_max: u64,
}

impl Permit {
    /// The job.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// The dataset.
    pub fn dataset(&self) -> &DatasetName {
        &self.dataset
    }

    /// The policy's digest: what the wrapped key is bound to.
    pub fn policy(&self) -> Hash {
        self.policy
    }

    /// The grant that it rests on, if any.
    pub fn grant(&self) -> Option<Hash> {
        self.grant.map(|(grant, _)| grant)
    }

    /// Who may be given the key: the provider and the auditors.
    pub fn recipients(&self) -> &BTreeSet<Account> {
        &self.recipients
    }

    /// What the job costs of the budget, in millionths of epsilon, unless it is counted already.
    pub fn micro_epsilon(&self) -> u64 {
        self.micro_epsilon
    }
}

/// Why a document has no place in the rules of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// The policy is not the published one.
    #[error("the dataset is published under policy {published}, this is {found}: fetch that one")]
    OtherPolicy {
        /// The publication's.
        published: Hash,
        /// What came.
        found: Hash,
    },
    /// The document is about another dataset.
    #[error(
        "the document is about another owner's or another dataset: give it to that one's keeper"
    )]
    OtherDataset,
    /// The account has [`GRANTS_MAX`] already.
    #[error("{0} has {GRANTS_MAX} grants of this dataset: give it one with more uses instead")]
    GrantsMany(Account),
}

/// All that a keeper decides by, for one version of a dataset. Signatures were checked before.
#[derive(Debug)]
pub struct Rules {
    publication: Document<Publication>,
    policy: Document<Policy>,
    compiled: Compiled,
    // By number, so that the older is tried first.
    grants: BTreeMap<Account, BTreeMap<(u64, Hash), Document<Grant>>>,
    revoked: BTreeSet<Revoked>,
}

impl Rules {
    /// The rules of a publication under its policy, compiled once.
    ///
    /// # Errors
    ///
    /// [`RulesError::OtherPolicy`].
    pub fn new(
        publication: Document<Publication>,
        policy: Document<Policy>,
    ) -> Result<Self, RulesError> {
        let (published, found) = (publication.said().policy, policy.digest());
        if published != found {
            return Err(RulesError::OtherPolicy { published, found });
        }
        let compiled = Compiled::new(publication.said(), policy.said());
        let (grants, revoked) = (BTreeMap::new(), BTreeSet::new());
        Ok(Rules { publication, policy, compiled, grants, revoked })
    }

    /// The publication.
    pub fn publication(&self) -> &Document<Publication> {
        &self.publication
    }

    /// The policy.
    pub fn policy(&self) -> &Document<Policy> {
        &self.policy
    }

    /// Adds a grant that the owner has signed. A grant that is known already changes nothing.
    ///
    /// # Errors
    ///
    /// [`RulesError`].
    pub fn grant(&mut self, grant: Document<Grant>) -> Result<(), RulesError> {
        let said = grant.said();
        self.about(said.owner, &said.name)?;
        let (requester, key) = (said.requester, (said.number, grant.digest()));
        let known = self.grants.entry(requester).or_default();
        if known.len() >= GRANTS_MAX && !known.contains_key(&key) {
            return Err(RulesError::GrantsMany(requester));
        }
        known.insert(key, grant);
        Ok(())
    }

    /// Adds a revocation that the owner has signed: the next decision heeds it.
    ///
    /// # Errors
    ///
    /// [`RulesError::OtherDataset`].
    pub fn revoke(&mut self, revocation: &Document<Revocation>) -> Result<(), RulesError> {
        let said = revocation.said();
        self.about(said.owner, &said.name)?;
        self.revoked.insert(said.revokes);
        Ok(())
    }

    fn about(&self, owner: Account, name: &Word) -> Result<(), RulesError> {
        let ours = self.publication.said();
        if ours.owner == owner && ours.name == *name {
            Ok(())
        } else {
            Err(RulesError::OtherDataset)
        }
    }

    /// Whether a key may go out for a job. Of several grants one is enough; if none is, the newest one's reasons are given.
    pub fn decide(&self, asked: &ReleaseRequest, ledger: &Ledger) -> Decision {
        let Some(grants) = self.grants.get(&asked.requester) else {
            return self.decide_under(asked, ledger, None);
        };
        let mut decision = Decision::Refuse(Vec::new());
        for grant in grants.values() {
            decision = self.decide_under(asked, ledger, Some(grant));
            if matches!(decision, Decision::Permit(_)) {
                break;
            }
        }
        decision
    }

    fn decide_under(
        &self,
        asked: &ReleaseRequest,
        ledger: &Ledger,
        grant: Option<&Document<Grant>>,
    ) -> Decision {
        let publication = self.publication.said();
        let dataset = publication.dataset();
        let spent = ledger.spent(&dataset);
        let revoked = |what| self.revoked.contains(&what);
        let digest = grant.map(Document::digest);
        let known = Known {
            version: publication.version,
            grant,
            grant_uses_spent: digest.map_or(0, |digest| ledger.spent_under(&dataset, &digest)),
            uses_spent: spent.uses,
            micro_epsilon_spent: spent.micro_epsilon,
            counted: ledger.counts(&dataset, &asked.job),
            revoked_all: revoked(Revoked::All),
            revoked_version: revoked(Revoked::Version(publication.version)),
            revoked_requester: revoked(Revoked::Requester(asked.requester)),
            revoked_grant: digest.is_some_and(|digest| revoked(Revoked::Grant(digest))),
        };
        let refusing = self.compiled.refusing(asked, &known);
        let clauses = refusing.clauses.iter();
        let mut reasons: Vec<_> =
            clauses.map(|clause| self.reason(*clause, asked, grant)).collect();
        let texts = refusing.texts.iter().map(|&text| Reason::Cedar { text: text as u64 });
        reasons.extend(texts);
        if !reasons.is_empty() {
            return Decision::Refuse(reasons);
        }
        let policy = self.policy.said();
        Decision::Permit(Box::new(Permit {
            dataset,
            version: publication.version,
            policy: self.policy.digest(),
            job: asked.job,
            recipients: asked.auditors.iter().copied().chain([asked.provider]).collect(),
            grant: grant.map(|grant| (grant.digest(), grant.said().uses_max)),
            uses_max: policy.uses_max,
            micro_epsilon: policy.budget.map_or(0, |budget| budget.cost_micro_epsilon),
            micro_epsilon_max: policy.budget.map_or(u64::MAX, |budget| budget.total_micro_epsilon),
        }))
    }

    fn reason(
        &self,
        clause: Clause,
        asked: &ReleaseRequest,
        grant: Option<&Document<Grant>>,
    ) -> Reason {
        let policy = self.policy.said();
        let (output, program) = (&policy.output, asked.program);
        let digest = grant.map_or(Hash::default(), Document::digest);
        match clause {
            Clause::Dataset => Reason::Dataset { root: asked.dataset },
            Clause::Fee => {
                let Publication { owner, fee, .. } = self.publication.said();
                Reason::Fee { owner: *owner, fee: fee.to_string() }
            }
            Clause::RevokedAll => Reason::RevokedAll {},
            Clause::RevokedVersion => {
                Reason::RevokedVersion { version: self.publication.said().version }
            }
            Clause::RevokedRequester => Reason::RevokedRequester { requester: asked.requester },
            Clause::RevokedGrant => Reason::RevokedGrant { grant: digest },
            Clause::Programs => Reason::Programs { program },
            Clause::GroupMin => Reason::GroupMin { program, least: output.group_min },
            Clause::OutputSize => Reason::OutputSize { program, most: output.size_max },
            Clause::StepsConstant => Reason::StepsConstant { program },
            Clause::StepLimit => {
                Reason::StepLimit { step_limit: asked.step_limit, most: output.step_limit_max }
            }
            Clause::OutputClass => Reason::OutputClass {},
            Clause::Providers => Reason::Providers { provider: asked.provider },
            Clause::StakeMin => Reason::StakeMin { least: policy.providers.stake_min.to_string() },
            Clause::Measurements => Reason::Measurements {},
            Clause::Requesters => Reason::Requesters { requester: asked.requester },
            Clause::GrantPurposes => Reason::GrantPurposes { grant: digest },
            Clause::GrantUses => Reason::GrantUses { grant: digest },
            Clause::GrantExpiry => Reason::GrantExpiry {
                grant: digest,
                expires_at: grant.map_or(0, |grant| grant.said().expires_at),
            },
            Clause::Beneficiaries => Reason::Beneficiaries { beneficiary: asked.beneficiary },
            Clause::Purposes => Reason::Purposes { purpose: asked.purpose.clone() },
            Clause::Verifiers => Reason::Verifiers { verifier: asked.verifier },
            Clause::Auditors => {
                let accounts = &policy.auditors.accounts;
                let others = asked.auditors.iter().filter(|account| !accounts.allows(account));
                Reason::Auditors { auditors: others.copied().collect() }
            }
            Clause::AuditorsLeast => Reason::AuditorsLeast {
                found: asked.auditors.len() as u64,
                least: policy.auditors.least,
            },
            Clause::Expiry => Reason::Expiry { expires_at: policy.expires_at },
            Clause::Uses => Reason::Uses {},
            Clause::Budget => Reason::Budget {},
            Clause::Cedar => Reason::Cedar { text: 0 },
        }
    }

    /// The same rules without one clause.
    #[cfg(test)]
    pub(super) fn ignoring(mut self, clause: Clause) -> Self {
        let (published, policy) = (self.publication.said(), self.policy.said());
        self.compiled = Compiled::without(published, policy, Some(clause));
        self
    }
}
