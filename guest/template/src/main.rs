#![cfg_attr(target_os = "none", no_std, no_main)]

use assay_guest::{Error, Output, bail};
use core::fmt::Write;

assay_guest::main!(run);

/// Greets whoever the input names.
fn run(input: &[u8], _dataset: &[u8], output: &mut Output) -> Result<(), Error> {
    let name = core::str::from_utf8(input)?.trim();
    if name.is_empty() {
        bail!("the input is empty: send a name");
    }
    writeln!(output, "Hello, {name}!")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greets() {
        let mut output = Output::new();
        run(b"Ada\n", b"", &mut output).unwrap();
        assert_eq!(output.as_bytes(), b"Hello, Ada!\n");
    }
}
