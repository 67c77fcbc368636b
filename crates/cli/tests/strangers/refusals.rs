//! Every kind of refusal, by a broker and a key service that are processes of their own: each by
//! its own name, each in their logs once, and nothing told there of what was asked.

use std::io::{Read, Write};
use std::net::TcpStream;

use alloy_primitives::aliases::U40;
use alloy_primitives::{B256, FixedBytes};
use alloy_signer_local::PrivateKeySigner;
use assay_machine::Program;
use assay_market::PriceTerms;
use assay_node::{
    DatasetTerms, DatasetUse, Home, JobRecord, JobTerms, RemoteMarket, Requester, Sealing,
    clock_secs,
};
use assay_policy::{
    Allowed, Clause, ClauseReason, Document, Guarantees, Output, OutputClass, Policy, Word,
};
use assay_protocol::{Role, SignedRequest};
use assay_types::sha256;

use super::looking::Sought;
use super::*;

/// Stands in whatever a requester or a stranger can choose. A word in the sense of a policy, so
/// that a dataset can be called so.
const CANARY: &str = "xyzzyplughcanary";

const WORDCOUNT: &[u8] = include_bytes!("../../../../programs/prebuilt/wordcount.elf");

const SHA256: &[u8] = include_bytes!("../../../../programs/prebuilt/sha256.elf");

/// What one job costs of a budget, in millionths of epsilon.
const EPSILON: u64 = 1_000_000;

/// A policy for one program and one purpose.
fn policy(expires_at: u64, micro_epsilon_max: u64) -> Document<Policy> {
    let program = Program::from_elf(SHA256).unwrap().id();
    let guarantees = Guarantees { group_min: 1, output_size_max: 1_000, steps_constant: false };
    Policy::deny_all()
        .program(program, guarantees)
        .providers(Allowed::Any, DOLLAR)
        .parties(
            Allowed::Any,
            Allowed::Any,
            ["research".parse::<Word>().unwrap()].into_iter().collect(),
        )
        .assurance(Allowed::Any, Allowed::Any, 0)
        .output(Output {
            class: OutputClass::Sealed,
            size_max: 1_000,
            step_limit_max: 1 << 30,
            steps_constant: false,
            group_min: 1,
        })
        .uses(100, expires_at)
        .budget(micro_epsilon_max, EPSILON)
        .finish()
        .unwrap()
}

/// Parties that act in this process, on a market of processes.
struct Parties<'a> {
    market: &'a Market,
    remote: RemoteMarket,
    owner: Address,
    homes: tempfile::TempDir,
    keys: Vec<PrivateKeySigner>,
}

