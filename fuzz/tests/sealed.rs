//! Private jobs: the prebuilt programs seal their outputs byte for byte as `assay-privacy` does,
//! and leave nothing in the clear in the output slot, however they end.

use assay_disclosure::cells::{Table, TableKey};
use assay_fuzz::programs::{EXAMPLES, Example, loaded_as, prebuilt};
use assay_guest::seal::{CHUNK_BYTES, Seal, TAG_BYTES, envelope_bytes};
use assay_machine::{
    Cpu, Engine, Interpreter, Program, Run, Status, StepLimit, blob_bytes, slot, slot_blob,
    slot_pages,
};
use assay_seal::envelope::{EnvelopeError, Header};
use assay_seal::{open_output, open_output_by, output_key, seal_output};
use assay_types::{Hash, Salt};

/// Where an output waits (spec/guest.md#output).
const SPARE: u32 = 5;

const INPUT_SALT: Salt = Salt([0x51; 24]);
const DATASET_SALT: Salt = Salt([0x52; 24]);

struct Done {
    cpu: Cpu,
    salt: Salt,
    output: Vec<u8>,
    engine: Interpreter,
}

fn run(program: &Program, data: [(&[u8], Salt); 2], limit: StepLimit) -> Done {
    let mut engine = Interpreter::new(loaded_as(program, data, limit).expect("it fits"));
    engine.run_until(u64::MAX);
    let header = slot_blob(&engine, slot::OUTPUT).expect("the output is a blob");
    let output = blob_bytes(&engine, slot::OUTPUT, header).flatten().copied().collect();
    Done { cpu: engine.cpu().clone(), salt: header.salt(), output, engine }
}

fn example(example: &Example, salts: [Salt; 2]) -> Done {
    let program = prebuilt(example.program).expect("prebuilt");
    let [input, dataset] =
        [&example.input, &example.dataset].map(|data| data.bytes().expect("there"));
    run(&program, [(&input, salts[0]), (&dataset, salts[1])], StepLimit::MAX)
}

/// The root that a program commits to besides: csvstats' table's.
fn cells_root(program: &str, output: &[u8]) -> Hash {
    if program != "csvstats" {
        return Hash::default();
    }
    let table = Table::from_csv(output).expect("a table");
    table.root(&TableKey::derive(output_key(&INPUT_SALT).as_bytes()))
}

#[test]
fn programs_seal_as_the_privacy_crate_does() {
    // The large ones say nothing more.
    let chosen = EXAMPLES.iter().filter(|example| example.program != "montecarlo");
    let mut sealed = 0;
    for one in chosen {
        let public = example(one, [Salt::PUBLIC; 2]);
        assert_eq!(public.salt, Salt::PUBLIC);
        let private = example(one, [INPUT_SALT, DATASET_SALT]);
        assert_eq!(private.cpu.status, public.cpu.status, "sealing changes no outcome");
        assert_ne!(private.salt, Salt::PUBLIC);
        if public.cpu.status != (Status::Exited { code: 0 }) {
            assert_eq!(private.output, b"", "what fails leaves no output");
            continue;
        }
        let ours =
            seal_output(&INPUT_SALT, &public.output, cells_root(one.program, &public.output));
        let ours = ours.expect("it fits");
        assert_eq!(private.output, ours, "{}: a true sealing would look like a fraud", one.program);
        let opened = open_output_by(&output_key(&INPUT_SALT), &private.output);
        assert_eq!(**opened.expect("it opens"), public.output);
        sealed += 1;
    }
    assert_eq!(sealed, 6);
}

/// More than one chunk, and the edges of the envelope in the machine.
#[test]
fn long_outputs_are_sealed_too() {
    let text: String = (0..9_000).map(|n| format!("word{} ", n * 7919 % 9_000)).collect();
    let program = prebuilt("wordcount").expect("prebuilt");
    let [public, private] = [Salt::PUBLIC, INPUT_SALT]
        .map(|salt| run(&program, [(text.as_bytes(), salt), (b"", Salt::PUBLIC)], StepLimit::MAX));
    assert!(public.output.len() > CHUNK_BYTES, "{} bytes are one chunk", public.output.len());
    assert_eq!(**open_output(&INPUT_SALT, &private.output).expect("it opens"), public.output);
    let same = seal_output(&INPUT_SALT, &public.output, Hash::default());
    assert_eq!(same.as_ref(), Ok(&private.output));
    let steps = private.cpu.step - public.cpu.step;
    let by_byte = steps / public.output.len() as u64;
    assert!(by_byte < 250, "sealing takes {by_byte} steps a byte: programs pay for that");
}

/// With a public input there is no key; the dataset's salt only salts the output.
#[test]
fn a_public_input_means_an_open_output() {
    let one = &EXAMPLES[2];
    let public = example(one, [Salt::PUBLIC; 2]);
    let salted = example(one, [Salt::PUBLIC, DATASET_SALT]);
    assert_eq!(salted.output, public.output);
    assert_ne!(salted.salt, Salt::PUBLIC);
}

