//! The command as a person or a script meets it.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use assay_fuzz::asm::{elf_of, load_immediate, op};
use assay_machine::Op;
use serde_json::Value;

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("assay-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn assay(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command.args(arguments).current_dir(&self.0).stdin(Stdio::null()).output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.assay(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "quiet where nobody watches");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a command that must fail, and gives its error object.
    fn error(&self, code: i32, arguments: &[&str]) -> Value {
        let output = self.assay(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stdout));
        assert_eq!(text(&output.stdout), "", "no result beside an error");
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["schema"], "assay.error/1");
        assert!(error["cause"].is_string(), "an error has a cause: {error}");
        error
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// li a7, 93; ecall
const EXIT: [u32; 2] = [0x05d0_0893, 0x73];

/// Copies the first two words after the input's header to the output as a blob of 8 bytes, and
/// exits with a code.
fn copier(code: u32) -> Vec<u8> {
    let exit_code = code;
    let mut code = load_immediate(5, 0x4000_0020).to_vec();
    code.extend(load_immediate(6, 0x8000_0020));
    for offset in [0, 4] {
        code.push(op(Op::Lw, 7, 5, 0, offset));
        code.push(op(Op::Sw, 0, 6, 7, offset));
    }
    code.push(op(Op::Addi, 7, 0, 0, 8));
    code.push(op(Op::Sw, 0, 6, 7, -32));
    code.extend(load_immediate(10, exit_code));
    code.extend(EXIT);
    elf_of(&code, b"")
}

/// Writes a header that promises more than a slot holds.
fn odd() -> Vec<u8> {
    let mut code = load_immediate(6, 0x8000_0000).to_vec();
    code.extend(load_immediate(7, u32::MAX));
    code.push(op(Op::Sw, 0, 6, 7, 4));
    code.extend(EXIT);
    elf_of(&code, b"")
}

#[test]
fn a_job_runs_and_says_what_a_claim_would() {
    let folder = Folder::new("job");
    let program = folder.file("copier.elf", &copier(7));
    let input = folder.file("input", b"12345678 and more");
    let report = folder.json(&["exec", &program, "--input", &input]);
    assert_eq!(report["schema"], "assay.exec/1");
    assert_eq!(report["outcome"]["kind"], "exited");
    assert_eq!(report["outcome"]["code"], 7);
    assert_eq!(report["output_bytes"], 8);
    for field in ["program", "input", "dataset", "output", "final_state", "trace_root"] {
        assert_eq!(report[field].as_str().map(str::len), Some(64), "{field}");
    }
    let output = folder.assay(&["exec", &program, "--input", &input]);
    assert_eq!(output.status.code(), Some(0), "another exit code of the program is no failure");
    let shown = text(&output.stdout);
    for field in ["program", "input", "dataset", "output", "final_state", "trace_root"] {
        assert!(shown.contains(report[field].as_str().unwrap()), "{field} in\n{shown}");
    }
    assert!(shown.contains("exited with code 7"), "{shown}");
}

#[test]
fn only_an_answer_replaces_a_file() {
    let folder = Folder::new("answers");
    let input = folder.file("input", b"12345678 and more");
    let out = folder.file("out", b"of before");
    let exec = |program: &str| folder.json(&["exec", program, "--input", &input, "--output", &out]);
    let content = || std::fs::read(&out).unwrap();
    let trapping = elf_of(&[op(Op::Lw, 6, 0, 0, 2)], b"");
    for failing in [copier(7), copier(1), trapping] {
        let report = exec(&folder.file("failing.elf", &failing));
        assert_eq!(report["output_file"], Value::Null, "{report}");
        assert_eq!(content(), b"of before", "{report}");
    }
    let shown = folder.assay(&["exec", "failing.elf", "--output", &out]);
    assert!(text(&shown.stdout).contains("left as it was"), "{}", text(&shown.stdout));
    assert_eq!(exec(&folder.file("copier.elf", &copier(0)))["output_file"], out.as_str());
    assert_eq!(content(), b"12345678");
    // An empty answer is one.
    exec(&folder.file("silent.elf", &elf_of(&EXIT, b"")));
    assert_eq!(content(), b"");
}

#[test]
fn standard_input_and_output() {
    let folder = Folder::new("stdio");
    let program = folder.file("copier.elf", &copier(0));
    let mut child = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(["exec", &program, "--input", "-", "--output", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"abcdefgh").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "abcdefgh");
    assert!(text(&output.stderr).contains("final state"), "the report steps aside");
}

