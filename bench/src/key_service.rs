//! Figures of a key service: decisions a second under a policy that is compiled once, beside
//! compiling it for each, and beside the same conditions in plain Rust.

use std::collections::BTreeSet;

use assay_policy::{
    Allowed, Decision, Document, Grant, Guarantees, Ledger, Output, OutputClass, Policy,
    Publication, ReleaseRequest, Rules, Word,
};
use assay_types::{Account, BlobRoot, Hash, JobId, ProgramId, sha256};

use crate::figure::{Figure, Goal, median, time};

const DECISIONS: u64 = 4_000;
const COMPILED: u64 = 200;
const ROUNDS: usize = 5;
const ACCOUNTS: u64 = 64;
const PROGRAMS: u64 = 16;
const GRANTS: u64 = 1_000;
const NOW: u64 = 1_800_000_000;

pub(crate) fn figures() -> Result<Vec<Figure>, String> {
    let (policy, rules) = key_service()?;
    let publication = rules.publication().clone();
    let ledger = Ledger::new();
    let granted = (0..GRANTS).map(|number| account("granted", number)).collect();
    let asked: Vec<ReleaseRequest> = (0..DECISIONS).map(request).collect();
    let permitted = |decision: &Decision| matches!(decision, Decision::Permit(_));
    let expect = asked.iter().filter(|asked| plain(policy.body(), &granted, asked)).count();
    let found = asked.iter().filter(|asked| permitted(&rules.decide(asked, &ledger))).count();
    if found != expect || expect == 0 || expect == asked.len() {
        return Err(format!("Cedar permits {found} requests, plain Rust {expect}"));
    }

    let (mut once, mut each, mut rust, mut spent) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let rate = |count: u64, secs: f64| count as f64 / secs;
        once.push(rate(
            DECISIONS,
            time(|| all(&asked, |asked| permitted(&rules.decide(asked, &ledger)))),
        ));
        rust.push(rate(
            DECISIONS,
            time(|| all(&asked, |asked| plain(policy.body(), &granted, asked))),
        ));
        let few = &asked[..COMPILED as usize];
        each.push(rate(
            COMPILED,
            time(|| {
                all(few, |asked| {
                    let rules = Rules::new(publication.clone(), policy.clone());
                    rules.is_ok_and(|rules| permitted(&rules.decide(asked, &ledger)))
                })
            }),
        ));
        spent.push(rate(DECISIONS, time(|| spend(&rules, &asked))));
    }
    let inputs = format!(
        "{DECISIONS} requests, {expect} of them permitted, lists of {ACCOUNTS} accounts, {PROGRAMS} programs, {GRANTS} grants, one text in \
         Cedar, one core, median of {ROUNDS}"
    );
    let figure = |name: &str, values, goal, peers| Figure {
        name: name.to_owned(),
        inputs: inputs.clone(),
        value: median(values),
        unit: "decisions/s",
        goal,
        peers,
    };
    let goal = Some(Goal::AtLeast(2_000.0));
    let peers = vec![
        ("the same, the policy compiled for each".to_owned(), median(each)),
        ("the same conditions in plain Rust".to_owned(), median(rust)),
    ];
    Ok(vec![
        figure("key service decisions", once, goal, peers),
        figure("key service decisions, entries of the ledger made", spent, goal, Vec::new()),
    ])
}

fn all(asked: &[ReleaseRequest], permitted: impl Fn(&ReleaseRequest) -> bool) -> usize {
    asked.iter().filter(|asked| permitted(asked)).count()
}

/// Decides, and counts what is permitted.
fn spend(rules: &Rules, asked: &[ReleaseRequest]) -> u64 {
    let mut ledger = Ledger::new();
    for asked in asked {
        if let Decision::Permit(permit) = rules.decide(asked, &ledger) {
            let entry = ledger.spend(&permit, asked.provider, NOW);
            entry.unwrap_or_else(|error| unreachable!("uses enough for all: {error}"));
        }
    }
    ledger.size()
}

fn account(role: &str, number: u64) -> Account {
    let digest = sha256(format!("{role} {number}").as_bytes());
    Account(std::array::from_fn(|i| digest.0[i]))
}

fn program(number: u64) -> ProgramId {
    ProgramId(sha256(&number.to_be_bytes()))
}

