//! What a first build costs: `assay` and `assay-verify` from nothing but their sources, in
//! CPU-minutes of everything that cargo runs, beside what it was before profiles and features were
//! trimmed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::figure::{Figure, Goal};

/// Ticks a second of the times in /proc, on every Linux.
const TICKS_PER_SEC: f64 = 100.0;

/// A binary and what its first build may cost.
struct Product {
    package: &'static str,
    binary: &'static str,
    cpu_minutes_max: f64,
    megabytes_max: f64,
}

const PRODUCTS: [Product; 2] = [
    Product { package: "assay-cli", binary: "assay", cpu_minutes_max: 10.0, megabytes_max: 40.0 },
    Product {
        package: "assay-verify",
        binary: "assay-verify",
        cpu_minutes_max: 2.0,
        megabytes_max: 10.0,
    },
];

/// The first build of `assay` before: CPU-minutes, units, megabytes of its binary.
const BEFORE: (f64, f64, f64) = (23.6, 616.0, 153.0);

/// What one build took.
struct Cost {
    cpu_minutes: f64,
    minutes: f64,
    units: u32,
    megabytes: f64,
}

pub(crate) fn figures() -> Result<Vec<Figure>, String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    // Downloads are not what is measured.
    run(cargo(workspace).args(["fetch", "--locked"]))?;
    let mut figures = Vec::new();
    for product in &PRODUCTS {
        let cost = build(workspace, product)?;
        figures.extend(product.figures(&cost));
    }
    Ok(figures)
}

impl Product {
    fn figures(&self, cost: &Cost) -> [Figure; 4] {
        let inputs = format!(
            "cargo build --release -p {}, third-party sources there, nothing built",
            self.package
        );
        let figure = |what: &str, value, unit, goal, before: Option<f64>| Figure {
            name: format!("first build of {}: {what}", self.binary),
            inputs: inputs.clone(),
            value,
            unit,
            goal,
            peers: before
                .map(|before| ("assay, before (recorded)".to_owned(), before))
                .into_iter()
                .collect(),
        };
        let (cpu_minutes, units, megabytes) = BEFORE;
        [
            figure(
                "user and system time",
                cost.cpu_minutes,
                "CPU-minutes",
                Some(Goal::Below(self.cpu_minutes_max)),
                Some(cpu_minutes),
            ),
            figure("time on the wall", cost.minutes, "minutes", None, None),
            figure("crates and build scripts", f64::from(cost.units), "units", None, Some(units)),
            figure(
                "its binary",
                cost.megabytes,
                "MB",
                Some(Goal::Below(self.megabytes_max)),
                Some(megabytes),
            ),
        ]
    }
}

fn build(workspace: &Path, product: &Product) -> Result<Cost, String> {
    let target = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let mut command = cargo(workspace);
    command.args(["build", "--release", "--locked", "--offline", "--message-format", "json"]);
    command.args(["-p", product.package, "--target-dir"]).arg(target.path());
    let (cpu, wall) = (children_cpu_secs()?, Instant::now());
    let messages = run(&mut command)?;
    let (cpu, wall) = (children_cpu_secs()? - cpu, wall.elapsed().as_secs_f64());
    let binary: PathBuf = target.path().join("release").join(product.binary);
    let binary = binary.with_extension(std::env::consts::EXE_EXTENSION);
    let size = std::fs::metadata(&binary).map_err(|error| format!("{}: {error}", binary.display()));
    Ok(Cost {
        cpu_minutes: cpu / 60.0,
        minutes: wall / 60.0,
        units: units(&messages)?,
        megabytes: size?.len() as f64 / 1e6,
    })
}

/// Cargo, without a cache of what was compiled elsewhere.
fn cargo(workspace: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace).env_remove("RUSTC_WRAPPER").env_remove("CARGO_TARGET_DIR");
    command
}

/// Runs a command, whose progress goes to the terminal, and returns what it prints.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: see above"));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{command:?}: {error}"))
}

/// How many units cargo built and ran, of its messages, a JSON object a line.
fn units(messages: &str) -> Result<u32, String> {
    let mut units = 0;
    for line in messages.lines() {
        let message: serde_json::Value =
            serde_json::from_str(line).map_err(|error| format!("cargo's message: {error}"))?;
        let reason = message["reason"].as_str();
        units += u32::from(matches!(reason, Some("compiler-artifact" | "build-script-executed")));
    }
    Ok(units)
}

/// User and system time of all children that have ended, and theirs.
fn children_cpu_secs() -> Result<f64, String> {
    let cause = "CPU time of a build is read from /proc/self/stat, so on Linux alone";
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(|e| format!("{cause}: {e}"))?;
    // The command's name, in parentheses, may hold spaces. `cutime` and `cstime` are fields 16, 17.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks: Option<u64> =
        fields.split(' ').skip(13).take(2).map(|t| t.parse::<u64>().ok()).sum();
    Ok(ticks.ok_or(cause)? as f64 / TICKS_PER_SEC)
}
