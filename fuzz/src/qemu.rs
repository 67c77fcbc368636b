//! The machine against qemu-riscv32, as whole processes. qemu is looser (it maps pages, allows
//! unaligned accesses), so programs here stay tame, and end by writing their registers and data to
//! standard output: a system call that the machine traps at, with the same bytes in memory.

use std::fs::OpenOptions;
use std::io::{Error, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use assay_machine::{Engine, Interpreter, Machine, Op, Program, Run, StepLimit, TrapCause};
use fastrand::Rng;

use crate::asm::{DATA, elf_of, load_immediate, op};
use crate::random::{Wildness, text};

/// What is compared: 4 KiB of data, then the registers.
const COMPARED: u32 = 4096 + 128;

/// The emulator, if it is installed.
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("qemu-riscv32"))
        .find(|file| file.is_file())
}

/// Runs one random program on both. Gives the instructions that the machine took; `Err` tells the
/// difference.
pub fn compare(qemu: &Path, folder: &Path, seed: u64) -> Result<u64, String> {
    let mut rng = Rng::with_seed(seed);
    let tame = Wildness { illegal: 0, stray: 0, free_registers: false };
    let size = rng.u32(50..1500);
    let text = text(&mut rng, size, tame, &dump());
    let mut data: Vec<u8> = (0..4096).map(|_| rng.u8(..)).collect();
    data.resize(8192, 0);
    let elf = elf_of(&text, &data);

    let program = Program::from_elf(&elf).map_err(|error| format!("seed {seed}: {error}"))?;
    let mut run = Run::new(Interpreter::new(Machine::new(&program, StepLimit::MAX)));
    run.advance(1 << 24);
    let engine = run.engine();
    let Some(trap) = engine.trap().filter(|trap| trap.cause == TrapCause::UnknownSystemCall) else {
        return Err(format!("seed {seed}: the machine ended as {:?}", engine.cpu().status));
    };
    debug_assert_eq!(trap.x[17], 64, "it traps at write");
    let pages = [0, 1].map(|page| engine.page(DATA / 4096 + page).copied().unwrap_or([0; 4096]));
    let ours = &pages.as_flattened()[..COMPARED as usize];

    let theirs = execute(qemu, folder, seed, &elf).map_err(|error| error.to_string())?;
    if theirs.status.code() != Some(0) || theirs.stdout != ours {
        let at = theirs.stdout.iter().zip(ours).position(|(a, b)| a != b);
        return Err(format!(
            "seed {seed}: qemu {}, {} bytes, first difference at {at:?}; {}",
            theirs.status,
            theirs.stdout.len(),
            String::from_utf8_lossy(&theirs.stderr),
        ));
    }
    Ok(engine.cpu().step)
}

/// Stores all registers after the data, writes both to standard output, exits with 0.
fn dump() -> Vec<u32> {
    let mut text = vec![op(Op::Addi, 9, 8, 0, 2032), op(Op::Addi, 9, 9, 0, 16)];
    text.extend((0..32).map(|register| op(Op::Sw, 0, 9, register, 4 * i32::from(register))));
    for (register, value) in [(10, 1), (11, DATA), (12, COMPARED), (17, 64)] {
        text.extend(load_immediate(register, value));
    }
    text.push(0x73);
    text.extend(load_immediate(10, 0));
    text.extend(load_immediate(17, 93));
    text.push(0x73);
    text
}

fn execute(qemu: &Path, folder: &Path, seed: u64, elf: &[u8]) -> Result<Output, Error> {
    let file = folder.join(format!("assay-{}-{seed}.elf", std::process::id()));
    // It refuses, without a word, a file that is not executable.
    OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o700)
        .open(&file)?
        .write_all(elf)?;
    let output = Command::new(qemu).arg(&file).output()?;
    std::fs::remove_file(&file)?;
    Ok(output)
}