fn key_service() -> Result<(Document<Policy>, Rules), String> {
    let accounts = |role: &str| -> Allowed<Account> {
        (0..ACCOUNTS).map(|number| account(role, number)).collect()
    };
    // Whoever orders reads, so it is listed there too.
    let readers = ["beneficiary", "requester", "granted"];
    let readers = readers.iter().flat_map(|role| (0..ACCOUNTS).map(|number| account(role, number)));
    let guarantees = Guarantees { group_min: 20, output_size_max: 4_096, steps_constant: true };
    let mut policy = Policy::deny_all()
        .providers(accounts("provider"), 1_000_000)
        .parties(accounts("requester"), readers.collect(), words()?)
        .assurance(Allowed::from_iter([1]), accounts("auditor"), 1)
        .output(Output {
            class: OutputClass::Sealed,
            size_max: 4_096,
            step_limit_max: 1 << 40,
            steps_constant: true,
            group_min: 20,
        })
        .uses(1_000_000, NOW + 1_000)
        .budget(1_000_000_000_000, 1_000_000);
    for number in 0..PROGRAMS {
        policy = policy.program(program(number), guarantees);
    }
    let text = "permit (principal, action, resource) when { context.window_secs >= 600 };";
    policy.cedar = BTreeSet::from([text.to_owned()]);
    let policy = policy.finish().map_err(|error| error.to_string())?;
    let (owner, name) = (account("owner", 0), word("patients-2026")?);
    let publication = Publication {
        owner,
        name: name.clone(),
        version: 1,
        root: BlobRoot(Hash([1; 32])),
        envelope_digest: Hash([2; 32]),
        envelope_size: 1 << 20,
        policy: policy.digest(),
        fee: 250_000,
        sources: BTreeSet::new(),
    };
    let publication = Document::new(publication).map_err(|error| error.to_string())?;
    let mut rules = Rules::new(publication, policy.clone()).map_err(|error| error.to_string())?;
    for number in 0..GRANTS {
        let grant = Grant {
            owner,
            name: name.clone(),
            number,
            requester: account("granted", number),
            purposes: Allowed::Any,
            uses_max: 1_000_000,
            expires_at: NOW + 1_000,
        };
        let grant = Document::new(grant).map_err(|error| error.to_string())?;
        rules.grant(grant).map_err(|error| error.to_string())?;
    }
    Ok((policy, rules))
}

fn word(text: &str) -> Result<Word, String> {
    text.parse().map_err(|_| format!("{text} is no word"))
}

fn words() -> Result<Allowed<Word>, String> {
    Ok(Allowed::from_iter([word("research")?, word("audit")?]))
}

/// Listed requesters, granted ones and strangers; one in eight asks for a program that is not
/// listed.
fn request(number: u64) -> ReleaseRequest {
    let role = ["requester", "granted", "stranger"][(number % 3) as usize];
    ReleaseRequest {
        job: JobId(sha256(&number.to_be_bytes()).0),
        requester: account(role, number % ACCOUNTS),
        provider: account("provider", number % ACCOUNTS),
        beneficiary: account("beneficiary", number % ACCOUNTS),
        auditors: BTreeSet::from([account("auditor", number % ACCOUNTS)]),
        program: program(if number % 8 == 0 { PROGRAMS } else { number % PROGRAMS }),
        dataset: BlobRoot(Hash([1; 32])),
        data_owner: Some(account("owner", 0)),
        data_fee: 250_000,
        input_sealed: true,
        output_sealed: true,
        step_limit: 1 << 30,
        verifier: 1,
        window_secs: 600,
        stake: 1_000_000,
        purpose: word("research").ok(),
        measurement: None,
        now: NOW,
    }
}

/// The conditions that these requests meet or miss, as one would write them by hand: no clause has
/// a name, no text is the owner's.
fn plain(policy: &Policy, granted: &BTreeSet<Account>, asked: &ReleaseRequest) -> bool {
    let output = &policy.output;
    policy.programs.get(&asked.program).is_some_and(|program| {
        program.group_min >= output.group_min
            && program.output_size_max <= output.size_max
            && (program.steps_constant || !output.steps_constant)
    }) && (granted.contains(&asked.requester) || policy.requesters.allows(&asked.requester))
        && policy.providers.accounts.allows(&asked.provider)
        && asked.stake >= policy.providers.stake_min
        && policy.beneficiaries.allows(&asked.beneficiary)
        && policy.beneficiaries.allows(&asked.requester)
        && asked.purpose.as_ref().is_some_and(|purpose| policy.purposes.allows(purpose))
        && policy.verifiers.allows(&asked.verifier)
        && asked.auditors.iter().all(|auditor| policy.auditors.accounts.allows(auditor))
        && asked.auditors.len() as u64 >= policy.auditors.least
        && asked.step_limit <= output.step_limit_max
        && asked.output_sealed
        && asked.data_fee >= 250_000
        && asked.now <= policy.expires_at
        && asked.window_secs >= 600
}
