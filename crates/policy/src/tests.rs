//! Clauses, documents, combination and the ledger, each against what would go wrong.

// All of this file is tests; the attribute says so to those that read it alone (cargo xtask tidy).
#[cfg(test)]
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use assay_types::{Account, BlobRoot, Hash, JobId, ProgramId, sha256};
use cedar_policy::{PolicySet, ValidationMode};
use fastrand::Rng;

use super::*;

const NOW: u64 = 1_800_000_000;

fn account(byte: u8) -> Account {
    Account([byte; 20])
}

fn program(byte: u8) -> ProgramId {
    ProgramId(Hash([byte; 32]))
}

fn job(number: u64) -> JobId {
    JobId(sha256(&number.to_be_bytes()).0)
}

fn word(text: &str) -> Word {
    text.parse().unwrap()
}

fn measurement(byte: u8) -> Measurement {
    format!("{byte:02x}").repeat(48).parse().unwrap()
}

const OWNER: u8 = 1;
const OTHER_OWNER: u8 = 8;
const REQUESTER: u8 = 2;
const PROVIDER: u8 = 3;
const BENEFICIARY: u8 = 4;
const AUDITOR: u8 = 5;
const GRANTED: u8 = 6;
const STRANGER: u8 = 9;

/// A policy that states every clause.
fn policy() -> Policy {
    let guarantees = Guarantees { group_min: 20, output_size_max: 4_096, steps_constant: true };
    let mut policy = Policy::deny_all()
        .program(program(1), guarantees)
        .program(program(2), Guarantees { group_min: 19, ..guarantees })
        .program(program(3), Guarantees { output_size_max: 4_097, ..guarantees })
        .program(program(4), Guarantees { steps_constant: false, ..guarantees })
        .providers(Allowed::from_iter([account(PROVIDER)]), (1 << 80) + 5)
        .parties(
            Allowed::from_iter([account(REQUESTER)]),
            Allowed::from_iter([REQUESTER, BENEFICIARY, GRANTED].map(account)),
            Allowed::from_iter([word("research"), word("audit")]),
        )
        .assurance(Allowed::from_iter([1]), Allowed::from_iter([account(AUDITOR), account(7)]), 1)
        .output(Output {
            class: OutputClass::Sealed,
            size_max: 4_096,
            step_limit_max: 1 << 30,
            steps_constant: true,
            group_min: 20,
        })
        .uses(10, NOW + 100)
        .budget(3_000_000, 1_000_000);
    policy.version = 1;
    policy.providers.measurements = Allowed::from_iter([measurement(1)]);
    policy.cedar = BTreeSet::from([
        "permit (principal, action, resource) when { context.window_secs >= 600 };".to_owned(),
    ]);
    policy
}

fn publication(policy: &Document<Policy>) -> Publication {
    Publication {
        owner: account(OWNER),
        name: word("patients-2026"),
        version: 3,
        root: BlobRoot(Hash([0xd5; 32])),
        envelope_digest: Hash([0xe0; 32]),
        envelope_size: 1_000_000,
        policy: policy.digest(),
        fee: 250_000,
        sources: BTreeSet::new(),
    }
}

fn rules_of(policy: Policy) -> Rules {
    let policy = policy.finish().unwrap();
    Rules::new(Document::new(publication(&policy)).unwrap(), policy).unwrap()
}

/// A dataset that the case's was made of, as its owner has it now.
#[derive(Clone)]
struct Made {
    owner: Account,
    name: &'static str,
    policy: Policy,
    grants: Vec<Grant>,
    revocations: Vec<Revoked>,
    /// Jobs over it alone.
    spent: u64,
    is_known: bool,
}

/// The version of a source that data was taken from.
const TAKEN: u64 = 7;

impl Made {
    fn of(owner: u8, name: &'static str) -> Self {
        let (owner, policy) = (account(owner), policy());
        let (grants, revocations) = (Vec::new(), Vec::new());
        Made { owner, name, policy, grants, revocations, spent: 0, is_known: true }
    }

    fn dataset(&self) -> DatasetName {
        DatasetName { owner: self.owner, name: word(self.name) }
    }

    fn source(&self) -> Source {
        let policy = self.policy.clone().finish().unwrap().digest();
        Source { owner: self.owner, name: word(self.name), version: TAKEN, policy }
    }

    /// Its owner's newest version, which need not be the one that data was taken from.
    fn rules(&self) -> Rules {
        let policy = self.policy.clone().finish().unwrap();
        let published = Publication {
            owner: self.owner,
            name: word(self.name),
            version: TAKEN + 2,
            root: BlobRoot(sha256(self.name.as_bytes())),
            ..publication(&policy)
        };
        let mut rules = Rules::new(Document::new(published).unwrap(), policy).unwrap();
        for grant in &self.grants {
            rules.grant(Document::new(grant.clone()).unwrap()).unwrap();
        }
        for revokes in &self.revocations {
            let (owner, name) = (self.owner, word(self.name));
            rules
                .revoke(&Document::new(Revocation { owner, name, revokes: *revokes }).unwrap())
                .unwrap();
        }
        rules
    }
}

fn grant() -> Grant {
    Grant {
        owner: account(OWNER),
        name: word("patients-2026"),
        number: 1,
        requester: account(GRANTED),
        purposes: Allowed::from_iter([word("research")]),
        uses_max: 2,
        expires_at: NOW + 50,
    }
}

fn revocation(revokes: Revoked) -> Document<Revocation> {
    let (owner, name) = (account(OWNER), word("patients-2026"));
    Document::new(Revocation { owner, name, revokes }).unwrap()
}

/// What the policy permits.
fn request() -> ReleaseRequest {
    ReleaseRequest {
        job: job(1),
        requester: account(REQUESTER),
        provider: account(PROVIDER),
        beneficiary: account(BENEFICIARY),
        auditors: BTreeSet::from([account(AUDITOR)]),
        program: program(1),
        dataset: BlobRoot(Hash([0xd5; 32])),
        data_owner: Some(account(OWNER)),
        data_fee: 250_000,
        input_sealed: true,
        output_sealed: true,
        step_limit: 1 << 30,
        verifier: 1,
        window_secs: 600,
        stake: (1 << 80) + 5,
        purpose: Some(word("research")),
        measurement: Some(measurement(1)),
        now: NOW,
    }
}

/// A key service's state, and what it is asked.
struct Case {
    policy: Policy,
    grants: Vec<Grant>,
    revocations: Vec<Revoked>,
    spent: u64,
    asked: ReleaseRequest,
    sources: Vec<Made>,
}

impl Case {
    fn new() -> Self {
        let (policy, asked) = (policy(), request());
        let (grants, revocations, sources) = (vec![grant()], Vec::new(), Vec::new());
        Case { policy, grants, revocations, spent: 0, asked, sources }
    }

    /// Data that was made of two of its owner's own datasets and of another owner's.
    fn combined() -> Self {
        let sources = [(OWNER, "visits"), (OWNER, "weather"), (OTHER_OWNER, "prices")];
        let sources = sources.map(|(owner, name)| Made::of(owner, name)).to_vec();
        Case { sources, ..Case::new() }
    }

    fn publication(&self) -> Publication {
        let policy = self.policy.clone().finish().unwrap();
        let sources = self.sources.iter().map(Made::source).collect();
        Publication { sources, ..publication(&policy) }
    }

    fn rules(&self) -> Rules {
        let policy = self.policy.clone().finish().unwrap();
        let mut rules = Rules::new(Document::new(self.publication()).unwrap(), policy).unwrap();
        for made in self.sources.iter().filter(|made| made.is_known) {
            rules.source(Arc::new(made.rules())).unwrap();
        }
        for grant in &self.grants {
            rules.grant(Document::new(grant.clone()).unwrap()).unwrap();
        }
        for revokes in &self.revocations {
            rules.revoke(&revocation(*revokes)).unwrap();
        }
        rules
    }

    /// A ledger in which the asked requester's jobs have spent before.
    fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::new();
        for made in &self.sources {
            let rules = made.rules();
            let root = rules.publication().body().root;
            for number in 0..made.spent {
                let job = job(2_000 + number);
                let requester = account(REQUESTER);
                let data_owner = Some(made.owner);
                let asked =
                    ReleaseRequest { job, requester, dataset: root, data_owner, ..request() };
                let Decision::Permit(permit) = rules.decide(&asked, &ledger) else {
                    panic!("what is spent of a source before must be permitted");
                };
                assert!(ledger.spend(&permit, asked.provider, NOW).unwrap().is_some());
            }
        }
        for number in 0..self.spent {
            let asked = ReleaseRequest { job: job(1_000 + number), ..self.asked.clone() };
            let Decision::Permit(permit) = self.rules().decide(&asked, &ledger) else {
                panic!("what is spent before must be permitted");
            };
            assert!(ledger.spend(&permit, asked.provider, NOW).unwrap().is_some());
        }
        ledger
    }

    fn decide(&self) -> Decision {
        self.rules().decide(&self.asked, &self.ledger())
    }
}

