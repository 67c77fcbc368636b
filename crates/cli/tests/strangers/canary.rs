//! A job over planted words: who finds them afterwards, wherever there is something to look at.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::looking::{Look, Sought, writable};
use super::*;

/// What nobody but those entitled may find anywhere. Long enough that it does not come about by
/// chance.
const CANARY: &str = "xyzzyplughcanary";

/// What the broker must have in memory while it is looked at: a request that does not end.
const UNENDED: &str = "a request that never ends";

/// What the chain must have: a transaction's data.
const CALLDATA: &str = "calldata to be found again";

/// What every process must have on its stack: a variable of its environment.
const VARIABLE: &str = "a variable to be found again";

/// A proxy that keeps all that goes through it, both ways.
fn recording_proxy(to: &str) -> (String, Arc<Mutex<Vec<u8>>>) {
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

/// All that a stranger can have the command say, in every form, about a job, its receipt, the log
/// and itself.
fn told_to_a_stranger(market: &Market, stranger: Address, job: &str, receipt: &str) -> Vec<u8> {
    let mut said = Vec::new();
    let mut keep = |mut command: Command| {
        let output = command.output().unwrap();
        let (told, why) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
        assert!(output.status.success() && !told.is_empty(), "{command:?}: {why}");
        said.extend(told);
        said.extend(why.into_bytes());
    };
    for (name, arguments) in [
        ("job list", &["--json"][..]),
        ("job show", &[job, "--json"]),
        ("job show", &[job]),
        ("job why", &[job, "--json"]),
        ("data uses", &["--json"]),
        ("quote", &["--json"]),
    ] {
        keep(market.command(name, stranger, arguments));
    }
    let (home, log) = (market.path("home"), market.path("broker/log"));
    for arguments in [
        &["verify", receipt, "--home", &home, "--json"][..],
        &["log", "fsck", &log, "--home", &home, "--json"],
        &["receipt", "show", receipt, "--json"],
        &["receipt", "show", receipt],
        &["receipt", "audit", receipt, "--home", &home, "--json"],
    ] {
        keep(assay(arguments));
    }
    for format in ["prov", "openlineage", "dot", "svg"] {
        keep(assay(&["receipt", "export", "--format", format, receipt, "--home", &home]));
        let whole = ["--log", &log, "--home", &home];
        keep(assay(&[&["receipt", "export", "--format", format], &whole[..]].concat()));
    }
    said
}

/// Looks at a process that must not have the canary: its open files, its memory, swapped out or
/// not, and the core of its end.
fn look_at(who: &str, process: &mut Child, folder: &str, look: &Look<'_>) {
    let id = process.id();
    let (found, count) = look.canary.open_files(id);
    assert!(found.is_empty(), "the {who} has it in open files: {found:?}");
    assert!(count > 0, "the {who} has its log open at least");
    look_at_memory(who, id, look);
    let Some(core) = look.at_core(process, Path::new(folder)) else {
        eprintln!("SKIPPED the core of the {who}: cores go elsewhere, or may not be written");
        return;
    };
    eprintln!("the {who}'s core: {} bytes", core.bytes);
    assert!(core.missing.is_empty(), "a blind look at the {who}'s core: no {:?}", core.missing);
    assert!(!core.canary, "the {who} has it in its core");
}

/// Looks at all memory of a process, which stands still meanwhile.
fn look_at_memory(who: &str, process: u32, look: &Look<'_>) {
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success())
    };
    signal("-STOP");
    let mappings = writable(process).expect("a child's mappings can be read");
    let seen = look.at_memory(process).expect("a child's memory can be read");
    signal("-CONT");
    let resident: u64 = mappings.iter().map(|mapping| mapping.resident).sum();
    let swapped: u64 = mappings.iter().map(|mapping| mapping.swapped).sum();
    eprintln!("the {who}'s memory: {} bytes, {resident} resident, {swapped} swapped", seen.bytes);
    assert!(seen.bytes >= resident + swapped, "the {who} has pages that were not looked at");
    assert!(!mappings.iter().any(|mapping| mapping.is_hidden), "the {who} keeps pages from cores");
    assert!(seen.missing.is_empty(), "a blind look at the {who}: no {:?}", seen.missing);
    assert!(!seen.canary, "the {who} has it in memory");
}

/// A process that has the canary, so that every way of looking is known to find it.
fn look_at_one_that_has_it(market: &Market, canary: &Sought) {
    let folder = tempfile::tempdir_in(market.path("")).unwrap();
    let mut command = Command::new("sleep");
    command.arg("1000").env("ASSAY_TEST", CANARY).current_dir(folder.path());
    let mut process = Process { child: command.spawn().unwrap(), lines: None };
    let look = Look { canary, markers: &[] };
    // The program itself begins a moment after its process.
    let begun = Instant::now();
    while !look.at_memory(process.child.id()).is_some_and(|seen| seen.canary) {
        assert!(begun.elapsed() < PATIENCE, "a look at memory must find what is there");
        std::thread::sleep(Duration::from_millis(10));
    }
    let core = look.at_core(&mut process.child, folder.path());
    assert!(core.is_none_or(|core| core.canary), "a look at a core must find what is there");
}

