//! `cargo xtask programs`: builds the programs for the machine, or checks that the committed ones are what they should be.
//!
//! The same sources and the same toolchain give the same bytes, wherever the checkout, the cargo home and the target
//! folder lie. Another toolchain may give others, so `programs/prebuilt/manifest.json` records the one that was used.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const TARGET: &str = "riscv32im-unknown-none-elf";
const LINKER_VARIABLE: &str = "CARGO_TARGET_RISCV32IM_UNKNOWN_NONE_ELF_LINKER";
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "lld"];

/// What would change the flags, and so the bytes, from outside.
const FOREIGN_VARIABLES: [&str; 7] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_TARGET_RISCV32IM_UNKNOWN_NONE_ELF_RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_INCREMENTAL",
];

/// Builds the programs and writes `programs/prebuilt/`, or with `--check` compares what is there. `--install` first installs
/// Debian's toolchain, where that is possible.
///
/// Errors on a wrong argument, a failed build, and on a prebuilt program that is not what the manifest or a rebuild says.
/// Without a fitting toolchain `--check` says what it skipped and succeeds.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut check, mut install) = (false, false);
    for argument in arguments {
        match argument.as_str() {
            "--check" => check = true,
            "--install" => install = true,
            other => return Err(format!("programs: {other:?} is neither --check nor --install")),
        }
    }
    if install {
        install_debian_packages()?;
    }
    let folders = Folders::find()?;
    if check { check_prebuilt(&folders) } else { write_prebuilt(&folders) }
}

/// `programs/prebuilt/manifest.json`.
#[derive(Serialize, Deserialize)]
struct Manifest {
    toolchain: Toolchain,
    programs: Vec<Program>,
}

/// What decides the bytes beside the sources: equal toolchains build equal programs.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Toolchain {
    /// Where the core library comes from.
    method: Method,
    /// `rustc -V`.
    rustc: String,
    /// `cargo -V`: cargo picks the hashes in symbol names.
    cargo: String,
    /// The linker's `--version`, or that it is rustc's own.
    linker: String,
}

#[derive(Serialize, Deserialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Method {
    /// Compiled with the program, from the sources that come with rustc.
    BuildStd,
    /// rustup's precompiled target.
    Target,
}

#[derive(Serialize, Deserialize)]
struct Program {
    name: String,
    /// Size of the ELF in bytes.
    bytes: u64,
    /// SHA-256 of the ELF, hex.
    sha256: String,
    /// The program id (spec/machine.md#programs), hex.
    id: Option<String>,
}

struct Folders {
    root: PathBuf,
    prebuilt: PathBuf,
    target: PathBuf,
}

impl Folders {
    fn find() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let root = root.canonicalize().map_err(|error| format!("{}: {error}", root.display()))?;
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Ok(Self { prebuilt: root.join("programs/prebuilt"), target: target.join("programs"), root })
    }

    /// The programs are the folders under `programs/` that are packages.
    fn program_names(&self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join("programs")).map_err(at("programs"))? {
            let entry = entry.map_err(at("programs"))?;
            if entry.path().join("Cargo.toml").exists() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn prebuilt_elf(&self, name: &str) -> PathBuf {
        self.prebuilt.join(format!("{name}.elf"))
    }

    fn read_manifest(&self) -> Result<Manifest, String> {
        let path = self.prebuilt.join("manifest.json");
        serde_json::from_slice(&read(&path)?)
            .map_err(|error| format!("{}: {error}", path.display()))
    }
}

fn write_prebuilt(folders: &Folders) -> Result<(), String> {
    let Some(compiler) = Compiler::find_all().into_iter().next() else {
        return Err(format!("no toolchain builds {TARGET} here: {}", how_to_get_one()));
    };
    let known = folders.read_manifest().map(|manifest| manifest.programs).unwrap_or_default();
    fs::create_dir_all(&folders.prebuilt).map_err(at("programs/prebuilt"))?;
    let mut programs = Vec::new();
    for name in folders.program_names()? {
        let elf = compiler.build(folders, &name)?;
        let path = folders.prebuilt_elf(&name);
        fs::write(&path, &elf).map_err(at(&path.display().to_string()))?;
        let sha256 = hex::encode(Sha256::digest(&elf));
        // An id holds for as long as the bytes do.
        let id = known.iter().find(|program| program.sha256 == sha256).and_then(|p| p.id.clone());
        println!("{name}: {} bytes, {sha256}", elf.len());
        programs.push(Program { name, bytes: elf.len() as u64, sha256, id });
    }
    let manifest = Manifest { toolchain: compiler.toolchain, programs };
    let text = serde_json::to_string_pretty(&manifest).map_err(|error| error.to_string())? + "\n";
    fs::write(folders.prebuilt.join("manifest.json"), text).map_err(at("manifest.json"))
}

