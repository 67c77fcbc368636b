//! What tests and long fuzz runs share: an assembler's worth of helpers, an ELF writer, random
//! programs, independent references (rrs-lib, qemu-riscv32), named edges, and the recorded vectors.
//! Not part of the product.

pub mod asm;
pub mod differential;
pub mod edges;
pub mod liar;
#[cfg(feature = "parsers")]
pub mod parsers;
pub mod programs;
pub mod qemu;
pub mod random;
pub mod rrs;
pub mod vectors;