/// Wherever a private run is cut short, the output slot holds no byte that was not sealed.
#[test]
fn a_run_that_is_cut_shows_nothing() {
    let program = prebuilt("wordcount").expect("prebuilt");
    let text = "canary ".repeat(300);
    let data = |salt| [(text.as_bytes(), salt), (&b""[..], Salt::PUBLIC)];
    let whole = run(&program, data(INPUT_SALT), StepLimit::MAX);
    let sealed = &whole.output;
    let public = run(&program, data(Salt::PUBLIC), StepLimit::MAX);
    assert_eq!(public.output, b"word,count\ncanary,300\n", "what must not be seen");
    let last = whole.cpu.step;
    let mut nothing_yet = 0;
    for limit in (1..=400).map(|n| last - last.min(n * n)).filter(|limit| *limit > 0) {
        let limit = StepLimit::new(limit).expect("in range");
        let machine = loaded_as(&program, data(INPUT_SALT), limit).expect("it fits");
        let mut engine = Interpreter::new(machine);
        engine.run_until(u64::MAX);
        assert_eq!(engine.cpu().status, Status::OutOfSteps);
        let slot: Vec<u8> =
            slot_pages(&engine, slot::OUTPUT).flat_map(|(_, page)| page).copied().collect();
        let shown = slot.get(32..).unwrap_or_default();
        let end = shown.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        // A chunk is on its way to what it will be; what is not must not be what it was.
        assert!(end <= sealed.len());
        for window in shown[..end].windows(6) {
            assert_ne!(window, b"canary", "{} steps show what is sealed later", limit.steps());
        }
        nothing_yet += u32::from(end == 0);
    }
    assert!(nothing_yet > 100, "most cuts are before the sealing");
    let spare = slot_pages(&whole.engine, slot::OUTPUT).flat_map(|(_, page)| page).count();
    assert!(spare <= 4096, "the envelope of a few bytes is on one page");
}

/// A claim shows the spare slot's root. It must not be one that follows from a guess of the output,
/// whether the run answers, refuses or is cut short.
#[test]
fn what_waits_to_be_sealed_can_not_be_guessed() {
    let program = prebuilt("wordcount").expect("prebuilt");
    let spare_root = |salt: Salt, limit: StepLimit| {
        let data = [(&b"a secret"[..], salt), (&b""[..], Salt::PUBLIC)];
        let mut run =
            Run::new(Interpreter::new(loaded_as(&program, data, limit).expect("it fits")));
        run.advance(u64::MAX);
        (run.slot_root(SPARE), run.engine().cpu().step)
    };
    let (whole, steps) = spare_root(INPUT_SALT, StepLimit::MAX);
    for limit in [StepLimit::MAX, StepLimit::new(steps - 1_000).expect("in range")] {
        let of = |salt| spare_root(salt, limit).0;
        assert_ne!(
            of(INPUT_SALT),
            of(DATASET_SALT),
            "the same answer shows the same root: a guess can be checked"
        );
        assert_eq!(of(INPUT_SALT), whole, "and the salt is there before anything is sealed");
    }
}

/// The SDK's code on this computer, at the edges of chunks, with a root of cells.
#[test]
fn the_sdk_and_the_privacy_crate_agree_at_every_edge() {
    let chunk = CHUNK_BYTES;
    for length in
        [0, 1, 15, 16, 17, 63, 64, 65, chunk - 1, chunk, chunk + 1, 2 * chunk, 2 * chunk + 7]
    {
        for cells in [[0; 32], [0xce; 32]] {
            let plaintext: Vec<u8> = (0..length).map(|i| (i * 31 + i / 256) as u8).collect();
            let seal = Seal::new(&INPUT_SALT.0, &plaintext, &cells);
            let mut envelope = seal.header().to_vec();
            for (index, part) in plaintext.chunks(chunk).enumerate() {
                let mut sealed = vec![0; part.len() + TAG_BYTES];
                seal.chunk(index, part, &mut sealed);
                envelope.extend(sealed);
            }
            if length == 0 {
                let mut sealed = [0; TAG_BYTES];
                seal.chunk(0, &[], &mut sealed);
                envelope.extend(sealed);
            }
            assert_eq!(envelope.len(), envelope_bytes(length));
            let ours = seal_output(&INPUT_SALT, &plaintext, Hash(cells)).expect("it fits");
            assert_eq!(envelope, ours, "{length} bytes");
            assert_eq!(Header::from_bytes(&ours).expect("a header").cells_root(), Hash(cells));
            let stranger = open_output(&DATASET_SALT, &ours).map(drop);
            assert_eq!(stranger, Err(EnvelopeError::Key));
        }
    }
}