fn check_prebuilt(folders: &Folders) -> Result<(), String> {
    let manifest = folders.read_manifest()?;
    let mut wrong = check_digests(folders, &manifest)?;
    let compilers = Compiler::find_all();
    match compilers.iter().find(|compiler| compiler.toolchain == manifest.toolchain) {
        Some(compiler) => {
            for program in &manifest.programs {
                if compiler.build(folders, &program.name)?
                    == read(&folders.prebuilt_elf(&program.name))?
                {
                    println!("{}: the rebuilt bytes are the same", program.name);
                } else {
                    wrong.push(format!("{}: a rebuild gives other bytes", program.name));
                }
            }
        }
        None => say_what_is_skipped(&manifest, compilers.first()),
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{}\n`cargo xtask programs` builds them anew", wrong.join("\n")))
}

/// What needs no toolchain: every program is there, and has the digest that the manifest says.
fn check_digests(folders: &Folders, manifest: &Manifest) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    let listed: Vec<&str> = manifest.programs.iter().map(|program| program.name.as_str()).collect();
    if listed != folders.program_names()? {
        wrong.push(format!("the manifest lists {listed:?}, programs/ has others"));
    }
    for program in &manifest.programs {
        let digest = hex::encode(Sha256::digest(read(&folders.prebuilt_elf(&program.name))?));
        if digest == program.sha256 {
            println!("{}: the prebuilt ELF has the manifest's digest", program.name);
        } else {
            wrong.push(format!("{}: the prebuilt ELF's digest is {digest}", program.name));
        }
    }
    Ok(wrong)
}

fn say_what_is_skipped(manifest: &Manifest, present: Option<&Compiler>) {
    let names: Vec<&str> = manifest.programs.iter().map(|program| program.name.as_str()).collect();
    println!("skipped: rebuilding {}", names.join(", "));
    let Toolchain { rustc, cargo, linker, .. } = &manifest.toolchain;
    println!("  they were built with {rustc}, {cargo}, {linker}");
    match present {
        Some(Compiler { toolchain: Toolchain { rustc, cargo, linker, .. }, .. }) => {
            println!("  here is {rustc}, {cargo}, {linker}: its bits may differ");
        }
        None => println!("  no toolchain builds {TARGET} here: {}", how_to_get_one()),
    }
}

fn how_to_get_one() -> String {
    format!(
        "`rustup target add {TARGET}`, or on Debian `cargo xtask programs --install` as root ({})",
        DEBIAN_PACKAGES.join(", ")
    )
}

/// A rustc that can build for the machine here.
struct Compiler {
    rustc: PathBuf,
    /// `None` for rustc's own.
    linker: Option<&'static str>,
    toolchain: Toolchain,
}

impl Compiler {
    /// Debian's first, since that is what the prebuilt programs come from.
    fn find_all() -> Vec<Self> {
        let candidates = ["/usr/bin/rustc", "rustc"].map(PathBuf::from);
        let methods = [Method::BuildStd, Method::Target];
        let all =
            candidates.iter().flat_map(|rustc| methods.map(|method| Self::find(rustc, method)));
        all.flatten().collect()
    }

    fn find(rustc: &Path, method: Method) -> Option<Self> {
        let print = |arguments: &[&str]| output_of(Command::new(rustc).args(arguments));
        let version = print(&["-V"])?;
        let (linker, linker_version) = match method {
            Method::BuildStd => {
                let sysroot = PathBuf::from(print(&["--print", "sysroot"])?);
                if !sysroot.join("lib/rustlib/src/rust/library/Cargo.toml").exists() {
                    return None;
                }
                (Some("ld.lld"), output_of(Command::new("ld.lld").arg("--version"))?)
            }
            Method::Target => {
                let libraries = print(&["--print", "target-libdir", "--target", TARGET])?;
                if !Path::new(&libraries).exists() {
                    return None;
                }
                (None, "rustc's own linker".to_owned())
            }
        };
        let cargo = output_of(Command::new(cargo()).arg("-V"))?;
        let toolchain = Toolchain { method, rustc: version, cargo, linker: linker_version };
        Some(Self { rustc: rustc.to_owned(), linker, toolchain })
    }