#[test]
fn outputs_chain_by_root_even_odd_ones() {
    let folder = Folder::new("chain");
    let (copier, odd) = (folder.file("copier.elf", &copier(0)), folder.file("odd.elf", &odd()));
    let first = folder.json(&["exec", &odd, "--output-image", "image"]);
    assert_eq!(first["output_bytes"], Value::Null);
    assert!(first["output_error"].as_str().unwrap().contains("do not fit"));
    let second = folder.json(&["exec", &copier, "--input-image", "image"]);
    assert_eq!(second["input"], first["output"], "one job's output is the next one's input");
    let error = folder.error(1, &["exec", &odd, "--output", "bytes"]);
    assert!(error["next"].as_str().unwrap().contains("--output-image"), "{error}");
}

#[test]
fn witnesses_verify_until_a_byte_changes() {
    let folder = Folder::new("witness");
    let program = folder.file("copier.elf", &copier(7));
    let run = folder.json(&["exec", &program, "--witness", "5"]);
    let file = run["witness_file"].as_str().unwrap();
    let report = folder.json(&["witness", "verify", file]);
    assert_eq!(report["step"], 5);
    assert_eq!(report["instruction"], "sw t2, 0(t1)");
    let steps = run["steps"].to_string();
    folder.json(&["exec", &program, "--witness", &steps, "--witness-file", "last"]);
    let last = folder.json(&["witness", "verify", "last"]);
    assert_eq!((&last["before"], &last["after"]), (&run["final_state"], &run["final_state"]));

    let mut bytes = std::fs::read(folder.path(file)).unwrap();
    bytes[100] ^= 1;
    let bent = folder.file("bent", &bytes);
    folder.error(3, &["witness", "verify", &bent]);
    let empty = folder.file("empty", b"");
    folder.error(3, &["witness", "verify", &empty]);
    folder.error(3, &["witness", "verify", &program]);
    let missing = folder.error(1, &["exec", &program, "--witness", "1000"]);
    assert_eq!(missing["cause"], format!("the run ended after {steps} steps"));
}

#[test]
fn traps_and_limits_are_outcomes() {
    let folder = Folder::new("outcomes");
    let mut code = load_immediate(5, 2).to_vec();
    code.push(op(Op::Lw, 6, 5, 0, 0));
    let trapping = folder.file("trapping.elf", &elf_of(&code, b""));
    let report = folder.json(&["exec", &trapping]);
    assert_eq!(report["outcome"]["kind"], "trapped");
    assert_eq!(report["trap"]["cause"], "misaligned load");
    assert_eq!(report["trap"]["instruction"], "lw t1, 0(t0)");
    assert_eq!(report["trap"]["registers"][5], 2);
    let endless = folder.file("endless.elf", &elf_of(&[op(Op::Jal, 0, 0, 0, 0)], b""));
    let report = folder.json(&["exec", &endless, "--steps-max", "1000"]);
    assert_eq!(report["outcome"]["kind"], "out_of_steps");
    assert_eq!(report["steps"], 1000);
    let shown = text(&folder.assay(&["exec", &trapping]).stdout);
    assert!(shown.contains("misaligned load at 0x11008"), "{shown}");
}

#[test]
fn last_words_are_shown_and_not_obeyed() {
    let folder = Folder::new("words");
    let words = b"assaye\x01\x01\x09\0\0\0no \x1b[2J!!";
    let mut code = load_immediate(5, 0x2000_0000).to_vec();
    for (i, word) in words.chunks(4).enumerate() {
        let mut bytes = [0; 4];
        bytes[..word.len()].copy_from_slice(word);
        code.extend(load_immediate(6, u32::from_le_bytes(bytes)));
        code.push(op(Op::Sw, 0, 5, 6, 4 * i as i32));
    }
    code.extend(EXIT);
    let program = folder.file("words.elf", &elf_of(&code, b""));
    let shown = text(&folder.assay(&["exec", &program]).stdout);
    assert!(shown.contains("message      no \\u{1b}[2J!!"), "{shown}");
}

