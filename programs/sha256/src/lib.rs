#![doc = include_str!("../README.md")]
#![no_std]

use assay_guest::sha2::{Digest, Sha256};
use assay_guest::{Error, Output};
use core::fmt::Write;

/// Writes the hex digest of the input, and of the dataset unless it is empty, a line each. Errors
/// only if the output is full.
pub fn run(input: &[u8], dataset: &[u8], output: &mut Output) -> Result<(), Error> {
    write_digest(input, output)?;
    if !dataset.is_empty() {
        write_digest(dataset, output)?;
    }
    Ok(())
}

fn write_digest(bytes: &[u8], output: &mut Output) -> Result<(), Error> {
    for byte in Sha256::digest(bytes) {
        write!(output, "{byte:02x}")?;
    }
    output.write(b"\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], dataset: &[u8], expect: &str) {
        let mut output = Output::new();
        run(input, dataset, &mut output).unwrap();
        assert_eq!(core::str::from_utf8(output.as_bytes()), Ok(expect));
    }

    // FIPS 180-4's examples.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";

    #[test]
    fn known_digests() {
        check(b"abc", b"", ABC);
        check(b"", b"", EMPTY);
        check(
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            b"",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1\n",
        );
    }

    #[test]
    fn a_dataset_adds_a_line() {
        let mut output = Output::new();
        run(b"", b"abc", &mut output).unwrap();
        assert_eq!(output.as_bytes(), [EMPTY.as_bytes(), ABC.as_bytes()].concat());
    }
}