/// Cases that are permitted but for one clause. A clause without a case does not build.
fn violations(clause: Clause) -> Vec<Case> {
    let with = |change: &dyn Fn(&mut Case)| {
        let mut case = Case::new();
        change(&mut case);
        case
    };
    let asked = |change: &dyn Fn(&mut ReleaseRequest)| with(&|case| change(&mut case.asked));
    let granted = |change: &dyn Fn(&mut Case)| {
        with(&|case| {
            case.asked.requester = account(GRANTED);
            change(case);
        })
    };
    let made = |which: usize, change: &dyn Fn(&mut Made)| {
        let mut case = Case::combined();
        change(&mut case.sources[which]);
        case
    };
    match clause {
        Clause::Dataset => vec![asked(&|asked| asked.dataset.0.0[31] ^= 1)],
        Clause::Fee => vec![
            asked(&|asked| asked.data_fee -= 1),
            asked(&|asked| asked.data_owner = Some(account(STRANGER))),
            asked(&|asked| (asked.data_owner, asked.data_fee) = (None, 0)),
        ],
        Clause::RevokedAll => vec![
            with(&|case| case.revocations = vec![Revoked::All]),
            granted(&|case| case.revocations = vec![Revoked::All]),
        ],
        Clause::RevokedVersion => vec![with(&|case| case.revocations = vec![Revoked::Version(3)])],
        Clause::RevokedRequester => vec![
            with(&|case| case.revocations = vec![Revoked::Requester(account(REQUESTER))]),
            granted(&|case| case.revocations = vec![Revoked::Requester(account(GRANTED))]),
        ],
        Clause::RevokedGrant => vec![granted(&|case| {
            let digest = Document::new(case.grants[0].clone()).unwrap().digest();
            case.revocations = vec![Revoked::Grant(digest)];
        })],
        Clause::Programs => vec![
            asked(&|asked| asked.program = program(9)),
            with(&|case| case.policy.programs.clear()),
        ],
        Clause::GroupMin => vec![asked(&|asked| asked.program = program(2))],
        Clause::OutputSize => vec![asked(&|asked| asked.program = program(3))],
        Clause::StepsConstant => vec![asked(&|asked| asked.program = program(4))],
        Clause::StepLimit => {
            vec![asked(&|asked| asked.step_limit += 1), asked(&|asked| asked.step_limit = u64::MAX)]
        }
        Clause::OutputClass => vec![asked(&|asked| asked.output_sealed = false)],
        Clause::Providers => vec![
            asked(&|asked| asked.provider = account(STRANGER)),
            with(&|case| case.policy.providers.accounts = Allowed::default()),
        ],
        Clause::StakeMin => vec![
            asked(&|asked| asked.stake -= 1),
            asked(&|asked| asked.stake = 1 << 79),
            asked(&|asked| asked.stake = (1 << 62) - 1),
        ],
        Clause::Measurements => vec![
            asked(&|asked| asked.measurement = None),
            asked(&|asked| asked.measurement = Some(measurement(2))),
            with(&|case| case.policy.providers.measurements = Allowed::default()),
        ],
        Clause::Requesters => vec![
            asked(&|asked| asked.requester = account(BENEFICIARY)),
            with(&|case| case.policy.requesters = Allowed::default()),
        ],
        Clause::GrantPurposes => {
            vec![granted(&|case| case.asked.purpose = Some(word("audit")))]
        }
        Clause::GrantUses => vec![granted(&|case| case.spent = 2)],
        Clause::GrantExpiry => vec![granted(&|case| case.asked.now = NOW + 51)],
        Clause::Beneficiaries => vec![
            asked(&|asked| asked.beneficiary = account(STRANGER)),
            // Whoever orders can read the result, whatever it is sealed to: with a grant or
            // without.
            with(&|case| case.policy.beneficiaries = Allowed::from_iter([account(BENEFICIARY)])),
            with(&|case| {
                case.policy.requesters = Allowed::Any;
                case.policy.beneficiaries = Allowed::from_iter([account(BENEFICIARY)]);
            }),
            granted(&|case| case.policy.beneficiaries = Allowed::from_iter([account(BENEFICIARY)])),
        ],
        Clause::Purposes => vec![
            asked(&|asked| asked.purpose = Some(word("marketing"))),
            asked(&|asked| asked.purpose = None),
            with(&|case| case.policy.purposes = Allowed::default()),
        ],
        Clause::Verifiers => vec![
            asked(&|asked| asked.verifier = 2),
            with(&|case| case.policy.verifiers = Allowed::default()),
        ],
        Clause::Auditors => vec![
            asked(&|asked| asked.auditors = [AUDITOR, STRANGER].map(account).into()),
            with(&|case| case.policy.auditors.accounts = Allowed::default()),
        ],
        Clause::AuditorsLeast => vec![asked(&|asked| asked.auditors.clear())],
        Clause::Expiry => {
            vec![asked(&|asked| asked.now = NOW + 101), asked(&|asked| asked.now = u64::MAX)]
        }
        Clause::Uses => vec![
            with(&|case| case.policy.uses_max = 0),
            with(&|case| (case.policy.uses_max, case.spent) = (2, 2)),
        ],
        Clause::Budget => vec![
            with(&|case| case.spent = 3),
            with(&|case| case.policy = case.policy.clone().budget(999_999, 1_000_000)),
        ],
        Clause::SourcesPolicy => {
            let unknown = [0, 1, 2].map(|which| made(which, &|made| made.is_known = false));
            let stricter = stricter_on_a_point().into_iter();
            let stricter = stricter.map(|policy| made(2, &|made| made.policy = policy.clone()));
            let laxer = |change: &dyn Fn(&mut Policy)| {
                let mut case = Case::combined();
                change(&mut case.policy);
                case
            };
            let laxer = [
                laxer(&|policy| policy.output.class = OutputClass::Public),
                laxer(&|policy| policy.output.steps_constant = false),
                laxer(&|policy| policy.budget = None),
            ];
            unknown.into_iter().chain(stricter).chain(laxer).collect()
        }
        Clause::SourcesRevoked => {
            let revoked =
                [Revoked::All, Revoked::Version(TAKEN), Revoked::Requester(account(REQUESTER))];
            let revoked = revoked.map(|revoked| {
                [0, 2].map(|which| {
                    made(which, &|made| {
                        made.revocations = vec![Revoked::Version(TAKEN + 2), revoked]
                    })
                })
            });
            revoked.into_iter().flatten().collect()
        }
        Clause::SourcesRequesters => {
            // Another owner's list is not widened by a grant of who has the combination.
            let mut granted = Case::combined();
            granted.asked.requester = account(GRANTED);
            // Who has a grant of a source rests on that also where the combination lists it.
            let narrowed = |change: &dyn Fn(&mut Grant)| {
                made(0, &|made| {
                    let (name, requester) = (word(made.name), account(REQUESTER));
                    let mut grant = Grant { name, requester, ..grant() };
                    change(&mut grant);
                    made.grants = vec![grant];
                })
            };
            let mut revoked = narrowed(&|_| ());
            let digest = Document::new(revoked.sources[0].grants[0].clone()).unwrap().digest();
            revoked.sources[0].revocations = vec![Revoked::Grant(digest)];
            vec![
                granted,
                narrowed(&|grant| grant.expires_at = NOW - 1),
                narrowed(&|grant| grant.uses_max = 0),
                narrowed(&|grant| grant.purposes = Allowed::from_iter([word("audit")])),
                revoked,
            ]
        }
        Clause::SourcesSpent => {
            let uses = [0, 2].map(|which| {
                let mut case = made(which, &|made| (made.policy.uses_max, made.spent) = (2, 2));
                case.policy.uses_max = 2;
                case
            });
            let budget = [0, 2].map(|which| made(which, &|made| made.spent = 3));
            // What a job over the combination costs is what it costs of each, be it more than
            // theirs.
            let mut dearer = made(1, &|made| made.spent = 2);
            dearer.policy = dearer.policy.budget(3_000_000, 2_000_000);
            uses.into_iter().chain(budget).chain([dearer]).collect()
        }
        Clause::SourcesCedar => {
            // A text asks what is spent of its own dataset, and the version that was taken of it.
            let about = |which: usize, condition: &str, spent: u64| {
                let text = format!("permit (principal, action, resource) when {{ {condition} }};");
                let mut case = made(which, &|made| {
                    made.policy.cedar.insert(text.clone());
                    made.spent = spent;
                });
                case.policy.cedar.insert(text);
                case
            };
            vec![about(0, "context.uses_spent < 1", 1), about(2, "context.version != 7", 0)]
        }
        Clause::Other => Vec::new(),
        Clause::Cedar => vec![
            asked(&|asked| asked.window_secs = 599),
            // A sum that overflows: what cannot be evaluated does not permit.
            with(&|case| {
                let text = "permit (principal, action, resource) when { context.now * 9223372036854775807 > 0 };";
                case.policy.cedar.insert(text.to_owned());
            }),
            // Cedar skips a forbid that fails; we do not.
            with(&|case| {
                let text = "permit (principal, action, resource);\
                    forbid (principal, action, resource) when { context.now * 9223372036854775807 > 0 };";
                case.policy.cedar.insert(text.to_owned());
            }),
        ],
    }
}

