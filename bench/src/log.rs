//! Figures of the log and of receipts: durable appends a second, beside the book on redb and a
//! plain file that is synced for each batch; how long a receipt takes to verify, and how large it
//! is.

use std::io::Write;
use std::time::Instant;

use alloy_primitives::{B256, U256};
use assay_receipt::{Graph, JobSummary, Receipt, Standing, Trust, open_lineage, prov, verify};
use assay_storage::{BookLimits, Kind, LogFiles, OrderBook, RedbBook, Sequencer};
use assay_tlog::{Checkpoint, KeyKind, Log, NoteKey, Reader, Storage};
use assay_types::sha256;
use tokio::task::JoinSet;

use crate::figure::{Figure, Goal, median};
use crate::objects::Server;

const ENTRIES: u64 = 40_000;
const ENTRY_BYTES: usize = 1_024;
const ADDERS: u64 = 1_024;
const ROUNDS: usize = 3;
const EXPORTED: u64 = 10_000;
const LONG: u64 = 1_000_000;

/// What Tessera's makers say of it on POSIX files and twelve cores: durable appends a second.
const TESSERA_PER_SEC: f64 = 2_900.0;

/// What Sunlight's makers say of it: the median time to sequence an entry, in milliseconds.
const SUNLIGHT_MS: f64 = 41.0;

pub(crate) fn figures() -> Result<Vec<Figure>, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| format!("no runtime: {error}"))?;
    let (mut new, mut known, mut book, mut file) = (vec![], vec![], vec![], vec![]);
    let mut waits = vec![];
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let files = LogFiles::open(folder.path()).map_err(|error| error.to_string())?;
        let log = sequencer(files)?;
        let (rate_new, wait) = runtime.block_on(logged(&log))?;
        new.push(rate_new);
        waits.push(wait);
        known.push(runtime.block_on(logged(&log))?.0);
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let limits = BookLimits::default();
        let kept = RedbBook::open(folder.path().join("book.redb"), limits);
        let kept = kept.map_err(|error| error.to_string())?;
        book.push(runtime.block_on(rate(move |number| {
            let (kept, key) = (kept.clone(), sha256(&number.to_be_bytes()));
            async move { kept.put(Kind::Order, key.0, [0; 20], entry(number)).await.map(drop) }
        }))?.0);
        file.push(plain_file()?);
    }
    let peers = vec![
        (format!("a plain file, synced every {ADDERS} entries"), median(file)),
        ("the book on redb, no tree and no signature".to_owned(), median(book)),
    ];
    let inputs = format!(
        "{ENTRIES} entries of {ENTRY_BYTES} bytes from {ADDERS} adders at once, durable and in a signed checkpoint before \
         the answer, median of {ROUNDS}"
    );
    let figure = |name: &str, values, goal, peers| Figure {
        name: name.to_owned(),
        inputs: inputs.clone(),
        value: median(values),
        unit: "entries/s",
        goal,
        peers,
    };
    let in_a_folder = median(new.clone());
    let mut figures = vec![
        figure("new entries logged", new, Some(Goal::AtLeast(TESSERA_PER_SEC)), peers),
        figure(
            "known entries found again",
            known,
            Some(Goal::AtLeast(TESSERA_PER_SEC)),
            vec![(
                "Tessera on POSIX files, twelve cores, as published".to_owned(),
                TESSERA_PER_SEC,
            )],
        ),
        Figure {
            name: "from an entry's arrival to its place in a signed checkpoint, median".to_owned(),
            unit: "ms",
            value: median(waits),
            goal: None,
            peers: vec![("Sunlight, as published".to_owned(), SUNLIGHT_MS)],
            inputs: inputs.clone(),
        },
    ];
    if let Some(server) = Server::start() {
        let mut rates = Vec::new();
        for round in 0..ROUNDS {
            let log = sequencer(server.log(round as u8)?)?;
            rates.push(runtime.block_on(logged(&log))?.0);
        }
        let peers = vec![("in a folder".to_owned(), in_a_folder)];
        // Says what the protocol costs, not what S3 does: the server is a test's, in Python, on the
        // same cores.
        figures.push(figure("new entries logged in an object store, moto", rates, None, peers));
    }
    figures.extend(receipts()?);
    Ok(figures)
}

fn sequencer(storage: impl Storage) -> Result<Sequencer, String> {
    let key = NoteKey::new("log.example", KeyKind::Log, &[7; 32]);
    let key = key.map_err(|error| error.to_string())?;
    Sequencer::open(storage, key).map_err(|error| error.to_string())
}

async fn logged(log: &Sequencer) -> Result<(f64, f64), String> {
    let log = log.clone();
    let add = move |number| {
        let log = log.clone();
        async move { log.add(entry(number)).await.map(drop) }
    };
    rate(add).await
}

