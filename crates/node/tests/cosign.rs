//! A log whose witnesses send more than they are asked for.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_broker::{HostedLog, Server};
use assay_broker_client::WitnessClient;
use assay_node::{AskedWitness, Env, keep_cosigned};
use assay_storage::{LogFiles, Sequencer};
use assay_tlog::{COSIGNED, KeyKind, NOTE_SIGNATURES_MAX, NoteKey, Policy, Storage, Vkey, Witness};
use tokio::sync::watch;

/// Witnesses with junk in their answers: more than fits into one note together, not alone.
const WITNESSES: u8 = 2;
const JUNK_LINES: usize = NOTE_SIGNATURES_MAX / 2 + 10;

/// A true witness that sends lines of unknown keys along.
async fn garrulous(number: u8, log: Vkey, folder: &Path) -> (AskedWitness, Server) {
    let name = format!("witness-{number}.example");
    let key = NoteKey::new(&name, KeyKind::Witness, &[number; 32]).expect("a key");
    let vkey = key.vkey().clone();
    let state = LogFiles::open(folder.join(&name)).expect("a folder");
    let witness = Arc::new(Witness::new(state, key, vec![log]).expect("a witness"));
    let answer = move |body: axum::body::Bytes| async move {
        let mut lines = witness.add_checkpoint(&body, 1_800_000_000).expect("cosigned");
        for junk in 0..JUNK_LINES {
            lines.extend(format!("\u{2014} junk-{number}-{junk} AAAAAAA=\n").into_bytes());
        }
        lines
    };
    let router = axum::Router::new().route("/add-checkpoint", axum::routing::post(answer));
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server = assay_broker::serve(address, router).await.expect("served");
    let client = WitnessClient::new(&server.url()).expect("a client");
    (AskedWitness { client, key: vkey }, server)
}

#[tokio::test]
async fn what_witnesses_send_along_costs_nobody_a_cosignature() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = NoteKey::new("log.example", KeyKind::Log, &[7; 32]).expect("a key");
    let vkey = key.vkey().clone();
    let place = folder.path().join("log");
    let sequencer = Sequencer::open(LogFiles::open(&place).expect("a folder"), key);
    let sequencer = sequencer.expect("a log");
    sequencer.add(b"an entry".to_vec()).await.expect("added");
    let files: Arc<dyn Storage> = Arc::new(LogFiles::read_only(&place));
    let log = HostedLog { sequencer, files: files.clone(), key: vkey.clone() };
    let (mut witnesses, mut servers) = (Vec::new(), Vec::new());
    for number in 1..=WITNESSES {
        let (witness, server) = garrulous(number, vkey.clone(), folder.path()).await;
        witnesses.push(witness);
        servers.push(server);
    }
    let (stop, stopping) = watch::channel(false);
    let keys = witnesses.iter().map(|witness| witness.key.clone()).collect();
    let policy = Policy::new(vkey, keys, usize::from(WITNESSES)).expect("a policy");
    let keeping =
        tokio::spawn(async move { keep_cosigned(&Env::system(), log, witnesses, stopping).await });
    let patience = Instant::now() + Duration::from_secs(20);
    let cosigned = loop {
        match files.get(COSIGNED).expect("read") {
            Some(note) => break note,
            None if Instant::now() > patience => panic!("nobody's cosignature is stored"),
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    stop.send(true).expect("it listens");
    keeping.await.expect("it stops");
    policy.open(&cosigned).expect("cosigned by both");
    let lines = String::from_utf8(cosigned).expect("text").matches('\u{2014}').count();
    assert_eq!(lines, 1 + usize::from(WITNESSES), "the log's line and one for each witness");
}
