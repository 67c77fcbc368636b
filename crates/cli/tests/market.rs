//! The market's commands as a person or a script meets them.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A home of its own; whatever runs there is stopped at the end.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Home(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).current_dir(self.0.path());
        command.env("ASSAY_HOME", self.path("home"));
        command
    }

    fn assay(&self, arguments: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_assay"), arguments).output().unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.assay(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// Runs a command that must fail, and gives its error.
    fn error(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.assay(&[arguments, &["--json"]].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        let error: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(error["schema"], "assay.error/1");
        said
    }

    /// Runs an example, and gives what it showed.
    fn example(&self, name: &str) -> String {
        let script = format!("{ROOT}/examples/{name}");
        let mut command = self.command("sh", &[&script]);
        command.env("ASSAY", env!("CARGO_BIN_EXE_assay")).env("OUTPUT", self.path("words.txt"));
        let output = command.output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{said}");
        said
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.assay(&["down"]);
    }
}

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn program(name: &str) -> String {
    format!("{ROOT}/programs/prebuilt/{name}.elf")
}

#[test]
fn the_example_settles_a_job() {
    let home = Home::new();
    let said = home.example("settle-a-job.sh");
    for part in ["ordered", "locked", "claimed", "settled", "no market runs here"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let words = std::fs::read_to_string(home.path("words.txt")).unwrap();
    let exact = home.path("exact.txt");
    let input = format!("{ROOT}/examples/data/pride-and-prejudice.txt");
    home.done(&["exec", &program("wordcount"), "--input", &input, "--output", &exact]);
    assert!(words == std::fs::read_to_string(exact).unwrap(), "the answer is another");
}

#[test]
fn the_example_slashes_a_liar() {
    let said = Home::new().example("slash-a-liar.sh");
    for part in ["challenged by", "the claim is false", "slashed", "settled"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}

#[test]
fn a_market_stays_up_and_tells_what_became_of_jobs() {
    let home = Home::new();
    assert_eq!(home.json(&["status"])["running"], false);
    let up = home.json(&["up", "--detach", "--rpc-port", "0", "--port", "0"]);
    assert_eq!(
        (up["schema"].as_str(), up["running"].as_bool()),
        (Some("assay.market/1"), Some(true))
    );
    assert_eq!(home.json(&["status"]), up);
    assert_eq!(home.json(&["up", "--detach"]), up, "it is up already");
    let quote = home.json(&["quote"]);
    assert_eq!((&quote["schema"], &quote["providers"]), (&"assay.quote/1".into(), &2.into()));

    // A binary answer arrives as it is.
    let output = home.assay(&["run", &program("sha256"), "--output", "-"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).trim(), assay_types::sha256(b"").to_string());

    // What nobody takes explains itself, and the price that it names fills it.
    let cheap = ["run", &program("sha256"), "--price", "10", "--lock-secs", "2"];
    let error = home.error(1, &cheap);
    let jobs = home.json(&["job", "list"]);
    let jobs = jobs["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 2);
    let by_status = |status: &str| {
        let job = jobs.iter().find(|job| job["status"] == status).unwrap();
        job["job"].as_str().unwrap().to_owned()
    };
    let why = home.json(&["job", "why", &by_status("none")]);
    let price = why["price_needed"].as_str().unwrap().to_owned();
    assert!(error.contains(&price), "{error}");
    home.done(&["run", &program("sha256"), "--price", &price]);
    let shown = home.json(&["job", "show", &by_status("paid")[..10]]);
    let events = shown["jobs"][0]["events"].as_array().unwrap();
    assert_eq!(events.last().unwrap()["event"], "paid");
    assert!(home.done(&["job", "watch", &by_status("paid")]).contains("settled"));
    assert_eq!(home.json(&["down"])["running"], false);
    assert_eq!(home.json(&["down"])["running"], false, "it is down already");
}

#[test]
fn bad_input_has_a_cause_and_harms_no_market() {
    let home = Home::new();
    home.done(&["up", "--detach", "--rpc-port", "0", "--port", "0"]);
    let folder = home.path("home");
    let wordcount = program("wordcount");
    std::fs::write(home.path("no.elf"), b"no ELF").unwrap();
    let address = "0x00000000000000000000000000000000000000aa";
    let cases: [(&[&str], &str); 9] = [
        (&["run", "no.elf"], "the program"),
        (&["run", "gone.elf"], "cannot read"),
        (&["run", &wordcount, "--input", &folder], "cannot read"),
        (&["run", &wordcount, "--price", "99999999999999999"], "needs"),
        (&["run", &wordcount, "--account", address], "no keystore"),
        (&["run", &wordcount, "--market", "http://127.0.0.1:9"], "together"),
        (&["run", &wordcount, "--with-liar"], "runs already"),
        (&["job", "why", "0x1234"], "no such job"),
        (&["provider", "--account", address], "no keystore"),
    ];
    for (arguments, expected) in cases {
        let error = home.error(1, arguments);
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    // A broker that is gone, and a port that is taken.
    let deployment = format!("{folder}/chain/deployment.json");
    let made = home.done(&["account", "list"]);
    assert_eq!(made, "", "the local market's keys are no keystores");
    std::fs::write(home.path("password"), "a password of tests\n").unwrap();
    let account = home.json(&["account", "new", "--password-file", &home.path("password")]);
    let account = account["accounts"][0]["account"].as_str().unwrap().to_owned();
    let rpc = home.json(&["status"])["rpc"].as_str().unwrap().to_owned();
    let gone = ["--market", "http://127.0.0.1:9", "--rpc", &rpc, "--deployment", &deployment];
    let password = home.path("password");
    let key = ["--account", &account, "--password-file", &password];
    let error = home.error(1, &[&["auditor"], &gone[..], &key[..]].concat());
    assert!(error.contains("can't be reached"), "{error}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let board = home.path("broker");
    let arguments = ["broker", "--deployment", &deployment, "--listen", &listen, "--home", &board];
    assert!(home.error(1, &arguments).contains("binding"));
    // And the market works on.
    std::fs::write(home.path("empty"), b"").unwrap();
    home.done(&["run", &wordcount, "--input", "empty"]);
}

#[test]
fn settings_come_from_flag_environment_file_and_default() {
    let home = Home::new();
    let file = home.path("assay.toml");
    let content = "[provider]\njob_cost = 7\nstake = 8\nshare = 1\n";
    std::fs::write(&file, content).unwrap();
    let show = ["config", "show", "provider", "--origin", "--config", &file];
    let error = home.error(1, &show);
    assert!(error.contains("provider.share is no setting"), "{error}");
    std::fs::write(&file, content.replace("share = 1\n", "margin_bps = 9\n")).unwrap();
    let arguments = [&show[..], &["--json", "--", "--job-cost", "5"]].concat();
    let mut command = home.command(env!("CARGO_BIN_EXE_assay"), &arguments);
    let output = command.env("ASSAY_STAKE", "6").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let setting = |name: &str| {
        let settings = shown["settings"].as_array().unwrap();
        let setting = settings.iter().find(|setting| setting["name"] == name).unwrap();
        let value = setting["value"].as_str().map(str::to_owned);
        (value, setting["origin"].as_str().unwrap().to_owned())
    };
    let of = |value: &str, origin: &str| (Some(value.to_owned()), origin.to_owned());
    assert_eq!(setting("job_cost"), of("5", "flag"));
    assert_eq!(setting("stake"), of("6", "environment ASSAY_STAKE"));
    assert_eq!(setting("margin_bps"), of("9", &format!("file {file}")));
    assert_eq!(setting("failures_max"), of("3", "default"));
}
