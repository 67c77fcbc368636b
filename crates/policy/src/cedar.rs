//! Policies as Cedar: a permit for the dataset, and a forbid for each clause
//! (spec/policy.md#cedar).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;
use std::sync::LazyLock;

use cedar_policy::{
    Authorizer, Context, Decision, Effect, Entities, EntityId, EntityTypeName, EntityUid, PolicyId,
    PolicySet, Request, RestrictedExpression, Schema, ValidationMode, Validator,
};

use super::clause::Clause;
use super::dataset::{Grant, Publication, Source};
use super::document::Document;
use super::rules::ReleaseRequest;
use super::terms::{Allowed, CEDAR_DEPTH_MAX, Guarantees, OutputClass, Policy};

/// What a request is made of, in Cedar's words: an owner's own texts may ask for these facts and no
/// others.
pub const CEDAR_SCHEMA: &str = include_str!("schema.cedarschema");

/// Facts are at most this, so that no sum of two overflows: 2^62.
const FACT_MAX: u64 = 1 << 62;

/// Amounts are two numbers, since Cedar's go to 2^63 - 1: the lower has 62 bits.
const AMOUNT_LOW_BITS: u32 = 62;

/// The facts about what the data was made of, each true where its clause is not met.
const SOURCES_FACTS: [(Clause, &str); 5] = [
    (Clause::SourcesPolicy, "sources_laxer"),
    (Clause::SourcesRevoked, "sources_revoked"),
    (Clause::SourcesRequesters, "sources_closed"),
    (Clause::SourcesSpent, "sources_spent"),
    (Clause::SourcesCedar, "sources_forbid"),
];

pub(super) static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let schema = Schema::from_cedarschema_str(CEDAR_SCHEMA);
    let (schema, _) = schema.unwrap_or_else(|error| unreachable!("our own schema: {error}"));
    Validator::new(schema)
});

/// A policy for a dataset, ready to be asked.
#[derive(Debug)]
pub(super) struct Compiled {
    clauses: PolicySet,
    texts: Vec<PolicySet>,
    authorizer: Authorizer,
    nothing: Entities,
    action: EntityUid,
}

/// What is known besides the request.
pub(super) struct Known<'a> {
    pub(super) version: u64,
    pub(super) grant: Option<&'a Document<Grant>>,
    pub(super) grant_uses_spent: u64,
    pub(super) uses_spent: u64,
    pub(super) micro_epsilon_spent: u64,
    /// Whether the job's use is counted already.
    pub(super) counted: bool,
    pub(super) revoked_all: bool,
    pub(super) revoked_version: bool,
    pub(super) revoked_requester: bool,
    pub(super) revoked_grant: bool,
    /// What the datasets that the data was made of do not permit: by clause, the first of them.
    pub(super) sources: &'a BTreeMap<Clause, &'a Source>,
}

/// What refuses: clauses, and the owner's texts by number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refusing {
    pub(super) clauses: BTreeSet<Clause>,
    pub(super) texts: Vec<usize>,
}

/// Reads an owner's text: policies without slots, over the facts of the schema.
pub(super) fn owners_text(text: &str) -> Result<PolicySet, String> {
    if depth(text) > CEDAR_DEPTH_MAX {
        return Err(format!("brackets stand more than {CEDAR_DEPTH_MAX} deep: write it flatter"));
    }
    let policies = PolicySet::from_str(text).map_err(|errors| errors.to_string())?;
    if policies.num_of_templates() != 0 {
        return Err("a policy with a slot permits nothing: fill it in".to_owned());
    }
    let result = VALIDATOR.validate(&policies, ValidationMode::Strict);
    match result.validation_errors().next() {
        Some(error) => Err(error.to_string()),
        None => Ok(policies),
    }
}

/// Whether an owner's text can permit: Cedar denies where no policy permits.
pub(super) fn can_permit(text: &str) -> bool {
    let policies = PolicySet::from_str(text);
    policies.is_ok_and(|all| all.policies().any(|policy| policy.effect() == Effect::Permit))
}

