//! A policy in plain sentences, for its owner before it is signed and for whoever would order.

use std::fmt::Display;

use assay_types::ProgramId;
use jiff::Timestamp;

use super::cedar::can_permit;
use super::clause::Clause;
use super::terms::{Allowed, Guarantees, OutputClass, Policy};

/// How many of a list are named.
const NAMED_MAX: usize = 4;

/// One sentence for each clause that the policy states, in the order of the specification.
pub fn explain(policy: &Policy) -> Vec<String> {
    Clause::ALL.iter().filter_map(|clause| sentence(*clause, policy, NAMED_MAX)).collect()
}

/// A clause that one policy states otherwise than another, in both's sentences; empty where one
/// does not state it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub clause: Clause,
    /// What the first says.
    pub before: String,
    /// What the second says.
    pub after: String,
}

/// Where two policies differ: what [`stricter`](super::stricter) made of a draft, for whoever wrote
/// it.
pub fn explain_changes(before: &Policy, after: &Policy) -> Vec<Change> {
    let clauses = Clause::ALL.iter().copied();
    // Compared in full: two long lists may begin with the same names.
    let whole = |clause, policy| sentence(clause, policy, usize::MAX);
    let differ = clauses.filter(|clause| whole(*clause, before) != whole(*clause, after));
    let said = |clause, policy| sentence(clause, policy, NAMED_MAX).unwrap_or_default();
    differ
        .map(|clause| Change { clause, before: said(clause, before), after: said(clause, after) })
        .collect()
}

/// Why no job can ever pass a policy, one sentence each, with what to change; empty if one might.
/// For its owner, before it is signed: such a policy is right only for data that nobody is to use.
pub fn never_permits(policy: &Policy, now: u64) -> Vec<String> {
    let (output, providers, auditors) = (&policy.output, &policy.providers, &policy.auditors);
    let no_program = !policy.programs.values().any(|program| {
        program.group_min >= output.group_min
            && program.output_size_max <= output.size_max
            && (program.steps_constant || !output.steps_constant)
    });
    let too_few = match &auditors.accounts {
        Allowed::Any => false,
        Allowed::Only(listed) => (listed.len() as u64) < auditors.least,
    };
    let overspends =
        policy.budget.is_some_and(|one| one.cost_micro_epsilon > one.total_micro_epsilon);
    let figures = [
        (policy.programs.is_empty(), "programs lists none: list one"),
        (
            no_program && !policy.programs.is_empty(),
            "no program of the list guarantees what output asks: list one that does, or ask for less",
        ),
        (output.step_limit_max == 0, "output.step_limit_max is 0: raise it"),
        (is_closed(&providers.accounts), "providers.accounts lists none: list one, or say \"any\""),
        (
            is_closed(&providers.measurements),
            "providers.measurements lists none: list one, or say \"any\"",
        ),
        (is_closed(&policy.beneficiaries), "beneficiaries lists none: list one, or say \"any\""),
        (is_closed(&policy.purposes), "purposes lists none: list one, or say \"any\""),
        (is_closed(&policy.verifiers), "verifiers lists none: list one, or say \"any\""),
        (too_few, "auditors.least is above the auditors listed: list more, or ask for fewer"),
        (policy.uses_max == 0, "uses_max is 0: raise it"),
        (policy.expires_at < now, "expires_at is past: choose a later time"),
        (overspends, "a use costs more than the whole budget: raise it, or the total"),
    ];
    let figures = figures.into_iter().filter(|(is_so, _)| *is_so).map(|(_, why)| why.to_owned());
    let texts = policy.cedar.iter().enumerate().filter(|(_, text)| !can_permit(text));
    let texts = texts.map(|(number, _)| {
        format!("text {number} of cedar permits nothing, it only forbids: add permit(principal, action, resource);")
    });
    figures.chain(texts).collect()
}

fn is_closed<T: Ord>(list: &Allowed<T>) -> bool {
    matches!(list, Allowed::Only(listed) if listed.is_empty())
}

