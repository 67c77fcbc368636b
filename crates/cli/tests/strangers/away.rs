//! Roles whose chain is slow, and whose broker is away.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_would_leave_the_chain_no_time_does_not_start() {
    let Some(market) = Market::new("a_provider_that_would_leave").await else { return };
    let account = market.funded().await;
    // A block takes a second, so three confirmations and a claim take six.
    let arguments = ["--margin-secs", "2", "--confirmations", "3"];
    let started = market.command("provider", account, &arguments).output().unwrap();
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(!started.status.success(), "it would lose its stakes: {said}");
    assert!(said.contains("a margin of 2 s is too short"), "{said}");
    assert!(said.contains("--margin-secs 6"), "it must say what would do: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_starts_and_claims_while_the_broker_is_away() {
    let Some(mut market) = Market::new("a_provider_starts_and_claims").await else { return };
    let (account, requester) = (market.funded().await, market.funded().await);
    let mut command = market.command("provider", account, &["--job-cost", "10000"]);
    command.env("ASSAY_LOG", "info").stderr(Stdio::piped());
    let mut provider = Process::start(command);
    let mut said = BufReader::new(provider.child.stderr.take().unwrap()).lines();
    assert!(provider.line().starts_with("provider"), "it says that it works");
    // Some seconds of work.
    let input = market.path("input");
    std::fs::write(&input, vec![7; 3_000_000]).unwrap();
    let other = requester.to_string();
    let arguments = [&program("sha256"), "--input", &input, "--auditor", &other];
    let mut run = market.run(requester, &arguments);
    let events = run.until("begun");
    let job = events[events.len() - 1]["job"].as_str().unwrap().parse().unwrap();
    assert!(said.any(|line| line.unwrap().contains("a job runs")), "it must have begun to run");
    drop(provider);
    let contracts = market.contracts().await;
    let status = async || contracts.market.jobOf(job).call().await.unwrap().status;
    assert_eq!(status().await, JobStatus::AwaitingClaim as u8, "it died before it could claim");
    market.broker.child.kill().unwrap();
    market.broker.child.wait().unwrap();
    let _provider = market.daemon("provider", account, &["--job-cost", "10000"]);
    let started = Instant::now();
    while status().await == JobStatus::AwaitingClaim as u8 {
        assert!(started.elapsed() < PATIENCE, "a broker that is away must not cost the stake");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(status().await, JobStatus::AwaitingVerdict as u8, "its claim stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chain_could_take_back_is_not_said_to_be_settled() {
    let Some(market) = Market::new("what_the_chain_could_take_back").await else { return };
    let (account, requester) = (market.funded().await, market.funded().await);
    let _provider = market.daemon("provider", account, &["--job-cost", "10000"]);
    let own = requester.to_string();
    let arguments = [&program("wordcount"), "--auditor", &own, "--confirmations", "4"];
    let mut run = market.run(requester, &arguments);
    let contracts = market.contracts().await;
    run.until("paid");
    let (paid, _) = contracts.last_block().await.unwrap();
    run.until("done");
    let (done, _) = contracts.last_block().await.unwrap();
    // The block of the payment may have been the last but one when it was told.
    assert!(done >= paid + 3, "the receipt says what is {} blocks deep", done - paid);
}
