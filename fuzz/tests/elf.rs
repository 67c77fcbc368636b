//! What an ELF must not be: each refusal by name (spec/machine.md#programs).

use assay_fuzz::asm::{DATA, ElfSegment, TEXT, elf, elf_of};
use assay_machine::{Program, ProgramError as E};

fn segment(address: u32, size: u32, flags: u32) -> ElfSegment {
    ElfSegment { address, bytes: vec![0x13; size.min(64) as usize], size, flags }
}

fn text() -> ElfSegment {
    segment(TEXT, 64, 5)
}

fn check(file: &[u8], expect: E) {
    assert_eq!(Program::from_elf(file), Err(expect));
}

/// A good file with bytes replaced.
fn bent(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = elf_of(&[0x13; 16], b"data");
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn the_files_that_the_others_bend_are_good() {
    assert!(Program::from_elf(&bent(0, b"")).is_ok());
    assert!(Program::from_elf(&elf(TEXT, &[text()])).is_ok());
}

#[test]
fn not_an_elf() {
    check(b"", E::NotElf);
    check(b"#!/bin/sh\necho hello\n", E::NotElf);
    check(&bent(0, b"\x7fELG"), E::NotElf);
    check(&bent(0, b"")[..40], E::NotElf);
    check(&bent(28, &u32::MAX.to_le_bytes()), E::NotElf);
}

#[test]
fn for_another_machine() {
    check(&bent(4, &[2]), E::Elf64);
    check(&bent(5, &[2]), E::BigEndian);
    check(&bent(18, &62u16.to_le_bytes()), E::Machine(62));
    check(&bent(36, &1u32.to_le_bytes()), E::Compressed);
    check(&bent(36, &4u32.to_le_bytes()), E::HardFloat);
}

#[test]
fn dynamic() {
    check(&bent(16, &3u16.to_le_bytes()), E::Dynamic);
    check(&bent(16, &1u16.to_le_bytes()), E::Dynamic);
    for kind in [2u32, 3] {
        check(&bent(52 + 32, &kind.to_le_bytes()), E::Dynamic);
    }
}

#[test]
fn truncated() {
    let file = bent(0, b"");
    check(&file[..file.len() - 1], E::Truncated(1));
    check(&bent(52 + 4, &u32::MAX.to_le_bytes()), E::Truncated(0));
}

#[test]
fn segments_out_of_place() {
    let outside = |address, size| {
        check(
            &elf(TEXT, &[text(), segment(address, size, 6)]),
            E::SegmentOutside { index: 1, address, size },
        );
    };
    outside(0, 64);
    outside(0x1_0000, 4);
    outside(0x1_0003, 1);
    outside(0xfff0, 0x20);
    outside(0x1fff_fff0, 0x20);
    outside(0x4000_0000, 4);
    outside(0xffff_fff0, 0x20);
    assert!(Program::from_elf(&elf(TEXT, &[text(), segment(0x1_0004, 4, 6)])).is_ok());
    assert!(Program::from_elf(&elf(TEXT, &[text(), segment(0x1fff_fff0, 16, 6)])).is_ok());
}

#[test]
fn overlapping() {
    let file = elf(TEXT, &[text(), segment(DATA, 100, 6), segment(DATA + 99, 8, 6)]);
    check(&file, E::SegmentsOverlap(DATA, DATA + 99));
    let file = elf(TEXT, &[text(), segment(TEXT + 60, 8, 4)]);
    check(&file, E::SegmentsOverlap(TEXT, TEXT + 60));
}

#[test]
fn more_in_the_file_than_in_memory() {
    let mut data = segment(DATA, 64, 6);
    data.size = 63;
    check(&elf(TEXT, &[text(), data]), E::SegmentSize(1));
}

#[test]
fn too_many_segments() {
    let all: Vec<_> = (0..65).map(|i| segment(DATA + 4096 * i, 4, 6)).collect();
    check(&elf(TEXT, &all), E::SegmentCount(65));
}

#[test]
fn writable_text() {
    check(&elf(TEXT, &[segment(TEXT, 64, 7)]), E::WritableText(TEXT));
    check(&elf(TEXT, &[text(), segment(TEXT + 4092, 8, 6)]), E::WritableText(TEXT + 4092));
    let between = [text(), segment(TEXT + 0x2000, 4, 6), segment(TEXT + 0x4000, 4, 5)];
    check(&elf(TEXT, &between), E::WritableText(TEXT + 0x2000));
    assert!(Program::from_elf(&elf(TEXT, &[text(), segment(TEXT + 4096, 8, 6)])).is_ok());
    assert!(Program::from_elf(&elf(TEXT, &[text(), segment(TEXT + 64, 8, 4)])).is_ok());
}

#[test]
fn no_text_or_too_much() {
    check(&elf(TEXT, &[segment(TEXT, 64, 6)]), E::NoText);
    let far = TEXT + (1 << 26);
    check(&elf(TEXT, &[text(), segment(far, 4, 5)]), E::TextTooLarge((1 << 26) + 4096));
    assert!(Program::from_elf(&elf(TEXT, &[text(), segment(far - 4, 4, 5)])).is_ok());
}

#[test]
fn entry_outside_text() {
    for entry in [0, TEXT - 4, TEXT + 2, TEXT + 4096, DATA] {
        check(&elf(entry, &[text(), segment(DATA, 4, 6)]), E::Entry(entry));
    }
}

/// The id binds what is loaded, where it starts and what may run; nothing else of the file.
#[test]
fn the_id_binds_the_program() {
    let id = |file: &[u8]| Program::from_elf(file).unwrap().id();
    let base = id(&elf(TEXT, &[text()]));
    assert_ne!(id(&elf(TEXT + 4, &[text()])), base, "entry");
    assert_ne!(id(&elf(TEXT, &[text(), segment(DATA, 1, 6)])), base, "data");
    assert_ne!(id(&elf(TEXT, &[text(), segment(TEXT + 4096, 4, 5)])), base, "text range");
    let mut other = elf(TEXT, &[text()]);
    other.extend(b"a section that is not loaded");
    assert_eq!(id(&other), base);
}
