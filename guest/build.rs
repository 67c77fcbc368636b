//! Hands the linker script to whatever links against the SDK: `-Tassay.ld` finds it.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=assay.ld");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let folder = env::var("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
        fs::copy("assay.ld", Path::new(&folder).join("assay.ld"))
            .expect("the linker script can be copied to OUT_DIR");
        println!("cargo::rustc-link-search={folder}");
    }
}
