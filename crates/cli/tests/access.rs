//! `assay access` against a broker that is a process of its own, and what that process says of
//! requests.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

mod nowhere;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::B256;
use alloy_signer_local::PrivateKeySigner;
use assay_broker_client::BrokerClient;
use assay_chain::keystore::{self, Password};
use assay_protocol::{
    Capability, CapabilityChain, KeyWrap, Role, SignedCapability, SignedRequest, SignedWrap,
};
use nowhere::{deployment, order};
use serde_json::Value;

const PASSWORD: &str = "a password of tests";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A home with keystores, a broker's process, and its URL.
struct Running {
    folder: tempfile::TempDir,
    broker: Child,
    url: String,
    metrics: String,
}

impl Running {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = serde_json::to_vec(&deployment()).unwrap();
        std::fs::write(folder.path().join("deployment.json"), text).unwrap();
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        let (broker, url, metrics) = start(folder.path());
        Running { folder, broker, url, metrics }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As a power cut and a start after it.
    fn restart(&mut self) {
        self.broker.kill().unwrap();
        self.broker.wait().unwrap();
        (self.broker, self.url, self.metrics) = start(self.folder.path());
    }

    /// A new account with a keystore.
    fn account(&self) -> PrivateKeySigner {
        let password = Password::File(self.file("password"));
        keystore::create(&self.file("home/keys"), password).unwrap().1
    }

    /// `assay access ...` as an account.
    fn access(&self, by: &PrivateKeySigner, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command.arg("access").args(arguments).stdin(Stdio::null());
        command.arg("--home").arg(self.file("home"));
        command.arg("--deployment").arg(self.file("deployment.json"));
        if arguments[0] != "show" {
            command.arg("--account").arg(by.address().to_string());
            command.arg("--password-file").arg(self.file("password"));
        }
        if ["get", "put", "revoke"].contains(&arguments[0]) {
            // Nothing here asks the chain.
            command.args(["--market", &self.url, "--rpc", "http://127.0.0.1:9"]);
        }
        command.output().unwrap()
    }

