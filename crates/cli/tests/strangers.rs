//! A market of strangers: a real chain (anvil), a broker, providers and an auditor, each a process
//! of its own.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

#[path = "strangers/away.rs"]
mod away;
#[path = "strangers/canary.rs"]
mod canary;
#[path = "../../chain/tests/common/mod.rs"]
mod common;
#[path = "strangers/looking.rs"]
mod looking;
#[path = "strangers/refusals.rs"]
mod refusals;

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::TransactionRequest;
use assay_chain::{ChainClientConfig, Endpoint, connect};
use assay_contracts::Deployment;
use assay_node::{Contracts, JobStatus};
use common::{Anvil, anvil, anvil_key};
use serde_json::Value;

/// A test dollar, in its smallest unit.
const DOLLAR: u128 = 1_000_000;

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(120);

fn assay(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A process that is killed when dropped, as a power cut would.
struct Process {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Process {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = Some(BufReader::new(child.stdout.take().unwrap()).lines());
        Process { child, lines }
    }

    /// The next line, which must come.
    fn line(&mut self) -> String {
        let lines = self.lines.as_mut().expect("it speaks to us");
        lines.next().expect("it goes on").unwrap()
    }

    /// Events until one of that name.
    fn until(&mut self, event: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            events.push(serde_json::from_str::<Value>(&self.line()).unwrap());
            if events[events.len() - 1]["event"] == event {
                return events;
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with accounts.
struct Accounts(tempfile::TempDir);

impl Accounts {
    fn new() -> Self {
        let accounts = Accounts(tempfile::tempdir().unwrap());
        std::fs::write(accounts.path("password"), "a password of tests\n").unwrap();
        accounts
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// A new account with a keystore.
    fn create(&self) -> Address {
        let (home, password) = (self.path("home"), self.path("password"));
        let arguments = ["account", "new", "--json", "--home", &home];
        let made = assay(&arguments).args(["--password-file", &password]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        made["accounts"][0]["account"].as_str().unwrap().parse().unwrap()
    }

    /// A process that says all it does in a log (NAME.log), in a working folder and a temporary
    /// folder of its own.
    fn logged(&self, name: &str, mut command: Command) -> Process {
        let log = std::fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        let folders = ["working", "temporary"].map(|kind| self.path(&format!("{kind}.{name}")));
        for folder in &folders {
            std::fs::create_dir(folder).unwrap();
        }
        command.stderr(log).env("ASSAY_LOG", "trace");
        Process::start({
            command.current_dir(&folders[0]).env("TMPDIR", &folders[1]);
            command
        })
    }

    /// The options that sign as an account.
    fn key(&self, account: Address) -> Vec<String> {
        let (home, password) = (self.path("home"), self.path("password"));
        let account = account.to_string();
        ["--home", &home, "--account", &account, "--password-file", &password]
            .map(str::to_owned)
            .to_vec()
    }
}

struct Market {
    accounts: Accounts,
    anvil: Anvil,
    deployment: Deployment,
    url: String,
    broker: Process,
}

impl Market {
    /// A market on anvil with a block a second; nothing without anvil.
    async fn new(test: &str) -> Option<Self> {
        let anvil = anvil(test, &["--block-time", "1"])?;
        let accounts = Accounts::new();
        let endpoint = Endpoint::Url(anvil.url.clone());
        let client = connect(endpoint, Some(anvil_key()), ChainClientConfig::default());
        let owner = accounts.create();
        let ether = U256::from(10).pow(U256::from(19));
        let gas = TransactionRequest::default().with_to(owner).with_value(ether);
        client.await.unwrap().execute(gas).await.unwrap();
        let file = accounts.path("deployment.json");
        let arguments = ["chain", "deploy", "--rpc", &anvil.url, "--test-dollar", "--test-market"];
        let rest = ["--terms", "local", "--output", &file];
        let deployed = assay(&[&arguments[..], &rest].concat()).args(accounts.key(owner)).output();
        let deployed = deployed.unwrap();
        assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
        let deployment = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let home = accounts.path("broker");
        let arguments = ["broker", "--home", &home, "--listen", "127.0.0.1:0"];
        let mut command = assay(&arguments);
        command.args(["--deployment", &file]);
        let mut broker = accounts.logged("broker", command);
        let url = broker.line().trim_start_matches("broker").trim().to_owned();
        Some(Market { accounts, anvil, deployment, url, broker })
    }

    fn path(&self, name: &str) -> String {
        self.accounts.path(name)
    }

    /// The contracts, as anvil's own account sees them.
    async fn contracts(&self) -> Contracts {
        let endpoint = Endpoint::Url(self.anvil.url.clone());
        let config = ChainClientConfig::default();
        Contracts::connect(
            &assay_node::Env::system(),
            endpoint,
            anvil_key(),
            &self.deployment,
            config,
        )
        .await
        .unwrap()
    }

    /// A new account with gas and ten thousand test dollars.
    async fn funded(&self) -> Address {
        let account = self.accounts.create();
        let contracts = self.contracts().await;
        let ether = U256::from(10).pow(U256::from(18));
        let gas = TransactionRequest::default().with_to(account).with_value(ether);
        contracts.send(gas).await.unwrap();
        let mint = contracts.token.mint(account, U256::from(10_000 * DOLLAR));
        contracts.send(mint.into_transaction_request()).await.unwrap();
        account
    }

    /// A command of the market's, of one word or two, as an account.
    fn command(&self, name: &str, account: Address, arguments: &[&str]) -> Command {
        let mut command = assay(&name.split(' ').collect::<Vec<_>>());
        command.args(self.accounts.key(account)).args(arguments);
        command.env("ASSAY_MARKET", &self.url);
        command.env("ASSAY_RPC", &self.anvil.url);
        command.env("ASSAY_DEPLOYMENT", self.path("deployment.json"));
        command
    }

    /// A daemon, once it says that it is at work.
    fn daemon(&self, name: &str, account: Address, arguments: &[&str]) -> Process {
        let mut process = Process::start(self.command(name, account, arguments));
        assert!(process.line().starts_with(name), "it says that it works");
        process
    }

    fn run(&self, requester: Address, arguments: &[&str]) -> Process {
        Process::start(self.command("run", requester, &[arguments, &["--json"]].concat()))
    }

    /// What an account has, wherever: in its account, its purse, and its stakes.
    async fn wealth(&self, account: Address) -> U256 {
        let contracts = self.contracts().await;
        let tokens = contracts.token.balanceOf(account).call().await.unwrap();
        let purse = contracts.market.purseOf(account).call().await.unwrap();
        let free = contracts.stakes.freeOf(account).call().await.unwrap();
        let reserved = contracts.stakes.reservedOf(account).call().await.unwrap();
        tokens + purse + U256::from(free) + U256::from(reserved)
    }
}

fn program(name: &str) -> String {
    format!("{}/../../programs/prebuilt/{name}.elf", env!("CARGO_MANIFEST_DIR"))
}

/// The account that an event names.
fn named(events: &[Value], event: &str) -> Address {
    let event = events.iter().find(|e| e["event"] == event).unwrap_or_else(|| panic!("{events:?}"));
    event["provider"].as_str().unwrap().parse().unwrap()
}

fn has(events: &[Value], event: &str) -> bool {
    events.iter().any(|e| e["event"] == event)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cheaper_of_two_providers_dies_mid_run_and_still_delivers() {
    let Some(market) = Market::new("the_cheaper_of_two_providers").await else { return };
    let (cheap, dear) = (market.funded().await, market.funded().await);
    let requester = market.funded().await;
    let begin = || market.daemon("provider", cheap, &["--job-cost", "10000"]);
    let mut command = market.command("provider", cheap, &["--job-cost", "10000"]);
    command.env("ASSAY_LOG", "info").stderr(Stdio::piped());
    let mut provider = Process::start(command);
    let mut said = BufReader::new(provider.child.stderr.take().unwrap()).lines();
    assert!(provider.line().starts_with("provider"), "it says that it works");
    let _other = market.daemon("provider", dear, &["--job-cost", "40000"]);
    // Some seconds of work.
    let content: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let (input, output) = (market.path("input"), market.path("output"));
    std::fs::write(&input, &content).unwrap();
    let auditor = dear.to_string();
    let arguments = ["--input", &input, "--output", &output, "--auditor", &auditor];
    let mut run = market.run(requester, &[&[program("sha256").as_str()], &arguments[..]].concat());
    let events = run.until("begun");
    assert_eq!(named(&events, "locked"), cheap, "the cheaper one has it");
    let job = events[events.len() - 1]["job"].as_str().unwrap().parse().unwrap();
    assert!(said.any(|line| line.unwrap().contains("a job runs")), "it must have begun to run");
    std::thread::sleep(Duration::from_millis(100));
    drop(provider);
    let status = market.contracts().await.market.jobOf(job).call().await.unwrap().status;
    assert_eq!(status, JobStatus::AwaitingClaim as u8, "it died before it could claim");
    let _provider = begin();
    let events = run.until("done");
    // Strangers to one another, they have said it all in the broker's log.
    let receipt = events[events.len() - 1]["receipt"].as_str().unwrap().to_owned();
    let home = market.accounts.path("home");
    let checked = assay(&["verify", &receipt, "--home", &home, "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(report["standing"], "vouched", "{report:#}");
    let said = |name: &str| {
        let mut checks = report["checks"].as_array().unwrap().iter();
        checks.any(|check| {
            check["outcome"] == "held" && check["what"].as_str().unwrap().starts_with(name)
        })
    };
    for name in ["order", "lock", "run", "claim", "settlement"] {
        assert!(said(name), "no {name}: {report:#}");
    }
    assert_eq!(named(&events, "claimed"), cheap, "it came back: {events:?}");
    let (facts, shown) = disclosed(&events);
    assert_eq!(
        facts,
        serde_json::json!({ "engine": "Interpreter" }),
        "unasked it says its engine and no more"
    );
    assert!(shown.contains(", on Interpreter (entry"), "{shown}");
    assert!(has(&events, "paid"), "{events:?}");
    let digest = assay_types::sha256(&content);
    assert_eq!(std::fs::read_to_string(&output).unwrap().trim(), digest.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_is_slashed_and_the_requester_is_whole() {
    let Some(market) = Market::new("a_liar_is_slashed").await else { return };
    let (liar, auditor) = (market.funded().await, market.funded().await);
    let requester = market.funded().await;
    let _liar = market.daemon("provider", liar, &["--lie", "--job-cost", "0"]);
    let _auditor = market.daemon("auditor", auditor, &[]);
    let before =
        [market.wealth(requester).await, market.wealth(liar).await, market.wealth(auditor).await];
    let started = Instant::now();
    let auditing = auditor.to_string();
    let arguments = [&program("wordcount"), "--price", "1000000", "--auditor", &auditing];
    let mut run = market.run(requester, &arguments);
    let events = run.until("slashed");
    assert!(started.elapsed() < PATIENCE);
    assert_eq!(named(&events, "slashed"), liar);
    assert!(has(&events, "challenged"), "{events:?}");
    assert_eq!(run.child.wait().unwrap().code(), Some(1), "no answer is no success");
    let after = [market.wealth(requester).await, market.wealth(liar).await];
    assert!(after[0] > before[0], "the price is back, and a share of the stake");
    assert_eq!(before[1] - after[1], U256::from(100 * DOLLAR), "the stake is gone");
    // The auditor takes its bond back after the end.
    while market.wealth(auditor).await <= before[2] {
        assert!(started.elapsed() < PATIENCE, "the bounty must outweigh what the game cost");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_provider_is_slashed_and_another_delivers_late() {
    let Some(market) = Market::new("a_silent_provider_is_slashed").await else { return };
    let (silent, other) = (market.funded().await, market.funded().await);
    let requester = market.funded().await;
    // It waits for more blocks than it will live.
    let arguments = ["--job-cost", "0", "--confirmations", "6"];
    let provider = market.daemon("provider", silent, &arguments);
    let before = [market.wealth(requester).await, market.wealth(silent).await];
    let output = market.path("output");
    let arguments = [
        "--public",
        "--price",
        "1000000",
        "--steps-max",
        "10000000",
        "--run-secs",
        "14",
        "--output",
        &output,
    ];
    let mut run = market.run(requester, &[&[program("sha256").as_str()], &arguments[..]].concat());
    let events = run.until("locked");
    assert_eq!(named(&events, "locked"), silent);
    drop(provider);
    let _other = market.daemon("provider", other, &["--job-cost", "900000"]);
    let events = run.until("done");
    assert_eq!(named(&events, "slashed"), silent);
    assert_eq!(named(&events, "paid"), other, "late, for the bounty");
    let digest = assay_types::sha256(b"");
    assert_eq!(std::fs::read_to_string(&output).unwrap().trim(), digest.to_string());
    let after = [market.wealth(requester).await, market.wealth(silent).await];
    assert!(after[0] > before[0], "the price is back, and a share of the stake");
    assert_eq!(before[1] - after[1], U256::from(100 * DOLLAR), "the stake is gone");
}

/// What a run's statement in a receipt says of the machine, and the whole of the receipt in words.
fn disclosed(events: &[Value]) -> (Value, String) {
    let receipt = events[events.len() - 1]["receipt"].as_str().unwrap();
    let parsed = assay_receipt::Receipt::from_bytes(&std::fs::read(receipt).unwrap()).unwrap();
    let mut payloads = parsed.log.iter().flat_map(|log| &log.statements).map(|logged| {
        let (payload, _) = logged.envelope.open().unwrap();
        serde_json::from_slice::<Value>(&payload).unwrap()
    });
    let run = payloads.find(|said| said["predicateType"] == "https://slsa.dev/provenance/v1");
    let facts = run.expect("a run")["predicate"]["buildDefinition"]["internalParameters"].clone();
    let shown = assay(&["receipt", "show", receipt]).output().unwrap();
    let verified = assay(&["verify", receipt, "--no-trust"]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    (facts, String::from_utf8(shown.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_says_of_its_machine_what_it_chooses_to_and_nothing_else() {
    let Some(market) = Market::new("a_provider_says_of_its_machine").await else { return };
    let refused = market.command("provider", Address::ZERO, &["--disclose", "engine,salary"]);
    let refused = { refused }.output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("any of engine, arch, os, cores"));
    let cores = std::thread::available_parallelism().unwrap().to_string();
    let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
    let all = serde_json::json!({ "arch": arch, "cores": cores, "os": os });
    let choices: [(&str, Value, &str); 2] = [
        ("arch,os,cores", all, &format!(", on {arch}, {cores}, {os} (entry")),
        ("none", serde_json::json!({}), " (entry"),
    ];
    let mut running = Vec::new();
    for (choice, facts, words) in choices {
        let (provider, requester) = (market.funded().await, market.funded().await);
        let at_work = market.daemon("provider", provider, &["--only-named", "--disclose", choice]);
        let named = provider.to_string();
        let job = [&program("sha256"), "--public", "--price", "1000000", "--provider", &named];
        running.push((at_work, market.run(requester, &job), named, facts, words));
    }
    for (_provider, run, named, facts, words) in &mut running {
        let events = run.until("done");
        let (said, shown) = disclosed(&events);
        assert_eq!(said, *facts, "it said something else of its machine");
        let line = format!("run          by {named}{words}");
        assert!(shown.contains(&line), "{line:?} is not in {shown}");
    }
}