#[test]
fn bad_input_has_a_cause_and_a_next_step() {
    let folder = Folder::new("bad");
    let program = folder.file("copier.elf", &copier(0));
    let text_file = folder.file("notes.txt", b"not a program");
    let empty = folder.file("empty", b"");
    let missing = folder.error(1, &["exec", "nowhere.elf"]);
    assert!(missing["error"].as_str().unwrap().contains("nowhere.elf"), "{missing}");
    assert!(missing["next"].is_string());
    for file in [&text_file, &empty] {
        let error = folder.error(1, &["exec", file]);
        assert!(error["cause"].as_str().unwrap().contains("not an ELF"), "{error}");
        folder.error(1, &["program", "inspect", file]);
    }
    folder.error(1, &["exec", &program, "--input", "nowhere"]);
    folder.error(1, &["exec", folder.0.to_str().unwrap()]);
    folder.error(1, &["exec", &program, "--input", folder.0.to_str().unwrap()]);
    folder.error(1, &["exec", &program, "--input-image", &text_file]);
    folder.error(1, &["exec", &program, "--output", "no/such/folder/out"]);
    for steps in ["0", "35184372088833"] {
        let error = folder.error(1, &["exec", &program, "--steps-max", steps]);
        assert!(error["cause"].as_str().unwrap().contains("1 to 2^45"), "{error}");
    }
    assert_eq!(folder.assay(&["exec"]).status.code(), Some(2));
    assert_eq!(folder.assay(&["exec", &program, "--steps-max", "many"]).status.code(), Some(2));
}

#[test]
fn an_input_that_does_not_fit_is_refused() {
    let folder = Folder::new("huge");
    let program = folder.file("copier.elf", &copier(7));
    let huge = std::fs::File::create(folder.path("huge")).unwrap();
    huge.set_len((1 << 29) - 31).unwrap();
    let error = folder.error(1, &["exec", &program, "--input", "huge"]);
    assert!(error["cause"].as_str().unwrap().contains("at most 536870880"), "{error}");
    huge.set_len((1 << 29) - 32).unwrap();
    assert_eq!(folder.json(&["exec", &program, "--input", "huge"])["outcome"]["code"], 7);
}

#[test]
fn inspect_tells_what_a_program_is() {
    let folder = Folder::new("inspect");
    let program = folder.file("copier.elf", &copier(7));
    let report = folder.json(&["program", "inspect", &program]);
    let run = folder.json(&["exec", &program]);
    assert_eq!(report["program"], run["program"]);
    assert_eq!(report["entry"], 0x1_1000);
    assert_eq!(report["segments"].as_array().map(Vec::len), Some(2));
    let shown = text(&folder.assay(&["program", "inspect", "--disassemble", &program]).stdout);
    assert!(shown.contains("   11010  0002a383  lw t2, 0(t0)"), "{shown}");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let folder = Folder::new("pipe");
    let program = folder.file("copier.elf", &copier(7));
    let mut child = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(["exec", &program])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    assert!(Path::new(&program).exists());
}

#[test]
fn a_new_program_is_made_once_and_under_a_plain_name() {
    let folder = Folder::new("new");
    let report = folder.json(&["program", "new", "greeter"]);
    assert_eq!(report["folder"], "greeter");
    let manifest = std::fs::read_to_string(folder.path("greeter/Cargo.toml")).unwrap();
    assert!(manifest.contains("name = \"greeter\"") && !manifest.contains("{{"), "{manifest}");
    let again = folder.error(1, &["program", "new", "greeter"]);
    assert_eq!(again["cause"], "it is already there");
    for name in ["Big", "1st", "..", "two words"] {
        folder.error(1, &["program", "new", name]);
    }
    let elsewhere = folder.error(1, &["program", "build", folder.0.to_str().unwrap()]);
    assert_eq!(elsewhere["cause"], "it has no Cargo.toml");
}

/// The whole way of somebody who writes a program, where a compiler for the machine is installed.
#[test]
fn a_new_program_builds_and_runs() {
    if assay_builder::Compiler::find_all().is_empty() {
        let how = assay_builder::Compiler::how_to_get_one();
        eprintln!("skipped: no compiler for the machine; {how}");
        return;
    }
    let folder = Folder::new("build");
    folder.json(&["program", "new", "greeter"]);
    // Kept between runs: building the core library takes most of the time.
    let output = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(["program", "build", "greeter", "--json"])
        .env("CARGO_TARGET_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/greeter"))
        .current_dir(&folder.0)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let program = &report["programs"][0];
    assert_eq!(program["name"], "greeter");
    let name = folder.file("name", b"Ada");
    let elf = program["file"].as_str().unwrap();
    let run = folder.json(&["exec", elf, "--input", &name, "--output", "greeting"]);
    assert_eq!(run["program"], program["program"]);
    assert_eq!(std::fs::read(folder.path("greeting")).unwrap(), b"Hello, Ada!\n");
    let empty = folder.json(&["exec", elf]);
    assert_eq!(empty["outcome"]["code"], 1);
    assert_eq!(empty["message"], "the input is empty: send a name");
}
