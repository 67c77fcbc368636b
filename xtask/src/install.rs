//! What some tests want beyond cargo. In CI it is installed; elsewhere a person decides, so it is
//! only named.

use std::process::Command;

use assay_builder::DEBIAN_PACKAGES;

use crate::run::{find, run};

/// An optional extra: a command that shows that it is there, the Debian packages that bring it,
/// what goes without it.
const EXTRAS: [(&str, &[&str], &str); 2] = [
    ("qemu-riscv32", &["qemu-user"], "comparing random programs with qemu"),
    ("ld.lld", &DEBIAN_PACKAGES, "rebuilding programs/prebuilt bit for bit"),
];

/// Installs the missing extras if this is CI and it may, and names those that stay missing.
pub(crate) fn extras() -> Result<(), String> {
    let missing: Vec<_> = EXTRAS.iter().filter(|extra| find(extra.0).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if std::env::var_os("CI").is_some() && find("apt-get").is_some() && is_root() {
        run(Command::new("apt-get").args(["-qq", "update"]))?;
        let packages = missing.iter().flat_map(|extra| extra.1);
        return run(Command::new("apt-get")
            .args(["-qq", "install", "--yes", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"));
    }
    for (command, packages, purpose) in missing {
        println!("skipped: {purpose} ({command} is not installed; Debian: {})", packages.join(" "));
    }
    Ok(())
}

/// Whether rustc has a target's library; installs it with rustup if this is CI.
pub(crate) fn target(name: &str) -> Result<bool, String> {
    if has_target(name) {
        return Ok(true);
    }
    if std::env::var_os("CI").is_none() || find("rustup").is_none() {
        return Ok(false);
    }
    run(Command::new("rustup").args(["target", "add", name]))?;
    Ok(has_target(name))
}

/// A Debian or a rustup toolchain has the library of each target in a folder.
fn has_target(name: &str) -> bool {
    let folder =
        Command::new("rustc").args(["--print", "target-libdir", "--target", name]).output();
    folder.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success() && std::path::Path::new(&folder).is_dir()
    })
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout == b"0\n")
}
