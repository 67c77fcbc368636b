//! A market of strangers: a real chain (anvil), a broker, providers and an auditor, each a process of its own.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

#[path = "../../chain/tests/common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::TransactionRequest;
use assay_chain::{ClientConfig, Deployment, Endpoint, connect};
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
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Process { child, lines }
    }

    /// The next line, which must come.
    fn line(&mut self) -> String {
        self.lines.next().expect("it goes on").unwrap()
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
    _broker: Process,
}

impl Market {
    /// A market on anvil with a block a second; nothing without anvil.
    async fn new(test: &str) -> Option<Self> {
        let anvil = anvil(test, &["--block-time", "1"])?;
        let accounts = Accounts::new();
        let endpoint = Endpoint::Url(anvil.url.clone());
        let client = connect(endpoint, Some(anvil_key()), ClientConfig::default());
        let owner = accounts.create();
        let ether = U256::from(10).pow(U256::from(19));
        let gas = TransactionRequest::default().with_to(owner).with_value(ether);
        client.await.unwrap().execute(gas).await.unwrap();
        let file = accounts.path("deployment.json");
        let arguments = ["chain", "deploy", "--rpc", &anvil.url, "--test-dollar"];
        let rest = ["--terms", "local", "--output", &file];
        let deployed = assay(&[&arguments[..], &rest].concat()).args(accounts.key(owner)).output();
        let deployed = deployed.unwrap();
        assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
        let deployment = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let home = accounts.path("broker");
        let arguments = ["broker", "--home", &home, "--listen", "127.0.0.1:0"];
        let mut command = assay(&arguments);
        command.args(["--deployment", &file]);
        let mut broker = Process::start(command);
        let url = broker.line().trim_start_matches("broker").trim().to_owned();
        Some(Market { accounts, anvil, deployment, url, _broker: broker })
    }

    fn path(&self, name: &str) -> String {
        self.accounts.path(name)
    }

    /// The contracts, as anvil's own account sees them.
    async fn contracts(&self) -> Contracts {
        let endpoint = Endpoint::Url(self.anvil.url.clone());
        let config = ClientConfig::default();
        Contracts::connect(endpoint, anvil_key(), &self.deployment, config).await.unwrap()
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

    /// A command of the market's as an account.
    fn command(&self, name: &str, account: Address, arguments: &[&str]) -> Command {
        let mut command = assay(&[name]);
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
    let arguments = ["--job-cost", "0", "--confirmations", "1000"];
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
        "8",
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

/// What nobody but those entitled may find anywhere. Long enough that it does not come about by chance.
const CANARY: &str = "xyzzyplughcanary";

/// The canary as it is, in hexadecimal, and in base64 at each of its three alignments, without the ends that neighbours change.
fn disguises() -> Vec<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let base64 = |skip: usize| -> Vec<u8> {
        let bytes = &CANARY.as_bytes()[skip..];
        let whole = bytes.chunks_exact(3);
        whole
            .flat_map(|piece| {
                let bits =
                    u32::from(piece[0]) << 16 | u32::from(piece[1]) << 8 | u32::from(piece[2]);
                [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift & 63) as usize])
            })
            .collect()
    };
    let hex: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    vec![CANARY.into(), hex.into_bytes(), base64(0), base64(1), base64(2)]
}

fn holds_canary(bytes: &[u8]) -> bool {
    static FORMS: std::sync::LazyLock<Vec<memchr::memmem::Finder<'static>>> =
        std::sync::LazyLock::new(|| {
            disguises().iter().map(|form| memchr::memmem::Finder::new(form).into_owned()).collect()
        });
    FORMS.iter().any(|form| form.find(bytes).is_some())
}

/// The files below a folder that hold the canary.
fn files_with_canary(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with_canary(&path));
        } else if std::fs::read(&path).is_ok_and(|bytes| holds_canary(&bytes)) {
            found.push(path);
        }
    }
    found
}

/// Whether a running process holds the canary in its memory; `None` where the system does not let us look.
fn memory_holds_canary(process: u32) -> Option<bool> {
    use std::os::unix::fs::FileExt;
    const PIECE: u64 = 1 << 20;
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    let memory = std::fs::File::open(format!("/proc/{process}/mem")).ok()?;
    let mut seen = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (low, high) = line.split_whitespace().next()?.split_once('-')?;
        let low = u64::from_str_radix(low, 16).ok()?;
        let high = u64::from_str_radix(high, 16).ok()?;
        for at in (low..high).step_by(PIECE as usize) {
            // Pieces overlap, so that none cuts it in two.
            let mut bytes = vec![0; (high - at).min(PIECE + 64) as usize];
            let count = memory.read_at(&mut bytes, at).unwrap_or(0);
            seen += count;
            if holds_canary(&bytes[..count]) {
                return Some(true);
            }
        }
    }
    (seen > 1 << 20).then_some(false)
}