/// The policy, stricter on one point each.
fn stricter_on_a_point() -> Vec<Policy> {
    let changes: [&dyn Fn(&mut Policy); 23] = [
        &|policy| {
            policy.programs.remove(&program(2));
        },
        &|policy| policy.programs.get_mut(&program(2)).unwrap().group_min -= 1,
        &|policy| policy.programs.get_mut(&program(2)).unwrap().output_size_max += 1,
        &|policy| policy.programs.get_mut(&program(2)).unwrap().steps_constant = false,
        &|policy| policy.providers.accounts = Allowed::default(),
        &|policy| policy.providers.stake_min += 1,
        &|policy| policy.providers.measurements = Allowed::default(),
        &|policy| policy.beneficiaries = Allowed::default(),
        &|policy| policy.purposes = Allowed::from_iter([word("research")]),
        &|policy| policy.verifiers = Allowed::default(),
        &|policy| policy.auditors.accounts = Allowed::from_iter([account(AUDITOR)]),
        &|policy| policy.auditors.least += 1,
        &|policy| policy.uses_max -= 1,
        &|policy| policy.expires_at -= 1,
        &|policy| policy.output.size_max -= 1,
        &|policy| policy.output.step_limit_max -= 1,
        &|policy| policy.output.group_min += 1,
        &|policy| policy.budget.as_mut().unwrap().total_micro_epsilon -= 1,
        &|policy| policy.budget.as_mut().unwrap().cost_micro_epsilon += 1,
        &|policy| {
            policy.cedar.insert("permit (principal, action, resource);".to_owned());
        },
        // Also for a source that permits other things besides.
        &|policy| {
            policy.requesters = Allowed::Any;
            policy.purposes = Allowed::from_iter([word("research"), word("marketing")]);
        },
        &|policy| (policy.uses_max, policy.version) = (9, 99),
        &|policy| (policy.uses_max, policy.expires_at) = (99, NOW + 99),
    ];
    let strict = changes.iter().map(|change| {
        let mut policy = policy();
        change(&mut policy);
        policy
    });
    strict.collect()
}

#[test]
fn every_clause_refuses_alone_and_only_by_itself() {
    let permitted = |decision: &Decision| matches!(decision, Decision::Permit(_));
    let Decision::Permit(permit) = Case::new().decide() else {
        panic!("the request that cases start from must be permitted: {:?}", Case::new().decide());
    };
    assert_eq!(permit.micro_epsilon(), 1_000_000);
    let mut granted = Case::new();
    granted.asked.requester = account(GRANTED);
    assert!(permitted(&granted.decide()), "so must the one under a grant: {:?}", granted.decide());
    let combined = Case::combined().decide();
    assert!(permitted(&combined), "and the one over combined data: {combined:?}");

    let mut tested = 0;
    for &clause in Clause::ALL {
        let cases = violations(clause);
        assert!(!cases.is_empty(), "{} has no case", clause.code());
        for (number, case) in cases.iter().enumerate() {
            let at = format!("case {number} of {}", clause.code());
            let Decision::Refuse(reasons) = case.decide() else { panic!("{at} is permitted") };
            let clauses: Vec<Clause> = reasons.iter().map(ClauseReason::clause).collect();
            assert_eq!(clauses, [clause], "{at} is refused by another clause, or by others too");
            let ignoring = case.rules().ignoring(clause).decide(&case.asked, &case.ledger());
            assert!(
                permitted(&ignoring),
                "{at} is refused even if the clause is ignored: {ignoring:?}"
            );
        }
        tested += 1;
    }
    assert_eq!(tested, 33, "a clause came or went: say so in spec/policy.md");
}

#[test]
fn a_policy_that_can_permit_nothing_says_why() {
    let read = |text: &str| Document::<Policy>::from_draft(text).unwrap();
    assert_eq!(never_permits(&policy(), NOW), [] as [&str; 0]);
    let example = include_str!("../../../examples/data/clinic-visits.policy.json");
    assert_eq!(never_permits(read(example).body(), NOW), [] as [&str; 0]);
    let only_forbids = read(include_str!("../tests/cases/only-forbid.json"));
    let why = never_permits(only_forbids.body(), NOW);
    assert_eq!(why.len(), 1, "{why:?}");
    assert!(why[0].starts_with("text 0 of cedar permits nothing"), "{why:?}");
    let nothing = never_permits(read("{}").body(), NOW);
    let lists = ["programs", "providers.accounts", "beneficiaries", "purposes", "verifiers"];
    for field in lists.into_iter().chain(["output.step_limit_max", "uses_max", "expires_at"]) {
        assert!(nothing.iter().any(|why| why.starts_with(field)), "{field}: {nothing:?}");
    }
    let changes: [(&str, &dyn Fn(&mut Policy)); 5] = [
        ("no program", &|policy| policy.output.group_min = 21),
        ("output.step_limit_max", &|policy| policy.output.step_limit_max = 0),
        ("auditors.least", &|policy| policy.auditors.least = 3),
        ("expires_at", &|policy| policy.expires_at = NOW - 1),
        ("a use costs", &|policy| *policy = policy.clone().budget(1, 2)),
    ];
    for (begins, change) in changes {
        let mut policy = policy();
        change(&mut policy);
        let why = never_permits(&policy, NOW);
        assert!(matches!(&why[..], [one] if one.starts_with(begins)), "{begins}: {why:?}");
        // What is warned of is so: the order that every policy here would permit is refused.
        let case = Case { policy, ..Case::new() };
        assert!(!matches!(case.decide(), Decision::Permit(_)), "{begins}: it is permitted");
    }
}

#[test]
fn a_policy_that_says_nothing_permits_nothing() {
    for draft in ["{}", "{\"version\":7}"] {
        let policy = Document::<Policy>::from_draft(draft).unwrap();
        let case = Case { policy: policy.body().clone(), ..Case::new() };
        let Decision::Refuse(reasons) = case.decide() else { panic!("{draft} permits") };
        let stated = [
            Clause::Programs,
            Clause::StepLimit,
            Clause::Providers,
            Clause::Measurements,
            Clause::Requesters,
            Clause::Beneficiaries,
            Clause::Purposes,
            Clause::Verifiers,
            Clause::Auditors,
            Clause::Expiry,
            Clause::Uses,
        ];
        let clauses: Vec<Clause> = reasons.iter().map(ClauseReason::clause).collect();
        assert_eq!(clauses, stated, "each list is empty and each limit is zero");
    }
}

#[test]
fn bounds_themselves_are_permitted() {
    let mut case = Case::new();
    case.asked.now = NOW + 100;
    assert!(matches!(case.decide(), Decision::Permit(_)), "the last second counts");
    case.asked.stake = u128::MAX;
    case.spent = 2;
    assert!(matches!(case.decide(), Decision::Permit(_)), "the budget's last use");
    let any = Policy {
        programs: case.policy.programs.clone(),
        uses_max: NUMBER_MAX,
        expires_at: NUMBER_MAX,
        requesters: Allowed::Any,
        beneficiaries: Allowed::Any,
        purposes: Allowed::Any,
        verifiers: Allowed::Any,
        auditors: Auditors { accounts: Allowed::Any, least: 0 },
        providers: Providers { accounts: Allowed::Any, stake_min: 0, measurements: Allowed::Any },
        output: Output {
            class: OutputClass::Public,
            size_max: NUMBER_MAX,
            step_limit_max: NUMBER_MAX,
            ..Output::default()
        },
        ..Policy::deny_all()
    };
    case.policy = any;
    (case.asked.purpose, case.asked.measurement) = (None, None);
    (case.asked.output_sealed, case.asked.input_sealed, case.asked.stake) = (false, false, 0);
    case.asked.requester = account(STRANGER);
    case.asked.auditors.clear();
    assert!(matches!(case.decide(), Decision::Permit(_)), "any means any: {:?}", case.decide());
}

#[test]
fn where_results_are_public_only_the_beneficiary_need_be_listed() {
    let mut case = Case::new();
    case.policy.output.class = OutputClass::Public;
    case.policy.beneficiaries = Allowed::from_iter([account(BENEFICIARY)]);
    assert!(matches!(case.decide(), Decision::Permit(_)), "{:?}", case.decide());
    case.policy.output.class = OutputClass::Sealed;
    let Decision::Refuse(reasons) = case.decide() else { panic!("the requester reads it") };
    assert_eq!(
        reasons,
        [ClauseReason::Beneficiaries { beneficiary: account(REQUESTER) }],
        "says who"
    );
}

