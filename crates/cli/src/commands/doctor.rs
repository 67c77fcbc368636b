//! `assay doctor`: what could keep the commands here from working, each with its cause and what to
//! do.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, U256};
use alloy_signer_local::PrivateKeySigner;
use assay_broker_client::{Access, BrokerClient};
use assay_builder::Compiler;
use assay_chain::{ChainClientConfig, Config, EmbeddedChain, Endpoint};
use assay_contracts::Deployment;
use assay_node::{Contracts, DevelopmentKeys, Env, Home, RemoteMarket, Role, Running, free_size};
use serde::Serialize;

use crate::output::amounts::dollars;
use crate::output::failure::Failure;
use crate::output::print::print;
use crate::output::text::{grouped, json};
use crate::session::home::HomeArgument;
use crate::session::keys::KeyArgument;
use crate::session::market::MarketArgument;
use crate::session::runtime::block_on;
use crate::session::settings::{settings_path, settled, stray_variables};

/// Less free space than this fails: the chain itself may stop, in bytes.
const FREE_SIZE_MIN: u64 = 64 << 20;

/// With less than this, providers decline ordinary jobs: the largest output and what they leave
/// free, in bytes.
const FREE_SIZE_WELL: u64 = 640 << 20;

/// How far a chain's time may be from the clock's before it is worth a word, in seconds.
const CLOCK_APART_MAX: u64 = 60;

/// The ports that `assay up` takes unless it is told otherwise.
const PORTS: [(u16, &str); 2] = [(8545, "--rpc-port"), (8546, "--port")];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    home: HomeArgument,
    #[command(flatten)]
    market: MarketArgument,
    #[command(flatten)]
    key: KeyArgument,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    outcome: Outcome,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `assay.doctor/1`.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    healthy: bool,
    checks: Vec<Check>,
}

/// Whether this is the command of a line: its settings may then be what is wrong.
pub(crate) fn is_asked(line: &[OsString]) -> bool {
    line.iter().skip(1).take_while(|word| *word != "--").any(|word| word == "doctor")
}

pub(crate) fn run(
    arguments: &Arguments,
    root: clap::Command,
    as_json: bool,
) -> Result<String, Failure> {
    let home = arguments.home.open()?;
    let mut doctor = Doctor(Vec::new());
    doctor.settings(root);
    doctor.folder(&home);
    doctor.secrets(&home);
    doctor.disk(&home);
    doctor.compiler();
    block_on(async {
        doctor.market(&home, arguments).await;
        Ok(())
    })?;
    let Doctor(checks) = doctor;
    let failed = checks.iter().filter(|check| check.outcome == Outcome::Fail).count();
    let report = Report { schema: "assay.doctor/1", healthy: failed == 0, checks };
    let text =
        if as_json { json(&report) } else { report.checks.iter().map(Check::text).collect() };
    if failed == 0 {
        return Ok(text);
    }
    print(&text)?;
    let is_one = failed == 1;
    Err(Failure::refused(format!("{failed} check{} failed", if is_one { "" } else { "s" }))
        .next("fix what is marked FAIL, from the top, and run this again"))
}

impl Check {
    fn text(&self) -> String {
        let mark = match self.outcome {
            Outcome::Ok => "ok  ",
            Outcome::Warn => "warn",
            Outcome::Fail => "FAIL",
        };
        let next = self.next.iter().map(|next| format!("{:19}next: {next}\n", ""));
        format!("{mark}  {:<12} {}\n", self.name, self.found) + &next.collect::<String>()
    }
}

struct Doctor(Vec<Check>);

impl Doctor {
    fn ok(&mut self, name: &'static str, found: impl Display) {
        self.0.push(Check { name, outcome: Outcome::Ok, found: found.to_string(), next: None });
    }

    fn warn(&mut self, name: &'static str, found: impl Display, next: impl Display) {
        let (found, next) = (found.to_string(), Some(next.to_string()));
        self.0.push(Check { name, outcome: Outcome::Warn, found, next });
    }

