//! The riscv-tests suites rv32ui and rv32um (vectors/riscv-tests/README.md), through a harness of
//! their own: these ELFs pass by an ECALL with t0 = 0 and a0 = 0, which the machine traps at.

use assay_machine::{Engine, Interpreter, Machine, Program, StepLimit, TrapCause};

const T0: usize = 5;
const A0: usize = 10;

#[test]
fn all_47_pass() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/riscv-tests");
    let mut passed = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "elf") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let program = Program::from_elf(&std::fs::read(&path).unwrap()).unwrap();
        let mut engine = Interpreter::new(Machine::new(&program, StepLimit::MAX));
        engine.run_until(1_000_000);
        let trap = engine.trap().unwrap_or_else(|| panic!("{name} did not end with an ECALL"));
        assert_eq!(trap.cause, TrapCause::UnknownSystemCall, "{name}: {trap:?}");
        assert_eq!((trap.x[T0], trap.x[A0]), (0, 0), "{name} failed at its test in gp: {trap:?}");
        assert!(engine.cpu().step > 5, "{name} ran nothing");
        passed.push(name);
    }
    assert_eq!(passed.len(), 47, "{passed:?}");
}
