//! Policies: to whom an owner's key goes, for what, how often (spec/policy.md#policies).

use std::collections::{BTreeMap, BTreeSet};

use assay_types::{Account, ProgramId};
use serde::{Deserialize, Serialize};

use super::document::{Document, DocumentError, Form, Measurement, Word, amount, number, shown};

/// The longest list in a policy.
pub const LIST_MAX: usize = 256;

/// The most texts in Cedar.
pub const CEDAR_TEXTS_MAX: usize = 8;

/// The longest texts in Cedar, together, in bytes.
pub const CEDAR_SIZE_MAX: usize = 1 << 13;

/// How deep brackets may stand in a text in Cedar.
pub const CEDAR_DEPTH_MAX: usize = 32;

/// Any, or only those listed. In JSON `"any"` or a list, smallest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed<T> {
    /// All.
    Any,
    /// These, and nothing if there are none.
    Only(BTreeSet<T>),
}

/// A policy: what must hold before a key goes out. [`Policy::default`] permits nothing, and a
/// draft's missing field permits nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The owner's count.
    #[serde(with = "number")]
    pub version: u64,
    /// The programs that may run over the data, by id, each with what the owner has found it to
    /// guarantee.
    pub programs: BTreeMap<ProgramId, Guarantees>,
    /// Who may run them.
    pub providers: Providers,
    /// Who may order without a grant.
    pub requesters: Allowed<Account>,
    /// Who may read results: as a job's beneficiary, or as its requester, who can read what is
    /// sealed to the beneficiary.
    pub beneficiaries: Allowed<Account>,
    /// For what. A purpose is the requester's word.
    pub purposes: Allowed<Word>,
    /// What makes a claim final: numbers in the registry of verifiers.
    pub verifiers: Allowed<u16>,
    /// Who may hold the data to check claims.
    pub auditors: Auditors,
    /// The most jobs, over all versions.
    #[serde(with = "number")]
    pub uses_max: u64,
    /// The last second in which a key goes out, Unix time.
    #[serde(with = "number")]
    pub expires_at: u64,
    /// What may be seen of a job.
    pub output: Output,
    /// What results may tell of any one person; `None`: not counted.
    pub budget: Option<Budget>,
    /// More conditions, in Cedar: a set of policies each, and each set must permit.
    pub cedar: BTreeSet<String>,
}

/// What the owner has found a program to do with any input. No one else checks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guarantees {
    /// The smallest group of people that a figure of its output is about.
    #[serde(with = "number")]
    pub group_min: u64,
    /// Its largest output, in bytes.
    #[serde(with = "number")]
    pub output_size_max: u64,
    /// Whether its step count and exit code depend on public sizes alone.
    pub steps_constant: bool,
}

/// Who may run programs over the data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Providers {
    /// Their accounts.
    pub accounts: Allowed<Account>,
    /// The least that one has at stake in the job, in the token's smallest unit.
    #[serde(with = "amount")]
    pub stake_min: u128,
    /// What their processors attest to run; any: nothing need be attested.
    pub measurements: Allowed<Measurement>,
}

/// Who may hold the data to check claims.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auditors {
    /// Their accounts.
    pub accounts: Allowed<Account>,
    /// How many an order must name.
    #[serde(with = "number")]
    pub least: u64,
}

/// What may be seen of a job. Its exit code, its step count and the limits in its order are seen by
/// everybody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// Who can read a result.
    pub class: OutputClass,
    /// The largest output that a program may guarantee, in bytes.
    #[serde(with = "number")]
    pub size_max: u64,
    /// The highest step limit: a requester who chooses it learns whether the program reached it.
    #[serde(with = "number")]
    pub step_limit_max: u64,
    /// Whether only programs may run whose step count and exit code tell nothing.
    pub steps_constant: bool,
    /// The smallest group that a program must guarantee.
    #[serde(with = "number")]
    pub group_min: u64,
}

/// Who can read a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputClass {
    /// The beneficiary and the requester; and whoever holds the data to run the program or to check
    /// it.
    #[default]
    Sealed,
    /// Anyone.
    Public,
}

