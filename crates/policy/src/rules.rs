//! What a key service decides by: a dataset's policy, its grants and revocations, and the ledger of
//! uses (spec/policy.md#decisions).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use assay_types::{Account, BlobRoot, Hash, JobId, ProgramId};

use super::cedar::{Compiled, Known};
use super::clause::{Clause, ClauseReason};
use super::dataset::{DatasetName, Grant, Publication, Revocation, Revoked, Source};
use super::document::{Document, DocumentError, Measurement, Word};
use super::ledger::Ledger;
use super::terms::{Allowed, Policy, is_as_strict, stricter};

/// The most grants that an account has of one dataset, beside those that are expired or revoked.
pub const GRANTS_MAX: usize = 64;

/// What a key service knows of a job whose lock is final. Whoever asks proves the rest elsewhere;
/// nothing here is the asker's word but the purpose.
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
    Refuse(Vec<ClauseReason>),
}

/// That a key may go out for a job, and what that spends. Only a decision makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    pub(super) job: JobId,
    pub(super) recipients: BTreeSet<Account>,
    pub(super) micro_epsilon: u64,
    pub(super) own: Charge,
    pub(super) sources: Vec<Charge>,
}

/// What a job counts against: the dataset, or one that it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) dataset: DatasetName,
    pub(super) version: u64,
    pub(super) policy: Hash,
    pub(super) grant: Option<(Hash, u64)>,
    pub(super) uses_max: u64,
    pub(super) micro_epsilon_max: u64,
}

impl Charge {
    fn new(
        dataset: DatasetName,
        version: u64,
        rules: &Rules,
        grant: Option<&Document<Grant>>,
    ) -> Self {
        let said = rules.policy.body();
        Charge {
            dataset,
            version,
            // What was published, and what an order names: also where something stricter decides.
            policy: rules.publication.body().policy,
            grant: grant.map(|grant| (grant.digest(), grant.body().uses_max)),
            uses_max: said.uses_max,
            micro_epsilon_max: said.budget.map_or(u64::MAX, |budget| budget.total_micro_epsilon),
        }
    }
}

impl Permit {
    /// The job.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// The dataset.
    pub fn dataset(&self) -> &DatasetName {
        &self.own.dataset
    }

    /// The policy's digest: what the wrapped key is bound to.
    pub fn policy(&self) -> Hash {
        self.own.policy
    }

    /// The grant that it rests on, if any.
    pub fn grant(&self) -> Option<Hash> {
        self.own.grant.map(|(grant, _)| grant)
    }

    /// Who may be given the key: the provider and the auditors.
    pub fn recipients(&self) -> &BTreeSet<Account> {
        &self.recipients
    }

    /// What the job costs of each budget, in millionths of epsilon, unless it is counted already.
    pub fn micro_epsilon(&self) -> u64 {
        self.micro_epsilon
    }

    /// The dataset's charge, then those of what it was made of.
    pub(super) fn charges(&self) -> impl Iterator<Item = &Charge> {
        std::iter::once(&self.own).chain(&self.sources)
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
        "the document is about another owner's or another dataset: give it to that one's key service"
    )]
    OtherDataset,
    /// The account has [`GRANTS_MAX`] already.
    #[error(
        "{0} has {GRANTS_MAX} grants of this dataset: revoke one, or give it one with more uses instead"
    )]
    GrantsMany(Account),
    /// No policy is the stricter of two.
    #[error("the policy and the newer one cannot hold together, order under the newer one: {0}")]
    Together(DocumentError),
}

/// All that a key service decides by, for one version of a dataset. Signatures were checked before.
#[derive(Debug)]
pub struct Rules {
    publication: Document<Publication>,
    policy: Document<Policy>,
    compiled: Compiled,
    // By number, so that the older is tried first.
    grants: BTreeMap<Account, BTreeMap<(u64, Hash), Document<Grant>>>,
    revoked: BTreeSet<Revoked>,
    sources: BTreeMap<DatasetName, Part>,
}

/// A dataset that this one was made of.
#[derive(Debug)]
struct Part {
    /// Its own rules, as they are now.
    rules: Arc<Rules>,
    /// Whether the policy of what was made of it permits more.
    is_laxer: bool,
}

