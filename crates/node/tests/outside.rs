//! Roles reach outside by `Env` and by nothing else, and so run in whatever world they are handed.

use std::path::Path;
use std::time::Duration;

use assay_node::{Env, Home, LocalMarket, MarketPlan};

/// What no file of the node but `base/` names: clocks, timers, randomness, tasks, sockets and
/// clients of its own. Tests in a file may.
const OUTSIDE: [&str; 13] = [
    "tokio::time",
    "tokio::spawn",
    "JoinSet",
    "spawn_blocking",
    "SystemTime",
    "Instant::now",
    "SystemClock",
    "getrandom::",
    "SysRng",
    "std::net::Tcp",
    "reqwest",
    "assay_chain::connect",
    "BrokerClient::new",
];

#[test]
fn no_file_but_base_names_what_lies_outside() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for file in files(&source) {
        let name = file.strip_prefix(&source).expect("below").to_string_lossy().into_owned();
        if name.starts_with("base/") {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("read");
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for word in OUTSIDE {
            let is_found = code.lines().any(|line| {
                let code = line.split("//").next().unwrap_or_default();
                code.contains(word)
            });
            assert!(!is_found, "{name} names {word}: it is to go by base/env.rs");
        }
        seen += 1;
    }
    assert!(seen > 30, "only {seen} files were looked at");
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// An offer stands for an hour and is said again after half of it: on a clock that is moved by hand
/// that takes no time.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_renews_its_offer_by_the_clock_that_it_is_handed() {
    const NOW: u64 = 2_000_000_000;
    const OFFER_SECS: u64 = 3_600;
    let folder = tempfile::tempdir().expect("a folder");
    let (env, time) = Env::manual(NOW, 1);
    let plan = MarketPlan::default();
    let market = LocalMarket::open_in(env, &Home::at(folder.path()), &plan).await.expect("opened");
    let until = async || -> Vec<u64> {
        let offers = market.board().offers().await.expect("read");
        offers.iter().map(|offer| offer.until).collect()
    };
    let first = until().await;
    assert_eq!(first.len(), plan.providers.len());
    assert!(first.iter().all(|until| (NOW..NOW + 60).contains(&(until - OFFER_SECS))), "{first:?}");

    time.advance(Duration::from_secs(OFFER_SECS / 2));
    let due = NOW + OFFER_SECS / 2 + OFFER_SECS;
    let renewed = async {
        while until().await.iter().any(|until| *until < due) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), renewed).await.expect("no offer was renewed");
    market.close().await.expect("closed");
}