/// How deep brackets stand, outside strings and comments. Cedar's parser recurses: at 300 deep it
/// overflows a thread's stack of 2 MB. What else nests without brackets, the bound on the text's
/// size bounds.
fn depth(text: &str) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            b'/' if bytes.peek() == Some(&b'/') => {
                bytes.find(|byte| matches!(byte, b'\n' | b'\r'));
            }
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

fn skip_string(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'"' => return,
            _ => {}
        }
    }
}

impl Compiled {
    pub(super) fn new(published: &Publication, policy: &Policy) -> Self {
        Self::without(published, policy, None)
    }

    /// The same without one clause, so that tests can tell that it is this clause that refuses.
    pub(super) fn without(
        published: &Publication,
        policy: &Policy,
        ignored: Option<Clause>,
    ) -> Self {
        let text = clauses_text(published, policy, ignored);
        let owners = policy.cedar.iter().filter(|_| ignored != Some(Clause::Cedar));
        let read = |text: &String| {
            owners_text(text).unwrap_or_else(|error| unreachable!("checked when read: {error}"))
        };
        Compiled {
            clauses: named_policies(&text),
            texts: owners.map(read).collect(),
            authorizer: Authorizer::new(),
            nothing: Entities::empty(),
            action: entity("Action", "release"),
        }
    }

    /// Asks Cedar. Whatever it could not evaluate refuses: Cedar itself would skip a forbid that
    /// fails.
    pub(super) fn refusing(&self, asked: &ReleaseRequest, known: &Known<'_>) -> Refusing {
        let request = self.request(asked, known);
        let mut refusing = Refusing::default();
        let response = self.authorizer.is_authorized(&request, &self.clauses, &self.nothing);
        let failed = response.diagnostics().errors().map(|error| match error {
            cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
        });
        if response.decision() == Decision::Deny {
            let ids = response.diagnostics().reason().chain(failed);
            refusing.clauses = ids.filter_map(|id| Clause::from_code(id.as_ref())).collect();
            if refusing.clauses.is_empty() {
                // Unreached while the dataset has a forbid of its own: denied all the same.
                refusing.clauses.insert(Clause::Dataset);
            }
        } else {
            refusing.clauses = failed.filter_map(|id| Clause::from_code(id.as_ref())).collect();
        }
        let texts = self.texts.iter().enumerate();
        let texts = texts.filter(|(_, text)| self.text_refuses(text, &request));
        refusing.texts = texts.map(|(number, _)| number).collect();
        refusing
    }

    /// Whether one of the owner's texts does not permit it.
    pub(super) fn texts_refuse(&self, asked: &ReleaseRequest, known: &Known<'_>) -> bool {
        if self.texts.is_empty() {
            return false;
        }
        let request = self.request(asked, known);
        self.texts.iter().any(|text| self.text_refuses(text, &request))
    }

    fn text_refuses(&self, text: &PolicySet, request: &Request) -> bool {
        let response = self.authorizer.is_authorized(request, text, &self.nothing);
        let failed = response.diagnostics().errors().next().is_some();
        response.decision() == Decision::Deny || failed
    }

    fn request(&self, asked: &ReleaseRequest, known: &Known<'_>) -> Request {
        let facts = facts(asked, known).map(|(name, fact)| (name.to_owned(), fact));
        let context = Context::from_pairs(facts);
        let context = context.unwrap_or_else(|error| unreachable!("names differ: {error}"));
        let requester = entity("Account", &asked.requester.to_string());
        let dataset = entity("Dataset", &asked.dataset.to_string());
        // Facts are of the schema's types, a test holds them to it; asking each time would cost as
        // much as the decision.
        Request::new(requester, self.action.clone(), dataset, context, None)
            .unwrap_or_else(|error| unreachable!("no schema to miss: {error}"))
    }
}

/// A policy's clauses as one text in Cedar, for people: what is evaluated is read from it.
pub fn clauses_as_cedar(published: &Publication, policy: &Policy) -> String {
    clauses_text(published, policy, None)
}

