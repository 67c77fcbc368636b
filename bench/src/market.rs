//! Figures of the market: a job from start to settled, jobs and orders a second, memory at rest.

/// Nobody watches here: it would be measured too.
#[allow(unreachable_pub, reason = "as the tests have it")]
mod watch {
    pub struct Watch;

    impl Watch {
        pub fn of(_: &assay_broker::Broker) -> Self {
            Watch
        }

        pub fn around<R>(&self, router: R) -> R {
            router
        }
    }
}

#[path = "../../crates/broker/tests/common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use assay_fuzz::asm::{elf_of, load_immediate, op};
use assay_machine::Op;
use assay_market::PriceTerms;
use assay_node::{DatasetTerms, Home, JobTerms, LocalMarket, MarketPlan};
use assay_types::sha256;
use common::{Fixture, order};
use tokio::task::JoinSet;

use crate::figure::{Figure, Goal, median};

const RUNS: usize = 5;
const JOBS: u64 = 1_000;
const ORDERS: u64 = 8_000;
const CLIENTS: u64 = 64;
const ROUNDS: usize = 3;
const STEP_LIMIT: u64 = 1 << 30;
const DOLLAR: u128 = 1_000_000;
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) fn figures() -> Result<Vec<Figure>, String> {
    let assay = binary()?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| format!("no runtime: {error}"))?;
    let run = run_time(&assay, &runtime)?;
    let memory = idle_memory(&assay)?;
    let jobs = (0..ROUNDS).map(|_| runtime.block_on(jobs_rate())).collect::<Result<Vec<_>, _>>()?;
    let orders: Vec<_> = (0..ROUNDS).map(|_| runtime.block_on(orders_rate())).collect();
    Ok(vec![
        run,
        Figure {
            name: "jobs ordered, run, audited and settled".to_owned(),
            inputs: format!("{JOBS} jobs of 3 steps, the window included, median of {ROUNDS}"),
            value: median(jobs),
            unit: "jobs/s",
            goal: Some(Goal::AtLeast(100.0)),
            peers: Vec::new(),
        },
        Figure {
            name: "orders taken over HTTP, signature checked".to_owned(),
            inputs: format!(
                "{ORDERS} orders from {CLIENTS} clients at once, durable before the answer, median of {ROUNDS}"
            ),
            value: median(orders),
            unit: "orders/s",
            goal: Some(Goal::AtLeast(2_000.0)),
            peers: Vec::new(),
        },
        memory,
    ])
}

/// The command, built as a user would.
fn binary() -> Result<PathBuf, String> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "-p", "assay-cli", "--message-format", "json"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    let text = String::from_utf8_lossy(&built.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    let mut paths = messages.filter_map(|message: serde_json::Value| {
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    paths.next_back().ok_or_else(|| "cargo built no assay".to_owned())
}

/// `assay run` of wordcount on a novel, by a home that has run it before.
fn run_time(assay: &Path, runtime: &tokio::runtime::Runtime) -> Result<Figure, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let home = Home::at(folder.path());
    let window = runtime.block_on(async {
        let market = LocalMarket::open(&home, &MarketPlan::default()).await;
        let market = market.map_err(|error| error.to_string())?;
        let contracts = market.requester().contracts();
        let window = contracts.window_secs_min(contracts.deployment.fraud_proofs, STEP_LIMIT, 60);
        market.close().await.map_err(|error| error.to_string())?;
        window.map_err(|error| error.to_string())
    })?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut times = Vec::new();
    for _ in 0..=RUNS {
        let started = Instant::now();
        let done = Command::new(assay)
            .arg("run")
            .arg(root.join("programs/prebuilt/wordcount.elf"))
            .arg("--input")
            .arg(root.join("examples/data/pride-and-prejudice.txt"))
            .arg("--home")
            .arg(folder.path())
            .output()
            .map_err(|error| error.to_string())?;
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).into_owned());
        }
        times.push(started.elapsed().as_secs_f64() - window as f64);
    }
    // The first one warms.
    let times = times.split_off(1);
    Ok(Figure {
        name: "assay run, start to settled, without the window".to_owned(),
        inputs: format!(
            "wordcount on a novel, own market, window of {window} s, median of {RUNS}, the process included"
        ),
        value: median(times),
        unit: "s",
        goal: Some(Goal::Below(1.5)),
        peers: Vec::new(),
    })
}

/// What a market at rest keeps in memory.
fn idle_memory(assay: &Path) -> Result<Figure, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut market = Command::new(assay)
        .args(["up", "--rpc-port", "0", "--port", "0", "--home"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut line = String::new();
    let said = market.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
    std::thread::sleep(Duration::from_secs(5));
    let status = std::fs::read_to_string(format!("/proc/{}/status", market.id()));
    let _ = market.kill();
    let _ = market.wait();
    if !matches!(said, Some(Ok(count)) if count > 0) {
        return Err("assay up did not start".to_owned());
    }
    let status = status.map_err(|error| format!("memory is read from /proc: {error}"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = resident.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    Ok(Figure {
        name: "memory of assay up at rest".to_owned(),
        inputs: "chain, broker, two providers, an auditor; resident after 5 s".to_owned(),
        value: kilobytes.ok_or("no VmRSS")? / 1024.0,
        unit: "MiB",
        goal: Some(Goal::Below(120.0)),
        peers: Vec::new(),
    })
}

/// Jobs settled a second on one market, from the first order to the last settlement.
async fn jobs_rate() -> Result<f64, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let market = LocalMarket::open(&Home::at(folder.path()), &MarketPlan::default()).await;
    let market = market.map_err(|error| error.to_string())?;
    let [high, low] = load_immediate(17, 93);
    let terms = JobTerms {
        program: elf_of(&[high, low, op(Op::Ecall, 0, 0, 0, 0)], &[]),
        input: None,
        input_of: None,
        dataset: DatasetTerms::None,
        sealing: None,
        reputation_min: None,
        step_limit: STEP_LIMIT,
        price: PriceTerms::fixed(DOLLAR / 10),
        data_fee: None,
        stake: DOLLAR,
        provider: None,
        lock_secs: 300,
        run_secs: 300,
        window_secs: None,
        repricing: None,
    };
    let requester = market.requester();
    let contracts = requester.contracts();
    let jobs: Vec<_> =
        (0..JOBS).map(|number| (sha256(&number.to_be_bytes()), terms.clone())).collect();
    let started = Instant::now();
    for ordered in requester.order_all(&jobs).await {
        ordered.map_err(|error| error.to_string())?;
    }
    loop {
        let paid = contracts.market.JobPaid_filter().from_block(0u64).query().await;
        let count = paid.map_err(|error| error.to_string())?.len() as u64;
        if count == JOBS {
            break;
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("{count} of {JOBS} jobs settled within {PATIENCE:?}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let rate = JOBS as f64 / started.elapsed().as_secs_f64();
    market.close().await.map_err(|error| error.to_string())?;
    Ok(rate)
}

/// Orders a second that a broker takes.
async fn orders_rate() -> f64 {
    let fixture = Fixture::new().await;
    let batches: Vec<Vec<_>> = (0..CLIENTS)
        .map(|number| (0..ORDERS / CLIENTS).map(|nonce| order(number, nonce)).collect())
        .collect();
    let client = fixture.client();
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for orders in batches {
        let client = client.clone();
        clients.spawn(async move {
            for order in orders {
                client.post_order(&order).await.expect("taken");
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.expect("a client");
    }
    let rate = ORDERS as f64 / started.elapsed().as_secs_f64();
    let health = client.health().await.expect("it works");
    assert_eq!(health.newest, ORDERS, "each is in the book");
    rate
}