/// What data of its owner's own refuses for those that it was made of.
static NO_SOURCES: BTreeMap<Clause, &Source> = BTreeMap::new();

/// What the datasets that the data was made of say to a job.
#[derive(Default)]
struct Weighed<'a> {
    /// What refuses: by clause, the first of them.
    unmet: BTreeMap<Clause, &'a Source>,
    charges: Vec<Charge>,
}

impl Weighed<'_> {
    /// The reason for a clause that is not met, naming the first dataset that does not meet it.
    fn reason(
        &self,
        clause: Clause,
        say: impl FnOnce(Account, Word) -> ClauseReason,
    ) -> ClauseReason {
        let source = self.unmet.get(&clause);
        let source = source.unwrap_or_else(|| unreachable!("the fact was made of it"));
        say(source.owner, source.name.clone())
    }
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
        let (published, found) = (publication.body().policy, policy.digest());
        if published != found {
            return Err(RulesError::OtherPolicy { published, found });
        }
        Ok(Self::compiled(publication, policy))
    }

    /// The rules of a publication that a newer one has taken the place of, for orders that name it
    /// still: its fee, its version and its data, under the stricter of both policies.
    ///
    /// # Errors
    ///
    /// [`RulesError::OtherPolicy`], [`RulesError::Together`].
    pub fn superseded(
        publication: Document<Publication>,
        policy: &Document<Policy>,
        newer: &Document<Policy>,
    ) -> Result<Self, RulesError> {
        let (published, found) = (publication.body().policy, policy.digest());
        if published != found {
            return Err(RulesError::OtherPolicy { published, found });
        }
        let both = stricter(policy, newer).map_err(RulesError::Together)?;
        Ok(Self::compiled(publication, both))
    }

    fn compiled(publication: Document<Publication>, policy: Document<Policy>) -> Self {
        let compiled = Compiled::new(publication.body(), policy.body());
        let (grants, revoked, sources) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Rules { publication, policy, compiled, grants, revoked, sources }
    }

    /// The publication.
    pub fn publication(&self) -> &Document<Publication> {
        &self.publication
    }

    /// The policy; where it was superseded, the stricter of both.
    pub fn policy(&self) -> &Document<Policy> {
        &self.policy
    }

    /// Adds a grant that the owner has signed. A grant that is known already changes nothing.
    ///
    /// # Errors
    ///
    /// [`RulesError`].
    pub fn grant(&mut self, grant: Document<Grant>) -> Result<(), RulesError> {
        let said = grant.body();
        self.about(said.owner, &said.name)?;
        let (requester, key) = (said.requester, (said.number, grant.digest()));
        let known = self.grants.entry(requester).or_default();
        if known.len() >= GRANTS_MAX && !known.contains_key(&key) {
            return Err(RulesError::GrantsMany(requester));
        }
        known.insert(key, grant);
        Ok(())
    }

    /// Adds all grants that the owner has signed; its revocations come first. Of an account that
    /// has more than [`GRANTS_MAX`], those count that are not revoked and expire last: so one that
    /// is neither expired nor revoked gives way to none that is.
    ///
    /// # Errors
    ///
    /// [`RulesError::OtherDataset`].
    pub fn grant_all(&mut self, mut grants: Vec<Document<Grant>>) -> Result<(), RulesError> {
        grants.sort_by_key(|grant| {
            let is_revoked = self.revoked.contains(&Revoked::Grant(grant.digest()));
            (is_revoked, Reverse(grant.body().expires_at), grant.body().number, grant.digest())
        });
        for grant in grants {
            match self.grant(grant) {
                Err(RulesError::GrantsMany(_)) => {}
                granted => granted?,
            }
        }
        Ok(())
    }

    /// Adds a revocation that the owner has signed: the next decision heeds it.
    ///
    /// # Errors
    ///
    /// [`RulesError::OtherDataset`].
    pub fn revoke(&mut self, revocation: &Document<Revocation>) -> Result<(), RulesError> {
        let said = revocation.body();
        self.about(said.owner, &said.name)?;
        self.revoked.insert(said.revokes);
        Ok(())
    }

    /// Adds the rules of a dataset that this one was made of, as they are now: its newest policy,
    /// its grants and its revocations. While one is missing, nothing is permitted.
    ///
    /// # Errors
    ///
    /// [`RulesError::OtherDataset`].
    pub fn source(&mut self, rules: Arc<Rules>) -> Result<(), RulesError> {
        let name = rules.publication.body().dataset();
        let mut listed = self.publication.body().sources.iter();
        if !listed.any(|source| source.dataset() == name) {
            return Err(RulesError::OtherDataset);
        }
        let is_laxer = !is_as_strict(&self.policy, &rules.policy);
        self.sources.insert(name, Part { rules, is_laxer });
        Ok(())
    }

    fn about(&self, owner: Account, name: &Word) -> Result<(), RulesError> {
        let ours = self.publication.body();
        if ours.owner == owner && ours.name == *name {
            Ok(())
        } else {
            Err(RulesError::OtherDataset)
        }
    }

    /// Whether a key may go out for a job. Of several grants one is enough; if none is, the newest
    /// one's reasons are given.
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

    /// What a key service would refuse a job by, whatever is spent by then: what an order can be
    /// asked before it is signed. Empty if nothing shows. Texts in Cedar and what the data was made
    /// of are left to the key service, which knows more; a provider that is not known yet is the
    /// zero account, which no list need have.
    pub fn foresee(&self, asked: &ReleaseRequest) -> Vec<ClauseReason> {
        let under: Vec<_> = match self.grants.get(&asked.requester) {
            None => vec![None],
            Some(grants) => grants.values().map(Some).collect(),
        };
        let (nothing_spent, mut reasons) = (Ledger::new(), Vec::new());
        for grant in under {
            reasons = match self.decide_under(asked, &nothing_spent, grant) {
                Decision::Permit(_) => Vec::new(),
                Decision::Refuse(reasons) => reasons,
            };
            reasons.retain(|reason| reason.clause().shows_before());
            if reasons.is_empty() {
                break;
            }
        }
        reasons
    }

    fn decide_under(
        &self,
        asked: &ReleaseRequest,
        ledger: &Ledger,
        grant: Option<&Document<Grant>>,
    ) -> Decision {
        let publication = self.publication.body();
        let weighed = self.weigh(asked, ledger, grant.is_some());
        let known = self.known(asked, ledger, publication.version, grant);
        let known = Known { sources: &weighed.unmet, ..known };
        let refusing = self.compiled.refusing(asked, &known);
        let clauses = refusing.clauses.iter();
        let mut reasons: Vec<_> =
            clauses.map(|clause| self.reason(*clause, asked, grant, &weighed)).collect();
        let texts = refusing.texts.iter().map(|&text| ClauseReason::Cedar { text: text as u64 });
        reasons.extend(texts);
        if !reasons.is_empty() {
            return Decision::Refuse(reasons);
        }
        Decision::Permit(Box::new(Permit {
            job: asked.job,
            recipients: asked.auditors.iter().copied().chain([asked.provider]).collect(),
            micro_epsilon: self.cost(),
            own: Charge::new(publication.dataset(), publication.version, self, grant),
            sources: weighed.charges,
        }))
    }

    /// What is known of this dataset for a job over a version of it.
    fn known<'a>(
        &self,
        asked: &ReleaseRequest,
        ledger: &Ledger,
        version: u64,
        grant: Option<&'a Document<Grant>>,
    ) -> Known<'a> {
        let dataset = self.publication.body().dataset();
        let spent = ledger.spent(&dataset);
        let revoked = |what| self.revoked.contains(&what);
        let digest = grant.map(Document::digest);
        Known {
            version,
            grant,
            grant_uses_spent: digest.map_or(0, |digest| ledger.spent_under(&dataset, &digest)),
            uses_spent: spent.uses,
            micro_epsilon_spent: spent.micro_epsilon,
            counted: ledger.counts(&dataset, &asked.job),
            revoked_all: revoked(Revoked::All),
            revoked_version: revoked(Revoked::Version(version)),
            revoked_requester: revoked(Revoked::Requester(asked.requester)),
            revoked_grant: digest.is_some_and(|digest| revoked(Revoked::Grant(digest))),
            sources: &NO_SOURCES,
        }
    }

    /// What a job costs of a budget, in millionths of epsilon.
    fn cost(&self) -> u64 {
        self.policy.body().budget.map_or(0, |budget| budget.cost_micro_epsilon)
    }

    /// Asks all that the data was made of. What a policy lists they need not be asked: this one's,
    /// being as strict, lists no more.
    fn weigh(&self, asked: &ReleaseRequest, ledger: &Ledger, is_granted: bool) -> Weighed<'_> {
        let publication = self.publication.body();
        let mut weighed = Weighed::default();
        for source in &publication.sources {
            let Some(part) = self.sources.get(&source.dataset()) else {
                weighed.unmet.entry(Clause::SourcesPolicy).or_insert(source);
                continue;
            };
            // Whoever grants the use of what it has made of its own data grants the use of that.
            let is_granted = is_granted && source.owner == publication.owner;
            let admitted = part.rules.admits(asked, ledger, is_granted);
            let grant = admitted.flatten();
            let known = part.rules.known(asked, ledger, source.version, grant);
            let unmet = [
                (Clause::SourcesPolicy, part.is_laxer),
                (
                    Clause::SourcesRevoked,
                    known.revoked_all || known.revoked_version || known.revoked_requester,
                ),
                (Clause::SourcesRequesters, admitted.is_none()),
                (Clause::SourcesSpent, part.rules.is_spent(&known, self.cost())),
                (Clause::SourcesCedar, part.rules.texts_refuse(asked, &known)),
            ];
            for (clause, _) in unmet.into_iter().filter(|(_, is_unmet)| *is_unmet) {
                weighed.unmet.entry(clause).or_insert(source);
            }
            let dataset = source.dataset();
            weighed.charges.push(Charge::new(dataset, source.version, &part.rules, grant));
        }
        weighed
    }

    /// The grant under which an account may order over what was made of this dataset, or that it
    /// needs none; `None` if it may not. As for this dataset itself, who has grants rests on them
    /// alone.
    fn admits(
        &self,
        asked: &ReleaseRequest,
        ledger: &Ledger,
        is_granted: bool,
    ) -> Option<Option<&Document<Grant>>> {
        if is_granted {
            return Some(None);
        }
        let Some(grants) = self.grants.get(&asked.requester) else {
            return self.policy.body().requesters.allows(&asked.requester).then_some(None);
        };
        let dataset = self.publication.body().dataset();
        let cost = u64::from(!ledger.counts(&dataset, &asked.job));
        let serves = |grant: &&Document<Grant>| {
            let (said, digest) = (grant.body(), grant.digest());
            let purpose = match &said.purposes {
                Allowed::Any => true,
                listed => asked.purpose.as_ref().is_some_and(|purpose| listed.allows(purpose)),
            };
            purpose
                && asked.now <= said.expires_at
                && ledger.spent_under(&dataset, &digest) + cost <= said.uses_max
                && !self.revoked.contains(&Revoked::Grant(digest))
        };
        grants.values().find(serves).map(Some)
    }

    /// Whether this dataset has too little left for a job over what was made of it.
    fn is_spent(&self, known: &Known<'_>, micro_epsilon: u64) -> bool {
        let policy = self.policy.body();
        let uses = u64::from(!known.counted);
        let spent = known.micro_epsilon_spent.saturating_add(uses * micro_epsilon);
        known.uses_spent + uses > policy.uses_max
            || policy.budget.is_some_and(|budget| spent > budget.total_micro_epsilon)
    }

    /// Whether this dataset's texts in Cedar do not permit a job over what was made of it.
    fn texts_refuse(&self, asked: &ReleaseRequest, known: &Known<'_>) -> bool {
        let asked = ReleaseRequest { dataset: self.publication.body().root, ..asked.clone() };
        self.compiled.texts_refuse(&asked, known)
    }

    fn reason(
        &self,
        clause: Clause,
        asked: &ReleaseRequest,
        grant: Option<&Document<Grant>>,
        weighed: &Weighed<'_>,
    ) -> ClauseReason {
        let policy = self.policy.body();
        let (output, program) = (&policy.output, asked.program);
        let digest = grant.map_or(Hash::default(), Document::digest);
        match clause {
            Clause::Dataset => ClauseReason::Dataset { root: asked.dataset },
            Clause::Fee => {
                let Publication { owner, fee, .. } = self.publication.body();
                ClauseReason::Fee { owner: *owner, fee: fee.to_string() }
            }
            Clause::RevokedAll => ClauseReason::RevokedAll {},
            Clause::RevokedVersion => {
                ClauseReason::RevokedVersion { version: self.publication.body().version }
            }
            Clause::RevokedRequester => {
                ClauseReason::RevokedRequester { requester: asked.requester }
            }
            Clause::RevokedGrant => ClauseReason::RevokedGrant { grant: digest },
            Clause::Programs => ClauseReason::Programs { program },
            Clause::GroupMin => ClauseReason::GroupMin { program, least: output.group_min },
            Clause::OutputSize => ClauseReason::OutputSize { program, most: output.size_max },
            Clause::StepsConstant => ClauseReason::StepsConstant { program },
            Clause::StepLimit => ClauseReason::StepLimit {
                step_limit: asked.step_limit,
                most: output.step_limit_max,
            },
            Clause::OutputClass => ClauseReason::OutputClass {},
            Clause::Providers => ClauseReason::Providers { provider: asked.provider },
            Clause::StakeMin => {
                ClauseReason::StakeMin { least: policy.providers.stake_min.to_string() }
            }
            Clause::Measurements => ClauseReason::Measurements {},
            Clause::Requesters => ClauseReason::Requesters { requester: asked.requester },
            Clause::GrantPurposes => ClauseReason::GrantPurposes { grant: digest },
            Clause::GrantUses => ClauseReason::GrantUses { grant: digest },
            Clause::GrantExpiry => ClauseReason::GrantExpiry {
                grant: digest,
                expires_at: grant.map_or(0, |grant| grant.body().expires_at),
            },
            Clause::Beneficiaries => {
                let is_named = policy.beneficiaries.allows(&asked.beneficiary);
                let beneficiary = if is_named { asked.requester } else { asked.beneficiary };
                ClauseReason::Beneficiaries { beneficiary }
            }
            Clause::Purposes => ClauseReason::Purposes { purpose: asked.purpose.clone() },
            Clause::Verifiers => ClauseReason::Verifiers { verifier: asked.verifier },
            Clause::Auditors => {
                let accounts = &policy.auditors.accounts;
                let others = asked.auditors.iter().filter(|account| !accounts.allows(account));
                ClauseReason::Auditors { auditors: others.copied().collect() }
            }
            Clause::AuditorsLeast => ClauseReason::AuditorsLeast {
                found: asked.auditors.len() as u64,
                least: policy.auditors.least,
            },
            Clause::Expiry => ClauseReason::Expiry { expires_at: policy.expires_at },
            Clause::Uses => ClauseReason::Uses {},
            Clause::Budget => ClauseReason::Budget {},
            Clause::SourcesPolicy => {
                weighed.reason(clause, |owner, name| ClauseReason::SourcesPolicy { owner, name })
            }
            Clause::SourcesRevoked => {
                weighed.reason(clause, |owner, name| ClauseReason::SourcesRevoked { owner, name })
            }
            Clause::SourcesRequesters => weighed
                .reason(clause, |owner, name| ClauseReason::SourcesRequesters { owner, name }),
            Clause::SourcesSpent => {
                weighed.reason(clause, |owner, name| ClauseReason::SourcesSpent { owner, name })
            }
            Clause::SourcesCedar => {
                weighed.reason(clause, |owner, name| ClauseReason::SourcesCedar { owner, name })
            }
            Clause::Cedar => ClauseReason::Cedar { text: 0 },
        }
    }

    /// The same rules without one clause.
    #[cfg(test)]
    pub(super) fn ignoring(mut self, clause: Clause) -> Self {
        let (published, policy) = (self.publication.body(), self.policy.body());
        self.compiled = Compiled::without(published, policy, Some(clause));
        self
    }
}