    fn fail(&mut self, name: &'static str, found: impl Display, next: impl Display) {
        let (found, next) = (found.to_string(), Some(next.to_string()));
        self.0.push(Check { name, outcome: Outcome::Fail, found, next });
    }

    /// A failure as its command would have told it.
    fn failure(&mut self, name: &'static str, failure: impl Into<Failure>, next: &str) {
        let failure = failure.into();
        let next = failure.next_step().unwrap_or(next).to_owned();
        self.fail(name, failure.sentence(), next);
    }

    fn settings(&mut self, root: clap::Command) {
        let line: Vec<OsString> = std::env::args_os().collect();
        let stray = stray_variables(&root);
        if let Some(failure) = stray.iter().find_map(|variable| variable.failure()) {
            return self.failure("settings", failure, "unset it");
        }
        match (settled(root, &line), settings_path().filter(|path| path.exists())) {
            (Err(failure), _) => self.failure("settings", failure, "fix the file"),
            (Ok(_), Some(path)) => self.ok("settings", format!("{} is read", path.display())),
            (Ok(_), None) => self.ok("settings", "no file; flags, environment and defaults hold"),
        }
    }

    /// Whether the home can be read and written, by doing it.
    fn folder(&mut self, home: &Home) {
        let path = home.path();
        if !path.exists() {
            // The nearest folder that is there is where it would be made.
            let above = path.ancestors().skip(1).find(|above| above.exists());
            let above =
                above.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
            return match probe(above) {
                Ok(()) => self.ok(
                    "home",
                    format!("{} does not exist yet and can be created", path.display()),
                ),
                Err(error) => self.fail(
                    "home",
                    format!("{} cannot be created: {error}", path.display()),
                    "give another --home, or ASSAY_HOME",
                ),
            };
        }
        let read = fs::read_dir(path).map(drop);
        match read.and_then(|()| probe(path)) {
            Ok(()) => self.ok("home", format!("{} can be read and written", path.display())),
            Err(error) => self.fail(
                "home",
                format!("{} cannot be read and written: {error}", path.display()),
                "fix its owner and permissions (chmod u+rwx), or give another --home",
            ),
        }
    }

    /// Whether others on this machine could read keys.
    fn secrets(&mut self, home: &Home) {
        let Ok(entries) = fs::read_dir(home.keys()) else {
            return self.ok("keys", "none yet");
        };
        let files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        let open: Vec<_> = files.iter().filter(|path| is_open_to_others(path)).collect();
        match open.first() {
            None => self
                .ok("keys", format!("{} files, for their owner only", grouped(files.len() as u64))),
            Some(first) => self.fail(
                "keys",
                format!("{} and {} more can be read by others", first.display(), open.len() - 1),
                format!("chmod 600 {}/*", home.keys().display()),
            ),
        }
    }

    fn disk(&mut self, home: &Home) {
        let there = home.path().ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
        let Some(free) = free_size(there) else {
            return self.warn(
                "disk",
                "the system does not say how much is free",
                "check the free space by hand",
            );
        };
        let found = format!("{} MiB are free", grouped(free >> 20));
        if free < FREE_SIZE_MIN {
            self.fail("disk", found, "free some space: the chain stops when it cannot write");
        } else if free < FREE_SIZE_WELL {
            self.warn(
                "disk",
                found,
                "free some space: providers decline jobs whose output may not fit",
            );
        } else {
            self.ok("disk", found);
        }
    }

    fn compiler(&mut self) {
        match Compiler::find_all().first() {
            Some(compiler) => self.ok(
                "compiler",
                format!("programs can be built with {}", compiler.toolchain().rustc),
            ),
            None => self.warn(
                "compiler",
                "no compiler for the machine: prebuilt programs run, but none can be built",
                Compiler::how_to_get_one(),
            ),
        }
    }

