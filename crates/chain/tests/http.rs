//! The chain over HTTP: what other people's clients, and careless ones, send.

mod common;

use std::process::Command;

use alloy_primitives::U256;
use alloy_provider::Provider;
use alloy_rpc_types_eth::Filter;
use assay_chain::{
    ChainClientConfig, Client, Config, Endpoint, Error, RpcServer, RpcServerConfig, connect, serve,
};
use common::{
    EMITTER, call, chain, deploy, funded, key, token_init_code, tool, transfer, with_constructor,
    word,
};
use serde_json::{Value, json};

async fn post(server: &RpcServer, body: impl Into<String>) -> (u16, Value) {
    post_as(server, body, "application/json", None).await
}

async fn post_as(
    server: &RpcServer,
    body: impl Into<String>,
    kind: &str,
    host: Option<&str>,
) -> (u16, Value) {
    let mut request =
        reqwest_client().post(server.url()).body(body.into()).header("content-type", kind);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn reqwest_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

async fn over_http(server: &RpcServer, number: u64) -> Client {
    let endpoint = Endpoint::Url(server.url());
    connect(endpoint, Some(key(number)), ChainClientConfig::default()).await.expect("connected")
}

#[tokio::test]
async fn an_error_does_not_name_the_url() {
    let config = ChainClientConfig { retries: 1, ..ChainClientConfig::default() };
    let url = "http://127.0.0.1:9/key-that-is-secret".to_owned();
    let error = connect(Endpoint::Url(url), None, config).await.expect_err("nobody answers");
    let text = format!("{error} {error:?}");
    assert!(!text.contains("secret"), "{text}");
}

/// As public nodes do, which answer about a few blocks, or a few logs, at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_come_whole_from_a_node_that_answers_about_few_blocks() {
    for bounded in
        [Config { log_range_blocks_max: 7, ..funded(1) }, Config { logs_max: 3, ..funded(1) }]
    {
        let (_directory, chain) = chain(bounded);
        let server = serve(&chain, RpcServerConfig::default()).await.expect("served");
        let client = over_http(&server, 0).await;
        let (emitter, _) = deploy(&client, with_constructor(&[], EMITTER)).await;
        for value in 1..=40 {
            client.execute(call(emitter, word(value))).await.expect("emitted");
        }
        let filter = Filter::new().address(emitter).from_block(0);
        let refused = client.provider().get_logs(&filter).await.map(|logs| logs.len());
        assert!(refused.is_err(), "the node answers about all blocks: {refused:?}");
        let found = client.logs(&filter).await.expect("logs");
        let values: Vec<u64> =
            found.iter().map(|log| U256::from_be_slice(&log.data().data).to()).collect();
        assert_eq!(values, (1..=40).collect::<Vec<_>>(), "in order, each once");
        let some = client.logs(&filter.clone().from_block(5).to_block(20)).await.expect("logs");
        let blocks = some.iter().map(|log| log.block_number);
        assert!(blocks.eq((5..=20).map(Some)), "{some:?}");
        let none = client.logs(&filter.from_block(1_000)).await.expect("no logs");
        assert!(none.is_empty(), "nothing is beyond the head");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_client_works_over_http() {
    let (_directory, chain) = chain(funded(1));
    let server = serve(&chain, RpcServerConfig::default()).await.expect("served");
    let client = over_http(&server, 0).await;
    assert_eq!(client.chain_id(), chain.chain_id());
    assert_eq!(client.genesis_hash(), chain.genesis_hash());
    let (token, _) = deploy(&client, token_init_code()).await;
    let sends = (1..50).map(|i| client.execute(call(token, transfer(key(1).address(), i))));
    for sent in futures_util::future::join_all(sends).await {
        sent.expect("mined");
    }
    let wrong = ChainClientConfig { chain_id: Some(1), ..ChainClientConfig::default() };
    let wrong = connect(Endpoint::Url(server.url()), None, wrong).await;
    assert!(matches!(wrong, Err(Error::WrongChain { expected: 1, .. })));
    server.stop().await;
}

#[tokio::test]
async fn malformed_requests_get_the_errors_that_the_protocol_names() {
    let (_directory, chain) = chain(funded(0));
    let server = serve(&chain, RpcServerConfig::default()).await.expect("served");
    let cases = [
        ("{", -32700),
        ("", -32700),
        ("[]", -32600),
        ("1", -32600),
        (r#"{"id":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_nothing"}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"evm_mine","params":[]}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x12"]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":{"a":1}}"#, -32602),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[{"fromBlock":"0x9","toBlock":"0x1"}]}"#,
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[{"fromBlock":"0x0","toBlock":"0x1"}]}"#,
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[{"fromBlock":"0x1"}]}"#,
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[{"fromBlock":"0x5","toBlock":"0x9"}]}"#,
            -32602,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x00"]}"#, -32000),
    ];
    for (body, code) in cases {
        let (_, answer) = post(&server, body).await;
        assert_eq!(answer["error"]["code"], code, "{body} gave {answer}");
    }
}