/// Events with what was said before, as text.
fn text(events: &[Value]) -> String {
    serde_json::to_string(events).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_those_entitled_sees_a_canary_nor_while_a_dispute_goes_to_its_last_step() {
    let canary = Sought::words(&[CANARY]);
    let Some(mut market) = Market::new("nobody_sees_a_canary").await else { return };
    let [honest, other, liar, auditor, requester] = [
        market.funded().await,
        market.funded().await,
        market.funded().await,
        market.funded().await,
        market.funded().await,
    ];
    look_at_one_that_has_it(&market, &canary);
    let direct = market.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let (proxy, captured) = recording_proxy(&market.url);
    market.url = proxy;
    let daemon = |name: &str, role: &str, account: Address, arguments: &[&str]| {
        let mut command = market.command(role, account, arguments);
        command.env("ASSAY_TEST", VARIABLE);
        let mut process = market.accounts.logged(name, command);
        assert!(process.line().starts_with(role), "it says that it works");
        process
    };
    let _honest = daemon("honest", "provider", honest, &["--job-cost", "10000"]);
    let mut stranger = daemon("other", "provider", other, &["--job-cost", "40000"]);
    let _liar = daemon("liar", "provider", liar, &["--lie", "--only-named", "--job-cost", "0"]);
    let _auditor = daemon("auditor", "auditor", auditor, &[]);

    let entitled = tempfile::tempdir().unwrap();
    let file = |name: &str| entitled.path().join(name).to_str().unwrap().to_owned();
    let (input, output) = (file("input"), file("output"));
    std::fs::write(&input, format!("{CANARY} sings, and {CANARY} hides\n")).unwrap();
    let named_auditor = auditor.to_string();
    let sealed = [&program("wordcount"), "--input", &input, "--auditor", &named_auditor, "--json"];
    let run = |name: &str, more: &[&str]| {
        let command = market.command("run", requester, &[&sealed[..], more].concat());
        market.accounts.logged(name, command)
    };
    let provider = honest.to_string();
    let paid = run("paid", &["--output", &output, "--provider", &provider]).until("done");
    assert!(has(&paid, "begun") && has(&paid, "paid"), "{paid:?}");
    assert!(canary.is_in(&std::fs::read(&output).unwrap()), "the requester reads its result");
    let lying = liar.to_string();
    let refuted = run("refuted", &["--provider", &lying, "--price", "1000000"]).until("slashed");
    assert!(has(&refuted, "challenged"), "the auditor had the keys: {refuted:?}");
    assert!(!canary.is_in((text(&paid) + &text(&refuted)).as_bytes()), "it is in an event");
    let done = &paid[paid.len() - 1];
    let (job, receipt) = (done["job"].as_str().unwrap(), done["receipt"].as_str().unwrap());
    let told = told_to_a_stranger(&market, other, job, receipt);
    assert!(told.len() > 10_000, "{} bytes tell little", told.len());
    assert!(!canary.is_in(&told), "a command tells it");

    let leaked = canary.files(market.accounts.0.path());
    assert!(leaked.is_empty(), "in a store, a log, a record or a temporary file: {leaked:?}");
    let captured = captured.lock().unwrap().clone();
    assert!(captured.len() > 10_000, "the proxy saw the market's traffic");
    assert!(!canary.is_in(&captured), "it went over HTTP in the clear");
    let chain = chain_text(&market).await;
    assert!(chain.contains("0x") && chain.len() > 10_000);
    assert!(!canary.is_in(chain.as_bytes()), "it is on the chain");

    // Memory and the cores of crashes, in which there must be what is known to be there.
    let calldata = TransactionRequest::default().with_to(other).with_input(CALLDATA.as_bytes());
    market.contracts().await.send(calldata).await.unwrap();
    let look = Look { canary: &canary, markers: &[CALLDATA.into()] };
    // A launcher may stand before the node itself, so one of them must have it.
    let nodes = market.anvil.processes();
    let blind = |node: &&u32| look.at_memory(**node).is_none_or(|seen| !seen.missing.is_empty());
    let (launchers, nodes): (Vec<&u32>, Vec<&u32>) = nodes.iter().partition(blind);
    assert!(!nodes.is_empty(), "blind looks at the chain's node: {launchers:?}");
    for node in nodes {
        look_at_memory("chain's node", *node, &look);
    }
    let contract = market.deployment.market.to_vec();
    let mut connection = TcpStream::connect(&direct).unwrap();
    write!(connection, "GET /v1/health HTTP/1.1\r\nassay-test: {UNENDED}").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let look = Look { canary: &canary, markers: &[UNENDED.into()] };
    let folder = market.path("working.broker");
    look_at("broker", &mut market.broker.child, &folder, &look);
    let look = Look { canary: &canary, markers: &[VARIABLE.into(), contract] };
    let folder = market.path("working.other");
    look_at("provider that has no part", &mut stranger.child, &folder, &look);
}
