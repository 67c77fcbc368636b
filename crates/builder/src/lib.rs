//! Finding a compiler for the machine, and building programs with it: what `assay program build`
//! and the project's own prebuilt programs share.
//!
//! The same sources and the same toolchain give the same bytes, wherever the checkout, the cargo
//! home and the target folder lie: see [`Compiler::build`].

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

/// The machine's name among rustc's targets.
pub const TARGET: &str = "riscv32im-unknown-none-elf";

/// Debian's packages that can build for it where rustup can't.
pub const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "lld"];

const LINKER_VARIABLE: &str = "CARGO_TARGET_RISCV32IM_UNKNOWN_NONE_ELF_LINKER";

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

/// What decides a program's bytes beside its sources: equal toolchains build equal programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toolchain {
    /// Where the core library comes from.
    pub method: Method,
    /// `rustc -V`.
    pub rustc: String,
    /// `cargo -V`: cargo picks the hashes in symbol names.
    pub cargo: String,
    /// The linker's `--version`, or that it is rustc's own.
    pub linker: String,
}

/// Where the core library comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Compiled with the program, from the sources that come with rustc.
    BuildStd,
    /// rustup's precompiled target.
    Target,
}

/// Why a program could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// cargo can't be started.
    #[error("cannot start cargo: {0}")]
    Cargo(#[from] std::io::Error),
    /// The compiler refused the sources; it said why on standard error.
    #[error("the build failed: see the compiler's messages above")]
    Failed,
    /// `cargo metadata` failed or said something else than expected.
    #[error("cargo can't describe the package: {0}")]
    Metadata(String),
    /// The package has no binary.
    #[error("the package has no binary to build: add src/main.rs")]
    NoBinary,
}

/// A rustc that can build for the machine here.
#[derive(Debug, Clone)]
pub struct Compiler {
    rustc: PathBuf,
    /// `None` for rustc's own.
    linker: Option<&'static str>,
    toolchain: Toolchain,
}

/// What to build.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// The folder of the package or workspace.
    pub folder: &'a Path,
    /// The package, where the folder holds several.
    pub package: Option<&'a str>,
    /// The cargo profile.
    pub profile: &'a str,
    /// Where to build; `None` for cargo's choice.
    pub target_folder: Option<&'a Path>,
    /// Whether `Cargo.lock` must be up to date.
    pub locked: bool,
}

/// A program that was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Built {
    /// The binary's name.
    pub name: String,
    /// The ELF.
    pub file: PathBuf,
}

impl Compiler {
    /// Every compiler found: Debian's first, since the project's prebuilt programs come from it,
    /// then the one on the PATH.
    pub fn find_all() -> Vec<Self> {
        let candidates = ["/usr/bin/rustc", "rustc"].map(PathBuf::from);
        let methods = [Method::BuildStd, Method::Target];
        let all =
            candidates.iter().flat_map(|rustc| methods.map(|method| Self::find(rustc, method)));
        all.flatten().collect()
    }

    /// How to get a compiler where there is none.
    pub fn how_to_get_one() -> String {
        format!(
            "run `rustup target add {TARGET}`, or on Debian `apt-get install {}`",
            DEBIAN_PACKAGES.join(" ")
        )
    }

    /// What it is.
    pub fn toolchain(&self) -> &Toolchain {
        &self.toolchain
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

    /// Builds a package's binaries. The compiler's messages go to standard error.
    ///
    /// No folder of this computer gets into the ELFs: paths in panic messages are mapped to names
    /// of packages. So equal sources and toolchains give equal bytes.
    pub fn build(&self, build: &Build<'_>) -> Result<Vec<Built>, BuildError> {
        let mut command = Command::new(cargo());
        for variable in FOREIGN_VARIABLES {
            command.env_remove(variable);
        }
        command
            .current_dir(build.folder)
            .env("RUSTC", &self.rustc)
            // build-std needs it on a stable cargo.
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["build", "--bins", "--message-format", "json-render-diagnostics"])
            .args(["--profile", build.profile, "--target", TARGET])
            .args(["--config", &self.path_flags(build)?])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        if build.locked {
            command.args(["--quiet", "--locked"]);
        }
        if let Some(package) = build.package {
            command.args(["--package", package]);
        }
        if let Some(folder) = build.target_folder {
            command.arg("--target-dir").arg(folder);
        }
        if let Some(linker) = self.linker {
            command.env(LINKER_VARIABLE, linker);
        }
        if self.toolchain.method == Method::BuildStd {
            command.args(["-Z", "build-std=core,alloc,compiler_builtins"]);
            command.args(["-Z", "build-std-features=compiler-builtins-mem"]);
        }
        let output = command.output()?;
        if !output.status.success() {
            return Err(BuildError::Failed);
        }
        let built = executables(&String::from_utf8_lossy(&output.stdout));
        if built.is_empty() { Err(BuildError::NoBinary) } else { Ok(built) }
    }

    /// Flags that keep this computer's folders out of the messages of panics, wherever cargo keeps
    /// packages.
    fn path_flags(&self, build: &Build<'_>) -> Result<String, BuildError> {
        let mut command = Command::new(cargo());
        command.current_dir(build.folder).args(["metadata", "--format-version", "1"]);
        command.args(["--filter-platform", TARGET]).stderr(Stdio::inherit());
        let output = command.output()?;
        if !output.status.success() {
            return Err(BuildError::Metadata("see its message above".to_owned()));
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout)
            .map_err(|error| BuildError::Metadata(error.to_string()))?;
        let sysroot = output_of(Command::new(&self.rustc).args(["--print", "sysroot"]));
        let library = Path::new(&sysroot.unwrap_or_default()).join("lib/rustlib/src/rust/library");
        let mut mapped =
            vec![(metadata.workspace_root, "assay".to_owned()), (library, "library".to_owned())];
        let packages = metadata.packages.iter().filter(|package| package.source.is_some());
        let homes: BTreeSet<&Path> =
            packages.filter_map(|package| package.manifest_path.parent()?.parent()).collect();
        mapped.extend(homes.into_iter().map(|home| (home.to_owned(), "crates".to_owned())));
        let flags: Vec<String> = mapped
            .iter()
            .map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display()))
            .collect();
        // A JSON array of strings is a TOML one too. Cargo joins it with the flags in
        // .cargo/config.toml.
        let flags = serde_json::to_string(&flags);
        let flags = flags.map_err(|error| BuildError::Metadata(error.to_string()))?;
        Ok(format!("target.{TARGET}.rustflags={flags}"))
    }
}

/// The binaries in cargo's messages, a JSON object a line.
fn executables(messages: &str) -> Vec<Built> {
    let built = |line: &str| {
        let message: Message = serde_json::from_str(line).ok()?;
        Some(Built { name: message.target?.name, file: message.executable? })
    };
    messages.lines().filter_map(built).collect()
}

#[derive(Deserialize)]
struct Message {
    target: Option<MessageTarget>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct MessageTarget {
    name: String,
}

/// The part of `cargo metadata` that is needed here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    /// `None` for the workspace's own.
    source: Option<String>,
    manifest_path: PathBuf,
}

/// The cargo that runs this, or the one on the PATH.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A command's standard output without the last line end, or `None` if it can't be run or fails.
fn output_of(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok();
    let output = output.filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