    /// The market that was named, the one that runs here, or the home's own at rest.
    async fn market(&mut self, home: &Home, arguments: &Arguments) {
        let named = match arguments.market.named() {
            Ok(named) => named,
            Err(failure) => return self.failure("market", failure, "give all three"),
        };
        if let Some(market) = named {
            self.ok("market", "named by --market, --rpc and --deployment");
            self.account_file(home, &arguments.key);
            return self.there(home, &market, arguments.key.account_named()).await;
        }
        if arguments.key.is_given() {
            self.account_file(home, &arguments.key);
        }
        let written = match Running::read(home) {
            Ok(written) => written,
            Err(error) => {
                return self.failure("running", error, "remove chain/running.json under the home");
            }
        };
        match (RemoteMarket::running(home).await, written) {
            (Err(error), _) => self.failure("running", error, "restore the file it names"),
            (Ok(Some(market)), Some(written)) => {
                self.ok("running", format!("process {} serves the market", written.pid));
                self.there(home, &market, arguments.key.account_named()).await;
            }
            (Ok(_), Some(written)) if written.broker.is_none() => {
                self.warn(
                    "running",
                    format!("process {} serves a chain alone", written.pid),
                    "to start a market here, stop it: `assay up` has a chain of its own",
                );
            }
            (Ok(_), Some(written)) => {
                self.warn(
                    "running",
                    format!("process {} should serve the market, but does not answer", written.pid),
                    "nothing to do if it crashed or was killed: the next start cleans up",
                );
                self.at_rest(home).await;
            }
            (Ok(_), None) => {
                self.ok("running", "no market runs here; `assay run` and `assay up` start one");
                self.at_rest(home).await;
            }
        }
    }

    /// A market that somebody serves.
    async fn there(&mut self, home: &Home, market: &RemoteMarket, account: Option<Address>) {
        let endpoint = Endpoint::Url(market.rpc.clone());
        let local = DevelopmentKeys::open(home).ok().filter(|_| account.is_none());
        let account = account.or_else(|| local.map(|keys| keys.key(Role::Requester).address()));
        let facts = self.chain(endpoint, &market.deployment, account).await;
        if facts.is_none() {
            return;
        }
        let config = assay_broker_client::BrokerClientConfig {
            retries: 0,
            ..assay_broker_client::BrokerClientConfig::default()
        };
        let client = BrokerClient::with_config(
            &market.broker,
            market.deployment.clone(),
            Access::public(),
            config,
            assay_chain::SystemClock,
        );
        let answer = match &client {
            Ok(client) => match client.market().await {
                Ok(_) => client.health().await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            },
            Err(error) => Err(error.to_string()),
        };
        match answer {
            Ok(health) => self.ok(
                "broker",
                format!("answers, for this market; {} entries in its book", grouped(health.newest)),
            ),
            Err(error) => self.fail("broker", error, "check --market, or ask who runs the broker"),
        }
    }

