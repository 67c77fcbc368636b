//! Small token transfers a second: the embedded chain, durable, beside anvil, in one run.
//!
//! `cargo run --release -p assay-chain --example throughput [TRANSFERS]`. anvil is taken from
//! `ASSAY_ANVIL` or `contracts/node_modules/.bin`; without it only the embedded chain is measured.
//! All transfers are signed beforehand and sent by 64 senders at once, each in order; the clock stops
//! when the last one is mined. The embedded chain has synced every block by then, anvil none.

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use alloy_eips::eip2718::Encodable2718;
use alloy_network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder};
use alloy_primitives::{Address, Bytes, U256};
use alloy_provider::Provider;
use assay_chain::{Client, ClientConfig, Endpoint, GenesisAccount, ServerConfig, connect, serve};
use common::{anvil, anvil_key, call, chain, deploy, funded, key, token_init_code, transfer};

const SENDERS: u64 = 64;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let count: u64 = std::env::args().nth(1).map_or(4_000, |n| n.parse().expect("a number"));
    println!("{count} transfers from {SENDERS} senders at once");

    let mut config = funded(SENDERS);
    let ether = U256::from(10).pow(U256::from(24));
    config.alloc.insert(anvil_key().address(), GenesisAccount::funded(ether));
    let (_directory, embedded) = chain(config.clone());
    let first = embedded.head().number;
    let endpoint = Endpoint::Embedded(embedded.clone());
    measure("embedded, in process, durable", endpoint, count).await;
    println!("    in {} blocks", embedded.head().number - first);

    let (_directory, embedded) = chain(config);
    let server = serve(&embedded, ServerConfig::default()).await.expect("served");
    measure("embedded, over HTTP, durable", Endpoint::Url(server.url()), count).await;

    if let Some(anvil) = anvil("throughput", &["--gas-limit", "60000000"]) {
        measure("anvil, over HTTP, in memory", Endpoint::Url(anvil.url.clone()), count).await;
    }
}

async fn measure(name: &str, endpoint: Endpoint, count: u64) {
    let funder = connect(endpoint, Some(anvil_key()), ClientConfig::default());
    let funder = funder.await.expect("connected");
    let token = prepare(&funder).await;
    let signed = sign(&funder, token, count).await;
    let started = Instant::now();
    send_all(&funder, signed).await;
    wait_until_mined(&funder, count).await;
    let elapsed = started.elapsed();
    let rate = count as f64 / elapsed.as_secs_f64();
    println!("{name}: {rate:.0} transfers a second ({:.2} s)", elapsed.as_secs_f64());
}

/// A token, of which each sender has some, and ether for gas.
async fn prepare(funder: &Client) -> Address {
    let (token, _) = deploy(funder, token_init_code()).await;
    for number in 0..SENDERS {
        let to = key(number).address();
        let ether = alloy_rpc_types_eth::TransactionRequest::default()
            .with_to(to)
            .with_value(U256::from(10).pow(U256::from(20)));
        funder.execute(ether).await.expect("funded");
        funder.execute(call(token, transfer(to, 1_000_000))).await.expect("given tokens");
    }
    token
}

async fn sign(client: &Client, token: Address, count: u64) -> Vec<Vec<u8>> {
    let fees = client.provider().estimate_eip1559_fees().await.expect("fees");
    let mut signed = Vec::new();
    for i in 0..count {
        let wallet = EthereumWallet::from(key(i % SENDERS));
        let to = key((i + 1) % SENDERS).address();
        let request = call(token, transfer(to, 1))
            .with_chain_id(client.chain_id())
            .with_nonce(i / SENDERS)
            .with_gas_limit(80_000)
            .with_max_fee_per_gas(fees.max_fee_per_gas * 2)
            .with_max_priority_fee_per_gas(fees.max_priority_fee_per_gas);
        signed.push(request.build(&wallet).await.expect("signed").encoded_2718());
    }
    signed
}

async fn send_all(client: &Client, signed: Vec<Vec<u8>>) {
    let mut queues = vec![Vec::new(); SENDERS as usize];
    for (i, raw) in signed.into_iter().enumerate() {
        queues[i % SENDERS as usize].push(Bytes::from(raw));
    }
    let tasks = queues.into_iter().map(|queue| {
        let client = client.clone();
        tokio::spawn(async move {
            for raw in queue {
                let _ = client.provider().send_raw_transaction(&raw).await.expect("accepted");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
}

async fn wait_until_mined(client: &Client, count: u64) {
    for number in 0..SENDERS {
        let expected = count / SENDERS + u64::from(number < count % SENDERS);
        loop {
            let address = key(number).address();
            let mined = client.provider().get_transaction_count(address).await.expect("read");
            if mined >= expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