#[test]
fn a_refusal_names_every_clause_that_is_not_met() {
    let mut case = Case::new();
    case.asked.dataset.0.0[0] ^= 1;
    (case.asked.program, case.asked.verifier) = (program(9), 9);
    (case.asked.window_secs, case.spent) = (0, 0);
    case.revocations = vec![Revoked::All, Revoked::Version(3)];
    let Decision::Refuse(reasons) = case.decide() else { panic!("permitted") };
    let clauses: Vec<Clause> = reasons.iter().map(ClauseReason::clause).collect();
    let expect = [
        Clause::Dataset,
        Clause::RevokedAll,
        Clause::RevokedVersion,
        Clause::Programs,
        Clause::Verifiers,
        Clause::Cedar,
    ];
    assert_eq!(clauses, expect);
}

#[test]
fn grants_bind_whoever_has_one() {
    // A listed account with a grant is bound by the grant: so a grant narrows too.
    let mut case = Case::new();
    case.grants[0].requester = account(REQUESTER);
    case.asked.purpose = Some(word("audit"));
    let Decision::Refuse(reasons) = case.decide() else { panic!("the list lets it through") };
    assert_eq!(reasons[0].clause(), Clause::GrantPurposes);

    // One grant of several is enough, and the permit says which.
    case.grants.push(Grant { number: 2, purposes: Allowed::Any, ..case.grants[0].clone() });
    let Decision::Permit(permit) = case.decide() else { panic!("the second grant permits") };
    let second = Document::new(case.grants[1].clone()).unwrap().digest();
    assert_eq!(permit.grant(), Some(second));

    // Uses count by grant.
    let (rules, mut ledger) = (case.rules(), Ledger::new());
    assert!(ledger.spend(&permit, account(PROVIDER), NOW).unwrap().is_some());
    let dataset = rules.publication().body().dataset();
    assert_eq!(ledger.spent_under(&dataset, &second), 1);
    assert_eq!(ledger.spent(&dataset), Spent { uses: 1, micro_epsilon: 1_000_000 });
}

#[test]
fn documents_go_to_their_own_dataset() {
    let mut rules = rules_of(policy());
    let other = Grant { owner: account(STRANGER), ..grant() };
    assert_eq!(rules.grant(Document::new(other).unwrap()), Err(RulesError::OtherDataset));
    let other = Grant { name: word("patients-2027"), ..grant() };
    assert_eq!(rules.grant(Document::new(other).unwrap()), Err(RulesError::OtherDataset));
    let revokes = Revoked::All;
    let other = Revocation { owner: account(STRANGER), name: word("patients-2026"), revokes };
    let revoked = rules.revoke(&Document::new(other).unwrap());
    assert_eq!(revoked, Err(RulesError::OtherDataset), "a stranger could stop all releases");

    let published = rules.publication().clone();
    let found = Policy { uses_max: 11, ..policy() }.finish().unwrap();
    let other = Rules::new(published, found.clone());
    assert!(
        matches!(other, Err(RulesError::OtherPolicy { found: digest, .. }) if digest == found.digest()),
        "a policy that was not published is applied"
    );
    for number in 0..GRANTS_MAX as u64 {
        rules.grant(Document::new(Grant { number, ..grant() }).unwrap()).unwrap();
    }
    let many = rules.grant(Document::new(Grant { number: 99, ..grant() }).unwrap());
    assert_eq!(many, Err(RulesError::GrantsMany(account(GRANTED))));
    rules.grant(Document::new(Grant { number: 5, ..grant() }).unwrap()).unwrap();
}

#[test]
fn a_job_is_one_use_for_all_its_recipients() {
    let case = Case::new();
    let (rules, mut ledger) = (case.rules(), Ledger::new());
    let permit = |asked: &ReleaseRequest, ledger: &Ledger| match rules.decide(asked, ledger) {
        Decision::Permit(permit) => permit,
        Decision::Refuse(reasons) => panic!("{reasons:?}"),
    };
    let first = permit(&case.asked, &ledger);
    let mut entries = Vec::new();
    for recipient in [PROVIDER, AUDITOR] {
        let release = ledger.spend(&first, account(recipient), NOW).unwrap().unwrap();
        entries.extend(release.entries().to_vec());
        let again = ledger.spend(&first, account(recipient), NOW + 9).unwrap();
        assert_eq!(again, None, "a release that is repeated spends again");
    }
    assert_eq!(entries.iter().map(|entry| entry.body().uses).collect::<Vec<_>>(), [1, 0]);
    let dataset = rules.publication().body().dataset();
    assert_eq!(ledger.spent(&dataset), Spent { uses: 1, micro_epsilon: 1_000_000 });
    let stranger = ledger.spend(&first, account(STRANGER), NOW);
    assert_eq!(stranger, Err(LedgerError::OtherRecipient(account(STRANGER))));

    // After a restart the ledger is the same, and a job that is counted is permitted though nothing
    // is left.
    let restarted = Ledger::from_lines(entries.iter().map(Document::as_bytes)).unwrap();
    assert_eq!(restarted, ledger);
    for number in 2..4 {
        let asked = ReleaseRequest { job: job(number), ..case.asked.clone() };
        let permit = permit(&asked, &ledger);
        assert!(ledger.spend(&permit, asked.provider, NOW).unwrap().is_some());
    }
    permit(&case.asked, &ledger);
    let asked = ReleaseRequest { job: job(4), ..case.asked.clone() };
    assert!(matches!(rules.decide(&asked, &ledger), Decision::Refuse(_)), "the budget is spent");
}

#[test]
fn decisions_that_race_do_not_overspend() {
    for (policy, error) in [
        (policy().budget(1_500_000, 1_000_000), LedgerError::BudgetSpent),
        (Policy { uses_max: 1, ..policy() }, LedgerError::UsesSpent),
        (policy(), LedgerError::GrantSpent),
    ] {
        let mut case = Case { policy, ..Case::new() };
        if error == LedgerError::GrantSpent {
            case.asked.requester = account(GRANTED);
            case.grants[0].uses_max = 1;
        }
        let (rules, mut ledger) = (case.rules(), Ledger::new());
        let permits = [1, 2].map(|number| {
            let asked = ReleaseRequest { job: job(number), ..case.asked.clone() };
            let Decision::Permit(permit) = rules.decide(&asked, &ledger) else {
                panic!("each alone is permitted")
            };
            permit
        });
        assert!(ledger.spend(&permits[0], account(PROVIDER), NOW).unwrap().is_some());
        let before = ledger.clone();
        assert_eq!(ledger.spend(&permits[1], account(PROVIDER), NOW), Err(error));
        assert_eq!(ledger, before, "a refused spend leaves a trace");
    }
}

/// A ledger of three jobs, one with two recipients.
fn entries() -> Vec<Document<Entry>> {
    let case = Case::new();
    let (rules, mut ledger, mut entries) = (case.rules(), Ledger::new(), Vec::new());
    for (number, recipient) in [(1, PROVIDER), (1, AUDITOR), (2, PROVIDER), (3, AUDITOR)] {
        let asked = ReleaseRequest { job: job(number), ..case.asked.clone() };
        let Decision::Permit(permit) = rules.decide(&asked, &ledger) else { panic!("permitted") };
        let release = ledger.spend(&permit, account(recipient), NOW).unwrap().unwrap();
        entries.extend(release.entries().to_vec());
    }
    assert_eq!(entries.len(), 4);
    entries
}

#[test]
fn a_ledger_shows_any_change_but_a_missing_end() {
    let entries = entries();
    let read =
        |entries: &[Document<Entry>]| Ledger::from_lines(entries.iter().map(Document::as_bytes));
    let whole = read(&entries).unwrap();
    assert_eq!(whole.size(), 4);
    assert_eq!(whole.head(), entries[3].digest());
    for missing in 0..3 {
        let mut fewer = entries.clone();
        fewer.remove(missing);
        assert_eq!(
            read(&fewer),
            Err(LedgerError::Chain(missing as u64)),
            "entry {missing} missing"
        );
        let mut swapped = entries.clone();
        swapped.swap(missing, missing + 1);
        assert!(read(&swapped).is_err(), "entries in another order");
        let mut doubled = entries.clone();
        doubled.insert(missing, entries[missing].clone());
        assert!(read(&doubled).is_err(), "an entry twice");
    }
    // Rewritten with the chain made good: what an entry spends follows from those before.
    let wrong: [fn(&mut Entry); 4] = [
        |entry| entry.uses = 1,
        |entry| entry.micro_epsilon = 1,
        |entry| entry.job = job(9),
        |entry| entry.recipient = account(PROVIDER),
    ];
    for (number, change) in wrong.into_iter().enumerate() {
        let mut entry = entries[1].body().clone();
        change(&mut entry);
        let changed = [entries[0].clone(), Document::new(entry).unwrap()];
        assert_eq!(read(&changed), Err(LedgerError::Count(1)), "change {number}");
    }
    let mut entry = entries[0].body().clone();
    entry.uses = 0;
    assert_eq!(read(&[Document::new(entry).unwrap()]), Err(LedgerError::Count(0)), "a free use");
    let mut most = entries[0].body().clone();
    most.micro_epsilon = NUMBER_MAX;
    let most = Document::new(most).unwrap();
    let mut next = entries[2].body().clone();
    (next.sequence, next.previous) = (1, most.digest());
    let next = Document::new(next).unwrap();
    assert_eq!(read(&[most, next]), Err(LedgerError::Full), "a sum that no number holds");
    let garbage = Ledger::from_lines([b"{}"]);
    assert!(matches!(garbage, Err(LedgerError::Document { sequence: 0, .. })));
}

