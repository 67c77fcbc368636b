//! The market's commands as a person or a script meets them.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use assay_fuzz::asm::{elf_of, op};
use assay_machine::Op;
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

    /// Runs a command that says what it found on one stream and that it does not hold on the other,
    /// and gives both.
    fn error_after_lines(&self, arguments: &[&str]) -> String {
        let output = self.assay(arguments);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {said}");
        assert!(!output.stdout.is_empty() && !output.stderr.is_empty(), "{said}");
        said
    }

    /// Runs a command that must succeed without a network, where the system can take it away.
    fn offline(&self, arguments: &[&str]) -> String {
        let mut probe = Command::new("unshare");
        let can =
            probe.args(["--user", "--net", "true"]).output().is_ok_and(|o| o.status.success());
        if !can {
            return self.done(arguments);
        }
        let without = ["--user", "--net", env!("CARGO_BIN_EXE_assay")];
        let output = self.command("unshare", &[&without, arguments].concat()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
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
    for part in ["ordered", "locked", "claimed", "settled", "stopped the market"] {
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
fn a_receipt_stands_on_its_own() {
    let home = Home::new();
    let (program, input) = (program("wordcount"), home.path("input"));
    std::fs::write(&input, "one two two\n").unwrap();
    let receipt = home.path("receipt.json");
    let run =
        ["run", &program, "--input", &input, "--public", "--with-liar", "--receipt", &receipt];
    home.done(&run);
    let trust = home.path("home/trust.json");
    let verified = home.json(&["verify", &receipt]);
    assert_eq!(verified["standing"], "vouched");
    // Who is asked decides, and where it is asked does not: no home, no market, no network.
    let elsewhere = Home::new();
    let said = elsewhere.offline(&["verify", &receipt, "--trust", &trust]);
    assert!(said.contains("held") && said.contains("vouched for by"), "{said}");
    assert!(said.contains("not checked  nobody showed the result to be false"), "{said}");
    assert!(elsewhere.error_after_lines(&["verify", &receipt]).contains("nobody whom you trust"));
    elsewhere.offline(&["verify", &receipt, "--no-trust"]);

    // The liar's job has a receipt too, which tells of the verdict.
    let receipts = std::fs::read_dir(home.path("home/receipts")).unwrap();
    let liars: Vec<_> = receipts.map(|entry| entry.unwrap().path()).collect();
    let liars = liars[0].to_str().unwrap();
    let shown = home.done(&["receipt", "show", liars]);
    assert!(shown.contains("disagrees") && shown.contains("JobSlashed"), "{shown}");
    assert_eq!(home.json(&["verify", liars])["standing"], "vouched");

    // Run again, it comes to the same; a lie and another input do not.
    assert_eq!(home.json(&["replay", &receipt])["same"], true);
    let files = ["replay", &receipt, "--program", &program, "--input", &input];
    assert_eq!(elsewhere.json(&files)["same"], true);
    let lie = ["replay", liars, "--program", &program, "--input", &input];
    assert!(elsewhere.error_after_lines(&lie).contains("differs from what was claimed"));
    std::fs::write(&input, "one two three\n").unwrap();
    assert!(elsewhere.error(1, &files).contains("has root"));
    assert!(elsewhere.error(1, &["replay", &receipt]).contains("no market under"));
}

#[test]
fn a_sealed_job_is_run_again_by_who_has_its_keys() {
    let home = Home::new();
    let (program, input) = (program("wordcount"), home.path("input"));
    std::fs::write(&input, "one two two\n").unwrap();
    let receipt = home.path("receipt.json");
    home.done(&["run", &program, "--input", &input, "--receipt", &receipt]);
    assert_eq!(home.json(&["replay", &receipt])["same"], true);
    let shown = home.done(&["receipt", "show", &receipt]);
    assert!(shown.contains("release"), "to whom keys went is in the log: {shown}");
    let report: Value = serde_json::from_slice(&std::fs::read(&receipt).unwrap()).unwrap();
    let job = report["job"].as_str().unwrap();
    assert!(home.done(&["job", "output", job]).contains("two"), "who may read it reads it again");
    assert!(home.done(&["job", "output", &job[..8]]).contains("two"), "by how its id begins");
    assert!(home.error(1, &["job", "output", "0x"]).contains("no such job"));
    // Who names an account means it.
    let account = "0x00000000000000000000000000000000000000aa";
    let ignored = home.error(1, &["run", &program, "--account", account]);
    assert!(ignored.contains("no market runs"), "{ignored}");
    assert!(home.done(&["job", "receive"]).contains("0x"));
    // The root is of a salted blob, so the bytes alone are not enough.
    let files = ["replay", &receipt, "--program", &program, "--input", &input];
    assert!(Home::new().error(1, &files).contains("sealed"));
}

#[test]
fn a_log_is_checked_from_end_to_end() {
    let home = Home::new();
    home.done(&["run", &program("sha256")]);
    let sound = home.json(&["log", "fsck"]);
    assert_eq!(
        (&sound["schema"], &sound["faults"]),
        (&"assay.fsck/1".into(), &Value::Array(vec![]))
    );
    let entries = sound["entries"].as_u64().unwrap();
    assert!(entries >= 9, "{sound}");
    // A mirror is checked by the same trust, and knows what the log was.
    let (log, mirror) = (home.path("home/log"), home.path("mirror"));
    assert!(Command::new("cp").args(["-r", &log, &mirror]).status().unwrap().success());
    let known = home.path("known.json");
    let tree = |size: u64, root: &str| {
        format!("[{{\"source\":\"an anchor\",\"size\":{size},\"root\":\"{root}\"}}]")
    };
    let root = sound["root"].as_str().unwrap();
    std::fs::write(&known, tree(entries, root)).unwrap();
    let check = ["log", "fsck", &mirror, "--known", &known];
    assert_eq!(home.json(&check)["known"], 1);
    std::fs::write(&known, tree(entries + 1, root)).unwrap();
    assert!(home.error_after_lines(&check).contains("rolled back"));
    std::fs::write(&known, tree(entries, &"00".repeat(32))).unwrap();
    assert!(home.error_after_lines(&check).contains("forked"));
    let bundle = format!("{mirror}/tile/entries/000.p/{entries}");
    let whole = std::fs::read(&bundle).unwrap();
    let mut changed = whole.clone();
    changed[40] ^= 1;
    std::fs::write(&bundle, changed).unwrap();
    assert!(home.error_after_lines(&["log", "fsck", &mirror]).contains("is not what was logged"));
    std::fs::remove_file(&bundle).unwrap();
    assert!(home.error_after_lines(&["log", "fsck", &mirror]).contains("truncated"));
    std::fs::create_dir(home.path("none")).unwrap();
    assert!(home.error_after_lines(&["log", "fsck", &home.path("none")]).contains("no checkpoint"));
    assert!(home.error(1, &["log", "fsck", &home.path("gone")]).contains("no such folder"));
}

/// A daemon that is killed when dropped, and the lines that it says.
struct Daemon(std::process::Child, std::io::Lines<std::io::BufReader<std::process::ChildStdout>>);

impl Daemon {
    fn start(home: &Home, arguments: &[&str]) -> Self {
        let mut command = home.command(env!("CARGO_BIN_EXE_assay"), arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = std::io::BufReader::new(child.stdout.take().unwrap());
        Daemon(child, std::io::BufRead::lines(out))
    }

    /// What it says under a label.
    fn says(&mut self, label: &str) -> String {
        let line = self.1.next().expect("it goes on").unwrap();
        line.strip_prefix(label).unwrap_or_else(|| panic!("{line}")).trim().to_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_brokers_log_is_cosigned_by_a_witness_that_comes_and_goes() {
    let home = Home::new();
    home.done(&["run", &program("sha256")]);
    let (file, broker_home) = (home.path("home/chain/deployment.json"), home.path("broker"));
    let base = ["broker", "--deployment", &file, "--listen", "127.0.0.1:0", "--home", &broker_home];
    let mut first = Daemon::start(&home, &base);
    first.says("broker");
    let log_key = first.says("log");
    drop(first);
    let witness_home = home.path("witness");
    let witnessing =
        ["witness", "run", "--name", "witness.example", "--log", &log_key, "--home", &witness_home];
    let start =
        |listen: &str| Daemon::start(&home, &[&witnessing[..], &["--listen", listen]].concat());
    let mut witness = start("127.0.0.1:0");
    let (url, key) = (witness.says("witness"), witness.says("key"));
    let asked = format!("{key}@{url}");
    let mut broker = Daemon::start(&home, &[&base[..], &["--witness", &asked]].concat());
    let broker_url = broker.says("broker");
    assert_eq!(broker.says("log"), log_key, "the key stays");

    let keys: [assay_tlog::Vkey; 2] = [log_key.parse().unwrap(), key.parse().unwrap()];
    let policy = assay_tlog::Policy::new(keys[0].clone(), vec![keys[1].clone()], 1).unwrap();
    let text = std::fs::read(&file).unwrap();
    let deployment: assay_contracts::Deployment = serde_json::from_slice(&text).unwrap();
    let stranger = alloy_signer_local::PrivateKeySigner::random();
    let client = assay_broker_client::BrokerClient::new(
        &broker_url,
        deployment,
        &stranger,
        assay_chain::SystemClock,
    )
    .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let add = |number: u32| {
        let entry = format!(
            "{{\"payload\":\"{number}\",\"payloadType\":\"application/vnd.in-toto+json\",\"signatures\":[{{\"keyid\":\"k\",\"sig\":\"s\"}}]}}"
        );
        runtime.block_on(client.log_add(entry.into_bytes())).unwrap().index
    };
    let cosigned = || {
        let note = runtime.block_on(client.log_object("cosigned")).unwrap();
        note.map_or(0, |note| policy.open(&note).unwrap().checkpoint.size)
    };
    let wait = |size: u64| {
        let began = std::time::Instant::now();
        while cosigned() < size {
            assert!(began.elapsed().as_secs() < 60, "{} of {size} are cosigned", cosigned());
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    };
    assert_eq!(add(1), 0);
    wait(1);
    // Without its witness the log goes on; when it is back, it catches up.
    drop(witness);
    for number in 2..300 {
        assert_eq!(add(number), u64::from(number) - 1);
    }
    let port = url.rsplit(':').next().unwrap();
    let _witness = start(&format!("127.0.0.1:{port}"));
    wait(299);
    assert!(
        home.error(1, &[&base[..], &["--witness", "nobody"]].concat()).contains("names no witness")
    );
}

#[test]
fn receipts_are_told_in_other_forms() {
    let home = Home::new();
    let golden = |name: &str| format!("{ROOT}/vectors/receipts/1/{name}/receipt.json");
    let (paid, slashed) = (golden("embedded-paid"), golden("embedded-refuted"));
    let export = |format: &str| {
        home.done(&["receipt", "export", "--no-trust", "--format", format, &paid, &slashed])
    };
    let document: Value = serde_json::from_str(&export("prov")).unwrap();
    assert_eq!(document["activity"].as_object().unwrap().len(), 2);
    assert_eq!(export("openlineage").lines().count(), 2);
    assert!(export("dot").starts_with("digraph") && export("svg").starts_with("<svg"));
    let folder = home.path("crate");
    let trust = format!("{ROOT}/vectors/receipts/1/embedded-paid/trust.json");
    let crate_ = ["receipt", "export", "--format", "ro-crate", "--output", &folder];
    home.done(&[&crate_[..], &["--trust", &trust, &paid]].concat());
    let kept = std::fs::read(home.path("crate/receipt.json")).unwrap();
    assert!(kept == std::fs::read(&paid).unwrap(), "a crate's receipt is the receipt");
    let both = [&crate_[..], &["--no-trust", &paid, &slashed]].concat();
    assert!(home.error(1, &both).contains("one receipt"));
    let audit = home.json(&["receipt", "audit", "--no-trust", &paid, &slashed]);
    assert_eq!((&audit["schema"], &audit["disputed"]), (&"assay.audit/1".into(), &1.into()));
    assert!(home.done(&["receipt", "audit", "--trust", &trust, &paid]).contains("1 paid"));
    std::fs::create_dir(home.path("none")).unwrap();
    let none = ["receipt", "audit", "--no-trust", &home.path("none")];
    assert_eq!(home.json(&none)["jobs"], 0);
    // What nobody vouches for counts only if it is asked for.
    assert!(home.error(1, &["receipt", "audit", &paid]).contains("no trust file"));
    let another = format!("{ROOT}/vectors/receipts/1/paid/trust.json");
    for command in [&["audit"][..], &["export", "--format", "openlineage"]] {
        let arguments = [&["receipt"], command, &["--trust", &another, &paid]].concat();
        let output = home.assay(&arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("left out"), "{}", text(&output.stderr));
        let said = text(&output.stdout);
        assert!(said.is_empty() || said.contains("0 jobs"), "{said}");
    }
}

#[test]
fn what_is_no_sound_receipt_is_refused_with_its_reason() {
    let home = Home::new();
    let golden = format!("{ROOT}/vectors/receipts/1/paid/receipt.json");
    let trust = format!("{ROOT}/vectors/receipts/1/paid/trust.json");
    home.done(&["verify", &golden, "--trust", &trust]);
    let other = format!("{ROOT}/vectors/receipts/1/embedded-paid/trust.json");
    let said = home.error_after_lines(&["verify", &golden, "--trust", &other]);
    assert!(said.contains("not the trust file's"), "{said}");
    let text = std::fs::read_to_string(&golden).unwrap();
    let file = home.path("receipt.json");
    for (content, reason) in [
        (String::new(), "is empty"),
        ("\u{7f}ELF".to_owned(), "is no receipt"),
        (text.replacen("assay.receipt/1", "assay.receipt/9", 1), "of a version"),
        (text.replacen("\"windowSecs\":60", "\"windowSecs\":61", 1), "digest does not fit"),
        (text[..text.len() / 2].to_owned(), "cut off"),
    ] {
        std::fs::write(&file, content).unwrap();
        let error = home.error(3, &["verify", &file, "--trust", &trust]);
        assert!(error.contains(reason), "{reason}: {error}");
    }
    for (content, reason) in [("{}", "does not parse"), ("[", "does not parse")] {
        std::fs::write(&file, content).unwrap();
        let error = home.error(1, &["verify", &golden, "--trust", &file]);
        assert!(error.contains(reason), "{reason}: {error}");
    }
    assert!(home.error(1, &["verify", "gone.json"]).contains("cannot read"));
}

/// Under seal an output and the input made of it have no root in common, so the order says it.
#[test]
fn sealed_jobs_are_chained_by_their_requesters_word() {
    let home = Home::new();
    let (counts, input) = (program("wordcount"), home.path("input"));
    std::fs::write(&input, "one two two\n").unwrap();
    let [first, second] = ["first.json", "second.json"].map(|name| home.path(name));
    home.done(&["run", &counts, "--input", &input, "--receipt", &first]);
    let read =
        |path: &str| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let earlier = read(&first)["job"].as_str().unwrap().to_owned();
    let chained = ["run", &program("sha256"), "--input-of", &earlier, "--receipt", &second];
    let output = home.done(&[&chained[..], &["--output", "-"]].concat());
    let job = home.done(&["job", "output", &earlier]);
    assert!(output.contains(&assay_types::sha256(job.as_bytes()).to_string()), "{output}");
    assert_eq!(read(&second)["order"]["terms"]["input_of"], earlier.trim_start_matches("0x"));
    assert_eq!(home.json(&["verify", &second])["standing"], "vouched");
    let shown = home.done(&["receipt", "show", &second]);
    assert!(shown.contains(&format!("the result of job {earlier}")), "{shown}");
    let export = ["receipt", "export", "--format", "prov", &first, &second];
    let prov: Value = serde_json::from_str(&home.done(&export)).unwrap();
    let said = &prov["wasInformedBy"].as_object().unwrap();
    assert_eq!(said.len(), 1, "{prov}");

    let lost = ["run", &counts, "--input-of", JOB_NONE];
    assert!(home.error(1, &lost).contains("whole id of a job that was paid"));
}

/// Programs that end without an answer, what JSON calls their outcome, and people.
fn unanswered() -> [(Vec<u8>, &'static str, &'static str); 3] {
    let nop = op(Op::Addi, 0, 0, 0, 0);
    // Branches whose targets lie outside the text, at its end and before its begin.
    let beyond: Vec<u32> = [vec![nop; 1023], vec![op(Op::Beq, 0, 0, 0, 4)]].concat();
    let before = [vec![op(Op::Beq, 0, 0, 0, -4)], vec![nop; 1023]].concat();
    let endless = [op(Op::Jal, 0, 0, 0, 0)];
    [
        (elf_of(&beyond, b""), "trapped", "trapped"),
        (elf_of(&before, b""), "trapped", "trapped"),
        (elf_of(&endless, b""), "out_of_steps", "out of steps"),
    ]
}

#[cfg(unix)]
#[test]
fn a_market_that_hangs_is_named_with_its_process() {
    let home = Home::new();
    let up = home.json(&["up", "--detach", "--rpc-port", "0", "--port", "0"]);
    let pid = up["pid"].to_string();
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    signal("-STOP");
    let commands: [&[&str]; 4] =
        [&["status"], &["down"], &["run", &program("sha256")], &["reputation"]];
    for arguments in commands {
        let began = std::time::Instant::now();
        let error = home.error(1, arguments);
        assert!(error.contains(&format!("process {pid} ")), "{error}");
        assert!(began.elapsed().as_secs() < 20, "it waits for an answer that never comes");
    }
    let report = home.error_after_lines(&["doctor"]);
    assert!(report.contains(&format!("kill -9 {pid}")), "{report}");
    signal("-CONT");
    home.done(&["run", &program("sha256")]);
    assert!(home.done(&["down"]).contains(&pid));
}

#[test]
fn a_misspelt_variable_is_named() {
    let home = Home::new();
    let run = |arguments: &[&str]| {
        let mut command = home.command(env!("CARGO_BIN_EXE_assay"), arguments);
        command.env("ASSAY_CONFIRMATION", "6").output().unwrap()
    };
    let refused = run(&["account", "list"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("ASSAY_CONFIRMATION\n") && said.contains("ASSAY_CONFIRMATIONS"),
        "{said}"
    );
    let doctor = run(&["doctor"]);
    assert!(text(&doctor.stdout).contains("FAIL  settings"), "{}", text(&doctor.stdout));
    assert!(run(&["account", "--help"]).status.success());
}

#[test]
fn a_run_without_an_answer_is_told_as_one_everywhere() {
    let home = Home::new();
    home.done(&["up", "--detach", "--rpc-port", "0", "--port", "0"]);
    let [elf, out, receipt] = ["p.elf", "out", "receipt.json"].map(|name| home.path(name));
    for (program, kind, told) in unanswered() {
        std::fs::write(&elf, program).unwrap();
        std::fs::write(&out, "of before").unwrap();
        let run = ["run", &elf, "--public", "--steps-max", "100000", "--receipt", &receipt];
        let output = home.assay(&[&run[..], &["--output", &out, "--json"]].concat());
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{error}");
        assert!(error["error"].as_str().unwrap().contains(told), "{error}");
        assert_eq!(std::fs::read(&out).unwrap(), b"of before", "no answer replaces no answer");
        let lines = text(&output.stdout);
        let events: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let claimed = events.iter().find(|event| event["event"] == "claimed").unwrap();
        assert_eq!(claimed["status"], kind);
        let done = events.last().unwrap();
        assert_eq!((&done["event"], &done["outcome"]["kind"]), (&"done".into(), &kind.into()));
        assert!(done["output"].is_null(), "{done}");

        let job = done["job"].as_str().unwrap();
        assert_eq!(home.json(&["job", "show", job])["jobs"][0]["outcome"]["kind"], kind);
        assert_eq!(home.json(&["replay", &receipt])["outcome"]["kind"], kind);
        let shown = [
            home.done(&["job", "show", job]),
            home.done(&["job", "watch", job]),
            home.done(&["receipt", "show", &receipt]),
            home.done(&["receipt", "export", "--format", "dot", &receipt]),
            home.done(&["verify", &receipt]),
            home.done(&["replay", &receipt]),
        ];
        for shown in shown {
            assert!(shown.contains(told), "{shown}");
            assert!(!shown.contains("code 0") && !shown.contains("is right"), "{shown}");
        }
        assert!(home.error(4, &["job", "output", job]).contains(told));
        home.done(&["job", "output", job, "--unanswered"]);
    }
    // An empty answer is one, and is written.
    std::fs::write(&elf, elf_of(&[0x05d0_0893, 0x73], b"")).unwrap();
    home.done(&["run", &elf, "--public", "--output", &out]);
    assert_eq!(std::fs::read(&out).unwrap(), b"");
}

#[test]
fn what_lies_in_purse_and_stake_comes_back() {
    let home = Home::new();
    home.done(&["run", &program("sha256")]);
    let amount = |funds: &Value, name: &str| funds[name].as_str().unwrap().parse::<u128>().unwrap();
    let before = home.json(&["account", "funds"]);
    let (tokens, purse) = (amount(&before, "tokens"), amount(&before, "purse"));
    assert!(purse > 1, "a metered job costs less than its most: {before}");
    let error = home.error(1, &["account", "withdraw", "purse", &(purse + 1).to_string()]);
    assert!(error.contains("cannot be withdrawn"), "{error}");
    let part = home.json(&["account", "withdraw", "purse", "1"]);
    assert_eq!((amount(&part, "tokens"), amount(&part, "purse")), (tokens + 1, purse - 1));
    let all = home.json(&["account", "withdraw", "purse"]);
    assert_eq!((amount(&all, "tokens"), amount(&all, "purse")), (tokens + purse, 0));
    // Nobody but a provider has a stake.
    let stake = home.json(&["account", "withdraw", "stake"]);
    assert_eq!((amount(&stake, "stake_free"), amount(&stake, "unbonding")), (0, 0));
}

#[test]
fn a_program_that_refuses_says_why() {
    let home = Home::new();
    let (input, csvstats) = (home.path("input"), program("csvstats"));
    std::fs::write(&input, "no such parameter\n").unwrap();
    let message = home.json(&["exec", &csvstats, "--input", &input])["message"].clone();
    let message = message.as_str().unwrap();
    // The input is sealed, and the message is in no claim: only who has the keys can read it.
    let receipt = home.path("receipt.json");
    let run = ["run", &csvstats, "--input", &input, "--steps-max", "100000000"];
    let error = home.error(4, &[&run[..], &["--receipt", &receipt]].concat());
    let error: Value = serde_json::from_str(&error).unwrap();
    assert_eq!((&error["cause"], &error["exit_code"]), (&message.into(), &4.into()), "{error}");
    assert_eq!(home.json(&["replay", &receipt])["message"], message);
    // Standard output is for an answer.
    let output = home.assay(&[&run[..], &["--output", "-"]].concat());
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(4), String::new()));
}

/// Somebody with another key, and nothing of the market but its addresses.
#[test]
fn a_beneficiary_reads_what_another_ordered_and_paid() {
    let (home, other) = (Home::new(), Home::new());
    let up = home.json(&["up", "--detach", "--rpc-port", "0", "--port", "0"]);
    let deployment = home.path("home/chain/deployment.json");
    let password = other.path("password");
    std::fs::write(&password, "correct horse\n").unwrap();
    let account = || {
        let made = other.json(&["account", "new", "--password-file", &password]);
        made["accounts"][0]["account"].as_str().unwrap().to_owned()
    };
    let (reader, stranger) = (account(), account());
    let (broker, rpc) = (up["broker"].as_str().unwrap(), up["rpc"].as_str().unwrap());
    let as_account = |account: &str, command: &[&str]| {
        let at = ["--market", broker, "--rpc", rpc, "--deployment", &deployment];
        let key = ["--account", account, "--password-file", &password];
        [command, &at, &key].concat().iter().map(|part| (*part).to_owned()).collect::<Vec<_>>()
    };
    let input = home.path("input");
    std::fs::write(&input, "one two two\n").unwrap();
    let program = program("wordcount");
    let receipt = home.path("receipt.json");
    let run = ["run", &program, "--input", &input, "--beneficiary", &reader, "--receipt", &receipt];
    assert!(home.error(1, &run).contains("job receive"), "no keys of the reader's are known yet");
    let receive = as_account(&reader, &["job", "receive"]);
    let receive: Vec<&str> = receive.iter().map(String::as_str).collect();
    assert!(other.done(&receive).to_lowercase().contains(&reader));
    home.done(&run);

    let report: Value = serde_json::from_slice(&std::fs::read(&receipt).unwrap()).unwrap();
    let job = report["job"].as_str().unwrap();
    let read = as_account(&reader, &["job", "output", job]);
    let read: Vec<&str> = read.iter().map(String::as_str).collect();
    assert!(other.done(&read).contains("two"), "the beneficiary reads it");
    for account in [&stranger, &reader] {
        // The reader has no key for a job that is not there, and the stranger none for this one.
        let job = if account == &reader { JOB_NONE } else { job };
        let read = as_account(account, &["job", "output", job]);
        let read: Vec<&str> = read.iter().map(String::as_str).collect();
        other.error(1, &read);
    }
}

/// Code comes to the data, as README has it: an owner and its key service beside a market of one
/// machine.
#[test]
fn a_job_over_published_data_pays_its_owner_and_its_ledger_can_not_be_shortened_unseen() {
    let home = Home::new();
    home.done(&["up", "--detach", "--rpc-port", "0", "--port", "0"]);
    let (table, policy) = (home.path("table.csv"), home.path("policy.json"));
    std::fs::write(&table, "name,age\nAda,36\nGrace,85\n").unwrap();
    let inspected = home.json(&["program", "inspect", &program("sha256")]);
    let id = inspected["id"].as_str().or(inspected["program"].as_str()).unwrap();
    let rules = serde_json::json!({
        "schema": "assay.policy/1",
        "version": 1,
        "programs": { id: { "group_min": 1, "output_size_max": 1_000, "steps_constant": false } },
        "providers": { "accounts": "any", "stake_min": "0", "measurements": "any" },
        "requesters": "any",
        "beneficiaries": "any",
        "purposes": ["research"],
        "verifiers": "any",
        "auditors": { "accounts": "any", "least": 1 },
        "uses_max": 2,
        "expires_at": 4_000_000_000u64,
        "output": { "class": "sealed", "size_max": 1_000, "step_limit_max": 1u64 << 30, "steps_constant": false, "group_min": 1 },
    });
    std::fs::write(&policy, rules.to_string()).unwrap();
    let seal = ["data", "seal", &table, "--name", "visits", "--policy", &policy, "--fee", "50000"];
    let sealed = home.json(&seal);
    let owner = sealed["datasets"][0]["owner"].as_str().unwrap().to_owned();
    home.done(&["data", "publish", "visits"]);
    let mut key_service =
        home.command(env!("CARGO_BIN_EXE_assay"), &["key-service"]).spawn().unwrap();

    let (name, receipt) = (format!("{owner}/visits"), home.path("receipt.json"));
    let job = |purpose| {
        ["run", &program("sha256"), "--dataset-of", &name, "--purpose", purpose]
            .map(str::to_owned)
            .to_vec()
    };
    let run =
        [job("research"), ["--receipt", &receipt, "--begin-secs", "5"].map(str::to_owned).to_vec()];
    let run: Vec<String> = run.concat();
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    let said = home.assay(&run);
    assert!(said.status.success(), "{}", text(&said.stderr));
    assert!(
        text(&said.stderr).contains("0.050000 tUSD to the data owner"),
        "{}",
        text(&said.stderr)
    );
    let shown = home.done(&["receipt", "show", &receipt]);
    assert!(
        shown.contains("the key of the dataset to") && shown.contains("under policy"),
        "{shown}"
    );

    let uses = ["data", "uses", "--receipt", &receipt];
    assert!(home.done(&uses).contains("1 of 2"));
    key_service.kill().unwrap();
    key_service.wait().unwrap();
    let ledger = std::path::PathBuf::from(home.path("home/datasets")).join(
        std::fs::read_dir(home.path("home/datasets")).unwrap().next().unwrap().unwrap().file_name(),
    );
    let ledger = ledger.join("ledger");
    let whole = std::fs::read(&ledger).unwrap();
    let newline = |byte: &u8| *byte == b'\n';
    let end = whole[..whole.len() - 1].iter().rposition(newline).map_or(0, |at| at + 1);
    std::fs::write(&ledger, &whole[..end]).unwrap();
    let error = home.error(3, &uses);
    assert!(error.contains("restore the newest copy"), "{error}");
}

/// An id that no job has.
const JOB_NONE: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

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
    assert_eq!(home.done(&["down"]), "no market runs here\n");
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
    // Larger than any slot, and all holes: nobody should read it to the end.
    let huge = home.path("huge");
    std::fs::File::create(&huge).unwrap().set_len(1 << 29).unwrap();
    let cases: [(&[&str], &str); 13] = [
        (&["run", &wordcount, "--input", &huge], "do not fit"),
        (&["run", &wordcount, "--dataset", &huge], "do not fit"),
        (&["run", &huge], "do not fit"),
        (&["run", &wordcount, "--steps-max", "0"], "step limit"),
        (&["run", "no.elf"], "the program"),
        (&["run", "gone.elf"], "cannot read"),
        (&["run", &wordcount, "--input", &folder], "cannot read"),
        (&["run", &wordcount, "--price", "99999999999999999"], "needs"),
        (&["run", &wordcount, "--account", address], "no keystore"),
        (&["run", &wordcount, "--market", "http://127.0.0.1:9"], "together"),
        (&["run", &wordcount, "--with-liar"], "running already"),
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
    let wrong = home.path("wrong");
    std::fs::write(&wrong, "another password\n").unwrap();
    let error =
        home.error(1, &["run", &wordcount, "--account", &account, "--password-file", &wrong]);
    assert!(error.contains("password"), "{error}");
    let gone = ["--market", "http://127.0.0.1:9", "--rpc", &rpc, "--deployment", &deployment];
    let password = home.path("password");
    let key = ["--account", &account, "--password-file", &password];
    let error = home.error(1, &[&["run", &wordcount], &gone[..], &key[..]].concat());
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
    assert!(error.contains("provider.share is not a setting"), "{error}");
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

#[test]
fn an_interrupted_job_is_taken_up_by_the_same_command() {
    let home = Home::new();
    let input = home.path("input");
    std::fs::write(&input, "to be\n").unwrap();
    let arguments = ["run", &program("wordcount"), "--input", &input, "--json"];
    let mut first = Daemon::start(&home, &arguments);
    let job = loop {
        let event: Value = serde_json::from_str(&first.1.next().unwrap().unwrap()).unwrap();
        if event["event"] == "locked" {
            break event["job"].clone();
        }
    };
    let pid = first.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(first.0.wait().unwrap().code(), Some(1), "it was interrupted, and says so");
    let said = home.done(&arguments);
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["job"] == job), "the same job: {said}");
    assert_eq!(events[events.len() - 1]["event"], "done");
    assert_eq!(home.json(&["job", "list"])["jobs"].as_array().unwrap().len(), 1);
    let all = home.json(&["reputation"]);
    let paid: usize = all["providers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|provider| provider["outcomes"].as_array().unwrap().len())
        .sum();
    assert_eq!(paid, 1, "and one payment: {all}");
    // What is over can't be taken back, and says how it stands.
    let cancelled = home.error(1, &["job", "cancel", job.as_str().unwrap()]);
    assert!(cancelled.contains("the job's status: settled"), "{cancelled}");
}

#[test]
fn what_two_processes_order_at_once_is_paid_once() {
    let home = Home::new();
    home.done(&["up", "--detach", "--rpc-port", "0", "--port", "0"]);
    let input = home.path("input");
    std::fs::write(&input, "to be\n").unwrap();
    let arguments = ["run", &program("wordcount"), "--input", &input, "--json"];
    let start = || {
        let mut command = home.command(env!("CARGO_BIN_EXE_assay"), &arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start(), start()].map(|child| child.wait_with_output().unwrap());
    let jobs: std::collections::BTreeSet<String> = both
        .iter()
        .map(|output| {
            assert!(output.status.success(), "{}", text(&output.stderr));
            let lines = text(&output.stdout);
            let done: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
            assert_eq!((&done["event"], &done["status"]), (&"done".into(), &"paid".into()));
            done["job"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(jobs.len(), 1, "the same was ordered and paid several times");
    assert_eq!(home.json(&["job", "list"])["jobs"].as_array().unwrap().len(), 1);
}

/// What `assay doctor` says of each thing.
fn outcomes(report: &Value) -> std::collections::BTreeMap<String, String> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks
        .map(|check| {
            let text = |field: &str| check[field].as_str().unwrap().to_owned();
            let is_ok = check["outcome"] == "ok";
            assert_eq!(check["next"].is_null(), is_ok, "what is not well says what to do: {check}");
            (text("name"), text("outcome"))
        })
        .collect()
}

#[test]
fn the_doctor_finds_what_is_wrong_and_says_what_to_do() {
    let home = Home::new();
    let fresh = home.json(&["doctor"]);
    assert_eq!((&fresh["schema"], &fresh["healthy"]), (&"assay.doctor/1".into(), &true.into()));
    assert!(!std::path::Path::new(&home.path("home")).exists(), "a look changes nothing");
    home.done(&["run", &program("sha256")]);
    let at_rest = outcomes(&home.json(&["doctor"]));
    for name in ["home", "keys", "chain", "deployment", "clock", "account", "gas"] {
        assert_eq!(at_rest[name], "ok", "{name}: {at_rest:?}");
    }
    home.done(&["up", "--detach", "--port", "0", "--rpc-port", "0"]);
    let running = outcomes(&home.json(&["doctor"]));
    assert_eq!((&*running["running"], &*running["broker"]), ("ok", "ok"), "{running:?}");
    let written = std::fs::read_to_string(home.path("home/chain/running.json")).unwrap();
    home.done(&["down"]);

    // What a crash leaves behind is no fault, and no market.
    std::fs::write(home.path("home/chain/running.json"), written).unwrap();
    let stale = outcomes(&home.json(&["doctor"]));
    assert_eq!((&*stale["running"], &*stale["chain"]), ("warn", "ok"), "{stale:?}");

    let failing = |arguments: &[&str]| {
        let output = home.assay(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["healthy"], false);
        outcomes(&report)
    };
    // Settings that do not parse stop every other command.
    std::fs::write(home.path("home/config.toml"), "[provider]\nshare = 1\n").unwrap();
    assert_eq!(failing(&["doctor"])["settings"], "fail");
    std::fs::remove_file(home.path("home/config.toml")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let seed = home.path("home/keys/development-seed");
        let open = |mode| {
            std::fs::set_permissions(&seed, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        open(0o644);
        assert_eq!(failing(&["doctor"])["keys"], "fail", "others could read the keys");
        open(0o600);
    }
    let deployment = home.path("home/chain/deployment.json");
    let nowhere = "http://127.0.0.1:9";
    let named = ["doctor", "--market", nowhere, "--rpc", nowhere, "--deployment", &deployment];
    assert_eq!(failing(&named)["chain"], "fail", "nothing answers there");
    assert_eq!(failing(&["doctor", "--market", nowhere])["market"], "fail", "half a market");
    let text = std::fs::read_to_string(&deployment).unwrap();
    let mut other: Value = serde_json::from_str(&text).unwrap();
    other["market"] = other["stakes"].clone();
    std::fs::write(&deployment, other.to_string()).unwrap();
    assert_eq!(failing(&["doctor"])["chain"], "fail", "the contracts are not the deployment's");
    std::fs::write(&deployment, text).unwrap();
    std::fs::write(home.path("home/chain/chain.redb"), b"no chain").unwrap();
    assert_eq!(failing(&["doctor"])["chain"], "fail", "the file is damaged");
    let person = home.error_after_lines(&["doctor"]);
    assert!(person.contains("FAIL  chain") && person.contains("next: "), "{person}");
    let file = home.path("file");
    std::fs::write(&file, b"").unwrap();
    assert_eq!(failing(&["doctor", "--home", &file])["home"], "fail", "a file is no home");
}

#[test]
fn a_benchmark_sets_what_a_provider_asks_for() {
    let home = Home::new();
    let settings = home.path("home/config.toml");
    std::fs::create_dir(home.path("home")).unwrap();
    std::fs::write(&settings, "# mine\n[run]\nstake = 7\n\n[provider]\njob_cost = 1\n").unwrap();
    let measured = home.json(&["provider", "benchmark"]);
    assert_eq!(measured["schema"], "assay.benchmark/1");
    assert!(measured["written"].is_null());
    assert!(std::fs::read_to_string(&settings).unwrap().contains("job_cost = 1\n"));
    let written = home.json(&["provider", "benchmark", "--write", "--hour-cost", "36000000"]);
    let speed = written["steps_per_sec"].as_u64().unwrap();
    assert!(speed >= 1_000 && speed < written["steps_per_sec_measured"].as_u64().unwrap());
    // A cent for each second.
    let mebistep = (10_000.0 * f64::from(1 << 20) / speed as f64).ceil() as u64;
    assert_eq!(written["mebistep_cost"], mebistep);
    let shown = home.json(&["config", "show", "provider", "--origin"]);
    for name in ["steps_per_sec", "job_cost", "mebistep_cost"] {
        let all = shown["settings"].as_array().unwrap();
        let setting = all.iter().find(|setting| setting["name"] == name).unwrap();
        assert_eq!(setting["value"], written[name].to_string(), "{name}");
        assert_eq!(setting["origin"], format!("file {settings}"));
    }
    let text = std::fs::read_to_string(&settings).unwrap();
    assert!(text.starts_with("# mine\n[run]\nstake = 7\n"), "the rest stays: {text}");
    std::fs::write(&settings, "provider = { job_cost = 1 }\n").unwrap();
    assert!(home.error(1, &["provider", "benchmark", "--write"]).contains("cannot change"));
}

#[test]
fn records_of_providers_are_shown_to_anyone() {
    let home = Home::new();
    assert!(home.error(1, &["reputation"]).contains("there is no market"));
    home.done(&["run", &program("sha256")]);
    let all = home.json(&["reputation"]);
    let [one] = &all["providers"].as_array().unwrap()[..] else { panic!("{all}") };
    assert_eq!(one["outcomes"][0]["kind"], "completed");
    let provider = one["provider"].as_str().unwrap();
    let shown = home.json(&["provider", "show", provider]);
    assert_eq!((&shown["score"], &shown["outcomes"]), (&one["score"], &one["outcomes"]));
    let said = home.done(&["reputation", provider]);
    assert!(said.contains("1 completed") && said.contains("of 10,000"), "{said}");
    // So is that of whoever has the job.
    let jobs = home.json(&["job", "list"]);
    let job = jobs["jobs"][0]["job"].as_str().unwrap();
    assert_eq!(home.json(&["job", "show", job])["jobs"][0]["reputation"], one["score"]);
    assert!(home.done(&["job", "show", job]).contains("reputation"));
    let quote = home.json(&["quote"]);
    assert_eq!(
        quote["reputations"].as_object().unwrap().len(),
        1,
        "the cheaper is the median of two"
    );
    assert!(home.done(&["quote"]).contains("reputation"));
    let nobody = home.json(&["provider", "show", "0x00000000000000000000000000000000000000aa"]);
    assert_eq!((&nobody["score"], &nobody["stake_free"]), (&4_000.into(), &"0".into()));
    assert_eq!(home.assay(&["provider", "show", "0x12"]).status.code(), Some(2), "no address");
}
