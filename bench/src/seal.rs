//! Figures of sealing: gigabytes a second on one core beside bare AES-256-GCM, memory for a long
//! stream, wraps, and what a small private job pays.

use std::time::Instant;

use assay_fuzz::parsers::Seeded;
use assay_fuzz::programs::{Source, loaded_as, prebuilt};
use assay_machine::{Engine, Interpreter, Program, StepLimit, blob_bytes, slot, slot_blob};
use assay_seal::envelope::{CHUNK_TAG_SIZE, Header, Shape, open, seal};
use assay_seal::{
    ContentKey, Opener, SealKeys, Sealer, Wrap, WrapContext, open_output_by, output_key,
};
use assay_types::{Hash, Salt};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::figure::{Figure, Goal, median, time};

const ROUNDS: usize = 9;

/// Bytes of one round.
const ROUND_SIZE: u64 = 256 << 20;

/// Bytes of the stream whose memory is watched.
const STREAM_SIZE: u64 = 4 << 30;

/// Wraps of one round.
const WRAPS: usize = 200;

/// Who gets the keys of a small job: the provider, an auditor, the beneficiary.
const RECIPIENTS: usize = 3;

pub(crate) fn figures() -> Result<Vec<Figure>, String> {
    let mut figures = throughput()?;
    figures.push(memory()?);
    figures.extend(wraps()?);
    figures.push(small_job()?);
    figures.push(program()?);
    Ok(figures)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Sealing and opening, chunk by chunk in place, taking turns with the bare cipher over the same
/// buffers.
fn throughput() -> Result<Vec<Figure>, String> {
    let (mut sealing, mut opening, mut bare_sealing, mut bare_opening) =
        (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let [ours, theirs] = [round()?, bare()?];
        sealing.push(ours[0]);
        opening.push(ours[1]);
        bare_sealing.push(theirs[0]);
        bare_opening.push(theirs[1]);
    }
    let figure = |name: &str, ours, theirs| Figure {
        name: name.to_owned(),
        inputs: format!(
            "AES-256-GCM in chunks of 64 KiB, {} MiB in memory, one thread, median of {ROUNDS}",
            ROUND_SIZE >> 20
        ),
        value: median(ours),
        unit: "GB/s",
        goal: Some(Goal::AtLeast(1.0)),
        peers: vec![("ring's AES-256-GCM alone".to_owned(), median(theirs))],
    };
    Ok(vec![figure("sealing", sealing, bare_sealing), figure("opening", opening, bare_opening)])
}

/// GB/s of sealing and of opening.
fn round() -> Result<[f64; 2], String> {
    let mut rng = Seeded::new(1);
    let key = ContentKey::draw(&mut rng);
    let shape = Shape::new(ROUND_SIZE).map_err(text)?;
    let mut sealer = Sealer::new(&key, &shape, &mut rng);
    let header = sealer.header().clone();
    let mut opener = Opener::new(&key, header.clone()).map_err(text)?;
    let mut chunks = chunks(header.chunk_size());
    let sealing = time(|| chunks.iter_mut().try_for_each(|chunk| sealer.seal(chunk)));
    let opening = time(|| chunks.iter_mut().try_for_each(|chunk| opener.open(chunk)));
    sealer.finish().map_err(text)?;
    opener.finish().map_err(text)?;
    Ok([sealing, opening].map(|seconds| ROUND_SIZE as f64 / 1e9 / seconds))
}

/// The same by the cipher alone: no header, no binding.
fn bare() -> Result<[f64; 2], String> {
    let key = UnboundKey::new(&AES_256_GCM, &[7; 32]).map_err(text)?;
    let key = LessSafeKey::new(key);
    let nonce = |index: usize| {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&(index as u64).to_le_bytes());
        Nonce::assume_unique_for_key(nonce)
    };
    let mut chunks = chunks(1 << 16);
    let sealing = time(|| {
        chunks.iter_mut().enumerate().try_for_each(|(index, chunk)| {
            key.seal_in_place_append_tag(nonce(index), Aad::empty(), chunk)
        })
    });
    let opening = time(|| {
        chunks.iter_mut().enumerate().try_for_each(|(index, chunk)| {
            key.open_in_place(nonce(index), Aad::empty(), chunk).map(drop)
        })
    });
    Ok([sealing, opening].map(|seconds| ROUND_SIZE as f64 / 1e9 / seconds))
}