/// A release over combined data.
fn release() -> Release {
    let case = Case::combined();
    let Decision::Permit(permit) = case.decide() else { panic!("permitted") };
    Ledger::new().spend(&permit, account(PROVIDER), NOW).unwrap().unwrap()
}

#[test]
fn a_job_over_combined_data_counts_against_all_that_it_was_made_of() {
    let mut case = Case::combined();
    // A listed account's grant of a source is spent with it.
    let (name, requester) = (word("visits"), account(REQUESTER));
    case.sources[0].grants = vec![Grant { name, requester, ..grant() }];
    case.policy = case.policy.clone().budget(3_000_000, 1_500_000);
    let rules = case.rules();
    let mut ledger = Ledger::new();
    let decide = |number: u64, ledger: &Ledger| {
        rules.decide(&ReleaseRequest { job: job(number), ..case.asked.clone() }, ledger)
    };
    let Decision::Permit(permit) = decide(1, &ledger) else { panic!("permitted") };
    let mut lines = Vec::new();
    for recipient in [PROVIDER, AUDITOR] {
        let release = ledger.spend(&permit, account(recipient), NOW).unwrap().unwrap();
        assert_eq!(release.entries().len(), 4, "an entry for each");
        lines.push(release.to_line());
        assert_eq!(ledger.spend(&permit, account(recipient), NOW), Ok(None), "twice for nothing");
    }
    let all = || case.sources.iter().map(Made::dataset).chain([case.publication().dataset()]);
    let once = Spent { uses: 1, micro_epsilon: 1_500_000 };
    for dataset in all() {
        assert_eq!(ledger.spent(&dataset), once, "of {dataset}: two recipients are one use");
    }
    let granted = Document::new(case.sources[0].grants[0].clone()).unwrap().digest();
    assert_eq!(
        ledger.spent_under(&case.sources[0].dataset(), &granted),
        1,
        "a grant's use is free"
    );

    // Made of the same source, under another name: what one spends the other has not.
    let other = Publication { name: word("elsewhere"), ..case.publication() };
    let mut twin = Rules::new(Document::new(other).unwrap(), rules.policy().clone()).unwrap();
    for made in &case.sources {
        twin.source(Arc::new(made.rules())).unwrap();
    }
    let asked = ReleaseRequest { job: job(2), ..case.asked.clone() };
    let Decision::Permit(raced) = twin.decide(&asked, &ledger) else { panic!("one use is left") };
    let Decision::Permit(second) = decide(3, &ledger) else { panic!("one use is left") };
    lines.push(ledger.spend(&second, account(PROVIDER), NOW).unwrap().unwrap().to_line());
    let before = ledger.clone();
    let overspent = ledger.spend(&raced, account(PROVIDER), NOW);
    assert_eq!(overspent, Err(LedgerError::BudgetSpent), "two decisions spent the same budget");
    assert_eq!(ledger, before, "a refused spend leaves a trace");
    let Decision::Refuse(reasons) = twin.decide(&asked, &ledger) else { panic!("laundered") };
    let (owner, name) = (account(OWNER), word("visits"));
    let expect = [
        ClauseReason::SourcesRequesters { owner, name: name.clone() },
        ClauseReason::SourcesSpent { owner, name },
    ];
    assert_eq!(reasons, expect, "the grant's uses and the budget are spent");
    assert_eq!(Ledger::from_lines(&lines).unwrap(), ledger, "a restart");
}

#[test]
fn a_release_counts_whole_or_not_at_all() {
    let release = release();
    let line = release.to_line();
    assert_eq!(Release::from_line(&line).unwrap(), release);
    let read = |lines: &[Vec<u8>]| Ledger::from_lines(lines);
    assert_eq!(read(std::slice::from_ref(&line)).unwrap().size(), 4);
    // A line that is cut short never counts as another one.
    for end in 0..line.len() {
        let cut = read(&[line[..end].to_vec()]);
        let ends = line[end..].starts_with(b" ");
        assert_eq!(cut.is_ok(), ends, "cut after {end} bytes");
    }
    let entries = release.entries();
    let changed = |at: usize, change: &dyn Fn(&mut Entry)| {
        let mut changed: Vec<Document<Entry>> = entries[..at].to_vec();
        let mut previous = at.checked_sub(1).map_or(Hash::default(), |at| entries[at].digest());
        for (number, entry) in entries.iter().enumerate().skip(at) {
            let mut said = Entry { previous, ..entry.body().clone() };
            if number == at {
                change(&mut said);
            }
            let entry = Document::new(said).unwrap();
            previous = entry.digest();
            changed.push(entry);
        }
        let line: Vec<&[u8]> = changed.iter().map(Document::as_bytes).collect();
        read(&[line.join(&b' ')])
    };
    assert!(changed(1, &|_| ()).is_ok(), "the helper makes the chain good");
    let other = LedgerError::Release;
    for at in 1..4 {
        let wrong = [
            changed(at, &|entry| entry.through = None),
            changed(at, &|entry| entry.through = Some(word("elsewhere"))),
            changed(at, &|entry| entry.job = job(9)),
            changed(at, &|entry| entry.recipient = account(STRANGER)),
            changed(at, &|entry| entry.at += 1),
            changed(at, &|entry| {
                (entry.owner, entry.name) = (account(OWNER), word("patients-2026"));
            }),
        ];
        for (number, wrong) in wrong.into_iter().enumerate() {
            assert_eq!(wrong, Err(other(at as u64)), "change {number} of entry {at}");
        }
        assert_eq!(changed(at, &|entry| entry.uses = 0), Err(LedgerError::Count(at as u64)));
    }
    let through = changed(0, &|entry| entry.through = Some(word("elsewhere")));
    assert_eq!(through, Err(other(0)), "the first is the one whose key went out");
    let apart: Vec<Vec<u8>> = entries.iter().map(|entry| entry.as_bytes().to_vec()).collect();
    assert_eq!(read(&apart), Err(other(1)), "entries of a release in lines of their own");
    let mut ledger = Ledger::new();
    let mut half = entries.to_vec();
    half[3] = entries[2].clone();
    let line: Vec<&[u8]> = half.iter().map(Document::as_bytes).collect();
    let half = Release::from_line(&line.join(&b' ')).unwrap();
    assert_eq!(ledger.apply(&half), Err(LedgerError::Chain(3)));
    assert_eq!(ledger, Ledger::new(), "half a release was counted");
    assert!(Release::from_line(b"").is_err() && Release::from_line(b" ").is_err());
    let doubled = [line[0], b"  ", line[1]].concat();
    assert!(Release::from_line(&doubled).is_err(), "two spaces");
}

#[test]
fn sources_are_a_set_of_other_datasets() {
    let published = Case::combined().publication();
    let read = |sources: Vec<Source>| {
        Document::new(Publication { sources: sources.into_iter().collect(), ..published.clone() })
    };
    let source = Made::of(OWNER, "visits").source();
    assert!(read(vec![source.clone()]).is_ok());
    let again = Source { version: 8, ..source.clone() };
    assert_eq!(read(vec![source.clone(), again]).unwrap_err(), DocumentError::SourceTwice);
    let itself = Source { name: word("patients-2026"), ..source.clone() };
    assert_eq!(read(vec![itself.clone()]).unwrap_err(), DocumentError::SourceTwice);
    let theirs = Source { owner: account(OTHER_OWNER), ..itself };
    assert!(read(vec![theirs]).is_ok(), "another owner's of the same name");
    let many = |count: usize| {
        let named = (0..count).map(|n| Source { name: word(&format!("n{n}")), ..source.clone() });
        read(named.collect())
    };
    assert!(many(SOURCES_MAX).is_ok());
    assert_eq!(many(17).unwrap_err(), DocumentError::SourcesMany(17));
    let document = Document::new(published).unwrap();
    let text = String::from_utf8(document.as_bytes().to_vec()).unwrap();
    let at = text.find("\"sources\":[").unwrap();
    let one = format!("{}]}}", &text[..text[at..].find("},{").unwrap() + at + 1]);
    assert!(Document::<Publication>::from_bytes(one.as_bytes()).is_ok(), "{one}");
    let entry = &one[at + 11..one.len() - 2];
    let next = entry.replace("\"visits\"", "\"visitt\"");
    for (wrong, why) in [
        (format!("{next},{entry}"), "not the smallest first"),
        (format!("{entry},{entry}"), "the same twice"),
        (entry.replace("\"version\":7", "\"version\":07"), "a leading zero"),
        (entry.replace("\"version\":7,", ""), "a field is missing"),
        (entry.replace("\"version\":7,", "\"version\":7,\"more\":1,"), "a field too many"),
    ] {
        let other = one.replace(entry, &wrong);
        assert_ne!(other, one, "{why}");
        let read = Document::<Publication>::from_bytes(other.as_bytes());
        assert!(matches!(read, Err(DocumentError::Form { .. })), "{why}: {read:?}");
    }
    let none = format!("{}\"fee\":\"250000\"}}", &text[..text.find("\"fee\"").unwrap()]);
    assert!(Document::<Publication>::from_bytes(none.as_bytes()).is_err(), "sources left out");
    // Rules of what the data was not made of have no say.
    let mut rules = Case::combined().rules();
    let stranger = rules.source(Arc::new(Made::of(OWNER, "elsewhere").rules()));
    assert_eq!(stranger, Err(RulesError::OtherDataset));
}