    fn done(&self, by: &PrivateKeySigner, arguments: &[&str]) -> String {
        let output = self.access(by, arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}\n{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the command says that it can't do, with its cause and next step; the exit code is
    /// checked.
    fn refused(&self, by: &PrivateKeySigner, code: i32, arguments: &[&str]) -> String {
        let output = self.access(by, &[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["schema"], "assay.error/1");
        assert!(error["cause"].is_string() && error["next"].is_string(), "{error}");
        error["error"].as_str().unwrap().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.broker.kill();
        let _ = self.broker.wait();
    }
}

/// Starts a broker that logs all that it can, to a file, and gives where it serves.
fn start(folder: &Path) -> (Child, String, String) {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("broker.log"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
    command.args(["broker", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
    command.arg("--deployment").arg(folder.join("deployment.json"));
    command.arg("--home").arg(folder.join("home")).env("ASSAY_LOG", "trace");
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.unwrap()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut value = |label: &str| {
        let line = lines.next().expect("it serves").unwrap();
        line.strip_prefix(label).unwrap_or_else(|| panic!("{line}")).trim().to_owned()
    };
    let url = value("broker");
    value("log");
    (child, url, value("metrics"))
}

/// Puts a wrap for an account to the broker, and gives the path that only the account may read.
async fn put_wrap(market: &Running, owner: &PrivateKeySigner) -> String {
    let client =
        BrokerClient::new(&market.url, deployment(), owner, assay_chain::SystemClock).unwrap();
    let order = order(owner, 1);
    client.post_order(&order).await.unwrap();
    let (job_id, recipient) = (order.job_id(&deployment()), owner.address());
    let key = b"canary-wrapped-key".to_vec().into();
    let wrap = KeyWrap { job_id, owner: recipient, recipient, slot: 2, wrap: key };
    let signed = SignedWrap::sign(&wrap, &deployment(), owner).unwrap();
    client.put_wrap(&wrap, &signed).await.unwrap();
    format!("/v1/wraps/{job_id}/{recipient}")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_lets_another_read_and_takes_it_back() {
    let mut market = Running::start();
    let [owner, operator, helper, stranger] = std::array::from_fn(|_| market.account());
    let wraps = put_wrap(&market, &owner).await;
    let name = |file: &str| market.file(file).to_str().unwrap().to_owned();
    let [first, second, third] = ["first", "second", "third"].map(name);
    let to = |who: &PrivateKeySigner| who.address().to_string();

    // Nobody reads what is another's, until it is delegated.
    let error = market.refused(&operator, 1, &["get", &wraps]);
    assert!(error.contains("(not-entitled)"), "{error}");
    let issue = ["issue", "--to", &to(&operator), "--path", "/v1/wraps", "--secs", "600"];
    let said = market.done(&owner, &[&issue[..], &["--output", &first]].concat());
    assert!(said.contains("GET,HEAD /v1/wraps") && said.contains("holds"), "{said}");
    let read = ["get", &wraps, "--capability", &first];
    let found = market.done(&operator, &read);
    assert!(found.contains("\"slot\":2"), "the operator reads in the owner's name: {found}");
    let error = market.refused(&stranger, 1, &read);
    assert!(error.contains("(capability-unlinked)"), "another holds it: {error}");
    let error = market.refused(&operator, 1, &["get", "/v1/offers", "--capability", &first]);
    assert!(error.contains("(capability-path)"), "in the owner's name or not at all: {error}");

    // Narrowed further it is good for what it still allows; it is never wider.
    let job = &wraps[..wraps.rfind('/').unwrap()];
    let narrow = ["narrow", &first, "--to", &to(&helper)];
    let less = [&narrow[..], &["--path", job, "--methods", "GET", "--output", &second]].concat();
    market.done(&operator, &less);
    let by_helper = ["get", &wraps, "--capability", &second];
    assert!(market.done(&helper, &by_helper).contains("\"slot\":2"));
    for (wider, problem) in [
        (["--path", "/v1/"], "capability-widens-path"),
        (["--methods", "GET,HEAD,PUT"], "capability-widens-methods"),
        (["--secs", "6000"], "capability-widens-time"),
    ] {
        let error = market.refused(&operator, 3, &[&narrow[..], &wider].concat());
        assert!(error.contains(problem), "{error}");
    }
    let error = market.refused(&stranger, 3, &narrow);
    assert!(error.contains("only the holder"), "{error}");
    // Who widens it by other means than the command is refused by the broker.
    let chain: CapabilityChain = std::fs::read_to_string(&first).unwrap().trim().parse().unwrap();
    type Change = fn(&mut Capability);
    let changes: [(Change, &str); 4] = [
        (|it| it.path_prefix = "/v1/".to_owned(), "capability-widens-path"),
        (|it| it.methods = "GET,HEAD,POST".to_owned(), "capability-widens-methods"),
        (|it| it.not_after += 1, "capability-widens-time"),
        (|it| it.parent = B256::ZERO, "capability-unlinked"),
    ];
    for (change, problem) in changes {
        let last = chain.last().clone();
        let (issuer, holder) = (operator.address(), helper.address());
        let parent = chain.hash(&deployment()).unwrap();
        let mut wider = Capability { issuer, holder, parent, ..last };
        change(&mut wider);
        let link = SignedCapability::sign(wider, &deployment(), &operator).unwrap();
        let links = [chain.capabilities(), &[link]].concat();
        std::fs::write(&third, CapabilityChain::new(links).unwrap().to_string()).unwrap();
        let error = market.refused(&helper, 1, &["get", &wraps, "--capability", &third]);
        assert!(error.contains(&format!("({problem})")), "{error}");
        let error = market.refused(&helper, 3, &["show", &third]);
        assert!(error.contains(&format!("({problem})")), "show tells it too: {error}");
    }
    // It ends.
    let ended = (now() - 1).to_string();
    let brief = ["issue", "--to", &to(&operator), "--path", "/v1/wraps", "--until", &ended];
    market.done(&owner, &[&brief[..], &["--output", &third]].concat());
    let error = market.refused(&operator, 1, &["get", &wraps, "--capability", &third]);
    assert!(error.contains("(capability-expired)"), "{error}");

    // What it is, for people and for programs.
    let shown = market.done(&helper, &["show", &second]);
    assert!(shown.contains(&to(&owner)) && shown.contains(&format!("GET {job}")), "{shown}");
    let shown = market.done(&helper, &["show", &second, "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["schema"], "assay.capability/1");
    assert_eq!(shown["standing"], "holds");
    let holders = shown["capabilities"].as_array().unwrap().iter().map(|link| &link["holder"]);
    let lower = |who: &PrivateKeySigner| Value::from(format!("{:#x}", who.address()));
    assert_eq!(holders.collect::<Vec<_>>(), [&lower(&operator), &lower(&helper)]);
    let text = std::fs::read_to_string(&second).unwrap();
    std::fs::write(&third, text.replacen(':', ": ", 1)).unwrap();
    let error = market.refused(&helper, 1, &["show", &third]);
    assert!(error.starts_with("cannot use"), "other spelling: {error}");

    // Taken back by who issued it, for what it issued, and for good.
    let error = market.refused(&stranger, 1, &["revoke", &second]);
    assert!(error.contains("has not issued this capability"), "{error}");
    market.done(&operator, &["revoke", &second]);
    let error = market.refused(&helper, 1, &by_helper);
    assert!(error.contains("(capability-revoked)"), "{error}");
    market.done(&operator, &read);
    let said = market.done(&owner, &["revoke", &first, "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["new"], true);
    assert_eq!(said["issuer"], lower(&owner));
    let error = market.refused(&operator, 1, &read);
    assert!(error.contains("(capability-revoked)"), "{error}");
    market.restart();
    for (who, read) in [(&operator, &read), (&helper, &by_helper)] {
        let error = market.refused(who, 1, read);
        assert!(error.contains("(capability-revoked)"), "after a restart: {error}");
    }
    assert!(market.done(&owner, &["revoke", &first]).contains("was revoked before"));
}

#[test]
fn an_account_uploads_in_anothers_name() {
    let market = Running::start();
    let [owner, operator] = std::array::from_fn(|_| market.account());
    let name = |file: &str| market.file(file).to_str().unwrap().to_owned();
    let [capability, envelope, back] = ["capability", "envelope", "back"].map(name);
    std::fs::write(&envelope, b"ciphertext").unwrap();
    let to = operator.address().to_string();
    let issue = ["issue", "--to", &to, "--path", "/v1/envelopes", "--output", &capability];
    market.done(&owner, &issue);
    let put = ["put", "envelope", &envelope, "--capability", &capability];
    let error = market.refused(&operator, 1, &put);
    assert!(error.contains("(capability-method)"), "reading is no writing: {error}");
    market.done(&owner, &[&issue[..], &["--methods", "GET,HEAD,PUT"]].concat());
    let said = market.done(&operator, &[&put[..], &["--json"]].concat());
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["new"], true);
    let path = said["path"].as_str().unwrap();
    market.done(&operator, &["get", path, "--capability", &capability, "--output", &back]);
    assert_eq!(std::fs::read(&back).unwrap(), b"ciphertext");
    // Roles that take part take it as a setting.
    let settings = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(["config", "show", "key-service", "--origin", "--home"])
        .arg(market.file("home"))
        .env("ASSAY_CAPABILITY", &capability)
        .output()
        .unwrap();
    let settings = String::from_utf8(settings.stdout).unwrap();
    assert!(settings.contains("environment ASSAY_CAPABILITY"), "{settings}");
}

/// What a listener answers, as text.
fn asked(url: &str, head: &str, body: &str) -> String {
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let length = body.len();
    let sent = format!(
        "{head}host: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(sent.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // Who is sent what it can't read may just hang up.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Strings planted in all that a request has; then neither metrics nor the log at its most
/// talkative hold them.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_the_log_tell_nothing_of_requests() {
    let market = Running::start();
    let key = market.account();
    let wraps = put_wrap(&market, &key).await;
    let client =
        BrokerClient::new(&market.url, deployment(), &key, assay_chain::SystemClock).unwrap();
    let epoch = client.market().await.unwrap().epoch;
    let canary = "canary-5d1e";
    let envelope = format!("{canary}-envelope").into_bytes();
    let name = B256::new(assay_types::sha256(&envelope).0);
    client.put_envelope(name, envelope).await.unwrap();
    let mut secrets = vec![canary.to_owned(), "canary-wrapped-key".to_owned()];
    secrets.push(format!("{:x}", key.address()));
    secrets.push(format!("{name:x}"));
    secrets.push(wraps.split('/').nth(3).unwrap().trim_start_matches("0x").to_owned());
    let owner = key.address();
    let targets = [
        ("GET", "/v1/orders?after=0&limit=1".to_owned(), 200),
        ("GET", format!("/v1/orders?after=0&x={canary}"), 400),
        ("GET", format!("/v1/orders?after={canary}"), 400),
        ("GET", format!("/v1/{canary}"), 404),
        ("GET", format!("/v1/datasets/{owner}/{canary}"), 404),
        ("GET", wraps.clone(), 200),
        ("POST", format!("/v1/owners/{owner}/documents"), 400),
        ("PUT", format!("/v1/datasets/{owner}/{canary}"), 400),
        ("PATCH", format!("/v1/datasets/{owner}/{canary}"), 405),
    ];
    for (number, (method, target, status)) in targets.iter().enumerate() {
        let body = match *method {
            "POST" | "PUT" => format!("{{\"{canary}\":\"{canary}\"}}"),
            _ => String::new(),
        };
        let mut nonce = B256::repeat_byte(0xc0 + u8::try_from(number).unwrap());
        nonce[..16].copy_from_slice(&epoch[..]);
        let digest = B256::new(assay_types::sha256(body.as_bytes()).0);
        let role = if body.is_empty() { Role::Anyone } else { Role::DataOwner };
        let terms = (role, nonce, now() + 60);
        let signed =
            SignedRequest::sign((method, target), digest, terms, &deployment(), (&key, None))
                .unwrap();
        let mut head = format!("{method} {target} HTTP/1.1\r\nuser-agent: {canary}\r\n");
        head += &format!("cookie: {canary}\r\ncontent-type: application/json\r\n");
        for (name, value) in signed.headers() {
            head += &format!("{name}: {value}\r\n");
        }
        secrets.extend([format!("{:x}", signed.signature), format!("{:x}", signed.digest)]);
        secrets.push(hex::encode(&nonce[16..]));
        let answer = asked(&market.url, &head, &body);
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{method} {target}\n{answer}");
    }
    // What can't be read at all.
    asked(&market.url, &format!("{canary}\r\n"), "");
    asked(&market.url, &format!("GET /v1/offers HTTP/1.1\r\nassay-capabilities: {canary}\r\n"), "");
    let at = market.metrics.trim_end_matches("/metrics");
    let metrics = asked(at, "GET /metrics HTTP/1.1\r\n", "");
    assert!(metrics.contains("\nassay_broker_requests_total{method=\"other\",route="), "{metrics}");
    assert!(metrics.contains("\nassay_broker_log_entries 0\n"), "{metrics}");
    assert!(metrics.contains("{problem=\"request-unsigned\"} 1\n"), "{metrics}");
    let log = std::fs::read_to_string(market.file("broker.log")).unwrap();
    assert!(log.lines().filter(|line| line.contains("refused")).count() > 6, "{log}");
    for secret in secrets.iter().filter(|secret| !secret.starts_with("e3b0c442")) {
        for (what, held) in [("the metrics", &metrics), ("the log", &log)] {
            let held = held.to_ascii_lowercase();
            assert!(!held.contains(&secret.to_ascii_lowercase()), "{secret} is in {what}\n{held}");
        }
    }
}

#[test]
fn metrics_are_for_this_machine_only() {
    let output = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(["broker", "--deployment", "none", "--metrics", "0.0.0.0:9464"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "wrong arguments");
    assert!(String::from_utf8_lossy(&output.stderr).contains("on a loopback address only"));
}