/// What a policy says by a clause, with as many names of each list.
fn sentence(clause: Clause, policy: &Policy, most: usize) -> Option<String> {
    let (output, providers) = (&policy.output, &policy.providers);
    let sentence = match clause {
        // These are documents of their own, or follow from them.
        Clause::Dataset
        | Clause::Fee
        | Clause::RevokedAll
        | Clause::RevokedVersion
        | Clause::RevokedRequester
        | Clause::RevokedGrant
        | Clause::GrantPurposes
        | Clause::GrantUses
        | Clause::GrantExpiry
        | Clause::SourcesPolicy
        | Clause::SourcesRevoked
        | Clause::SourcesRequesters
        | Clause::SourcesSpent
        | Clause::SourcesCedar
        | Clause::Other => return None,
        Clause::Programs if policy.programs.is_empty() => {
            "No program may run over the data.".to_owned()
        }
        Clause::Programs => {
            let programs = policy.programs.iter().map(program);
            format!("Only these programs may run over the data: {}.", list(programs, most))
        }
        Clause::GroupMin if output.group_min == 0 => {
            "Results may be about a single person.".to_owned()
        }
        Clause::GroupMin => {
            format!("Every figure of a result is about at least {} people.", output.group_min)
        }
        Clause::OutputSize => format!("A result has at most {} bytes.", output.size_max),
        Clause::StepsConstant if output.steps_constant => {
            "Step counts and exit codes, which everybody sees, tell nothing of the data.".to_owned()
        }
        Clause::StepsConstant => {
            "Step counts and exit codes are seen by everybody, and may tell something of the data."
                .to_owned()
        }
        Clause::StepLimit => format!("A job runs for at most {} steps.", output.step_limit_max),
        Clause::OutputClass => match output.class {
            OutputClass::Sealed => {
                "Only a job's requester and its beneficiary can read a result, and who holds the data to run it or to check it.".to_owned()
            }
            OutputClass::Public => "Anyone may read a result.".to_owned(),
        },
        Clause::Providers => {
            let said = who(&providers.accounts, "hold the data to run programs", most);
            // A fee is paid with the result, and whoever has the key needs no result.
            let is_open = providers.accounts == Allowed::Any;
            let too = if is_open {
                " So a requester can be its own provider, take the key and never begin: it has the data, and pays no fee."
            } else {
                ""
            };
            format!("{said}{too}")
        }
        Clause::StakeMin if providers.stake_min == 0 => return None,
        Clause::StakeMin => format!(
            "A provider has at least {} of the token's smallest unit at stake.",
            providers.stake_min
        ),
        Clause::Measurements => match &providers.measurements {
            Allowed::Any => {
                "A provider need not attest to what it runs: it can keep what it sees.".to_owned()
            }
            Allowed::Only(listed) if listed.is_empty() => {
                "No provider attests to what is asked.".to_owned()
            }
            Allowed::Only(listed) => {
                format!("A provider's processor attests to run {}.", list(listed.iter(), most))
            }
        },
        Clause::Requesters => match &policy.requesters {
            Allowed::Only(listed) if listed.is_empty() => {
                "Only accounts with a grant may order.".to_owned()
            }
            Allowed::Only(listed) => {
                format!("Only {} and accounts with a grant may order.", list(listed.iter(), most))
            }
            Allowed::Any => "Anyone may order.".to_owned(),
        },
        Clause::Beneficiaries => {
            let said = who(&policy.beneficiaries, "be the beneficiary of a job", most);
            let is_bound = output.class == OutputClass::Sealed && policy.beneficiaries != Allowed::Any;
            let too = if is_bound { " None but these may order: who orders can read the result." } else { "" };
            format!("{said}{too}")
        }
        Clause::Purposes => match &policy.purposes {
            Allowed::Any => "The data may be used for any purpose.".to_owned(),
            Allowed::Only(listed) if listed.is_empty() => {
                "The data may be used for no purpose.".to_owned()
            }
            Allowed::Only(listed) => format!(
                "The requester states one of these purposes, which nobody checks: {}.",
                list(listed.iter(), most)
            ),
        },
        Clause::Verifiers => match &policy.verifiers {
            Allowed::Any => "A claim may become final by any verifier.".to_owned(),
            Allowed::Only(listed) if listed.is_empty() => {
                "A claim may become final by no verifier.".to_owned()
            }
            Allowed::Only(listed) => {
                format!("A claim becomes final by verifier {}.", list(listed.iter(), most))
            }
        },
        Clause::Auditors => who(&policy.auditors.accounts, "hold the data to check claims", most),
        Clause::AuditorsLeast if policy.auditors.least == 0 => return None,
        Clause::AuditorsLeast => {
            format!("An order names at least {} of them.", policy.auditors.least)
        }
        Clause::Expiry => format!("Keys go out until {}.", time(policy.expires_at)),
        Clause::Uses => {
            format!("The data is used for at most {} jobs, over all versions.", policy.uses_max)
        }
        Clause::Budget => match policy.budget {
            None => "What results tell of a single person is not counted.".to_owned(),
            Some(budget) => format!(
                "A job costs {} of a privacy budget of {} (in epsilon), which is never refilled.",
                epsilon(budget.cost_micro_epsilon),
                epsilon(budget.total_micro_epsilon)
            ),
        },
        Clause::Cedar if policy.cedar.is_empty() => return None,
        Clause::Cedar => format!("{} more must permit it, in Cedar.", policy.cedar.len()),
    };
    Some(sentence)
}

fn program((id, guarantees): (&ProgramId, &Guarantees)) -> String {
    let steps = if guarantees.steps_constant { "constant" } else { "varying" };
    format!(
        "{id} (groups of {}, {} bytes, {steps} steps)",
        guarantees.group_min, guarantees.output_size_max
    )
}

fn who<T: Ord + Display>(allowed: &Allowed<T>, what: &str, most: usize) -> String {
    match allowed {
        Allowed::Any => format!("Anyone may {what}."),
        Allowed::Only(listed) if listed.is_empty() => format!("Nobody may {what}."),
        Allowed::Only(listed) => format!("Only {} may {what}.", list(listed.iter(), most)),
    }
}

fn list<T: Display>(all: impl ExactSizeIterator<Item = T>, most: usize) -> String {
    let more = all.len().saturating_sub(most);
    let named: Vec<String> = all.take(most).map(|one| one.to_string()).collect();
    let named = named.join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

/// ISO 8601, or the number where no calendar reaches.
fn time(secs: u64) -> String {
    let time = i64::try_from(secs).ok().and_then(|secs| Timestamp::from_second(secs).ok());
    time.map_or_else(|| format!("second {secs}"), |time| time.to_string())
}

fn epsilon(micro_epsilon: u64) -> String {
    let text = format!("{}.{:06}", micro_epsilon / 1_000_000, micro_epsilon % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