#[test]
fn what_combined_data_permits_its_sources_permit() {
    let mut rng = Rng::with_seed(23);
    let (mut permitted, mut refused) = (0, 0);
    for _ in 0..400 {
        let mut made = [Made::of(OWNER, "visits"), Made::of(OTHER_OWNER, "prices")];
        for made in &mut made {
            made.policy = any_policy(&mut rng).body().clone();
        }
        let draft = if rng.bool() {
            made[0].policy.clone().finish().unwrap()
        } else {
            any_policy(&mut rng)
        };
        let combined = made.iter().fold(draft.clone(), |so_far, made| {
            stricter(&so_far, &made.policy.clone().finish().unwrap()).unwrap()
        });
        // What was combined by the rule is as strict as each; the draft by itself seldom is.
        let lax = rng.u8(..8) == 0;
        let policy = if lax { draft.body() } else { combined.body() }.clone();
        let case = Case { policy, sources: made.to_vec(), grants: Vec::new(), ..Case::new() };
        let rules = case.rules();
        let apart = made.each_ref().map(Made::rules);
        for _ in 0..40 {
            let asked = any_request(&mut rng);
            let mut ledger = spent(&mut rng);
            if rng.bool()
                && let Decision::Permit(permit) =
                    rules.decide(&ReleaseRequest { job: job(77), ..asked.clone() }, &ledger)
            {
                ledger.spend(&permit, asked.provider, NOW).unwrap();
            }
            if let Decision::Permit(_) = rules.decide(&asked, &ledger) {
                permitted += 1;
                for rules in &apart {
                    let said = rules.publication().body();
                    let (dataset, data_owner) = (said.root, Some(said.owner));
                    let asked = ReleaseRequest { dataset, data_owner, ..asked.clone() };
                    let decision = rules.decide(&asked, &ledger);
                    assert!(matches!(decision, Decision::Permit(_)), "{asked:?}: {decision:?}");
                }
            } else {
                refused += 1;
            }
        }
    }
    assert!(
        permitted > 200,
        "only {permitted} of {refused} and these were permitted: it says little"
    );
}

#[test]
fn what_became_stricter_is_told_clause_by_clause() {
    for policy in stricter_on_a_point() {
        let before = policy.clone().finish().unwrap();
        let after = stricter(&before, &self::policy().finish().unwrap()).unwrap();
        let changes = explain_changes(self::policy().finish().unwrap().body(), after.body());
        assert!(!changes.is_empty(), "not told: {after:?}");
        assert!(changes.iter().all(|change| change.before != change.after), "{changes:?}");
    }
    assert_eq!(explain_changes(&policy(), &policy()), []);
    let verifiers =
        |numbers: std::ops::Range<u16>| Policy { verifiers: numbers.collect(), ..policy() };
    let changes = explain_changes(
        &verifiers(0..9),
        &Policy { verifiers: (0..8).chain([10]).collect(), ..policy() },
    );
    assert_eq!(changes.len(), 1, "what differs after the names that are shown: {changes:?}");
    let changes = explain_changes(&policy(), &Policy { uses_max: 9, ..policy() });
    let expect = Change {
        clause: Clause::Uses,
        before: "The data is used for at most 10 jobs, over all versions.".to_owned(),
        after: "The data is used for at most 9 jobs, over all versions.".to_owned(),
    };
    assert_eq!(changes, [expect]);
}

/// All bytes of a document, each changed to every other byte: refused, or another digest.
fn every_change<T: Form>(document: &Document<T>) -> u64 {
    let bytes = document.as_bytes();
    let (mut changed, mut read) = (bytes.to_vec(), 0);
    for at in 0..bytes.len() {
        for flip in 1..=u8::MAX {
            changed[at] = bytes[at] ^ flip;
            if let Ok(other) = Document::<T>::from_bytes(&changed) {
                assert_ne!(
                    other.digest(),
                    document.digest(),
                    "byte {at} changed to {}",
                    changed[at]
                );
                assert_eq!(other.as_bytes(), changed, "a reader keeps other bytes than came");
                read += 1;
            }
        }
        changed[at] = bytes[at];
        let cut = Document::<T>::from_bytes(&bytes[..at]);
        assert!(cut.is_err(), "cut after {at} bytes");
        changed.insert(at, b' ');
        let padded = Document::<T>::from_bytes(&changed);
        let inside = padded.is_ok_and(|other| other.digest() != document.digest());
        assert!(Document::<T>::from_bytes(&changed).is_err() || inside, "a space at {at}");
        changed.remove(at);
    }
    read
}

#[test]
fn every_change_of_a_byte_is_refused_or_is_another_document() {
    let policy = policy().finish().unwrap();
    let read = every_change(&policy)
        + every_change(&Document::new(publication(&policy)).unwrap())
        + every_change(&Document::new(Case::combined().publication()).unwrap())
        + every_change(&Document::new(grant()).unwrap())
        + every_change(&revocation(Revoked::Grant(Hash([7; 32]))))
        + every_change(&revocation(Revoked::All))
        + every_change(&entries()[0])
        + every_change(&release().entries()[1]);
    assert!(read > 1_000, "most changes of digits are other documents, only {read} were");
}

#[test]
fn every_document_has_one_form() {
    let document = policy().finish().unwrap();
    let text = String::from_utf8(document.as_bytes().to_vec()).unwrap();
    assert!(
        text.starts_with("{\"schema\":\"assay.policy/1\",\"version\":1,\"programs\":{\"01"),
        "{text}"
    );
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} is not in {text}");
        let other = text.replacen(from, to, 1);
        Document::<Policy>::from_bytes(other.as_bytes()).unwrap_err()
    };
    for (from, to) in [
        ("\"version\":1", "\"version\":1.0"),
        ("\"version\":1", "\"version\":01"),
        ("\"version\":1", "\"version\":9007199254740992"),
        ("\"version\":1,", ""),
        ("\"version\":1,", "\"version\":1,\"version\":1,"),
        ("\"version\":1,", "\"version\":1, "),
        ("\"version\":1,", "\"version\":1,\"more\":1,"),
        ("[\"audit\",\"research\"]", "[\"research\",\"audit\"]"),
        ("[\"audit\",\"research\"]", "[\"audit\",\"audit\",\"research\"]"),
        ("\"research\"", "\"Research\""),
        ("\"research\"", "\"re\\u0073earch\""),
        ("\"stake_min\":\"", "\"stake_min\":\"0"),
        ("\"stake_min\":\"", "\"stake_min\":\"99999999999999999"),
        ("\"class\":\"sealed\"", "\"class\":\"secret\""),
        ("0x0303", "0X0303"),
    ] {
        let error = refused(from, to);
        assert!(matches!(error, DocumentError::Form { .. }), "{from} as {to}: {error}");
    }
    let error = refused("assay.policy/1", "assay.policy/2");
    assert_eq!(error, DocumentError::Schema("assay.policy/1"));
    let draft = text.replace(",\"", " ,\n \"").replace("{\"schema\":\"assay.policy/1\" ,", "{");
    let read = Document::<Policy>::from_draft(&draft).unwrap();
    assert_eq!(read, document, "a draft is the document that it means");
    assert_eq!(Document::<Policy>::from_draft(&text).unwrap(), document);
    let indented: serde_json::Value = serde_json::from_str(&text).unwrap();
    let indented = serde_json::to_string_pretty(&indented).unwrap();
    assert!(indented.contains("\"schema\": \"assay.policy/1\""));
    let read = Document::<Policy>::from_draft(&indented).unwrap();
    assert_eq!(read, document, "a draft may say its schema, wherever");
    for wrong in [
        indented.replace("assay.policy/1", "assay.policy/2"),
        indented.replacen("{", "{\"schema\": \"assay.policy/1\",", 1),
        indented.replace("\"assay.policy/1\"", "1"),
        "[]".to_owned(),
    ] {
        let error = Document::<Policy>::from_draft(&wrong).unwrap_err();
        assert!(matches!(error, DocumentError::Form { .. }), "{wrong}: {error}");
    }
    let hostile = text.replacen("\"version\"", "\"\\u001b[2J\\u202e\"", 1);
    let error = Document::<Policy>::from_bytes(hostile.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("?[2J?") && error.is_ascii(), "an error moves a terminal: {error}");
    let twice = "{\"version\":1,\"version\":2}";
    assert!(Document::<Policy>::from_draft(twice).is_err(), "a field that stands twice");
    let large = vec![b' '; DOCUMENT_SIZE_MAX + 1];
    let large = Document::<Policy>::from_bytes(&large).unwrap_err();
    assert_eq!(large, DocumentError::Size(DOCUMENT_SIZE_MAX + 1));
}