/// A proxy that keeps all that goes through it, both ways.
fn recording_proxy(to: &str) -> (String, std::sync::Arc<std::sync::Mutex<Vec<u8>>>) {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};
    let to = to.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&to) else { continue };
            let ways =
                [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
            for (mut from, mut to) in ways {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || {
                    let mut piece = [0; 65_536];
                    while let Ok(count @ 1..) = from.read(&mut piece) {
                        kept.lock().unwrap().extend(&piece[..count]);
                        if to.write_all(&piece[..count]).is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
    (url, seen)
}

/// Everything that the chain keeps: transactions with their calldata, and events.
async fn chain_text(market: &Market) -> String {
    use alloy_provider::Provider as _;
    let contracts = market.contracts().await;
    let provider = contracts.client().provider();
    let head = provider.get_block_number().await.unwrap();
    let mut text = String::new();
    for number in 0..=head {
        let block = provider.get_block_by_number(number.into()).full().await.unwrap();
        text += &serde_json::to_string(&block).unwrap();
    }
    let filter = alloy_rpc_types_eth::Filter::new().from_block(0u64);
    text += &serde_json::to_string(&provider.get_logs(&filter).await.unwrap()).unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_those_entitled_sees_a_canary_nor_while_a_dispute_goes_to_its_last_step() {
    let Some(mut market) = Market::new("nobody_sees_a_canary").await else { return };
    let [honest, other, liar, auditor, requester] = [
        market.funded().await,
        market.funded().await,
        market.funded().await,
        market.funded().await,
        market.funded().await,
    ];
    let temporary = market.path("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let (proxy, captured) = recording_proxy(&market.url);
    market.url = proxy;
    let logged = |name: &str, mut command: Command| {
        let log = std::fs::File::create(market.path(&format!("{name}.log"))).unwrap();
        command.stderr(log).env("ASSAY_LOG", "trace").env("TMPDIR", &temporary);
        Process::start(command)
    };
    let daemon = |name: &str, role: &str, account: Address, arguments: &[&str]| {
        let mut process = logged(name, market.command(role, account, arguments));
        assert!(process.line().starts_with(role), "it says that it works");
        process
    };
    let _honest = daemon("honest", "provider", honest, &["--job-cost", "10000"]);
    let stranger = daemon("other", "provider", other, &["--job-cost", "40000"]);
    let _liar = daemon("liar", "provider", liar, &["--lie", "--only-named", "--job-cost", "0"]);
    let _auditor = daemon("auditor", "auditor", auditor, &[]);

    let entitled = tempfile::tempdir().unwrap();
    let file = |name: &str| entitled.path().join(name).to_str().unwrap().to_owned();
    let (input, output) = (file("input"), file("output"));
    std::fs::write(&input, format!("{CANARY} sings, and {CANARY} hides\n")).unwrap();
    let named_auditor = auditor.to_string();
    let sealed = [&program("wordcount"), "--input", &input, "--auditor", &named_auditor, "--json"];
    let run = |name: &str, more: &[&str]| {
        logged(name, market.command("run", requester, &[&sealed[..], more].concat()))
    };
    let provider = honest.to_string();
    let events = run("paid", &["--output", &output, "--provider", &provider]).until("done");
    assert!(has(&events, "begun") && has(&events, "paid"), "{events:?}");
    assert!(holds_canary(&std::fs::read(&output).unwrap()), "the requester reads its result");
    let lying = liar.to_string();
    let events = run("refuted", &["--provider", &lying, "--price", "1000000"]).until("slashed");
    assert!(has(&events, "challenged"), "the auditor had the keys: {events:?}");

    let leaked = files_with_canary(market.accounts.0.path());
    assert!(leaked.is_empty(), "in a store, a log, a record or a temporary file: {leaked:?}");
    let captured = captured.lock().unwrap().clone();
    assert!(captured.len() > 10_000, "the proxy saw the market's traffic");
    assert!(!holds_canary(&captured), "it went over HTTP in the clear");
    let chain = chain_text(&market).await;
    assert!(chain.contains("0x") && chain.len() > 10_000);
    assert!(!holds_canary(chain.as_bytes()), "it is on the chain");
    for (who, process) in [("broker", &market._broker), ("another provider", &stranger)] {
        let held = memory_holds_canary(process.child.id());
        assert_ne!(held, Some(true), "the {who} holds it in memory");
    }
    // The same look finds it where it may be, so it is no blind one.
    let planted = std::hint::black_box(format!("here is {CANARY}"));
    assert_ne!(memory_holds_canary(std::process::id()), Some(false), "{planted} is not found");
}

/// What a run's statement in a receipt says of the machine, and the whole of the receipt in words.
fn disclosed(events: &[Value]) -> (Value, String) {
    let receipt = events[events.len() - 1]["receipt"].as_str().unwrap();
    let parsed = assay_provenance::Receipt::from_bytes(&std::fs::read(receipt).unwrap()).unwrap();
    let mut payloads = parsed.log.iter().flat_map(|log| log.statements()).map(|logged| {
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