fn clauses_text(published: &Publication, policy: &Policy, ignored: Option<Clause>) -> String {
    let scope = match ignored {
        Some(Clause::Dataset) => String::new(),
        _ => format!(" == Dataset::\"{}\"", published.root),
    };
    let mut text = format!(
        "@id(\"permit\")\npermit (principal, action == Action::\"release\", resource{scope});\n"
    );
    for clause in Clause::ALL.iter().filter(|clause| Some(**clause) != ignored) {
        if let Some(condition) = condition(*clause, published, policy) {
            let code = clause.code();
            text += &format!(
                "@id(\"{code}\")\nforbid (principal, action, resource)\nunless {{ {condition} }};\n"
            );
        }
    }
    text
}

/// Reads our own text, each policy under the id that it states.
fn named_policies(text: &str) -> PolicySet {
    let read = PolicySet::from_str(text);
    let read = read.unwrap_or_else(|error| unreachable!("our own text: {error}"));
    let named = read.policies().map(|policy| {
        let id = policy.annotation("id").unwrap_or_else(|| unreachable!("each states one"));
        policy.new_id(PolicyId::new(id))
    });
    PolicySet::from_policies(named).unwrap_or_else(|error| unreachable!("ids differ: {error}"))
}

/// What must hold, in Cedar; `None` where the policy leaves it open.
fn condition(clause: Clause, published: &Publication, policy: &Policy) -> Option<String> {
    let output = &policy.output;
    let granted =
        |condition: &str| Some(format!("if context has grant then {condition} else true"));
    match clause {
        // The permit reaches no other dataset either; a forbid has the refusal name it beside
        // others.
        Clause::Dataset => Some(format!("resource == Dataset::\"{}\"", published.root)),
        Clause::Fee => at_least("context.data_fee", published.fee)
            .map(|paid| format!("context.data_owner == \"{}\" && ({paid})", published.owner)),
        Clause::RevokedAll => Some("!context.revoked_all".to_owned()),
        Clause::RevokedVersion => Some("!context.revoked_version".to_owned()),
        Clause::RevokedRequester => Some("!context.revoked_requester".to_owned()),
        Clause::RevokedGrant => Some("!context.revoked_grant".to_owned()),
        Clause::Programs => Some(one_of(policy.programs.keys(), "context.program")),
        Clause::GroupMin => no_program(policy, |program| program.group_min < output.group_min),
        Clause::OutputSize => {
            no_program(policy, |program| program.output_size_max > output.size_max)
        }
        Clause::StepsConstant => {
            no_program(policy, |program| output.steps_constant && !program.steps_constant)
        }
        Clause::StepLimit => Some(format!("context.step_limit <= {}", output.step_limit_max)),
        Clause::OutputClass => {
            (output.class == OutputClass::Sealed).then(|| "context.output_sealed".to_owned())
        }
        Clause::Providers => allowed(&policy.providers.accounts, "context.provider"),
        Clause::StakeMin => at_least("context.stake", policy.providers.stake_min),
        Clause::Measurements => allowed(&policy.providers.measurements, "context.measurement")
            .map(|listed| format!("context has measurement && {listed}")),
        Clause::Requesters => allowed(&policy.requesters, "context.requester")
            .map(|listed| format!("context has grant || {listed}")),
        Clause::GrantPurposes => granted(
            "(context.grant.any_purpose || context.grant.purposes.contains(context.purpose))",
        ),
        Clause::GrantUses => {
            granted("context.grant.uses_spent + context.use_cost <= context.grant.uses_max")
        }
        Clause::GrantExpiry => granted("context.now <= context.grant.expires_at"),
        // The key of a sealed result follows from the input that the requester brings, so the
        // requester reads it too.
        Clause::Beneficiaries => {
            let reads = |fact| allowed(&policy.beneficiaries, fact);
            match output.class {
                OutputClass::Sealed => reads("context.beneficiary")
                    .zip(reads("context.requester"))
                    .map(|(named, ordering)| format!("{named} && {ordering}")),
                OutputClass::Public => reads("context.beneficiary"),
            }
        }
        Clause::Purposes => allowed(&policy.purposes, "context.purpose"),
        Clause::Verifiers => match &policy.verifiers {
            Allowed::Any => None,
            Allowed::Only(listed) if listed.is_empty() => Some("false".to_owned()),
            Allowed::Only(listed) => {
                let listed: Vec<String> = listed.iter().map(u16::to_string).collect();
                Some(format!("[{}].contains(context.verifier)", listed.join(", ")))
            }
        },
        Clause::Auditors => match &policy.auditors.accounts {
            Allowed::Any => None,
            Allowed::Only(listed) if listed.is_empty() => {
                Some("context.auditors_count == 0".to_owned())
            }
            Allowed::Only(listed) => {
                Some(format!("{}.containsAll(context.auditors)", set(listed.iter())))
            }
        },
        Clause::AuditorsLeast => (policy.auditors.least > 0)
            .then(|| format!("context.auditors_count >= {}", policy.auditors.least)),
        Clause::Expiry => Some(format!("context.now <= {}", policy.expires_at)),
        Clause::Uses => {
            Some(format!("context.uses_spent + context.use_cost <= {}", policy.uses_max))
        }
        Clause::Budget => policy.budget.map(|budget| {
            format!(
                "context.micro_epsilon_spent + context.use_cost * {} <= {}",
                budget.cost_micro_epsilon, budget.total_micro_epsilon
            )
        }),
        Clause::SourcesPolicy
        | Clause::SourcesRevoked
        | Clause::SourcesRequesters
        | Clause::SourcesSpent
        | Clause::SourcesCedar => sources_fact(clause).map(|fact| format!("!context.{fact}")),
        // The owner's own texts, each a set of policies for itself.
        Clause::Cedar | Clause::Other => None,
    }
}

