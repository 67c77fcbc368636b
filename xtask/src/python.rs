//! Other people's tools in Python, which check our artefacts.

use std::path::PathBuf;
use std::process::Command;

use crate::root;
use crate::run::{find, run};

/// What they check is in the tests that run them: `fuzz/tests/*.py`; moto is a server of S3's
/// protocol, for `crates/storage`.
const PACKAGES: [&str; 11] = [
    "tlog-scales==0.0.3",
    "securesystemslib==1.6.0",
    "cryptography==50.0.2",
    "pyhpke==0.6.5",
    "sd-jwt==0.10.4",
    "jwcrypto==1.6.1",
    "in-toto-attestation==0.9.3",
    "prov==3.2.3",
    "roc-validator==0.13.0",
    "requests-cache==1.3.3",
    "moto[server,s3]==5.2.5",
];

/// The interpreter of an environment under `target/` that has them. `None` where there is no
/// Python, which CI must have.
pub(crate) fn install() -> Result<Option<PathBuf>, String> {
    let is_ci = std::env::var_os("CI").is_some();
    if find("python3").is_none() {
        if is_ci {
            return Err("python3 is not installed".into());
        }
        println!("skipped: others' tools on our artefacts (python3 is not installed)");
        return Ok(None);
    }
    let environment = root().join("target/python");
    let python = environment.join("bin/python");
    let installed = make(&environment, &python);
    match installed {
        Ok(()) => Ok(Some(python)),
        Err(error) if is_ci => Err(error),
        Err(error) => {
            println!("skipped: others' tools on our artefacts ({error})");
            Ok(None)
        }
    }
}

fn make(environment: &PathBuf, python: &PathBuf) -> Result<(), String> {
    if !environment.join("bin/pip").exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(environment))?;
    }
    run(Command::new(python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))
}
