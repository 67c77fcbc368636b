//! Figures of the embedded chain: small token transfers a second, beside anvil.
//!
//! All transfers are signed beforehand and sent by 64 senders at once, each waiting for its receipt
//! before the next. The embedded chain has synced a block before it answers; anvil keeps nothing.

#[path = "../../crates/chain/tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use alloy_eips::eip2718::Encodable2718;
use alloy_network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder};
use alloy_primitives::{Address, Bytes, U256};
use alloy_provider::Provider;
use assay_chain::{
    ChainClientConfig, Client, Endpoint, GenesisAccount, RpcServerConfig, connect, serve,
};
use common::{Anvil, anvil_key, call, chain, deploy, funded, key, token_init_code, transfer};

use crate::figure::{Figure, Goal, median};

const SENDERS: u64 = 64;
const TRANSFERS: u64 = 4_000;
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn figures() -> Result<Vec<Figure>, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(measure())
}

async fn measure() -> Result<Vec<Figure>, String> {
    let (mut inside, mut served, mut peer) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let (_folder, embedded) = chain(rich());
        inside.extend(rate(Endpoint::Embedded(embedded)).await);
        let (_folder, embedded) = chain(rich());
        let server = serve(&embedded, RpcServerConfig::default()).await.expect("served");
        served.extend(rate(Endpoint::Url(server.url())).await);
        if let Some(Anvil { url, .. }) = &common::anvil("bench", &["--gas-limit", "60000000"]) {
            peer.extend(rate(Endpoint::Url(url.clone())).await);
        }
    }
    if inside.is_empty() || served.is_empty() {
        return Err(format!("{TRANSFERS} transfers took longer than {PATIENCE:?}"));
    }
    let peers: Vec<_> = if peer.is_empty() {
        Vec::new()
    } else {
        vec![(format!("anvil, in memory ({} of {ROUNDS} rounds ended)", peer.len()), median(peer))]
    };
    let figure = |way: &str, rates| Figure {
        name: format!("durable token transfers, {way}"),
        inputs: format!("{TRANSFERS} transfers from {SENDERS} senders at once, median of {ROUNDS}"),
        value: median(rates),
        unit: "transfers/s",
        goal: Some(Goal::AtLeast(300.0)),
        peers: peers.clone(),
    };
    Ok(vec![figure("over HTTP", served), figure("in process", inside)])
}

fn rich() -> assay_chain::Config {
    let mut config = funded(SENDERS);
    let ether = U256::from(10).pow(U256::from(24));
    config.alloc.insert(anvil_key().address(), GenesisAccount::funded(ether));
    config
}

/// Transfers a second; `None` if they don't end.
async fn rate(endpoint: Endpoint) -> Option<f64> {
    let poll = Some(Duration::from_millis(2));
    let funder = connect(
        endpoint,
        Some(anvil_key()),
        ChainClientConfig { poll, ..ChainClientConfig::default() },
    );
    let funder = funder.await.expect("connected");
    let token = prepare(&funder).await;
    let signed = sign(&funder, token).await;
    let started = Instant::now();
    // A round that does not end is left out; the peer says how many did.
    tokio::time::timeout(PATIENCE, send_all(&funder, signed)).await.ok()?;
    Some(TRANSFERS as f64 / started.elapsed().as_secs_f64())
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

async fn sign(client: &Client, token: Address) -> Vec<Vec<u8>> {
    let fees = client.provider().estimate_eip1559_fees().await.expect("fees");
    let mut signed = Vec::new();
    for i in 0..TRANSFERS {
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
                let sent = client.provider().send_raw_transaction(&raw).await.expect("accepted");
                client.receipt(*sent.tx_hash()).await.expect("mined");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
}
