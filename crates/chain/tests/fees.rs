//! Transactions that no block takes, on a real node whose fees rise.

mod common;

use std::time::Duration;

use alloy_network::TransactionBuilder;
use alloy_primitives::{Address, U256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::TransactionRequest;
use assay_chain::{ChainClientConfig, Client, Endpoint, connect};
use common::{Anvil, anvil, anvil_key};

const GWEI: u128 = 1_000_000_000;

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(60);

async fn client(anvil: &Anvil) -> Client {
    let config =
        ChainClientConfig { poll: Some(Duration::from_millis(20)), ..ChainClientConfig::default() };
    let endpoint = Endpoint::Url(anvil.url.clone());
    connect(endpoint, Some(anvil_key()), config).await.expect("connected")
}

fn gift() -> TransactionRequest {
    TransactionRequest::default().with_to(Address::repeat_byte(0x77)).with_value(U256::from(1))
}

/// Once so many transactions wait, mines blocks at a base fee until something has come of it.
async fn mine_until<T>(
    client: &Client,
    (waiting, base_fee): (u64, u128),
    of: impl Future<Output = T>,
) -> T {
    let rpc = client.provider().client();
    let account = anvil_key().address();
    let mining = async {
        loop {
            let mined = client.provider().get_transaction_count(account).await.expect("asked");
            let all = client.provider().get_transaction_count(account).pending().await;
            if all.expect("asked") >= mined + waiting {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        loop {
            let fee = U256::from(base_fee);
            let () = rpc.request("anvil_setNextBlockBaseFeePerGas", (fee,)).await.expect("set");
            let () = rpc.request("anvil_mine", (U256::ONE,)).await.expect("mined");
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    };
    tokio::select! {
        () = mining => unreachable!("it never ends"),
        done = tokio::time::timeout(PATIENCE, of) => done.expect("in time"),
    }
}

#[tokio::test]
async fn a_stuck_transaction_is_replaced_at_its_nonce() {
    let Some(anvil) = anvil("a_stuck_transaction_is_replaced", &["--no-mining"]) else { return };
    let client = client(&anvil).await;
    // Far above what is bid first, which is some two gwei.
    let both = async { tokio::join!(client.execute(gift()), client.execute(gift())) };
    let (first, second) = mine_until(&client, (2, 8 * GWEI), both).await;
    let nonce_of = async |hash| {
        let sent = client.provider().get_transaction_by_hash(hash).await.expect("asked");
        alloy_consensus::Transaction::nonce(sent.expect("there").inner.inner())
    };
    let mut nonces = vec![
        nonce_of(first.expect("mined").transaction_hash).await,
        nonce_of(second.expect("mined").transaction_hash).await,
    ];
    nonces.sort_unstable();
    assert_eq!(nonces, [0, 1], "each once, at its own nonce");
    let gifts = client.provider().get_balance(Address::repeat_byte(0x77)).await.expect("asked");
    assert_eq!(gifts, U256::from(2), "each was made once");
}

#[tokio::test]
async fn no_bid_is_above_the_bound() {
    let Some(anvil) = anvil("no_bid_is_above_the_bound", &["--no-mining"]) else { return };
    let client = client(&anvil).await;
    let within = Duration::from_secs(3);
    let stuck = mine_until(&client, (1, 5_000 * GWEI), client.execute_within(gift(), within)).await;
    let error = stuck.expect_err("nobody pays that").to_string();
    assert!(error.contains("may still come"), "{error}");
    // Fees fall: it is mined, though the node may have dropped it, and what comes after it too.
    let after = mine_until(&client, (0, GWEI), client.execute(gift())).await.expect("mined");
    assert!(after.effective_gas_price < 100 * GWEI, "{after:?}");
    let gifts = client.provider().get_balance(Address::repeat_byte(0x77)).await.expect("asked");
    assert_eq!(gifts, U256::from(2));
}

#[tokio::test]
async fn what_an_earlier_process_left_stuck_holds_up_nothing() {
    let Some(anvil) = anvil("what_an_earlier_process_left_stuck", &["--no-mining"]) else { return };
    let earlier = client(&anvil).await;
    // It is sent, and the process dies.
    let left = earlier.provider().send_transaction(gift()).await.expect("sent");
    let hash = *left.tx_hash();
    drop(earlier);
    let client = client(&anvil).await;
    mine_until(&client, (2, 8 * GWEI), client.execute(gift())).await.expect("mined");
    let count = client.provider().get_transaction_count(anvil_key().address()).await;
    assert_eq!(count.expect("asked"), 2);
    let left = client.provider().get_transaction_receipt(hash).await.expect("asked");
    assert!(left.is_none(), "what was left was replaced by nothing");
}
