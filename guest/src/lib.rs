//! The SDK for programs of the Assay machine.
//!
//! A program is a pure function of two files, its input and its dataset:
//!
//! ```
//! use assay_guest::{Error, Output};
//! use core::fmt::Write;
//!
//! pub fn run(input: &[u8], _dataset: &[u8], output: &mut Output) -> Result<(), Error> {
//!     let name = core::str::from_utf8(input)?;
//!     if name.is_empty() {
//!         assay_guest::bail!("the input is empty: send a name");
//!     }
//!     writeln!(output, "Hello, {name}!")?;
//!     Ok(())
//! }
//! # let mut output = Output::new();
//! # run(b"Ada", b"", &mut output).unwrap();
//! # assert_eq!(output.as_bytes(), b"Hello, Ada!\n");
//! ```
//!
//! and `src/main.rs` makes it a program, for the machine and, for tests, for this computer:
//!
//! ```ignore
//! #![cfg_attr(target_os = "none", no_std, no_main)]
//! assay_guest::main!(hello::run);
//! ```
//!
//! Input and dataset are the slots' own memory, not copies. An error ends the program with exit
//! code 1, a panic with 101, and both leave their message where `assay exec` shows it; the output
//! is then empty. `spec/guest.md` has the conventions byte for byte.
//!
//! # Private jobs
//!
//! Where the input's salt is not zero the output is sealed as the program ends, under a key that
//! follows from that salt: see [`seal`]. A program need not know.
//!
//! # No floats
//!
//! The machine is RV32IM: 32-bit integers and nothing else. `f64` compiles, to calls of a software
//! library that take about 64 times as long as native doubles, and `u64` takes about 4 times as
//! long as `u32`. So compute in [`fixed`] point, whose types are integers with a binary point;
//! multiply `i32`-sized ones where the range allows. [`Decimal`] reads and writes the numbers of
//! tables exactly, [`math`] has the exponential.
//!
//! # Building
//!
//! Link with `-Tassay.ld`, which this crate's build script puts on the search path: see
//! `guest/template`.

#![no_std]

extern crate alloc;
#[cfg(not(target_os = "none"))]
extern crate std;

pub mod blob;
pub mod cells;
#[cfg(feature = "csv")]
pub mod csv;
mod decimal;
mod error;
#[cfg(target_os = "none")]
pub mod machine;
pub mod math;
#[cfg(not(target_os = "none"))]
pub mod native;
mod output;
mod params;
pub mod seal;

pub use decimal::{Decimal, DecimalError, parse_rounding_up};
pub use error::Error;
pub use fixed;
pub use output::{Output, OutputFull};
pub use params::Params;
pub use sha2;

/// Makes a function the program: `main!(path::to::run)`, once, in `src/main.rs`.
///
/// The function has the shape
/// `fn(input: &[u8], dataset: &[u8], output: &mut Output) -> Result<(), Error>`. Away from the
/// machine the same macro makes an ordinary `main` that reads files: see [`native`].
#[macro_export]
macro_rules! main {
    ($run:path) => {
        #[cfg(target_os = "none")]
        #[unsafe(no_mangle)]
        fn __assay_main(
            input: &[u8],
            dataset: &[u8],
            output: &mut $crate::Output,
        ) -> ::core::result::Result<(), $crate::Error> {
            $run(input, dataset, output)
        }

        #[cfg(not(target_os = "none"))]
        fn main() -> ::std::process::ExitCode {
            $crate::native::main($run)
        }
    };
}