/// A golden receipt of an embedded chain: a job of eight million steps, with all that roles say of
/// it, and an anchor.
fn receipts() -> Result<[Figure; 4], String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/receipts/1/embedded-paid");
    let read = |name| std::fs::read(format!("{folder}/{name}")).map_err(|error| error.to_string());
    let (bytes, trust) = (read("receipt.json")?, read("trust.json")?);
    let trust = Trust::from_bytes(&trust).map_err(|error| error.to_string())?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let started = Instant::now();
        let receipt = Receipt::from_bytes(&bytes).map_err(|error| error.to_string())?;
        if verify(&receipt, Some(&trust)).standing != Standing::Vouched {
            return Err("a golden receipt does not verify".to_owned());
        }
        times.push(started.elapsed().as_secs_f64() * 1_000.0);
    }
    let receipt = Receipt::from_bytes(&bytes).map_err(|error| error.to_string())?;
    let life = JobSummary::of(&receipt).ok_or("a golden receipt tells nothing")?;
    let lives: Vec<JobSummary> = (0..EXPORTED)
        .map(|number| JobSummary { job: B256::from(U256::from(number)), ..life.clone() })
        .collect();
    let started = Instant::now();
    let exported = [prov(&lives).to_string().len(), Graph::of(&lives).dot().len()];
    let events: usize = lives.iter().map(|life| open_lineage(life).to_string().len()).sum();
    let seconds = started.elapsed().as_secs_f64();
    let export = Figure {
        name: format!("export of {EXPORTED} jobs"),
        inputs: format!(
            "PROV-JSON, DOT and OpenLineage, {} MB",
            (exported[0] + exported[1] + events) / 1_000_000
        ),
        value: seconds,
        unit: "s",
        goal: None,
        peers: Vec::new(),
    };
    let statements = receipt.log.as_ref().map_or(0, |log| log.statements.len());
    let figure = |name: &str, value, unit, bound| Figure {
        name: name.to_owned(),
        inputs: format!(
            "a paid job of an embedded chain, {statements} statements and an anchor, read from memory"
        ),
        value,
        unit,
        goal: Some(Goal::Below(bound)),
        peers: Vec::new(),
    };
    let long = Figure {
        inputs: format!("the same statements, the first four of them before {LONG} others"),
        ..figure("its size in a long log", in_a_long_log(receipt)? as f64 / 1_000.0, "kB", 20.0)
    };
    Ok([
        figure("a receipt verified, median of 200", median(times), "ms", 5.0),
        figure("a receipt's size", bytes.len() as f64 / 1_000.0, "kB", 20.0),
        long,
        export,
    ])
}

/// The bytes of a receipt whose log has a million entries of others, and an anchor just before the
/// job: paths are longer.
fn in_a_long_log(mut receipt: Receipt) -> Result<usize, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let folder = tempfile::tempdir().map_err(|error| told(&error))?;
    let key = NoteKey::new("log.example", KeyKind::Log, &[7; 32]).map_err(|error| told(&error))?;
    let files = LogFiles::open(folder.path()).map_err(|error| told(&error))?;
    let mut log = Log::open(files, key.clone()).map_err(|error| told(&error))?;
    let mut kept = receipt.log.take().ok_or("a golden receipt has no log")?;
    let (mut indices, size) = (Vec::new(), kept.statements.len());
    for (place, statement) in kept.statements.iter().enumerate() {
        if place == 4 {
            for start in (0..LONG).step_by(4_096) {
                let others = (start..(start + 4_096).min(LONG)).map(|k| k.to_be_bytes().to_vec());
                log.add(&others.collect::<Vec<_>>()).map_err(|error| told(&error))?;
            }
        }
        let added = log.add(&[statement.envelope.to_bytes()]).map_err(|error| told(&error))?;
        indices.extend(added.iter().map(|added| added.index));
    }
    let note = log.checkpoint().map_err(|error| told(&error))?.to_vec();
    let tree = Checkpoint::unverified(&note).map_err(|error| told(&error))?;
    let files = LogFiles::read_only(folder.path());
    let reader = Reader::new(&files, &tree);
    for (statement, index) in kept.statements.iter_mut().zip(&indices) {
        statement.index = *index;
        statement.path = reader.prove_inclusion(*index).map_err(|error| told(&error))?;
    }
    let anchor = kept.anchor.as_mut().ok_or("a golden receipt has no anchor")?;
    anchor.size = tree.size - size as u64;
    anchor.consistency = reader.prove_consistency(anchor.size).map_err(|error| told(&error))?;
    kept.checkpoint = String::from_utf8(note).map_err(|error| told(&error))?;
    receipt.log = Some(kept);
    Ok(receipt.to_bytes().len())
}

fn entry(number: u64) -> Vec<u8> {
    let mut entry = vec![0xa5; ENTRY_BYTES];
    entry[..8].copy_from_slice(&number.to_be_bytes());
    entry
}

/// How many a second, and how long each took, median in milliseconds.
async fn rate<F>(add: impl Fn(u64) -> F + Clone + Send + 'static) -> Result<(f64, f64), String>
where
    F: Future<Output = Result<(), assay_storage::Error>> + Send,
{
    let started = Instant::now();
    let mut adders = JoinSet::new();
    for adder in 0..ADDERS {
        let add = add.clone();
        adders.spawn(async move {
            let mut waits = Vec::new();
            for number in (adder..ENTRIES).step_by(ADDERS as usize) {
                let started = Instant::now();
                add(number).await?;
                waits.push(started.elapsed().as_secs_f64() * 1_000.0);
            }
            Ok::<_, assay_storage::Error>(waits)
        });
    }
    let mut waits = Vec::new();
    while let Some(done) = adders.join_next().await {
        waits.extend(done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?);
    }
    Ok((ENTRIES as f64 / started.elapsed().as_secs_f64(), median(waits)))
}

/// What the disk allows: the same bytes, as often synced.
fn plain_file() -> Result<f64, String> {
    let mut file = tempfile::tempfile().map_err(|error| error.to_string())?;
    let started = Instant::now();
    for number in 0..ENTRIES {
        file.write_all(&entry(number)).map_err(|error| error.to_string())?;
        if number % ADDERS == ADDERS - 1 {
            file.sync_data().map_err(|error| error.to_string())?;
        }
    }
    file.sync_data().map_err(|error| error.to_string())?;
    Ok(ENTRIES as f64 / started.elapsed().as_secs_f64())
}
