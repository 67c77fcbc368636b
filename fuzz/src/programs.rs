//! The prebuilt programs on the example data: what each run must give, whatever the build and the
//! number of threads.

use std::path::{Path, PathBuf};

use assay_machine::{
    Interpreter, Level, Machine, Program, Run, Status, StepLimit, blob_bytes, slot, slot_blob,
    trace_segment,
};
use assay_merkle::BlobHeader;
use assay_types::{BlobRoot, Hash, MemoryRoot, ProgramId, Salt, StateHash};
use rayon::ThreadPoolBuilder;
use serde::{Deserialize, Serialize};

/// A program, its input, its dataset, and the answer that other means computed, where there is one.
pub struct Example {
    /// The program's name.
    pub program: &'static str,
    /// The input: a file of `examples/data`, or the text itself.
    pub input: Source,
    /// The dataset: a file of `examples/data`.
    pub dataset: Source,
    /// The expected output, a file of `programs/`.
    pub expected: Option<&'static str>,
}

/// Where an example's bytes come from.
pub enum Source {
    /// A file under `examples/data`.
    Data(&'static str),
    /// These bytes.
    Text(&'static str),
}

use Source::{Data, Text};

/// Every program on every file of the example data that it can read.
pub const EXAMPLES: [Example; 9] = [
    Example {
        program: "wordcount",
        input: Data("pride-and-prejudice.txt"),
        dataset: Text(""),
        expected: Some("wordcount/expected/pride-and-prejudice.csv"),
    },
    Example {
        program: "wordcount",
        input: Data("seattle-weather.csv"),
        dataset: Text(""),
        expected: None,
    },
    Example {
        program: "csvstats",
        input: Text("value=temp_max\ngroup=weather\n"),
        dataset: Data("seattle-weather.csv"),
        expected: Some("csvstats/expected/seattle-weather.csv"),
    },
    Example {
        program: "csvstats",
        input: Text("value=mean_radius\ngroup=diagnosis\nquantiles=0.1,0.9\n"),
        dataset: Data("breast-cancer.csv"),
        expected: None,
    },
    Example {
        program: "score",
        input: Data("breast-cancer.csv"),
        dataset: Data("breast-cancer.gbt"),
        expected: Some("score/expected/breast-cancer.csv"),
    },
    Example {
        program: "montecarlo",
        input: Text("seed=assay\npaths=20000\n"),
        dataset: Data("wti-daily.csv"),
        expected: None,
    },
    Example {
        program: "sha256",
        input: Data("pride-and-prejudice.txt"),
        dataset: Data("wti-daily.csv"),
        expected: None,
    },
    // Refusals are outcomes too, with a message and an empty output.
    Example {
        program: "csvstats",
        input: Text("value=no_such_column\n"),
        dataset: Data("seattle-weather.csv"),
        expected: None,
    },
    Example { program: "montecarlo", input: Text(""), dataset: Text(""), expected: None },
];

/// What a run gave: a line of `vectors/programs.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The program's name.
    pub name: String,
    /// Its id.
    pub program: ProgramId,
    /// The input's root.
    pub input: BlobRoot,
    /// The dataset's root.
    pub dataset: BlobRoot,
    /// The output's root.
    pub output: BlobRoot,
    /// Exit code; all examples exit.
    pub exit_code: u32,
    /// Steps taken.
    pub steps: u64,
    /// The final memory's root.
    pub memory: MemoryRoot,
    /// The final state's hash.
    pub final_state: StateHash,
    /// The top trace's root.
    pub trace_root: Hash,
}

/// The project's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Source {
    /// The bytes. `Err` names the file that can't be read.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            Text(text) => Ok(text.as_bytes().to_vec()),
            Data(name) => read(&root().join("examples/data").join(name)),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// A prebuilt program.
pub fn prebuilt(name: &str) -> Result<Program, String> {
    let elf = read(&root().join(format!("programs/prebuilt/{name}.elf")))?;
    Program::from_elf(&elf).map_err(|error| format!("{name}: {error}"))
}

/// A program with its input and dataset loaded, as public blobs.
pub fn loaded(program: &Program, input: &[u8], dataset: &[u8]) -> Result<Machine, String> {
    loaded_as(program, [(input, Salt::PUBLIC), (dataset, Salt::PUBLIC)], StepLimit::MAX)
}

/// A program with its input and dataset loaded, each under its salt.
pub fn loaded_as(
    program: &Program,
    [input, dataset]: [(&[u8], Salt); 2],
    limit: StepLimit,
) -> Result<Machine, String> {
    let mut machine = Machine::new(program, limit);
    for (slot, (bytes, salt)) in [(slot::INPUT, input), (slot::DATASET, dataset)] {
        let header = BlobHeader::new(bytes.len() as u64, salt);
        machine.memory.put_blob(slot, header.map_err(|error| error.to_string())?, bytes);
    }
    Ok(machine)
}

impl Example {
    /// The machine with everything loaded.
    pub fn machine(&self) -> Result<Machine, String> {
        loaded(&prebuilt(self.program)?, &self.input.bytes()?, &self.dataset.bytes()?)
    }

    /// Runs it, and checks the output against what is expected.
    pub fn run(&self) -> Result<Recorded, String> {
        let machine = self.machine()?;
        let mut run = Run::new(Interpreter::new(machine));
        let [input, dataset] = [slot::INPUT, slot::DATASET].map(|slot| run.slot_root(slot));
        let trace_root = trace_segment(&mut run, Level::Top, |_| ());
        let state = run.state();
        let Status::Exited { code: exit_code } = state.cpu.status else {
            return Err(format!("{} ended as {:?}", self.program, run.engine().trap()));
        };
        let header = slot_blob(run.engine(), slot::OUTPUT).map_err(|error| error.to_string())?;
        let output: Vec<u8> =
            blob_bytes(run.engine(), slot::OUTPUT, header).flatten().copied().collect();
        if let Some(expected) = self.expected
            && output != read(&root().join("programs").join(expected))?
        {
            return Err(format!("{}: the output is not {expected}", self.program));
        }
        Ok(Recorded {
            name: self.program.to_owned(),
            program: prebuilt(self.program)?.id(),
            input,
            dataset,
            output: run.slot_root(slot::OUTPUT),
            exit_code,
            steps: state.cpu.step,
            memory: state.memory_root,
            final_state: state.hash(),
            trace_root,
        })
    }
}

/// Runs all examples: the content of `vectors/programs.json`.
pub fn results() -> Result<Vec<Recorded>, String> {
    EXAMPLES.iter().map(Example::run).collect()
}

/// What was recorded of all examples.
pub fn recorded() -> Result<Vec<Recorded>, String> {
    let text = read(&root().join("vectors/programs.json"))?;
    serde_json::from_slice(&text).map_err(|error| format!("vectors/programs.json: {error}"))
}

/// Runs all examples on so many threads; `Err` names the first that is not what was recorded.
pub fn check(threads: usize) -> Result<(), String> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    let found = pool.map_err(|error| error.to_string())?.install(results)?;
    let recorded = recorded()?;
    if (found.len(), recorded.len()) != (EXAMPLES.len(), EXAMPLES.len()) {
        return Err(format!("{} of {} examples were recorded", recorded.len(), EXAMPLES.len()));
    }
    match found.iter().zip(&recorded).find(|(found, recorded)| found != recorded) {
        None => Ok(()),
        Some((found, recorded)) => {
            let next = "if the programs changed: cargo xtask vectors";
            Err(format!(
                "{threads} threads came to {found:?}, and {recorded:?} was recorded; {next}"
            ))
        }
    }
}
