//! The embedded chain as its users meet it: through the typed client and in process.

mod common;

use std::sync::Arc;

use alloy_consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy_consensus::{ReceiptEnvelope, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_network::{NetworkTransactionBuilder, TransactionBuilder, TransactionResponse};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{Filter, TransactionRequest};
use alloy_trie::proof::verify_proof;
use alloy_trie::{Nibbles, TrieAccount};
use assay_chain::{
    CHAIN_ID_END, CHAIN_ID_MIN, Config, EmbeddedChain, Error, Identity, ManualClock, Rejection,
};
use common::{
    EMITTER, call, chain, client, deploy, emitter_topic, funded, key, token_init_code, transfer,
    with_constructor, word,
};

#[tokio::test]
async fn each_instance_is_a_chain_of_its_own_and_stays_it() {
    let (directory, first) = chain(Config::default());
    let (_other, second) = chain(Config::default());
    assert!((CHAIN_ID_MIN..CHAIN_ID_END).contains(&first.chain_id()));
    assert_ne!(first.chain_id(), second.chain_id(), "a signature must not fit two chains");
    assert_ne!(first.genesis_hash(), second.genesis_hash());

    let path = directory.path().join("chain.redb");
    let again = EmbeddedChain::open(&path, Config::default());
    assert!(matches!(again, Err(Error::AlreadyOpen { .. })), "one writer only: {again:?}");
    let before = (first.chain_id(), first.genesis_hash());
    first.close();
    let again = EmbeddedChain::open(&path, Config::default()).expect("reopened");
    assert_eq!((again.chain_id(), again.genesis_hash()), before);
    again.close();
    let other = Identity { chain_id: 99, salt: B256::ZERO };
    let refused = EmbeddedChain::open(&path, Config { identity: Some(other), ..Config::default() });
    assert!(matches!(refused, Err(Error::OtherChain { expected: 99, .. })));
}

#[tokio::test]
async fn a_closed_chain_lets_go_of_its_file_whoever_still_has_a_clone() {
    let (directory, first) = chain(funded(1));
    let client = client(&first, 0).await;
    first.close();
    let path = directory.path().join("chain.redb");
    let again = EmbeddedChain::open(&path, funded(1)).expect("its file is free");
    let refused = client.head().await.err().map(|error| error.to_string());
    assert!(refused.is_some(), "a clone of a closed chain still reads");
    again.close();
}

#[tokio::test]
async fn a_foreign_file_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("text");
    std::fs::write(&path, "not a database").expect("written");
    let refused = EmbeddedChain::open(&path, Config::default());
    assert!(matches!(refused, Err(Error::Open { .. })), "{refused:?}");
    assert_eq!(std::fs::read(&path).expect("still there"), b"not a database");
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_reopening() {
    let (directory, chain) = chain(funded(1));
    let client = client(&chain, 0).await;
    let (token, _) = deploy(&client, token_init_code()).await;
    let to = Address::repeat_byte(9);
    client.execute(call(token, transfer(to, 5))).await.expect("transferred");
    let head = chain.head();
    drop(client);
    chain.close();

    let path = directory.path().join("chain.redb");
    let chain = EmbeddedChain::open(path, funded(1)).expect("reopened");
    assert_eq!(chain.head(), head);
    let client = common::client(&chain, 0).await;
    client.execute(call(token, transfer(to, 5))).await.expect("state goes on where it was");
    assert_eq!(chain.head().number, head.number + 1);
}

/// Receipts carry proofs up to headers, so headers must be Ethereum's in every root.
#[tokio::test]
async fn headers_commit_to_transactions_receipts_and_state() {
    let (_directory, chain) = chain(funded(4));
    let clients = [client(&chain, 0).await, client(&chain, 1).await, client(&chain, 2).await];
    let (token, _) = deploy(&clients[0], token_init_code()).await;
    let (emitter, _) = deploy(&clients[0], with_constructor(&[], EMITTER)).await;
    let sends = (1..40u64).map(|i| {
        let request = match i % 3 {
            0 => call(token, transfer(key(i % 4).address(), i)),
            1 => call(emitter, word(i)),
            _ => TransactionRequest::default().with_to(key(3).address()).with_value(U256::from(i)),
        };
        let sender = if i % 3 == 0 { &clients[0] } else { &clients[(i % 3) as usize] };
        sender.execute(request)
    });
    for sent in futures_util::future::join_all(sends).await {
        sent.expect("mined");
    }
    let provider = clients[0].provider();
    let mut parent = chain.genesis_hash();
    for number in 1..=chain.head().number {
        let block = provider.get_block(number.into()).full().await.expect("read").expect("there");
        let header = &block.header;
        assert_eq!(header.inner.hash_slow(), header.hash, "the hash is the header's own");
        assert_eq!(header.parent_hash, parent);
        parent = header.hash;
        let transactions: Vec<TxEnvelope> =
            block.transactions.clone().into_transactions().map(|one| one.into_inner()).collect();
        assert_eq!(calculate_transaction_root(&transactions), header.transactions_root);
        let receipts = provider.get_block_receipts(number.into()).await.expect("read");
        let receipts: Vec<ReceiptEnvelope> = receipts
            .expect("there")
            .into_iter()
            .map(|receipt| receipt.inner.into_primitives_receipt())
            .collect();
        assert_eq!(calculate_receipt_root(&receipts), header.receipts_root);
        assert_eq!(receipts.len(), transactions.len());
    }
    check_state_proof(&clients[0], token, key(0).address()).await;
}

async fn check_state_proof(client: &assay_chain::Client, token: Address, holder: Address) {
    let slot = keccak256([holder.into_word().0, [0; 32]].concat());
    let absent = B256::repeat_byte(0x77);
    let provider = client.provider();
    let proof = provider.get_proof(token, vec![slot, absent]).await.expect("a proof");
    let root = provider.get_block(alloy_eips::BlockId::latest()).await.expect("read");
    let root = root.expect("there").header.state_root;
    let account = TrieAccount::new(proof.nonce, proof.balance, proof.storage_hash, proof.code_hash);
    let path = Nibbles::unpack(keccak256(token));
    verify_proof(root, path, Some(alloy_rlp::encode(account)), &proof.account_proof)
        .expect("the account is in the header's state");
    for slot in &proof.storage_proof {
        let value = (!slot.value.is_zero()).then(|| alloy_rlp::encode(slot.value));
        let path = Nibbles::unpack(keccak256(slot.key.as_b256()));
        verify_proof(proof.storage_hash, path, value, &slot.proof).expect("the slot is in it");
    }
    assert!(!proof.storage_proof[0].value.is_zero(), "the holder has a balance");
}

#[tokio::test]
async fn refusals_read_as_clients_expect() {
    let (_directory, chain) = chain(funded(2));
    let alice = client(&chain, 0).await;
    let to = Address::repeat_byte(1);
    alice.execute(TransactionRequest::default().with_to(to)).await.expect("nonce 0 is used now");

    let sign = |request: TransactionRequest, number: u64| async move {
        let wallet = alloy_network::EthereumWallet::from(key(number));
        request.build(&wallet).await.expect("signed").encoded_2718()
    };
    let base = TransactionRequest::default()
        .with_to(to)
        .with_chain_id(chain.chain_id())
        .with_gas_limit(21_000)
        .with_max_fee_per_gas(0)
        .with_max_priority_fee_per_gas(0)
        .with_nonce(1);
    let cases = [
        (base.clone().with_nonce(0), 0, "nonce too low"),
        (base.clone().with_nonce(9), 0, "nonce too high"),
        (base.clone().with_chain_id(1), 0, "invalid chain id"),
        (base.clone().with_value(U256::MAX), 0, "insufficient funds for gas * price + value"),
        (base.clone().with_gas_limit(20_999), 0, "intrinsic gas too low"),
        (base.clone().with_gas_limit(60_000_001), 0, "exceeds block gas limit"),
        (base.clone().with_max_priority_fee_per_gas(1), 0, "max priority fee per gas higher"),
        (base.clone().with_input(vec![1; 130_000]), 0, ""),
        (base.clone().with_input(vec![1; 132_000]), 0, "oversized data"),
        (base.clone().with_nonce(0).with_max_fee_per_gas(1), 7, "insufficient funds"),
    ];
    for (request, number, expected) in cases {
        let raw = sign(request.clone(), number).await;
        match chain.submit(&raw).await {
            Err(Error::Rejected(refusal)) => {
                let text = refusal.to_string();
                let fits = expected.is_empty() || text.starts_with(expected);
                assert!(fits, "{request:?} gave {text:?}, expected {expected:?}");
            }
            other => panic!("{request:?} must be refused, not {other:?}"),
        }
    }
    let junk = chain.submit(b"junk").await;
    assert!(matches!(junk, Err(Error::Rejected(Rejection::Malformed(_)))));
    assert_eq!(chain.head().number, 1, "what is refused makes no block");
}

#[tokio::test]
async fn transactions_that_arrive_out_of_order_are_mined_in_order() {
    let (_directory, chain) = chain(funded(1));
    let mut raws = Vec::new();
    for nonce in 0..20 {
        let request = TransactionRequest::default()
            .with_to(Address::repeat_byte(1))
            .with_chain_id(chain.chain_id())
            .with_gas_limit(21_000)
            .with_max_fee_per_gas(0)
            .with_max_priority_fee_per_gas(0)
            .with_nonce(nonce);
        let wallet = alloy_network::EthereumWallet::from(key(0));
        raws.push(request.build(&wallet).await.expect("signed").encoded_2718());
    }
    raws.reverse();
    let sends = raws.iter().map(|raw| chain.submit(raw));
    for sent in futures_util::future::join_all(sends).await {
        sent.expect("every one is mined, though the first came last");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_send_from_one_account() {
    let (_directory, chain) = chain(funded(1));
    let client = Arc::new(client(&chain, 0).await);
    let (emitter, _) = deploy(&client, with_constructor(&[], EMITTER)).await;
    let tasks: Vec<_> = (0..200u64)
        .map(|i| {
            let client = client.clone();
            // Every fifth call reverts when it is estimated, and must not use up a nonce.
            let value = if i % 5 == 0 { 0 } else { i };
            tokio::spawn(async move { client.execute(call(emitter, word(value))).await.is_ok() })
        })
        .collect();
    let mut mined = 0;
    for task in tasks {
        mined += u64::from(task.await.expect("no panic"));
    }
    assert_eq!(mined, 160);
    let nonce = client.provider().get_transaction_count(key(0).address()).await.expect("read");
    assert_eq!(nonce, 161);
    assert!(chain.head().number < 161, "what arrives together shares blocks");
}

#[tokio::test]
async fn logs_are_found_by_address_topic_range_and_block() {
    let (_directory, chain) = chain(funded(1));
    let client = client(&chain, 0).await;
    let (emitter, _) = deploy(&client, with_constructor(&[], EMITTER)).await;
    let (token, _) = deploy(&client, token_init_code()).await;
    let mut receipts = Vec::new();
    for i in 1..=10 {
        receipts.push(client.execute(call(emitter, word(i))).await.expect("emitted"));
        client.execute(call(token, transfer(Address::repeat_byte(1), i))).await.expect("sent");
    }
    let count =
        async |filter: Filter| client.provider().get_logs(&filter).await.expect("logs").len();
    let all = Filter::new().from_block(0);
    assert_eq!(count(all.clone()).await, 20);
    assert_eq!(count(all.clone().address(emitter)).await, 10);
    assert_eq!(count(all.clone().event_signature(emitter_topic())).await, 10);
    let seven = B256::from(U256::from(7));
    assert_eq!(count(all.clone().address(emitter).topic1(seven)).await, 1);
    assert_eq!(count(all.clone().address(vec![emitter, token])).await, 20);
    let block = receipts[3].block_number.expect("mined");
    assert_eq!(count(Filter::new().select(block..=block + 2).address(emitter)).await, 2);
    let hash = receipts[3].block_hash.expect("mined");
    let logs = client.provider().get_logs(&Filter::new().at_block_hash(hash)).await.expect("logs");
    assert_eq!(logs, receipts[3].logs());
    let nowhere = client.provider().get_logs(&Filter::new().at_block_hash(B256::ZERO)).await;
    assert!(nowhere.is_err(), "an unknown block is an error, never an empty answer");
}

#[tokio::test]
async fn reverts_carry_their_data_and_estimates_suffice() {
    let (_directory, chain) = chain(funded(1));
    let client = client(&chain, 0).await;
    let (emitter, _) = deploy(&client, with_constructor(&[], EMITTER)).await;
    let (token, _) = deploy(&client, token_init_code()).await;
    let reverting = call(emitter, word(0)).with_from(key(0).address());
    for failed in [
        client.provider().call(reverting.clone()).await.map(|_| ()),
        client.provider().estimate_gas(reverting).await.map(|_| ()),
    ] {
        let failed = failed.expect_err("it reverts");
        let answer = failed.as_error_resp().expect("an answer, not a failure");
        assert_eq!(answer.code, 3);
        assert_eq!(answer.as_revert_data(), Some(Bytes::from(word(0))));
    }
    let receipt =
        client.execute(call(token, transfer(Address::repeat_byte(3), 1))).await.expect("enough");
    let request = call(token, transfer(Address::repeat_byte(4), 1)).with_from(key(0).address());
    let estimate = client.provider().estimate_gas(request).await.expect("estimated");
    assert!(estimate >= receipt.gas_used && estimate < receipt.gas_used * 5 / 4, "{estimate}");

    let forced = call(emitter, word(0)).with_gas_limit(100_000);
    let failed = client.execute(forced).await.expect_err("mined and reverted");
    assert!(matches!(failed, Error::Reverted(_)), "{failed}");
}

#[tokio::test]
async fn time_moves_as_tests_say_and_never_back() {
    let clock = Arc::new(ManualClock::at(1_000));
    let config = Config { clock: clock.clone(), ..funded(1) };
    let (_directory, chain) = chain(config);
    let client = client(&chain, 0).await;
    let timestamp = async |number: u64| {
        let block = client.provider().get_block(number.into()).await.expect("read");
        block.expect("there").header.timestamp
    };
    assert_eq!(timestamp(0).await, 1_000);
    clock.advance(50);
    assert_eq!(timestamp(chain.mine().await.expect("mined").number).await, 1_050);
    clock.set(10);
    assert_eq!(timestamp(chain.mine().await.expect("mined").number).await, 1_050);
    chain.set_next_timestamp(2_000).expect("later is fine");
    chain.set_next_timestamp(5).expect_err("earlier is not");
    assert_eq!(timestamp(chain.mine().await.expect("mined").number).await, 2_000);
    clock.set(2_100);
    chain.advance_time(400);
    assert_eq!(timestamp(chain.mine().await.expect("mined").number).await, 2_500);
}

/// EIP-2935: blocks come fast here, and BLOCKHASH knows only 256 of them.
#[tokio::test]
async fn contracts_can_read_the_hashes_of_blocks_long_past() {
    let (_directory, chain) = chain(funded(1));
    let client = client(&chain, 0).await;
    let early = chain.mine().await.expect("mined");
    for _ in 0..300 {
        chain.mine().await.expect("mined");
    }
    let history = alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
    let answer = client.provider().call(call(history, word(early.number))).await.expect("served");
    assert_eq!(B256::from_slice(&answer), early.hash);
}

#[tokio::test]
async fn only_the_latest_state_is_served_and_the_refusal_says_so() {
    let (_directory, chain) = chain(funded(1));
    let client = client(&chain, 0).await;
    let owner = key(0).address();
    chain.mine().await.expect("mined");
    let provider = client.provider();
    for block in [alloy_eips::BlockId::latest(), 1.into(), chain.head().hash.into()] {
        provider.get_balance(owner).block_id(block).await.expect("the latest");
    }
    let refused = provider.get_balance(owner).block_id(0.into()).await.expect_err("past state");
    assert!(refused.to_string().contains("latest block only"), "{refused}");
    let transaction = client.execute(TransactionRequest::default().with_to(owner)).await;
    let hash = transaction.expect("mined").transaction_hash;
    let found = provider.get_transaction_by_hash(hash).await.expect("read").expect("there");
    assert_eq!(found.from(), owner);
}