    /// Builds one program, alone, so that no other package's features reach it, and gives the ELF.
    fn build(&self, folders: &Folders, name: &str) -> Result<Vec<u8>, String> {
        let mut command = Command::new(cargo());
        for variable in FOREIGN_VARIABLES {
            command.env_remove(variable);
        }
        command
            .current_dir(&folders.root)
            .env("RUSTC", &self.rustc)
            // build-std needs it on a stable cargo.
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["build", "--quiet", "--locked", "--profile", "program", "--target", TARGET])
            .args(["--config", &self.path_flags(folders)?])
            .args(["--package", &format!("assay-program-{name}"), "--bin", name, "--target-dir"])
            .arg(&folders.target);
        if let Some(linker) = self.linker {
            command.env(LINKER_VARIABLE, linker);
        }
        if self.toolchain.method == Method::BuildStd {
            command.args(["-Z", "build-std=core,alloc,compiler_builtins"]);
            command.args(["-Z", "build-std-features=compiler-builtins-mem"]);
        }
        let status = command.status().map_err(|error| format!("cargo: {error}"))?;
        if !status.success() {
            return Err(format!("{name}: the build failed"));
        }
        read(&folders.target.join(TARGET).join("program").join(name))
    }

    /// Flags that keep this machine's folders out of the messages of panics: a package is called by name and version,
    /// wherever cargo keeps it.
    fn path_flags(&self, folders: &Folders) -> Result<String, String> {
        let mut mapped = vec![(folders.root.clone(), "assay".to_owned())];
        let sysroot = output_of(Command::new(&self.rustc).args(["--print", "sysroot"]));
        let library = "lib/rustlib/src/rust/library";
        mapped
            .push((PathBuf::from(sysroot.unwrap_or_default()).join(library), "library".to_owned()));
        let metadata = output_of(Command::new(cargo()).current_dir(&folders.root).args([
            "metadata",
            "--locked",
            "--format-version",
            "1",
            "--filter-platform",
            TARGET,
        ]));
        let metadata = metadata.ok_or("cargo metadata failed")?;
        let metadata: Metadata =
            serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
        let packages = metadata.packages.iter().filter(|package| package.source.is_some());
        let homes: BTreeSet<&Path> =
            packages.filter_map(|package| package.manifest_path.parent()?.parent()).collect();
        mapped.extend(homes.into_iter().map(|home| (home.to_owned(), "crates".to_owned())));
        let flags: Vec<String> = mapped
            .iter()
            .map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display()))
            .collect();
        // A JSON array of strings is a TOML one too. Cargo joins it with the flags in .cargo/config.toml.
        let flags = serde_json::to_string(&flags).map_err(|error| error.to_string())?;
        Ok(format!("target.{TARGET}.rustflags={flags}"))
    }
}

/// The part of `cargo metadata` that is needed here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    /// `None` for the workspace's own.
    source: Option<String>,
    manifest_path: PathBuf,
}

fn install_debian_packages() -> Result<(), String> {
    let is_root = output_of(Command::new("id").arg("-u")).as_deref() == Some("0");
    if !is_root || output_of(Command::new("apt-get").arg("--version")).is_none() {
        println!("skipped: installing {}: that takes apt-get and root", DEBIAN_PACKAGES.join(", "));
        return Ok(());
    }
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments).args(DEBIAN_PACKAGES);
        command.status().is_ok_and(|status| status.success())
    };
    let install = ["install", "--yes", "--no-install-recommends"];
    // Where they are installed already this succeeds without fresh lists.
    let updated =
        || Command::new("apt-get").arg("update").status().is_ok_and(|status| status.success());
    if apt_get(&install) || (updated() && apt_get(&install)) {
        return Ok(());
    }
    Err(format!("apt-get could not install {}", DEBIAN_PACKAGES.join(", ")))
}

/// The cargo that runs this chore.
fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// A command's standard output without the last line end, or `None` if it can't be run or fails.
fn output_of(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(at(&path.display().to_string()))
}

fn at(what: &str) -> impl Fn(std::io::Error) -> String {
    let what = what.to_owned();
    move |error| format!("{what}: {error}")
}