/// A privacy budget, in millionths of epsilon. Spent when a key goes out, and never given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// The most for all uses, over all versions.
    #[serde(with = "number")]
    pub total_micro_epsilon: u64,
    /// What one use costs.
    #[serde(with = "number")]
    pub cost_micro_epsilon: u64,
}

impl<T> Default for Allowed<T> {
    fn default() -> Self {
        Allowed::Only(BTreeSet::new())
    }
}

impl<T: Ord> FromIterator<T> for Allowed<T> {
    fn from_iter<I: IntoIterator<Item = T>>(listed: I) -> Self {
        Allowed::Only(listed.into_iter().collect())
    }
}

impl<T: Ord + Clone> Allowed<T> {
    /// Whether it is allowed.
    pub fn allows(&self, one: &T) -> bool {
        match self {
            Allowed::Any => true,
            Allowed::Only(listed) => listed.contains(one),
        }
    }

    /// What both allow.
    fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Allowed::Any, either) | (either, Allowed::Any) => either.clone(),
            (Allowed::Only(a), Allowed::Only(b)) => a.intersection(b).cloned().collect(),
        }
    }

    fn check(&self, list: &'static str) -> Result<(), DocumentError> {
        match self {
            Allowed::Any => Ok(()),
            Allowed::Only(listed) => check_length(list, listed.len()),
        }
    }
}

impl<T: Serialize> Serialize for Allowed<T> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Allowed::Any => to.serialize_str("any"),
            Allowed::Only(listed) => listed.serialize(to),
        }
    }
}

impl<'de, T: Deserialize<'de> + Ord> Deserialize<'de> for Allowed<T> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Word {
            Any,
        }
        #[derive(Deserialize)]
        #[serde(untagged, bound = "T: Deserialize<'de> + Ord", expecting = "\"any\" or a list")]
        enum Either<T> {
            Any(Word),
            Only(BTreeSet<T>),
        }
        Ok(match Either::deserialize(from)? {
            Either::Any(Word::Any) => Allowed::Any,
            Either::Only(listed) => Allowed::Only(listed),
        })
    }
}

fn check_length(list: &'static str, found: usize) -> Result<(), DocumentError> {
    if found > LIST_MAX {
        return Err(DocumentError::ListLong { list, found, most: LIST_MAX });
    }
    Ok(())
}

impl Form for Policy {
    const SCHEMA: &'static str = "assay.policy/1";

    fn check(&self) -> Result<(), DocumentError> {
        check_length("programs", self.programs.len())?;
        self.providers.accounts.check("providers.accounts")?;
        self.providers.measurements.check("providers.measurements")?;
        self.requesters.check("requesters")?;
        self.beneficiaries.check("beneficiaries")?;
        self.purposes.check("purposes")?;
        self.verifiers.check("verifiers")?;
        self.auditors.accounts.check("auditors.accounts")?;
        let size: usize = self.cedar.iter().map(String::len).sum();
        if self.cedar.len() > CEDAR_TEXTS_MAX || size > CEDAR_SIZE_MAX {
            return Err(DocumentError::CedarLong);
        }
        self.cedar.iter().enumerate().try_for_each(|(number, text)| {
            let why = super::cedar::owners_text(text).err();
            why.map_or(Ok(()), |why| Err(DocumentError::Cedar { number, why: shown(&why) }))
        })
    }
}

impl Policy {
    /// What permits nothing: what a policy is written from, clause by clause.
    pub fn deny_all() -> Self {
        Policy::default()
    }

    /// Adds a program.
    pub fn program(mut self, id: ProgramId, guarantees: Guarantees) -> Self {
        self.programs.insert(id, guarantees);
        self
    }

    /// Lets these run programs, with this at stake.
    pub fn providers(mut self, accounts: Allowed<Account>, stake_min: u128) -> Self {
        self.providers = Providers { accounts, stake_min, measurements: Allowed::Any };
        self
    }

    /// Lets these order and these read, for these purposes.
    pub fn parties(
        mut self,
        requesters: Allowed<Account>,
        beneficiaries: Allowed<Account>,
        purposes: Allowed<Word>,
    ) -> Self {
        (self.requesters, self.beneficiaries, self.purposes) =
            (requesters, beneficiaries, purposes);
        self
    }