impl Parties<'_> {
    /// A funded account with a home of its own.
    async fn party(&mut self) -> Requester {
        let key = PrivateKeySigner::random();
        let contracts = self.market.contracts().await;
        let ether = U256::from(10).pow(U256::from(18));
        let gas = TransactionRequest::default().with_to(key.address()).with_value(ether);
        contracts.send(gas).await.unwrap();
        let mint = contracts.token.mint(key.address(), U256::from(1_000 * DOLLAR));
        contracts.send(mint.into_transaction_request()).await.unwrap();
        let home = Home::at(self.homes.path().join(key.address().to_string()));
        self.keys.push(key.clone());
        self.remote.requester(key, &home).await.unwrap()
    }

    /// A dataset of the owner's, published under a policy.
    fn publish(&self, name: &str, policy: &Document<Policy>) {
        let file = self.market.path(&format!("{name}.policy"));
        std::fs::write(&file, policy.as_bytes()).unwrap();
        let data = self.homes.path().join(name);
        std::fs::write(&data, format!("Ada,36,{CANARY}\n")).unwrap();
        let data = data.to_str().unwrap();
        self.owner_does("data seal", &["--name", name, "--policy", &file, data]);
        self.owner_does("data publish", &[name]);
    }

    fn owner_does(&self, name: &str, arguments: &[&str]) {
        let done = self.market.command(name, self.owner, arguments).output().unwrap();
        assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Orders over a dataset, and locks it as the holder.
    async fn ordered(
        &self,
        (requester, holder): (&Requester, &Requester),
        (program, name, purpose): (&[u8], &str, &str),
    ) -> JobRecord {
        let found = requester.board().dataset(self.owner, name).await.unwrap().unwrap();
        let (publication, purpose) = (found.publication.body().clone(), purpose.to_owned());
        let terms = JobTerms {
            program: program.to_vec(),
            input: Some(format!("{CANARY} asks").into_bytes()),
            input_of: None,
            dataset: DatasetTerms::Of(Box::new(DatasetUse { publication, purpose, policy: None })),
            sealing: Some(Sealing { begin_secs: 600, ..Sealing::default() }),
            reputation_min: None,
            step_limit: 1 << 20,
            price: PriceTerms::fixed(DOLLAR / 10),
            data_fee: None,
            stake: DOLLAR,
            provider: Some(holder.contracts().account()),
            lock_secs: 600,
            run_secs: 600,
            window_secs: None,
            repricing: None,
        };
        // Each is an order of its own.
        let key = sha256(PrivateKeySigner::random().address().as_slice());
        let record = requester.order(key, &terms).await.unwrap();
        let signed = record.signed.clone();
        let price = signed.order.price.max;
        let contracts = holder.contracts();
        let until = U40::from(contracts.now() + 300);
        let lock = contracts.market.lock(signed.order, signed.signature, price, until);
        contracts.send(lock.into_transaction_request()).await.unwrap();
        record
    }
}

/// A request that may be wrong in each of its parts, as bytes on a socket.
struct Raw<'a> {
    method: &'a str,
    path: String,
    headers: Vec<(&'a str, String)>,
    body: String,
}

impl Raw<'_> {
    /// The status, and the name of the problem.
    fn send(&self, broker: &str) -> (u16, String) {
        let host = broker.trim_start_matches("http://").trim_end_matches('/');
        let mut connection = TcpStream::connect(host).unwrap();
        let mut text = format!("{} {} HTTP/1.1\r\nhost: {host}\r\n", self.method, self.path);
        text += "content-type: application/json\r\n";
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("user-agent: {CANARY}\r\ncookie: {CANARY}\r\nconnection: close\r\n");
        text += &format!("content-length: {}\r\n\r\n{}", self.body.len(), self.body);
        connection.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let problem = serde_json::from_str::<Value>(body).unwrap_or_default();
        let kind = problem["type"].as_str().unwrap_or_default();
        (status, kind.rsplit(['/', ':', '#']).next().unwrap().to_owned())
    }
}

/// A log's lines in lower case, without colours.
fn lines(market: &Market, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(market.path(&format!("{name}.log"))).unwrap();
    text.lines().map(str::to_lowercase).collect()
}

