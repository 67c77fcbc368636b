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

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout == b"0\n")
}