/// What a clause about the data's sources is called as a fact, which is true where it is not met.
fn sources_fact(clause: Clause) -> Option<&'static str> {
    SOURCES_FACTS.iter().find(|(about, _)| *about == clause).map(|(_, fact)| *fact)
}

fn allowed<T: Ord + Display>(allowed: &Allowed<T>, fact: &str) -> Option<String> {
    match allowed {
        Allowed::Any => None,
        Allowed::Only(listed) => Some(one_of(listed.iter(), fact)),
    }
}

fn one_of<T: Display>(listed: impl ExactSizeIterator<Item = T>, fact: &str) -> String {
    // Strict validation knows no type for an empty set.
    if listed.len() == 0 {
        return "false".to_owned();
    }
    format!("{}.contains({fact})", set(listed))
}

/// Hex digits and words only: nothing that Cedar would need to have escaped.
fn set<T: Display>(listed: impl Iterator<Item = T>) -> String {
    let listed: Vec<String> = listed.map(|one| format!("\"{one}\"")).collect();
    format!("[{}]", listed.join(", "))
}

/// That the program is none of those that fall short. Programs that are not listed are another
/// clause's.
fn no_program(policy: &Policy, falls_short: impl Fn(&Guarantees) -> bool) -> Option<String> {
    let short = policy.programs.iter().filter(|(_, program)| falls_short(program));
    let short: Vec<_> = short.map(|(id, _)| id).collect();
    (!short.is_empty()).then(|| format!("!{}.contains(context.program)", set(short.iter())))
}

fn at_least(fact: &str, least: u128) -> Option<String> {
    let (high, low) = halves(least);
    (least > 0)
        .then(|| format!("{fact}.high > {high} || ({fact}.high == {high} && {fact}.low >= {low})"))
}

/// An amount as two numbers that Cedar can hold; amounts above 2^124 count as that.
fn halves(amount: u128) -> (i64, i64) {
    let amount = amount.min(1 << (2 * AMOUNT_LOW_BITS));
    let low = amount & ((1 << AMOUNT_LOW_BITS) - 1);
    ((amount >> AMOUNT_LOW_BITS) as i64, low as i64)
}