/// Chunks with room for what sealing adds.
fn chunks(size: u64) -> Vec<Vec<u8>> {
    let chunk = |number: u64| {
        let mut chunk = Vec::with_capacity((size + CHUNK_TAG_SIZE) as usize);
        chunk.resize(size as usize, number as u8);
        chunk
    };
    (0..ROUND_SIZE / size).map(chunk).collect()
}

/// The most memory of the process while four gigabytes are made, sealed, opened and compared.
fn memory() -> Result<Figure, String> {
    // What was measured before must not count: 5 resets the peak (Linux, proc_pid_clear_refs(5)).
    std::fs::write("/proc/self/clear_refs", "5").map_err(text)?;
    let mut rng = Seeded::new(2);
    let key = ContentKey::draw(&mut rng);
    let shape = Shape::new(STREAM_SIZE).map_err(text)?;
    let mut sealer = Sealer::new(&key, &shape, &mut rng);
    let header = Header::from_bytes(&sealer.header().to_bytes()).map_err(text)?;
    let mut opener = Opener::new(&key, header.clone()).map_err(text)?;
    let mut chunk = Vec::new();
    for index in 0..header.chunks() {
        let range = header.plain_range(index).map_err(text)?;
        chunk.clear();
        chunk.resize((range.end - range.start) as usize, index as u8);
        sealer.seal(&mut chunk).map_err(text)?;
        opener.open(&mut chunk).map_err(text)?;
        if chunk.iter().any(|byte| *byte != index as u8) {
            return Err("an opened chunk is not what was sealed".to_owned());
        }
    }
    sealer.finish().map_err(text)?;
    opener.finish().map_err(text)?;
    let status = std::fs::read_to_string("/proc/self/status").map_err(text)?;
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
    let peak: f64 = peak.ok_or("no peak in /proc/self/status")?.parse().map_err(text)?;
    Ok(Figure {
        name: "memory for a stream of 4 GiB".to_owned(),
        inputs: "made, sealed, opened and compared chunk by chunk; the whole process at its peak"
            .to_owned(),
        value: peak / 1_000.0,
        unit: "MB",
        goal: Some(Goal::Below(64.0)),
        peers: Vec::new(),
    })
}

fn context() -> WrapContext {
    let zero = Hash::default();
    WrapContext {
        job: zero,
        slot: 2,
        envelope: zero,
        policy: zero,
        owner: [1; 20],
        recipient: [2; 20],
    }
}

/// Wraps made and opened a second.
fn wraps() -> Result<Vec<Figure>, String> {
    let keys = SealKeys::derive(&[1; 32]);
    let mut rng = Seeded::new(3);
    let key = ContentKey::draw(&mut rng);
    let context = context();
    let old = keys.public().only(|suite| suite == 1).map_err(text)?;
    let mut rates = Vec::new();
    for offered in [keys.public(), old] {
        let (mut made, mut opened) = (vec![], vec![]);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let wraps: Result<Vec<_>, _> =
                (0..WRAPS).map(|_| Wrap::seal(&key, &offered, &context, &mut rng)).collect();
            let wraps = wraps.map_err(text)?;
            made.push(WRAPS as f64 / start.elapsed().as_secs_f64());
            let start = Instant::now();
            for wrap in &wraps {
                wrap.open(&keys, &context).map_err(text)?;
            }
            opened.push(WRAPS as f64 / start.elapsed().as_secs_f64());
        }
        rates.push([median(made), median(opened)]);
    }
    let figure = |name: &str, index: usize| Figure {
        name: name.to_owned(),
        inputs: format!("X-Wing, one thread, {WRAPS} at a time, median of {ROUNDS}"),
        value: rates[0][index],
        unit: "wraps/s",
        goal: None,
        peers: vec![("X25519 alone".to_owned(), rates[1][index])],
    };
    Ok(vec![figure("keys wrapped", 0), figure("wraps opened", 1)])
}