fn count(lines: &[String], words: &[&str]) -> usize {
    lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_is_named_and_logged_once_and_tells_nothing() {
    let Some(market) = Market::new("each_refusal_is_named").await else { return };
    let owner = market.funded().await;
    let deployment = market.deployment.clone();
    let (rpc, broker) = (market.anvil.url.clone(), market.url.clone());
    let mut parties = Parties {
        market: &market,
        remote: RemoteMarket { rpc, broker, deployment, confirmations: 0, capabilities: None },
        owner,
        homes: tempfile::tempdir().unwrap(),
        keys: Vec::new(),
    };
    let [holder, requester, revoked] =
        [parties.party().await, parties.party().await, parties.party().await];
    holder.publish_seal_keys().await.unwrap();
    holder.contracts().stake(20 * DOLLAR).await.unwrap();

    // Datasets whose names are the owner's, and are nobody's business in a log.
    let (far, now) = (4_000_000_000, clock_secs());
    let [open, scarce, old] = ["open", "scarce", "old"].map(|kind| format!("{kind}-{CANARY}"));
    parties.publish(&open, &policy(far, 100 * EPSILON));
    parties.publish(&scarce, &policy(far, EPSILON));
    parties.publish(&old, &policy(now - 1, 100 * EPSILON));
    let banned = revoked.contracts().account().to_string();
    parties.owner_does("data revoke", &[&open, "--requester", &banned]);
    let key_service = market.command("key-service", owner, &[]);
    let mut key_service = market.accounts.logged("key-service", key_service);
    assert!(key_service.line().starts_with("key-service"), "it says that it works");

    // One job that is given its key, and spends the budget.
    let both = (&requester, &holder);
    let given = parties.ordered(both, (SHA256, &scarce, "research")).await;
    let client = parties.remote.broker(&parties.keys[0]).await.unwrap();
    let began = Instant::now();
    let own = holder.contracts().account();
    while client.wraps(given.job_id, own).await.unwrap().is_empty() {
        assert!(began.elapsed() < PATIENCE, "the key service gives what the policy permits");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // And one for each reason of the policy's.
    let purpose = format!("to find {CANARY}");
    let asked = [
        (both, (SHA256, scarce.as_str(), "research"), Clause::Budget),
        (both, (WORDCOUNT, open.as_str(), "research"), Clause::Programs),
        (both, (SHA256, open.as_str(), purpose.as_str()), Clause::Purposes),
        (both, (SHA256, old.as_str(), "research"), Clause::Expiry),
        ((&revoked, &holder), (SHA256, open.as_str(), "research"), Clause::RevokedRequester),
    ];
    let mut jobs = Vec::new();
    for (who, what, clause) in asked {
        jobs.push((who.0, parties.ordered(who, what).await.job_id, clause));
    }
    for (by, id, clause) in &jobs {
        let refusals = loop {
            let found = by.board().key_refusals(*id).await.unwrap();
            if !found.is_empty() {
                break found;
            }
            assert!(began.elapsed() < PATIENCE, "no refusal by {clause:?} came");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let [(by, said)] = &refusals[..] else { panic!("one signed refusal: {refusals:?}") };
        assert_eq!(*by, owner);
        let clauses: Vec<_> = said.reasons.iter().map(ClauseReason::clause).collect();
        assert!(clauses.contains(clause), "{clause:?} is its own error: {clauses:?}");
        let is_alone = clauses.len() == 1 || *clause == Clause::Programs;
        assert!(is_alone, "{clause:?} and nothing else: {clauses:?}");
    }
    let refused = refused_requests(&parties, given.job_id, own).await;

    // Time for a key service to say a thing twice.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let said = lines(&market, "key-service");
    assert_eq!(count(&said, &["a key was given"]), 1, "{said:#?}");
    assert_eq!(count(&said, &["a key is refused"]), jobs.len(), "{said:#?}");
    for (_, id, clause) in &jobs {
        let line = ["a key is refused", &id.to_string(), "code=\"policy\""];
        assert_eq!(count(&said, &line), 1, "one line for {clause:?}: {said:#?}");
    }
    let told = lines(&market, "broker");
    // Whoever asks for the first time learns by it what to sign, so there are others.
    assert!(count(&told, &["refused", "problem=\"nonce-stale\""]) >= 3, "{told:#?}");
    for (kind, times) in refused {
        let problem = format!("problem=\"{kind}\"");
        assert_eq!(count(&told, &["refused", &problem]), times, "{kind}: {told:#?}");
    }
    let secret = parties.keys.iter().map(|key| format!("{:x}", key.to_bytes()));
    let named = parties.keys.iter().map(PrivateKeySigner::address).chain([owner]);
    let named = named.map(|account| format!("{account:x}"));
    let hidden: Vec<String> = secret.chain(named).collect();
    let hidden: Vec<&str> = hidden.iter().map(String::as_str).chain([CANARY]).collect();
    let hidden = Sought::words(&hidden);
    for line in said.iter().chain(&told) {
        assert!(!hidden.is_in(line.as_bytes()), "a log tells what was asked, or by whom: {line}");
    }
    assert!(told.len() > 50, "{} lines show little", told.len());
}

/// Sends whatever a broker must refuse, each kind a known number of times, and tells how often each
/// must be in its log.
async fn refused_requests(
    parties: &Parties<'_>,
    job: B256,
    holder: Address,
) -> Vec<(&'static str, usize)> {
    let broker = &parties.market.url;
    let deployment = &parties.market.deployment;
    let epoch =
        parties.remote.broker(&parties.keys[0]).await.unwrap().market().await.unwrap().epoch;
    let nonce = |number: u8, epoch: FixedBytes<16>| {
        let mut nonce = B256::repeat_byte(number);
        nonce[..16].copy_from_slice(&epoch[..]);
        nonce
    };
    // Others than those who have ordered and locked: a provider, a stranger, and whoever runs the
    // broker.
    let [provider, stranger, operator] = [(); 3].map(|()| PrivateKeySigner::random());
    let wraps = format!("/v1/wraps/{job}/{holder}");
    let expires = clock_secs() + 60;
    let signed = |key: &PrivateKeySigner, role, nonce, path: &str, body: &str| {
        let digest = B256::new(sha256(body.as_bytes()).0);
        let method = if body.is_empty() { "GET" } else { "PUT" };
        let request = SignedRequest::sign(
            (method, path),
            digest,
            (role, nonce, expires),
            deployment,
            (key, None),
        );
        Raw {
            method,
            path: path.to_owned(),
            headers: request.unwrap().headers(),
            body: body.to_owned(),
        }
    };
    let is = |raw: &Raw<'_>, status: u16, kind: &str| {
        assert_eq!(raw.send(broker), (status, kind.to_owned()), "{} {}", raw.method, raw.path);
    };
    // No lock, no key; a nonce is spent even so, and good once.
    for (number, (key, role)) in
        [(&provider, Role::Provider), (&stranger, Role::Anyone), (&operator, Role::Anyone)]
            .into_iter()
            .enumerate()
    {
        let number = u8::try_from(number).unwrap();
        let ask = signed(key, role, nonce(number, epoch), &wraps, "");
        is(&ask, 403, "not-entitled");
        is(&ask, 403, "request-replayed");
        let ask = signed(key, role, nonce(number, FixedBytes::repeat_byte(9)), &wraps, "");
        is(&ask, 403, "nonce-stale");
    }
    let plain = |method, path: &str| Raw {
        method,
        path: path.to_owned(),
        headers: vec![("assay-account", CANARY.to_owned()), ("assay-role", CANARY.to_owned())],
        body: format!("{{\"{CANARY}\":\"{CANARY}\"}}"),
    };
    is(&plain("GET", &wraps), 401, "request-unsigned");
    is(&plain("GET", &format!("/v1/offers?after={CANARY}")), 401, "request-unsigned");
    is(&plain("GET", &format!("/v1/{CANARY}")), 404, "path-unknown");
    is(&plain("XYZZYPLUGHCANARY", "/v1/offers"), 405, "method-unknown");
    is(&plain("POST", "/v1/orders"), 400, "body-malformed");
    let path = format!("/v1/wraps/{job}/{holder}/3");
    let mut other = signed(&stranger, Role::DataOwner, nonce(7, epoch), &path, "{}");
    other.body = format!("{{\"wrap\":\"{CANARY}\"}}");
    is(&other, 403, "digest-mismatch");
    vec![
        ("not-entitled", 3),
        ("request-replayed", 3),
        ("request-unsigned", 2),
        ("path-unknown", 1),
        ("method-unknown", 1),
        ("body-malformed", 1),
        ("digest-mismatch", 1),
    ]
}