fn facts(
    asked: &ReleaseRequest,
    known: &Known<'_>,
) -> impl Iterator<Item = (&'static str, RestrictedExpression)> {
    let text = |fact: &dyn Display| RestrictedExpression::new_string(fact.to_string());
    let flag = RestrictedExpression::new_bool;
    let number = |fact: u64| RestrictedExpression::new_long(fact.min(FACT_MAX) as i64);
    let record = |fields: Vec<(&str, RestrictedExpression)>| {
        let fields = fields.into_iter().map(|(name, fact)| (name.to_owned(), fact));
        let record = RestrictedExpression::new_record(fields);
        record.unwrap_or_else(|error| unreachable!("names differ: {error}"))
    };
    let purpose = asked.purpose.as_ref().map_or("", |purpose| purpose.as_str());
    let amount = |amount: u128| {
        let (high, low) = halves(amount);
        let (high, low) =
            (RestrictedExpression::new_long(high), RestrictedExpression::new_long(low));
        record(vec![("high", high), ("low", low)])
    };
    let data_owner = asked.data_owner.map_or(String::new(), |account| account.to_string());
    let auditors = asked.auditors.iter().map(|account| text(account));
    let grant = known.grant.map(|grant| {
        let grant = grant.body();
        let purposes: Vec<_> = match &grant.purposes {
            Allowed::Any => Vec::new(),
            Allowed::Only(listed) => listed.iter().map(|word| text(word)).collect(),
        };
        let fields = vec![
            ("any_purpose", flag(grant.purposes == Allowed::Any)),
            ("purposes", RestrictedExpression::new_set(purposes)),
            ("uses_max", number(grant.uses_max)),
            ("uses_spent", number(known.grant_uses_spent)),
            ("expires_at", number(grant.expires_at)),
        ];
        ("grant", record(fields))
    });
    let measurement = asked.measurement.as_ref();
    let facts = [
        ("auditors", RestrictedExpression::new_set(auditors)),
        ("auditors_count", number(asked.auditors.len() as u64)),
        ("beneficiary", text(&asked.beneficiary)),
        ("data_fee", amount(asked.data_fee)),
        ("data_owner", text(&data_owner)),
        ("input_sealed", flag(asked.input_sealed)),
        ("job", text(&asked.job)),
        ("micro_epsilon_spent", number(known.micro_epsilon_spent)),
        ("now", number(asked.now)),
        ("output_sealed", flag(asked.output_sealed)),
        ("program", text(&asked.program)),
        ("provider", text(&asked.provider)),
        ("purpose", text(&purpose)),
        ("requester", text(&asked.requester)),
        ("revoked_all", flag(known.revoked_all)),
        ("revoked_grant", flag(known.revoked_grant)),
        ("revoked_requester", flag(known.revoked_requester)),
        ("revoked_version", flag(known.revoked_version)),
        ("stake", amount(asked.stake)),
        ("step_limit", number(asked.step_limit)),
        ("use_cost", number(u64::from(!known.counted))),
        ("uses_spent", number(known.uses_spent)),
        ("verifier", number(asked.verifier.into())),
        ("version", number(known.version)),
        ("window_secs", number(asked.window_secs.into())),
    ];
    let measured = measurement.map(|measurement| ("measurement", text(measurement)));
    let sources =
        SOURCES_FACTS.map(|(clause, fact)| (fact, flag(known.sources.contains_key(&clause))));
    facts.into_iter().chain(grant).chain(measured).chain(sources)
}

fn entity(kind: &str, id: &str) -> EntityUid {
    let kind = EntityTypeName::from_str(kind);
    let kind = kind.unwrap_or_else(|error| unreachable!("our own names: {error}"));
    EntityUid::from_type_name_and_id(kind, EntityId::new(id))
}

/// Whether facts are as the schema has them.
#[cfg(test)]
pub(super) fn check_facts(
    asked: &ReleaseRequest,
    grant: Option<&Document<Grant>>,
) -> Result<(), String> {
    let known = Known {
        version: 1,
        grant,
        grant_uses_spent: 0,
        uses_spent: u64::MAX,
        micro_epsilon_spent: u64::MAX,
        counted: false,
        revoked_all: false,
        revoked_version: false,
        revoked_requester: false,
        revoked_grant: false,
        sources: &BTreeMap::new(),
    };
    let facts = facts(asked, &known).map(|(name, fact)| (name.to_owned(), fact));
    let context = Context::from_pairs(facts).map_err(|error| error.to_string())?;
    let principal = entity("Account", &asked.requester.to_string());
    let resource = entity("Dataset", &asked.dataset.to_string());
    let action = entity("Action", "release");
    Request::new(principal, action, resource, context, Some(VALIDATOR.schema()))
        .map(drop)
        .map_err(|error| error.to_string())
}
