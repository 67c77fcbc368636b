//! The same program on other people's machines.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use assay_fuzz::asm::{ElfSegment, elf};
use assay_machine::{Machine, Program, slot};
use assay_merkle::{PAGE_SIZE, SLOT_PAGES};
use rrs_lib::instruction_executor::InstructionExecutor;
use rrs_lib::{HartState, MemAccessSize, Memory};

/// The most that a program of the benchmark may write to its output slot.
const OUTPUT_SIZE: u32 = 1 << 20;

/// An ELF that holds the inputs' slots too, so that qemu maps them; and an output slot.
pub(crate) fn elf_with_slots(program: &Program, machine: &Machine) -> Vec<u8> {
    let mut segments: Vec<ElfSegment> = program
        .segments()
        .map(|(address, size, bytes, flags)| ElfSegment {
            address,
            bytes: bytes.to_vec(),
            size,
            flags,
        })
        .collect();
    for slot in [slot::INPUT, slot::DATASET] {
        let pages = (0..SLOT_PAGES).map_while(|n| machine.memory.page(slot * SLOT_PAGES + n));
        let mut bytes: Vec<u8> = pages.flatten().copied().collect();
        bytes.resize(bytes.len().max(PAGE_SIZE as usize), 0);
        let size = bytes.len() as u32;
        segments.push(ElfSegment { address: slot::base(slot), bytes, size, flags: 6 });
    }
    for slot in [slot::SCRATCH, slot::OUTPUT] {
        let address = slot::base(slot);
        segments.push(ElfSegment { address, bytes: vec![], size: OUTPUT_SIZE, flags: 6 });
    }
    elf(program.entry(), &segments)
}

/// Writes an executable file.
pub(crate) fn write_executable(bytes: &[u8]) -> std::io::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("assay-bench-{}.elf", std::process::id()));
    OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o700)
        .open(&path)?
        .write_all(bytes)?;
    Ok(path)
}

/// Runs a file under qemu; it must exit with 0.
pub(crate) fn run_qemu(qemu: &Path, file: &Path) -> Result<(), String> {
    let output = Command::new(qemu).arg(file).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(format!("qemu-riscv32: {}", output.status)) }
}

/// Runs a machine on rrs-lib for so many steps, over flat memory: as fast as that library goes.
pub(crate) fn run_rrs(machine: &Machine, steps: u64) -> Result<u32, String> {
    let mut hart = HartState::new();
    hart.pc = machine.cpu.pc;
    let mut memory = FlatMemory::new(machine);
    let mut executor = InstructionExecutor { hart_state: &mut hart, mem: &mut memory };
    for step in 0..steps {
        executor.step().map_err(|error| format!("rrs-lib stopped at step {step}: {error:?}"))?;
    }
    Ok(hart.registers[10])
}

/// Slots as flat buffers; untouched parts cost no memory.
struct FlatMemory {
    slots: [Vec<u8>; 6],
}

impl FlatMemory {
    fn new(machine: &Machine) -> Self {
        let slots = std::array::from_fn(|slot| {
            let first = slot as u32 * SLOT_PAGES;
            let mut bytes = vec![0; 1 << 29];
            for page in 0..SLOT_PAGES {
                if let Some(content) = machine.memory.page(first + page) {
                    let at = (page * PAGE_SIZE) as usize;
                    bytes[at..at + content.len()].copy_from_slice(content);
                }
            }
            bytes
        });
        FlatMemory { slots }
    }

    fn place(&mut self, address: u32, size: usize) -> Option<&mut [u8]> {
        let offset = (address & ((1 << 29) - 1)) as usize;
        self.slots.get_mut((address >> 29) as usize)?.get_mut(offset..offset + size)
    }
}

impl Memory for FlatMemory {
    fn read_mem(&mut self, address: u32, size: MemAccessSize) -> Option<u32> {
        Some(match size {
            MemAccessSize::Byte => u32::from(self.place(address, 1)?[0]),
            MemAccessSize::HalfWord => {
                u32::from(u16::from_le_bytes(self.place(address, 2)?.try_into().ok()?))
            }
            MemAccessSize::Word => u32::from_le_bytes(self.place(address, 4)?.try_into().ok()?),
        })
    }

    fn write_mem(&mut self, address: u32, size: MemAccessSize, value: u32) -> bool {
        let bytes = value.to_le_bytes();
        let size = match size {
            MemAccessSize::Byte => 1,
            MemAccessSize::HalfWord => 2,
            MemAccessSize::Word => 4,
        };
        let place = self.place(address, size);
        place.map(|place| place.copy_from_slice(&bytes[..size])).is_some()
    }
}