/// What sealing adds to a small job, over all parties: the input sealed and opened by each
/// recipient, its key wrapped to each and unwrapped, the output sealed in the program and opened.
fn small_job() -> Result<Figure, String> {
    let program = prebuilt("csvstats")?;
    let input = b"value=temp_max\ngroup=weather\n";
    let dataset = Source::Data("seattle-weather.csv").bytes()?;
    let salt = Salt([9; 24]);
    let (mut added, mut steps) = (vec![], 0);
    for _ in 0..ROUNDS {
        let (public, public_seconds, _) = run(&program, [input, &dataset], Salt::PUBLIC)?;
        let (private, private_seconds, output) = run(&program, [input, &dataset], salt)?;
        steps = private - public;
        let sealing = time(|| seal_and_open(&[input, &dataset], &output, salt));
        added.push((private_seconds - public_seconds + sealing) * 1_000.0);
        seal_and_open(&[input, &dataset], &output, salt)?;
    }
    Ok(Figure {
        name: "sealing added to a small job".to_owned(),
        inputs: format!(
            "csvstats, {} bytes of data: sealed, wrapped by X-Wing to {RECIPIENTS}, unwrapped and opened by each; {steps} steps \
             in the program; the output opened",
            dataset.len()
        ),
        value: median(added),
        unit: "ms",
        goal: Some(Goal::Below(50.0)),
        peers: Vec::new(),
    })
}

/// Steps that a program takes to seal a long output.
fn program() -> Result<Figure, String> {
    let program = prebuilt("wordcount")?;
    let input: String = (0..9_000).map(|number| format!("word{number} ")).collect();
    let (public, _, output) = run(&program, [input.as_bytes(), b""], Salt::PUBLIC)?;
    let (private, _, _) = run(&program, [input.as_bytes(), b""], Salt([9; 24]))?;
    Ok(Figure {
        name: "sealing in the program".to_owned(),
        inputs: format!(
            "wordcount, an output of {} bytes, ChaCha20-Poly1305 on RV32IM",
            output.len()
        ),
        value: (private - public) as f64 / output.len() as f64,
        unit: "steps/byte",
        goal: None,
        peers: Vec::new(),
    })
}

/// Steps, seconds, output.
fn run(
    program: &Program,
    [input, dataset]: [&[u8]; 2],
    salt: Salt,
) -> Result<(u64, f64, Vec<u8>), String> {
    let machine = loaded_as(program, [(input, salt), (dataset, salt)], StepLimit::MAX)?;
    let mut engine = Interpreter::new(machine);
    let seconds = time(|| engine.run_until(u64::MAX));
    let header = slot_blob(&engine, slot::OUTPUT).map_err(text)?;
    let output = blob_bytes(&engine, slot::OUTPUT, header).flatten().copied().collect();
    Ok((engine.cpu().step, seconds, output))
}

fn seal_and_open(data: &[&[u8]], output: &[u8], salt: Salt) -> Result<(), String> {
    let mut rng = Seeded::new(4);
    let keys = SealKeys::derive(&[1; 32]);
    let public = keys.public();
    let context = context();
    for bytes in data {
        let key = ContentKey::draw(&mut rng);
        let envelope = seal(&key, bytes, Hash::default(), &mut rng).map_err(text)?;
        for _ in 0..RECIPIENTS {
            let wrap = Wrap::seal(&key, &public, &context, &mut rng).map_err(text)?;
            let key = wrap.open(&keys, &context).map_err(text)?;
            open(&key, &envelope).map_err(text)?;
        }
    }
    open_output_by(&output_key(&salt), output).map_err(text)?;
    Ok(())
}