#[tokio::test]
async fn batches_answer_each_request_and_notifications_none() {
    let (_directory, chain) = chain(funded(0));
    let server = serve(&chain, RpcServerConfig::default()).await.expect("served");
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"},
        {"jsonrpc": "2.0", "method": "eth_blockNumber"},
        {"jsonrpc": "2.0", "id": "two", "method": "eth_blockNumber", "params": []},
        7,
    ]);
    let (_, answer) = post(&server, batch.to_string()).await;
    let answers = answer.as_array().expect("a batch");
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[0]["result"], format!("{:#x}", chain.chain_id()));
    assert_eq!((&answers[1]["id"], &answers[1]["result"]), (&json!("two"), &json!("0x0")));
    assert_eq!(answers[2]["error"]["code"], -32600);
    let (status, _) = post(&server, r#"{"jsonrpc":"2.0","method":"eth_blockNumber"}"#).await;
    assert_eq!(status, 204);
    let many = vec![json!({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}); 1001];
    let (_, answer) = post(&server, json!(many).to_string()).await;
    assert_eq!(answer["error"]["code"], -32005);
}

#[tokio::test]
async fn a_web_page_cannot_reach_it_and_bodies_are_bounded() {
    let (_directory, chain) = chain(funded(0));
    let server = serve(&chain, RpcServerConfig::default()).await.expect("served");
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    assert_eq!(post_as(&server, body, "text/plain", None).await.0, 415, "needs no preflight");
    let rebound = post_as(&server, body, "application/json", Some("evil.example:80")).await;
    assert_eq!(rebound.0, 403, "DNS rebinding");
    for host in ["localhost:1", "127.0.0.1", "[::1]:8545"] {
        assert_eq!(post_as(&server, body, "application/json", Some(host)).await.0, 200, "{host}");
    }
    let long = format!("\"{}\"", "x".repeat(6 * 1024 * 1024));
    assert_eq!(post(&server, long).await.0, 413);
    let everywhere = RpcServerConfig {
        address: "0.0.0.0:0".parse().expect("an address"),
        ..RpcServerConfig::default()
    };
    assert!(matches!(serve(&chain, everywhere).await, Err(Error::Config(_))));
}

#[tokio::test]
async fn test_controls_work_where_they_are_switched_on() {
    let (_directory, chain) = chain(Config { test_controls: true, ..funded(0) });
    let server = serve(&chain, RpcServerConfig::default()).await.expect("served");
    let ask = async |method: &str, params: Value| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        post(&server, body.to_string()).await.1["result"].clone()
    };
    let latest = ask("eth_getBlockByNumber", json!(["latest", false])).await;
    let now = u64::from_str_radix(&latest["timestamp"].as_str().expect("hex")[2..], 16);
    let later = now.expect("a number") + 5_000;
    ask("evm_setNextBlockTimestamp", json!([later])).await;
    ask("evm_mine", json!([])).await;
    let latest = ask("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(latest["timestamp"], format!("{later:#x}"));
    assert_eq!(ask("evm_increaseTime", json!(["0xe10"])).await, 3_600);
}

/// The other way round: what `cast` prints must be what the chain holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cast_works_against_it() {
    let Some(cast) = tool("cast", "ASSAY_CAST") else {
        eprintln!("SKIPPED cast_works_against_it: no cast; install contracts/ or set ASSAY_CAST");
        return;
    };
    let (_directory, chain) = chain(funded(1));
    let server = serve(&chain, RpcServerConfig::default()).await.expect("served");
    let client = over_http(&server, 0).await;
    let (token, _) = deploy(&client, token_init_code()).await;
    let (emitter, _) = deploy(&client, with_constructor(&[], EMITTER)).await;
    let url = server.url();
    let run = |arguments: &[&str]| {
        let out = Command::new(&cast).args(arguments).args(["--rpc-url", &url]).output();
        let out = out.expect("cast runs");
        let (ok, text) = (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned());
        (ok, text.trim().to_owned() + &String::from_utf8_lossy(&out.stderr))
    };
    let secret = format!("{}", key(0).to_bytes());
    let (to, token) = (key(1).address().to_string(), token.to_string());
    let (ok, text) = run(&["chain-id"]);
    assert!(ok && text == chain.chain_id().to_string(), "{text}");
    let send = ["send", &token, "transfer(address,uint256)", &to, "5", "--private-key", &secret];
    let (ok, text) = run(&send);
    assert!(ok && text.contains("status               1 (success)"), "{text}");
    let (ok, text) = run(&["send", &to, "--value", "1ether", "--private-key", &secret]);
    assert!(ok && text.contains("gasUsed              21000"), "{text}");
    assert_eq!(run(&["balance", &to, "--ether"]).1, "1.000000000000000000");
    let (ok, text) = run(&["logs", "--from-block", "0", "--address", &token]);
    assert!(ok && text.contains("0xddf252ad"), "{text}");
    let (ok, text) = run(&["block", "latest"]);
    assert!(ok && text.contains("receiptsRoot"), "{text}");
    let (_, text) = run(&["call", &emitter.to_string(), "--data", &hex(&word(0))]);
    assert!(text.contains("execution reverted"), "{text}");
    assert!(run(&["estimate", &token, "transfer(address,uint256)", &to, "0"]).0);
    assert!(run(&["proof", &token]).0);
    assert!(run(&["nonce", &key(0).address().to_string()]).1.parse::<u64>().is_ok());
}

fn hex(bytes: &[u8]) -> String {
    alloy_primitives::hex::encode_prefixed(bytes)
}