    /// The home's own market, which nobody serves now.
    async fn at_rest(&mut self, home: &Home) {
        for (port, flag) in PORTS {
            if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                self.warn(
                    "ports",
                    format!("port {port} cannot be used: {error}"),
                    format!("`assay up {flag} 0` takes a free port; `assay run` needs none"),
                );
            }
        }
        if !self.0.iter().any(|check| check.name == "ports") {
            self.ok("ports", "8545 and 8546 are free for `assay up`");
        }
        if !home.chain().exists() {
            return self.ok("chain", "none yet; the first `assay run` creates one");
        }
        let chain = match EmbeddedChain::open(home.chain(), Config::default()) {
            Ok(chain) => chain,
            Err(error) => {
                return self.failure("chain", error, "give another --home, or restore this one");
            }
        };
        let deployment = fs::read(home.deployment()).map_err(|error| error.to_string());
        let deployment = deployment.and_then(|text| {
            serde_json::from_slice::<Deployment>(&text).map_err(|error| error.to_string())
        });
        match deployment {
            Ok(deployment) => {
                let keys = DevelopmentKeys::open(home).ok();
                let account = keys.map(|keys| keys.key(Role::Requester).address());
                self.chain(Endpoint::Embedded(chain.clone()), &deployment, account).await;
            }
            Err(error) => self.warn(
                "deployment",
                format!("{}: {error}", home.deployment().display()),
                "the next `assay run` deploys new contracts and no longer sees earlier orders",
            ),
        }
        chain.close();
    }

    /// What a chain says of itself, of its contracts and of an account.
    async fn chain(
        &mut self,
        endpoint: Endpoint,
        deployment: &Deployment,
        account: Option<Address>,
    ) -> Option<()> {
        let is_embedded = matches!(endpoint, Endpoint::Embedded(_));
        let config = ChainClientConfig { retries: 0, ..ChainClientConfig::default() };
        // It reads only, so anyone's key does.
        let (env, key) = (Env::system(), PrivateKeySigner::random());
        let contracts = Contracts::connect(&env, endpoint, key, deployment, config);
        let contracts = match contracts.await {
            Ok(contracts) => contracts,
            Err(error) => {
                self.failure(
                    "chain",
                    error,
                    "check --rpc and --deployment, or ask who runs the chain",
                );
                return None;
            }
        };
        let block = contracts.last_block().await.ok()?;
        self.ok("chain", format!("{} answers, at block {}", deployment.chain_id, grouped(block.0)));
        self.ok("deployment", "the contracts are there and belong together");
        self.clock(block.1, is_embedded);
        if let Some(account) = account {
            self.funds(&contracts, account).await;
        }
        Some(())
    }

    fn clock(&mut self, last_block_at: u64, is_embedded: bool) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let ahead = last_block_at.saturating_sub(now);
        let behind = now.saturating_sub(last_block_at);
        if ahead > CLOCK_APART_MAX {
            self.fail(
                "clock",
                format!("the chain's last block is {ahead} s ahead of this machine's clock"),
                "set the clock: deadlines go by the chain's time",
            );
        } else if behind > CLOCK_APART_MAX && !is_embedded {
            self.warn(
                "clock",
                format!("the chain's last block is {behind} s old"),
                "check this machine's clock, and whether the chain still makes blocks",
            );
        } else {
            self.ok("clock", "agrees with the chain's time");
        }
    }

    fn account_file(&mut self, home: &Home, key: &KeyArgument) {
        if !key.is_given() {
            let next = "give --account ADDRESS; `assay account list` lists accounts, `assay account new` creates one";
            return self.warn(
                "keystore",
                "no key was given, so nothing can be signed on that market",
                next,
            );
        }
        match key.file(home) {
            Ok(path) => self.ok("keystore", format!("{} is there", path.display())),
            Err(failure) => self.failure("keystore", failure, "give --account ADDRESS"),
        }
    }

    async fn funds(&mut self, contracts: &Contracts, account: Address) {
        let funds = match contracts.funds(account).await {
            Ok(funds) => funds,
            Err(error) => return self.failure("account", error, "try again"),
        };
        let said = format!(
            "{account} has {}, {} in its purse, {} of stake free and {} reserved",
            dollars(funds.tokens),
            dollars(funds.purse),
            dollars(funds.stake_free),
            dollars(funds.stake_reserved)
        );
        if funds.tokens == 0 && funds.purse == 0 && funds.stake_free == 0 {
            self.warn(
                "account",
                said,
                "fund the account: an order needs its price, a provider its stake",
            );
        } else {
            self.ok("account", said);
        }
        match (funds.gas_price_wei, funds.ether_wei) {
            (0, _) => self.ok("gas", "costs nothing on this chain"),
            (_, ether) if ether == U256::ZERO => {
                self.fail(
                    "gas",
                    format!("{account} has no ether to pay for gas"),
                    "send ether to the account",
                );
            }
            (price, ether) => {
                let units = ether / U256::from(price);
                self.ok("gas", format!("enough for {units} units of gas at the current price"));
            }
        }
    }
}

/// Makes a file in a folder and takes it away again.
fn probe(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".assay-doctor-{}", std::process::id()));
    fs::write(&path, b"probe")?;
    let read = fs::read(&path);
    fs::remove_file(&path)?;
    read.map(drop)
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    // Access lists are the system's own; a home lies in its user's profile.
    false
}