#[test]
fn bounds_are_held() {
    let many: Allowed<Account> = (0..=LIST_MAX as u16)
        .map(|n| Account(std::array::from_fn(|i| n.to_be_bytes()[i % 2])))
        .collect();
    let long = Policy { requesters: many, ..policy() }.finish().unwrap_err();
    let expect = DocumentError::ListLong { list: "requesters", found: 257, most: LIST_MAX };
    assert_eq!(long, expect);
    let cedar = |texts: &[&str]| {
        let cedar = texts.iter().map(|text| (*text).to_owned()).collect();
        Policy { cedar, ..policy() }.finish()
    };
    let long = " ".repeat(CEDAR_SIZE_MAX);
    assert_eq!(
        cedar(&[&format!("permit(principal,action,resource);{long}")]),
        Err(DocumentError::CedarLong)
    );
    for (bad, why) in [
        ("permit", "no policy"),
        ("permit (principal, action, resource) when { context.colour == 1 };", "no such fact"),
        ("permit (principal == ?principal, action, resource);", "a slot"),
        ("permit (principal, action, resource) when { context.now == \"x\" };", "another type"),
    ] {
        let error = cedar(&[bad]);
        assert!(matches!(error, Err(DocumentError::Cedar { number: 0, .. })), "{why}: {error:?}");
    }
    // As deep as the bounds let it be, in a thread's usual stack: an answer, not a crash.
    let condition = |text: String| format!("permit(principal,action,resource)when{{{text}}};");
    let nested = |open: &str, middle: &str, close: &str, most: usize| {
        condition(format!("{}{middle}{}", open.repeat(most), close.repeat(most)))
    };
    let fits = |open: &str| (CEDAR_SIZE_MAX - 60) / open.len();
    for (text, valid) in [
        (nested("(", "true", ")", 31), true),
        (nested("(", "true", ")", 32), false),
        (nested("(\")\" == \")\"&&", "true", ")", 32), false),
        (nested("( // )\n", "true", ")", 32), false),
        (nested("!(", "true", ")", 30), true),
        (nested("[", "1", "]", 31), false),
        (nested("{a:", "1", "}", 31), false),
        (nested("if 1==1then 1==1else ", "true", "", fits("if 1==1then 1==1else ")), true),
        (nested("true&&", "true", "", fits("true&&")), true),
        (nested("false||", "true", "", fits("false||")), true),
        (nested("1+", "0>0", "", fits("1+")), true),
        (nested("!", "true", "", 4), true),
        (nested("!", "true", "", 5), false),
        ("permit(principal,action,resource);".repeat(200), true),
    ] {
        let read = cedar(&[&text]);
        assert_eq!(read.is_ok(), valid, "{text}: {read:?}");
        if let Ok(policy) = read {
            let rules = rules_of(policy.body().clone());
            // Where Cedar's evaluator runs out of stack it says so, and that refuses.
            let decision = rules.decide(&request(), &Ledger::new());
            let permits = matches!(decision, Decision::Permit(_));
            assert!(permits || text.contains("1+1"), "{text}: {decision:?}");
        }
    }
    let publication = Publication { envelope_size: 0, ..publication(&policy().finish().unwrap()) };
    assert_eq!(Document::new(publication).unwrap_err(), DocumentError::EnvelopeEmpty);
    for bad in ["", "A", ".a", "a b", "ä", &"a".repeat(65)] {
        assert_eq!(bad.parse::<Word>(), Err(WordError), "{bad}");
    }
    for bad in ["", "ab", &"AB".repeat(32), &"ab".repeat(65), &"a".repeat(65)] {
        assert_eq!(bad.parse::<Measurement>(), Err(MeasurementError), "{bad}");
    }
}

/// Damaged documents of every kind: an error or a document, never a panic, and always one form.
#[test]
fn damaged_documents_do_not_panic() {
    fn read<T: Form>(bytes: &[u8]) -> bool {
        let read = Document::<T>::from_bytes(bytes);
        let _ = Document::<T>::from_draft(&String::from_utf8_lossy(bytes));
        read.is_ok_and(|read| {
            assert_eq!(Document::new(read.body().clone_by_bytes()).unwrap().as_bytes(), bytes);
            true
        })
    }
    trait CloneByBytes: Form {
        fn clone_by_bytes(&self) -> Self {
            serde_json::from_slice(&serde_json::to_vec(self).unwrap()).unwrap()
        }
    }
    impl<T: Form> CloneByBytes for T {}
    let policy = policy().finish().unwrap();
    let seeds = [
        policy.as_bytes().to_vec(),
        Document::new(publication(&policy)).unwrap().as_bytes().to_vec(),
        Document::new(Case::combined().publication()).unwrap().as_bytes().to_vec(),
        Document::new(grant()).unwrap().as_bytes().to_vec(),
        revocation(Revoked::Requester(account(3))).as_bytes().to_vec(),
        entries()[1].as_bytes().to_vec(),
    ];
    let mut rng = Rng::with_seed(6);
    let mut whole = 0_u64;
    for _ in 0..20_000 {
        let mut bytes = rng.choice(&seeds).unwrap().clone();
        for _ in 0..rng.usize(0..4) {
            let at = rng.usize(..bytes.len());
            match rng.u8(..4) {
                0 => bytes[at] ^= 1 << rng.u8(..8),
                1 => bytes[at] = *rng.choice(b"\"[]{},:0123456789-.eE\\ nat").unwrap(),
                2 => drop(bytes.drain(at..(at + rng.usize(1..9)).min(bytes.len()))),
                _ => {
                    let from = rng.choice(&seeds).unwrap();
                    let start = rng.usize(..from.len());
                    let piece = &from[start..(start + rng.usize(1..40)).min(from.len())];
                    bytes.splice(at..at, piece.iter().copied());
                }
            }
            if bytes.is_empty() {
                bytes.push(b'{');
            }
        }
        let reads: [fn(&[u8]) -> bool; 5] =
            [read::<Policy>, read::<Publication>, read::<Grant>, read::<Revocation>, read::<Entry>];
        let kinds = reads.iter().filter(|read| read(&bytes)).count();
        assert!(kinds <= 1, "bytes are documents of two kinds");
        whole += kinds as u64;
    }
    assert!(whole > 3_000, "only {whole} of the documents were read: the damage is too heavy");
}

/// A small number, mostly 0, so that what is asked is often what is allowed.
fn few(rng: &mut Rng, most: u8) -> u8 {
    if rng.u8(..8) > 0 { 0 } else { rng.u8(..=most) }
}

fn any_allowed<T: Ord>(rng: &mut Rng, one: impl Fn(u8) -> T) -> Allowed<T> {
    if rng.u8(..4) == 0 {
        return Allowed::Any;
    }
    (0..3).filter(|n| rng.u8(..8) > n * 2).map(one).collect()
}

/// A policy of few values, so that requests meet its bounds.
fn any_policy(rng: &mut Rng) -> Document<Policy> {
    let accounts = |rng: &mut Rng| any_allowed(rng, account);
    let texts = [
        "permit (principal, action, resource);",
        "permit (principal, action, resource) when { context.window_secs > 1 };",
        "permit (principal, action, resource); forbid (principal, action, resource) when { context.verifier == 2 };",
    ];
    let programs = (0..4).filter(|_| rng.u8(..8) > 0).collect::<Vec<u8>>();
    let guarantees = |rng: &mut Rng| Guarantees {
        group_min: 3 - u64::from(few(rng, 3)),
        output_size_max: few(rng, 3).into(),
        steps_constant: few(rng, 1) == 0,
    };
    let programs = programs.into_iter().map(|id| (program(id), guarantees(rng)));
    let programs: BTreeMap<_, _> = programs.collect();
    let budget = Budget { total_micro_epsilon: rng.u64(2..9), cost_micro_epsilon: rng.u64(..3) };
    let purposes = ["a", "b", "c"];
    Document::new(Policy {
        version: rng.u64(..3),
        programs,
        providers: Providers {
            accounts: accounts(rng),
            stake_min: u128::from(rng.u8(..3)) << 62,
            measurements: any_allowed(rng, measurement),
        },
        requesters: accounts(rng),
        beneficiaries: accounts(rng),
        purposes: any_allowed(rng, |n| word(purposes[usize::from(n)])),
        verifiers: any_allowed(rng, u16::from),
        auditors: Auditors { accounts: accounts(rng), least: rng.u64(..2) },
        uses_max: rng.u64(2..6),
        expires_at: rng.u64(1..4),
        output: Output {
            class: if rng.bool() { OutputClass::Sealed } else { OutputClass::Public },
            size_max: rng.u64(1..4),
            step_limit_max: rng.u64(1..4),
            steps_constant: rng.u8(..4) == 0,
            group_min: rng.u64(..3),
        },
        budget: rng.bool().then_some(budget),
        cedar: texts.iter().filter(|_| rng.u8(..4) == 0).map(|text| (*text).to_owned()).collect(),
    })
    .unwrap()
}

