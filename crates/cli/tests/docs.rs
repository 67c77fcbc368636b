//! Every command in README and docs runs as printed: each page from top to bottom, in a folder with
//! the repository's programs and data, under a home of its own.
//!
//! After a change of what commands print, `TRYCMD=overwrite cargo test -p assay-cli --test docs`
//! writes today's output into the pages; read the difference before you commit it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What pages read, at the same paths as in the repository.
const READ: [&str; 5] = [
    "programs/prebuilt",
    "examples/data",
    "docs/examples",
    "vectors/receipts",
    "vectors/disclosures",
];

/// README's commands begin with cargo. Its `run` is the binary under test, whatever it was built
/// with; its `xtask test` is what runs this test.
const CARGO: &str = r#"#!/bin/sh
case "$1 $2 $3" in
"run --release --") shift 3; exec "$ASSAY" "$@" ;;
"xtask test ") exit 0 ;;
*) echo "no page may run: cargo $*" >&2; exit 2 ;;
esac
"#;

/// How long one command may take.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(300);

macro_rules! pages {
    ($($name:ident: $page:literal,)*) => {
        const PAGES: &[&str] = &[$($page),*];

        $(
            #[test]
            fn $name() {
                run($page);
            }
        )*
    };
}

pages! {
    readme: "README.md",
    auditor: "docs/src/howto/auditor.md",
    broker_operator: "docs/src/howto/broker-operator.md",
    data_owner: "docs/src/howto/data-owner.md",
    operating: "docs/src/operating.md",
    programs: "docs/src/programs.md",
    provider: "docs/src/howto/provider.md",
    requester: "docs/src/howto/requester.md",
    troubleshooting: "docs/src/troubleshooting.md",
    tutorial: "docs/src/tutorial.md",
}

#[test]
fn no_page_with_commands_is_left_out() {
    let mut found = BTreeSet::new();
    let mut folders = vec![root().join("docs")];
    let mut files = vec![root().join("README.md")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    for file in files.iter().filter(|file| file.extension().is_some_and(|it| it == "md")) {
        if fs::read_to_string(file).unwrap().contains("```console") {
            found.insert(file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
    let listed: BTreeSet<String> = PAGES.iter().map(|&page| page.to_owned()).collect();
    assert_eq!(found, listed, "pages with commands, and pages that are run");
}

/// Runs a page's commands and compares what they print.
fn run(page: &str) {
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("page.md");
    fs::write(&copy, with_ends(&fs::read_to_string(root().join(page)).unwrap())).unwrap();
    let folder = place.path().join("page.in");
    for part in READ {
        copy_folder(&root().join(part), &folder.join(part));
    }
    fs::copy(root().join("README.md"), folder.join("README.md")).unwrap();
    let cargo = place.path().join("cargo");
    fs::write(&cargo, CARGO).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let home = Home(place.path().join("home"));

    let checked = std::panic::catch_unwind(|| {
        trycmd::TestCases::new()
            .register_bin("assay", assay())
            .register_bin("assay-verify", assay_verify())
            .register_bin("cargo", cargo.as_path())
            .env("ASSAY", assay().to_str().unwrap())
            .env("ASSAY_HOME", home.0.to_str().unwrap())
            .timeout(COMMAND_TIME_MAX)
            .case(&copy)
            .run();
    });
    if std::env::var("TRYCMD").is_ok_and(|mode| mode == "overwrite") {
        let text = fs::read_to_string(&copy).unwrap();
        fs::write(root().join(page), without_ends(&text)).unwrap();
    }
    if checked.is_err() {
        panic!("{page} does not print what it says; the difference is above");
    }
}

/// trycmd takes the line break before a block's end for its own, and outputs end with one: an empty
/// line there, which readers do without.
fn with_ends(page: &str) -> String {
    let mut in_console = false;
    page.lines().fold(String::new(), |text, line| {
        let ends = in_console && line == "```";
        in_console = if ends { false } else { in_console || line == "```console" };
        text + if ends { "\n" } else { "" } + line + "\n"
    })
}

/// The page as it was, with what trycmd has written into it.
fn without_ends(page: &str) -> String {
    page.replace("\n\n```\n", "\n```\n")
}

/// A page's home; what still runs under it ends with it.
struct Home(PathBuf);

impl Drop for Home {
    fn drop(&mut self) {
        let mut down = Command::new(assay());
        let down = down.arg("down").env("ASSAY_HOME", &self.0);
        let _ = down.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn assay() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_assay"))
}

/// Cargo gives a test the path of its own package's binaries only; that of another lies beside
/// them.
fn assay_verify() -> PathBuf {
    let beside = assay().with_file_name("assay-verify");
    assert!(beside.is_file(), "no assay-verify beside assay: run `cargo build -p assay-verify`");
    beside
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}
