//! What the tests share: accounts, two small contracts, and a real anvil where there is one.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use alloy_rpc_types_eth::{TransactionReceipt, TransactionRequest};
use alloy_signer_local::PrivateKeySigner;
use assay_chain::{
    ChainClientConfig, Client, Config, EmbeddedChain, Endpoint, GenesisAccount, connect,
};

/// The first topic of the emitter's events.
pub fn emitter_topic() -> B256 {
    B256::from(U256::from(0x2a))
}

/// LOG2(0x2a, word) with the word as data, for the calldata's first word; reverts with the word
/// if it is zero.
///
/// ```text
/// PUSH0 CALLDATALOAD DUP1 PUSH0 MSTORE DUP1 PUSH1 ok JUMPI PUSH1 32 PUSH0 REVERT
/// ok: JUMPDEST PUSH1 2a PUSH1 32 PUSH0 LOG2 STOP
/// ```
pub const EMITTER: &[u8] = &hex!("5f35805f5280600d5760205ffd5b602a60205fa200");

/// `transfer(to, amount)` over a mapping in slot 0, with the usual event and check; the deployer
/// gets 2^128 - 1.
pub fn token_init_code() -> Vec<u8> {
    let runtime = hex!(
        "335f5260405f208054602435808210605d579081900391909190556004355f5260405f2080548201"
        "90555f52600435337fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3"
        "ef60205fa360015f5260205ff35b5f5ffd"
    );
    let mint = hex!("335f5260405f206fffffffffffffffffffffffffffffffff9055");
    with_constructor(&mint, &runtime)
}

/// Creation code that runs `constructor`, then returns `runtime`.
pub fn with_constructor(constructor: &[u8], runtime: &[u8]) -> Vec<u8> {
    let length = u8::try_from(runtime.len()).expect("a short program");
    // PUSH1 length DUP1 PUSH1 offset PUSH0 CODECOPY PUSH0 RETURN
    let offset = u8::try_from(constructor.len() + 9).expect("a short program");
    let copy = [0x60, length, 0x80, 0x60, offset, 0x5f, 0x39, 0x5f, 0xf3];
    [constructor, &copy, runtime].concat()
}

/// A key that is the same in every run.
pub fn key(number: u64) -> PrivateKeySigner {
    let secret = keccak256(format!("assay test key {number}"));
    PrivateKeySigner::from_bytes(&secret).expect("a valid key")
}

/// Settings that fund keys 0..count.
pub fn funded(count: u64) -> Config {
    let ether = U256::from(10).pow(U256::from(24));
    let alloc: BTreeMap<_, _> =
        (0..count).map(|i| (key(i).address(), GenesisAccount::funded(ether))).collect();
    Config { alloc, ..Config::default() }
}

/// A fresh chain in a temporary directory that lives as long as the pair.
pub fn chain(config: Config) -> (tempfile::TempDir, EmbeddedChain) {
    let directory = tempfile::tempdir().expect("a directory");
    let chain = EmbeddedChain::open(directory.path().join("chain.redb"), config).expect("opened");
    (directory, chain)
}

/// A client of `chain` that signs with key `number`.
pub async fn client(chain: &EmbeddedChain, number: u64) -> Client {
    let endpoint = Endpoint::Embedded(chain.clone());
    connect(endpoint, Some(key(number)), ChainClientConfig::default()).await.expect("connected")
}

/// A call with `data`.
pub fn call(to: Address, data: impl Into<Bytes>) -> TransactionRequest {
    TransactionRequest::default().with_to(to).with_input(data.into())
}

/// The emitter's calldata.
pub fn word(value: u64) -> Vec<u8> {
    U256::from(value).to_be_bytes_vec()
}

/// `transfer(to, amount)`.
pub fn transfer(to: Address, amount: u64) -> Vec<u8> {
    let mut data = hex!("a9059cbb").to_vec();
    data.extend(to.into_word());
    data.extend(U256::from(amount).to_be_bytes::<32>());
    data
}

/// Deploys creation code and answers the contract's address.
pub async fn deploy(client: &Client, code: Vec<u8>) -> (Address, TransactionReceipt) {
    let mut request = TransactionRequest::default().with_input(code);
    request.to = Some(TxKind::Create);
    let receipt = client.execute(request).await.expect("deployed");
    (receipt.contract_address.expect("an address"), receipt)
}

/// A running anvil, killed when dropped.
pub struct Anvil {
    child: Child,
    pub url: String,
}

/// Starts anvil, or says by name which test is skipped without it.
pub fn anvil(test: &str, arguments: &[&str]) -> Option<Anvil> {
    let Some(program) = tool("anvil", "ASSAY_ANVIL") else {
        eprintln!("SKIPPED {test}: no anvil; install contracts/ or set ASSAY_ANVIL");
        return None;
    };
    let mut child = Command::new(program)
        .args(["--port", "0"])
        .args(arguments)
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("anvil starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned))
        .expect("anvil says where it listens");
    // Keep reading, or anvil would block on a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    Some(Anvil { child, url: format!("http://{address}") })
}

impl Anvil {
    /// Its processes: npm's launcher and the node, or the node alone.
    pub fn processes(&self) -> Vec<u32> {
        let group = self.child.id().to_string();
        let listed = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers
            .filter(|process: &u32| {
                let stat = std::fs::read_to_string(format!("/proc/{process}/stat"));
                // After the name, which may have anything in it: state, parent, group.
                let rest = stat.unwrap_or_default();
                let rest = rest.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
                rest.split_whitespace().nth(2) == Some(&group)
            })
            .collect()
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // npm's launcher runs the program as a child of its own: end the whole group.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

/// A program of Foundry's: from the environment, or as `contracts/` installs it.
pub fn tool(name: &str, variable: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(path.into());
    }
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut installed = folders.map(|folder| folder.join("contracts/node_modules/.bin").join(name));
    installed.find(|path| path.exists())
}

/// anvil's first well-known key, which it funds.
pub fn anvil_key() -> PrivateKeySigner {
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80".parse().expect("a key")
}

/// A small deterministic generator, so that a failure can be replayed.
pub struct Random(pub u64);

impl Random {
    /// A number in `range`.
    pub fn pick(&mut self, range: std::ops::RangeInclusive<u64>) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        range.start() + self.0 % (range.end() - range.start() + 1)
    }
}