fn any_request(rng: &mut Rng) -> ReleaseRequest {
    ReleaseRequest {
        requester: account(few(rng, 3)),
        provider: account(few(rng, 3)),
        beneficiary: account(few(rng, 3)),
        auditors: (0..rng.u8(..3)).map(|_| account(few(rng, 3))).collect(),
        program: program(few(rng, 3)),
        output_sealed: few(rng, 1) == 0,
        step_limit: few(rng, 3).into(),
        verifier: few(rng, 3).into(),
        window_secs: 3 - u32::from(few(rng, 3)),
        stake: u128::from(3 - few(rng, 3)) << 62,
        purpose: (few(rng, 1) == 0).then(|| word(["a", "b", "c"][usize::from(few(rng, 2))])),
        measurement: (few(rng, 1) == 0).then(|| measurement(few(rng, 2))),
        now: few(rng, 4).into(),
        ..request()
    }
}

#[test]
fn what_a_combination_permits_both_permit() {
    let mut rng = Rng::with_seed(17);
    let (mut permitted, mut refused) = (0, 0);
    for _ in 0..400 {
        let (a, b) = (any_policy(&mut rng), any_policy(&mut rng));
        let both = stricter(&a, &b).unwrap();
        assert_eq!(both, stricter(&b, &a).unwrap(), "the order matters");
        assert_eq!(stricter(&a, &a).unwrap(), a, "a policy combined with itself is another");
        let c = any_policy(&mut rng);
        assert_eq!(stricter(&both, &c).unwrap(), stricter(&a, &stricter(&b, &c).unwrap()).unwrap());
        let [a, b, both] = [a, b, both].map(|policy| rules_of(policy.body().clone()));
        for _ in 0..60 {
            let asked = any_request(&mut rng);
            // Uses and budget that are spent by then.
            let ledger = spent(&mut rng);
            let permits =
                |rules: &Rules| matches!(rules.decide(&asked, &ledger), Decision::Permit(_));
            if permits(&both) {
                permitted += 1;
                assert!(permits(&a) && permits(&b), "looser than one of the two: {asked:?}");
            } else if permits(&a) && permits(&b) {
                refused += 1;
            }
        }
    }
    assert!(permitted > 500, "only {permitted} requests were permitted: the property says little");
    println!("{permitted} permitted by the combination, {refused} by both and not by it");
}

/// A ledger that has spent a little.
fn spent(rng: &mut Rng) -> Ledger {
    let mut ledger = Ledger::new();
    for number in 0..rng.u64(..4) {
        let entry = Entry {
            sequence: ledger.size(),
            previous: ledger.head(),
            owner: account(OWNER),
            name: word("patients-2026"),
            version: 3,
            policy: Hash::default(),
            grant: None,
            through: None,
            job: job(100 + number),
            recipient: account(PROVIDER),
            uses: 1,
            micro_epsilon: rng.u64(..3),
            at: NOW,
        };
        let line = Document::new(entry).unwrap();
        ledger.apply(&Release::from_line(line.as_bytes()).unwrap()).unwrap();
    }
    ledger
}

#[test]
fn the_specification_lists_every_clause_in_order() {
    let spec = include_str!("../../../spec/policy.md");
    let lines = spec.lines().skip_while(|line| *line != "## Clauses").skip(1);
    let section = lines.take_while(|line| !line.starts_with("## "));
    let codes: Vec<&str> =
        section.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let expect: Vec<&str> = Clause::ALL.iter().map(|clause| clause.code()).collect();
    assert_eq!(codes, expect, "the table of clauses in spec/policy.md");
    for schema in
        [Policy::SCHEMA, Publication::SCHEMA, Grant::SCHEMA, Revocation::SCHEMA, Entry::SCHEMA]
    {
        assert!(spec.contains(&format!("`{schema}`")), "{schema} is not in spec/policy.md");
    }
    let schema = CEDAR_SCHEMA.split("action release").nth(1).unwrap();
    let names = schema.lines().filter_map(|line| Some(line.trim().split_once(':')?.0));
    for line in names.filter(|name| *name != "context") {
        assert!(
            spec.contains(&format!("`{}`", line.trim_end_matches('?'))),
            "{line} is not in spec/policy.md"
        );
    }
}

#[test]
fn reasons_are_json_under_their_clause_and_say_what_to_do() {
    for &clause in Clause::ALL {
        for case in violations(clause) {
            let Decision::Refuse(reasons) = case.decide() else { panic!("refused") };
            let json = serde_json::to_value(&reasons[0]).unwrap();
            assert_eq!(json["clause"], clause.code());
            assert_eq!(serde_json::from_value::<ClauseReason>(json).unwrap(), reasons[0]);
            let sentence = reasons[0].to_string();
            assert!(sentence.contains(": "), "no next step after the cause: {sentence}");
            assert!(
                !sentence.contains("3000000"),
                "what is spent or left is nobody's business: {sentence}"
            );
        }
    }
}

#[test]
fn our_own_cedar_is_valid_and_our_facts_are_of_its_types() {
    let mut rng = Rng::with_seed(3);
    let text = |policy: &Policy| {
        let published = publication(&policy.clone().finish().unwrap());
        clauses_as_cedar(&published, policy)
    };
    let mut texts = vec![text(&policy()), text(&Policy::deny_all())];
    texts.extend((0..50).map(|_| text(any_policy(&mut rng).body())));
    for text in texts {
        let policies: PolicySet = text.parse().unwrap();
        let result = cedar::VALIDATOR.validate(&policies, ValidationMode::Strict);
        let errors: Vec<String> =
            result.validation_errors().map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {text}");
    }
    for measured in [true, false] {
        for granted in [true, false] {
            let grant = Document::new(grant()).unwrap();
            let asked = request();
            let asked =
                ReleaseRequest { measurement: asked.measurement.filter(|_| measured), ..request() };
            cedar::check_facts(&asked, granted.then_some(&grant)).unwrap();
        }
    }
}

#[test]
fn a_policy_is_explained_clause_by_clause() {
    let sentences = explain(&policy());
    let expect = [
        "Every figure of a result is about at least 20 people.",
        "A result has at most 4096 bytes.",
        "Step counts and exit codes, which everybody sees, tell nothing of the data.",
        "A job runs for at most 1073741824 steps.",
        "Only a job's requester and its beneficiary can read a result, and who holds the data to run it or to check it.",
        "Only 0x0202020202020202020202020202020202020202, 0x0404040404040404040404040404040404040404, \
         0x0606060606060606060606060606060606060606 may be the beneficiary of a job. None but these may order: who orders can read \
         the result.",
        "Only 0x0303030303030303030303030303030303030303 may hold the data to run programs.",
        "A provider has at least 1208925819614629174706181 of the token's smallest unit at stake.",
        "Only 0x0202020202020202020202020202020202020202 and accounts with a grant may order.",
        "The requester states one of these purposes, which nobody checks: audit, research.",
        "A claim becomes final by verifier 1.",
        "An order names at least 1 of them.",
        "Keys go out until 2027-01-15T08:01:40Z.",
        "The data is used for at most 10 jobs, over all versions.",
        "A job costs 1 of a privacy budget of 3 (in epsilon), which is never refilled.",
        "1 more must permit it, in Cedar.",
    ];
    for sentence in expect {
        assert!(
            sentences.iter().any(|said| said == sentence),
            "{sentence} is not in {sentences:#?}"
        );
    }
    assert_eq!(sentences.len(), 19, "a sentence for each clause of the policy: {sentences:#?}");
    let open = policy().providers(Allowed::Any, 1);
    assert!(explain(&open).iter().any(|said| said.ends_with("it has the data, and pays no fee.")));
    let nothing = explain(&Policy::deny_all()).join(" ");
    for sentence in [
        "No program may run over the data.",
        "Nobody may hold the data to run programs.",
        "Only accounts with a grant may order.",
        "Keys go out until 1970-01-01T00:00:00Z.",
        "at most 0 jobs",
    ] {
        assert!(nothing.contains(sentence), "{sentence} is not in {nothing}");
    }
    let many = Policy { verifiers: (0..9).collect(), expires_at: NUMBER_MAX, ..policy() };
    let many = explain(&many).join(" ");
    assert!(many.contains("verifier 0, 1, 2, 3 and 5 more."), "{many}");
    assert!(many.contains("until second 9007199254740991"), "{many}");
}