    /// Lets claims become final by these verifiers, with these auditors, of whom an order names as
    /// many.
    pub fn assurance(
        mut self,
        verifiers: Allowed<u16>,
        auditors: Allowed<Account>,
        least: u64,
    ) -> Self {
        self.verifiers = verifiers;
        self.auditors = Auditors { accounts: auditors, least };
        self
    }

    /// Lets this be seen of a job.
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// Lets the data be used as often, until then.
    pub fn uses(mut self, uses_max: u64, expires_at: u64) -> Self {
        (self.uses_max, self.expires_at) = (uses_max, expires_at);
        self
    }

    /// Counts what results tell.
    pub fn budget(mut self, total_micro_epsilon: u64, cost_micro_epsilon: u64) -> Self {
        self.budget = Some(Budget { total_micro_epsilon, cost_micro_epsilon });
        self
    }

    /// Checks and writes it.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn finish(self) -> Result<Document<Policy>, DocumentError> {
        Document::new(self)
    }
}

/// The policy for two data sets combined: on every point the stricter rule. What it permits, both
/// permit.
///
/// # Errors
///
/// [`DocumentError`], where the texts in Cedar are too long together.
pub fn stricter(
    a: &Document<Policy>,
    b: &Document<Policy>,
) -> Result<Document<Policy>, DocumentError> {
    let (a, b) = (a.body(), b.body());
    let shared = a.programs.iter().filter_map(|(id, ours)| Some((id, ours, b.programs.get(id)?)));
    Document::new(Policy {
        version: a.version.max(b.version),
        programs: shared.map(|(id, ours, theirs)| (*id, ours.and(theirs))).collect(),
        providers: a.providers.and(&b.providers),
        requesters: a.requesters.and(&b.requesters),
        beneficiaries: a.beneficiaries.and(&b.beneficiaries),
        purposes: a.purposes.and(&b.purposes),
        verifiers: a.verifiers.and(&b.verifiers),
        auditors: Auditors {
            accounts: a.auditors.accounts.and(&b.auditors.accounts),
            least: a.auditors.least.max(b.auditors.least),
        },
        uses_max: a.uses_max.min(b.uses_max),
        expires_at: a.expires_at.min(b.expires_at),
        output: a.output.and(&b.output),
        budget: match (a.budget, b.budget) {
            (None, either) | (either, None) => either,
            (Some(a), Some(b)) => Some(Budget {
                total_micro_epsilon: a.total_micro_epsilon.min(b.total_micro_epsilon),
                cost_micro_epsilon: a.cost_micro_epsilon.max(b.cost_micro_epsilon),
            }),
        },
        cedar: a.cedar.union(&b.cedar).cloned().collect(),
    })
}

/// Whether a policy permits nothing that another does not: the stricter of the two is itself, but
/// for its number.
pub fn is_as_strict(a: &Document<Policy>, b: &Document<Policy>) -> bool {
    stricter(a, b)
        .is_ok_and(|both| Policy { version: a.body().version, ..both.body().clone() } == *a.body())
}

impl Guarantees {
    /// What both owners are sure of: the weaker guarantee.
    fn and(&self, other: &Self) -> Self {
        Guarantees {
            group_min: self.group_min.min(other.group_min),
            output_size_max: self.output_size_max.max(other.output_size_max),
            steps_constant: self.steps_constant && other.steps_constant,
        }
    }
}

impl Providers {
    fn and(&self, other: &Self) -> Self {
        Providers {
            accounts: self.accounts.and(&other.accounts),
            stake_min: self.stake_min.max(other.stake_min),
            measurements: self.measurements.and(&other.measurements),
        }
    }
}

impl Output {
    fn and(&self, other: &Self) -> Self {
        Output {
            class: self.class.min(other.class),
            size_max: self.size_max.min(other.size_max),
            step_limit_max: self.step_limit_max.min(other.step_limit_max),
            steps_constant: self.steps_constant || other.steps_constant,
            group_min: self.group_min.max(other.group_min),
        }
    }
}
