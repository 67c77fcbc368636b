//! `assay data` as a person or a script meets it.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use assay_node::Home;
use assay_receipt::Envelope;
use serde_json::Value;
use tempfile::TempDir;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data");

/// A folder with a home in it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.0.path().join(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    fn has(&self, name: &str) -> bool {
        self.0.path().join(name).exists()
    }

    /// All names in the folder, but the home's.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "home").collect();
        names.sort();
        names
    }

    fn assay(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command.env("ASSAY_HOME", self.0.path().join("home")).output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.assay(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "quiet where nobody watches");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a command that must fail, and gives its error's cause.
    fn error(&self, arguments: &[&str]) -> String {
        let output = self.assay(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
        assert_eq!(text(&output.stdout), "", "no result beside an error");
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert!(error["next"].is_string(), "an error says what to do: {error}");
        error["cause"].as_str().unwrap().to_owned()
    }

    fn account(&self) -> String {
        self.write("password", "correct horse\n");
        let made = self.json(&["account", "new", "--password-file", "password"]);
        made["accounts"][0]["account"].as_str().unwrap().to_owned()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn plan(owner: &str, rest: &str) -> String {
    format!(
        "schema = \"assay.mask-plan/1\"\nowner = \"{owner}\"\npurpose = \"CANARYpurpose\"\n{rest}"
    )
}

const OWNER: &str = "0x4dF9c73604c2eaD7d936fFB90dB0ccd268b06833";

const MASK: [&str; 7] =
    ["data", "mask", "--plan", "plan.toml", "table.csv", "--output", "masked.csv"];

#[test]
fn the_example_is_masked_as_its_page_says() {
    let folder = Folder::new();
    let (table, plan) =
        (format!("{EXAMPLES}/clinic-visits.csv"), format!("{EXAMPLES}/clinic-visits.plan.toml"));
    let mask = ["data", "mask", "--plan", &plan, &table, "--output", "masked.csv"];
    let report = folder.json(&mask);
    assert_eq!(report["schema"], "assay.mask/1");
    let rows = ["rows_in", "rows_out", "rows_dropped", "rows_blanked"].map(|name| &report[name]);
    assert_eq!(rows, [14, 12, 2, 0], "{report}");
    assert_eq!((&report["k"], &report["groups"]), (&Value::from(4), &Value::from(3)), "{report}");
    assert_eq!(report["sensitive"][0]["column"], "condition");
    assert_eq!(report["sensitive"][0]["distinct_l"], 3);
    assert_eq!(report["statement"], Value::Null);
    let masked = folder.read("masked.csv");
    assert_eq!(masked.lines().next(), Some("patient,card,born,age,postcode,town,condition,note"));
    assert!(
        masked.contains("1950s,60..80,N1,London,hypertension,[name] asked to be called on [phone]"),
        "{masked}"
    );
    for canary in
        ["Mira", "Solberg", "V-10", "4929 1836", "1951", "Islington", "GB82", "Edith", "LS6", "@"]
    {
        assert!(!masked.contains(canary), "{canary} is in\n{masked}");
    }
    // The same key gives the same pseudonyms; the text tells the same as the JSON.
    let again = folder.assay(&mask);
    assert_eq!(folder.read("masked.csv"), masked, "made at first use, and kept");
    let told = text(&again.stdout);
    assert!(told.contains("14 in, 12 out; suppressed: 2 dropped, 0 blanked"), "{told}");
    assert!(told.contains("k-anonymity  4, over born, age, postcode, town: 3 groups"), "{told}");
    let other = [&mask[..], &["--new-key", "other.key"]].concat();
    folder.json(&other);
    assert_ne!(folder.read("masked.csv"), masked, "another key, other pseudonyms");
}

#[test]
fn a_policy_that_no_job_can_pass_is_sealed_with_a_warning() {
    let folder = Folder::new();
    folder.account();
    folder.write("data", "some data");
    let example = std::fs::read_to_string(format!("{EXAMPLES}/clinic-visits.policy.json")).unwrap();
    folder.write("example.json", &example);
    let mut closed: Value = serde_json::from_str(&example).unwrap();
    closed["cedar"] = vec!["forbid(principal, action, resource);"].into();
    folder.write("closed.json", closed.to_string());
    let seal = |name: &str, policy: &str| {
        folder.json(&["data", "seal", "data", "--name", name, "--policy", policy])
    };
    let warnings = |shown: &Value| shown["datasets"][0]["warnings"].to_string();
    assert!(!warnings(&seal("open", "example.json")).contains("No job can ever"));
    let warned = warnings(&seal("closed", "closed.json"));
    assert!(warned.contains("No job can ever pass the policy: text 0 of cedar"), "{warned}");
    let set = ["data", "policy", "open", "--set", "closed.json"];
    assert!(warnings(&folder.json(&set)).contains("No job can ever pass the policy"));
    assert!(text(&folder.assay(&set).stdout).contains("Warning: No job can ever pass"));
    // Without a policy it is closed on purpose.
    let none = folder.json(&["data", "seal", "data", "--name", "none"]);
    assert!(!warnings(&none).contains("No job"), "{none}");
}

#[test]
fn nothing_of_what_is_hidden_is_told_anywhere() {
    let folder = Folder::new();
    let owner = folder.account();
    folder.write(
        "plan.toml",
        plan(
            &owner,
            r#"
            quasi_identifiers = ["born"]
            suppress = { k = 2, how = "drop" }
            [columns]
            gone = { action = "drop" }
            id = { action = "pseudonym" }
            code = { action = "token", alphabet = "upper" }
            born = { action = "generalise", prefix = 2 }
            note = { action = "redact", names = ["CANARYname"] }
            "#,
        ),
    );
    let table = "gone,id,code,born,note\n\
                 CANARYgone,CANARYid,CANARYCODE,19CANARYborn,CANARYname wrote to CANARYmail@x.y\n\
                 CANARYgone,CANARYid,CANARYCODE,19CANARYborn,call 555 0100 777\n\
                 CANARYgone,CANARYid,CANARYCODE,20CANARYsuppressed,\"a, b\"\n";
    folder.write("table.csv", table);
    let signed = [
        "--statement",
        "said.json",
        "--account",
        &owner,
        "--password-file",
        "password",
        "--new-key",
        "mask.key",
    ];
    let output = folder.assay(&[&MASK[..], &signed].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    folder.write("stdout", &output.stdout);
    folder.write("stderr", &output.stderr);
    let key = ["--statement", "said2.json", "--key", "mask.key"];
    let json = folder.json(&[&MASK[..], &key].concat());
    folder.write("json", json.to_string());
    let envelope = Envelope::from_bytes(folder.read("said.json").as_bytes()).unwrap();
    let (payload, _) = envelope.open().expect("the signature is good");
    folder.write("payload", &payload);
    let told = [
        "masked.csv",
        "said.json",
        "said.json.openings",
        "said2.json",
        "stdout",
        "stderr",
        "json",
        "payload",
    ];
    let secret = folder.read("mask.key");
    for name in told {
        let content = folder.read(name);
        for canary in ["CANARY", "555 0100", secret.trim()] {
            assert!(!content.contains(canary), "{canary} is in {name}:\n{content}");
        }
    }
    let masked = folder.read("masked.csv");
    assert!(
        masked.contains("19,[name] wrote to [email]") && masked.contains("19,call [phone]"),
        "{masked}"
    );
    assert_eq!(masked.lines().count(), 3, "one row is a group by itself");
}

#[test]
fn the_statement_is_the_owners_and_opens_with_its_salts() {
    use assay_mask::{Commit, MaskStatement, Masked, Openings};
    let folder = Folder::new();
    let owner = folder.account();
    folder.write("plan.toml", plan(&owner, "[columns]\na = { action = \"keep\" }\n"));
    folder.write("table.csv", "a\r\n\"x,\"\"y\"\"\"\r\n");
    let sign = ["--account", &owner, "--password-file", "password"];
    assert!(folder.error(&[&MASK[..], &sign].concat()).contains("no --statement"));
    let stated = [&MASK[..], &["--statement", "said.json"], &sign].concat();
    let report = folder.json(&stated);
    assert_eq!(report["signed_by"], owner.as_str());
    assert_eq!(folder.read("masked.csv"), folder.read("table.csv"), "quotes and line ends stay");
    let envelope = Envelope::from_bytes(folder.read("said.json").as_bytes()).unwrap();
    let said = MaskStatement::from_payload(&envelope.open().unwrap().0).unwrap();
    assert_eq!(said.owner, owner.to_lowercase());
    assert_eq!((said.rows_in, said.rows_out, said.anonymity.clone()), (1, 1, None));
    let openings: Openings = serde_json::from_str(&folder.read("said.json.openings")).unwrap();
    let commit = |what, salt, name| Commit::to(what, salt, folder.read(name).as_bytes());
    assert_eq!(said.input, commit(Masked::Input, &openings.input, "table.csv"));
    assert_eq!(said.output, commit(Masked::Output, &openings.output, "masked.csv"));
    assert_eq!(said.plan, commit(Masked::Plan, &openings.plan, "plan.toml"));
    // Without an account it is a bare payload; each statement has salts of its own.
    folder.json(&[&MASK[..], &["--statement", "bare.json"]].concat());
    let bare = MaskStatement::from_payload(folder.read("bare.json").as_bytes()).unwrap();
    assert_ne!(bare.input, said.input, "two statements of one table can't be linked by it");
    folder.write("plan.toml", plan(OWNER, "[columns]\na = { action = \"keep\" }\n"));
    assert!(folder.error(&stated).contains("another account"));
}

#[test]
fn a_dataset_takes_up_what_was_stated_of_its_masking_and_nothing_else() {
    let folder = Folder::new();
    let (owner, other) = (folder.account(), folder.account());
    let mask = |owner: &str, table: &str, said: &str| {
        folder.write("plan.toml", plan(owner, "[columns]\na = { action = \"keep\" }\n"));
        folder.write("table.csv", table);
        folder.json(&[&MASK[..], &["--statement", said]].concat());
    };
    mask(&owner, "a\nanother\n", "of-another.json");
    mask(&other, "a\n1\n", "of-other.json");
    mask(&owner, "a\n1\n", "said.json");
    let sign = ["--account", &owner, "--password-file", "password"];
    let seal = |said| {
        let what = ["data", "seal", "masked.csv", "--name", "people", "--mask-statement", said];
        [&what[..], &sign].concat()
    };
    let refusals = [
        ("of-another.json", "it is the statement of another masked table"),
        ("masked.csv", "it is not a masking statement"),
        ("absent.json", "No such file"),
    ];
    for (said, cause) in refusals {
        let error = folder.error(&seal(said));
        assert!(error.contains(cause), "{said}: {error}");
    }
    let output = folder.assay(&seal("of-other.json"));
    assert_eq!(output.status.code(), Some(1), "another account's masking is not ours to state");
    let listed = folder.json(&[&["data", "uses"], &sign[..]].concat());
    assert_eq!(listed["datasets"].as_array().unwrap().len(), 0, "nothing was sealed: {listed}");
    let sealed = folder.json(&seal("said.json"));
    let named = assay_types::sha256(folder.read("said.json").as_bytes()).to_string();
    assert_eq!(sealed["datasets"][0]["masked"], named.as_str());
    let plain = ["data", "seal", "table.csv", "--name", "plain"];
    assert!(folder.json(&[&plain[..], &sign].concat())["datasets"][0]["masked"].is_null());
}

#[test]
fn a_table_that_is_refused_leaves_nothing() {
    let folder = Folder::new();
    let keep = plan(
        OWNER,
        "[columns]\na = { action = \"keep\" }\nb = { action = \"generalise\", date = \"year\" }\n",
    );
    let good = "a,b\n1,2026-01-31\n";
    let tables: [(&[u8], &str); 8] = [
        (b"", "not even a header"),
        (b"a,b\n1\n", "row 2 has 1 cells and the header 2"),
        (b"a,b\n\"1,2026-01-31\n", "never closed"),
        (b"a,b\n\xff,2026-01-31\n", "row 2, column 1 is not UTF-8"),
        (b"a,b,CANARY\n1,2026-01-31,x\n", "does not name column 3"),
        (b"a\n1\n", "no column \"b\""),
        (b"a,a\n1,2\n", "columns 1 and 2 have the same name"),
        (b"a,b\n1,CANARY\n", "row 2, column \"b\": no date"),
    ];
    folder.write("plan.toml", &keep);
    let stated = [&MASK[..], &["--statement", "said.json"]].concat();
    for (table, cause) in tables {
        folder.write("table.csv", table);
        let error = folder.error(&stated);
        assert!(error.contains(cause), "{error:?} should say {cause:?}");
        assert!(!error.contains("CANARY"), "{error}");
        assert_eq!(folder.names(), ["plan.toml", "table.csv"], "nothing is half done");
    }
    // What was there before stays.
    folder.write("masked.csv", "older");
    folder.error(&MASK);
    assert_eq!(folder.read("masked.csv"), "older");
    folder.write("table.csv", good);
    for bad in [
        "",
        "schema = 1",
        "\u{0}",
        &keep.replace("keep", "hide"),
        &keep.replace("plan/1", "plan/2"),
    ] {
        folder.write("plan.toml", bad);
        assert!(folder.error(&MASK).contains("plan"), "of {bad:?}");
    }
    folder.write("plan.toml", &keep);
    assert!(folder.json(&MASK)["k"].is_null());
    assert_eq!(folder.read("masked.csv"), "a,b\n1,2026\n");
}

#[test]
fn files_and_keys_are_not_written_over() {
    let folder = Folder::new();
    folder.write("plan.toml", plan(OWNER, "[columns]\na = { action = \"pseudonym\" }\n"));
    folder.write("table.csv", "a\n1\n");
    for output in ["table.csv", "./table.csv", "plan.toml"] {
        let error =
            folder.error(&["data", "mask", "--plan", "plan.toml", "table.csv", "--output", output]);
        assert!(error.contains("another of its files"), "{error}");
    }
    let error = folder.error(&[&MASK[..], &["--statement", "masked.csv"]].concat());
    assert!(error.contains("another of its files"), "{error}");
    assert_eq!(folder.read("table.csv"), "a\n1\n");
    let error = folder.error(&[&MASK[..], &["--key", "no.key"]].concat());
    assert!(error.contains("no such file"), "a slip must not make new pseudonyms: {error}");
    assert!(!folder.has("no.key") && !folder.has("masked.csv"));
    folder.json(&[&MASK[..], &["--new-key", "a.key"]].concat());
    let (key, masked) = (folder.read("a.key"), folder.read("masked.csv"));
    assert_eq!(key.trim().len(), 64);
    folder.error(&[&MASK[..], &["--new-key", "a.key"]].concat());
    assert_eq!(folder.read("a.key"), key, "a key is never replaced");
    folder.json(&[&MASK[..], &["--key", "a.key"]].concat());
    assert_eq!(folder.read("masked.csv"), masked);
    folder.write("short.key", "00ff");
    folder.assay(&[&MASK[..], &["--key", "short.key"]].concat());
    assert_eq!(folder.read("short.key"), "00ff", "a damaged key is not mended");
    folder.json(&MASK);
    let home = Home::at(folder.0.path().join("home"));
    for path in [home.mask_key(), folder.0.path().join("a.key"), folder.0.path().join("masked.csv")]
    {
        private(&path);
    }
}

#[cfg(unix)]
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{} is for its owner only", path.display());
}

#[cfg(not(unix))]
fn private(path: &Path) {
    assert!(path.is_file());
}

/// A policy with one program or two, as often as that.
fn policy(programs: &[char], uses: u64, expires_at: u64) -> String {
    let guarantees = r#"{"group_min":5,"output_size_max":100,"steps_constant":true}"#;
    let programs =
        programs.iter().map(|digit| format!("\"{}\":{guarantees}", digit.to_string().repeat(64)));
    format!(
        r#"{{"version":1,"programs":{{{}}},
        "providers":{{"accounts":"any","stake_min":"7","measurements":"any"}},
        "requesters":"any","beneficiaries":"any","purposes":"any","verifiers":"any",
        "auditors":{{"accounts":"any","least":0}},"uses_max":{uses},"expires_at":{expires_at},
        "output":{{"class":"sealed","size_max":100,"step_limit_max":99,"steps_constant":true,"group_min":5}},
        "budget":{{"total_micro_epsilon":9,"cost_micro_epsilon":3}}}}"#,
        programs.collect::<Vec<_>>().join(",")
    )
}

#[test]
fn combined_data_is_sealed_under_the_strictest_rule_and_says_what_became_stricter() {
    let folder = Folder::new();
    folder.write("data", "Ada,36\n");
    folder.write("people.json", policy(&['1', '2'], 5, 4_000_000_000));
    folder.write("visits.json", policy(&['2', '3'], 7, 3_000_000_000));
    folder.write("draft.json", policy(&['2', '3'], 50, 4_000_000_000));
    for name in ["people", "visits"] {
        let file = format!("{name}.json");
        let sealed = folder.json(&["data", "seal", "data", "--name", name, "--policy", &file]);
        assert!(sealed["datasets"][0].get("sources").is_none(), "made of nothing: {sealed}");
    }
    let from = ["--from", "people", "--from", "visits"];
    let both = ["data", "seal", "data", "--name", "both"];
    let sealed = folder.json(&[&both[..], &from, &["--policy", "draft.json"]].concat());
    let sealed = &sealed["datasets"][0];
    assert_eq!((&sealed["uses_max"], &sealed["version"]), (&Value::from(5), &Value::from(1)));
    let stricter: Vec<_> = sealed["stricter"].as_array().unwrap().iter().collect();
    let clauses: Vec<_> =
        stricter.iter().map(|change| change["clause"].as_str().unwrap()).collect();
    assert_eq!(clauses, ["programs", "expires_at", "uses_max"], "{sealed}");
    let uses = "The data is used for at most 5 jobs, over all versions.";
    assert_eq!(stricter[2]["holds"], uses);
    assert_eq!(stricter[2]["asked"], uses.replace('5', "50"));
    let programs = stricter[0]["holds"].as_str().unwrap();
    assert!(programs.contains(&"2".repeat(64)) && !programs.contains(&"3".repeat(64)));
    let named: Vec<_> = sealed["sources"].as_array().unwrap().iter().collect();
    assert_eq!(named.len(), 2, "{sealed}");
    assert_eq!((&named[0]["name"], &named[1]["name"]), (&"people".into(), &"visits".into()));
    for source in named {
        assert_eq!((&source["is_own"], &source["is_laxer"]), (&true.into(), &false.into()));
        assert_eq!((&source["uses_spent"], &source["micro_epsilon_max"]), (&0.into(), &9.into()));
    }

    // Without a draft, the sources' rules alone; and a laxer policy set later stays as strict.
    let alone = folder.json(&[&both[..], &from].concat());
    assert_eq!(alone["datasets"][0]["policy"], sealed["policy"]);
    assert!(alone["datasets"][0].get("stricter").is_none(), "nothing else was asked for");
    let set = folder.assay(&["data", "policy", "both", "--set", "draft.json"]);
    let set = text(&set.stdout);
    for said in [
        "/both, version 3",
        "stricter     uses_max: The data is used for at most 5 jobs, over all versions. (asked for: The data is used for at most 50",
        "/people, version 1: 0 of 5 uses, budget 0 of 9 millionths of epsilon\n",
        "/visits, version 1: 0 of 7 uses",
    ] {
        assert!(set.contains(said), "{said} is not in\n{set}");
    }
    // A source that becomes stricter shows.
    folder.write("people.json", policy(&['2'], 1, 4_000_000_000));
    folder.json(&["data", "policy", "people", "--set", "people.json"]);
    let uses = text(&folder.assay(&["data", "uses"]).stdout);
    assert!(uses.contains("The policy permits more than a source's policy does now"), "{uses}");
    let again = folder.json(&["data", "policy", "both", "--set", "draft.json"]);
    assert_eq!(again["datasets"][0]["uses_max"], 1);
    assert_eq!(again["datasets"][0]["sources"][0]["is_laxer"], false);

    // A draft is told as one. A fee that a requester's own provider can evade is told too, and none
    // that it can't.
    assert!(sealed["published_at"].is_null() && sealed.get("warnings").is_none(), "{sealed}");
    assert!(uses.contains("A draft: it has no effect"), "{uses}");
    let set = ["data", "policy", "people", "--set", "people.json", "--fee", "5"];
    let warned = folder.json(&set)["datasets"][0]["warnings"][0].to_string();
    assert!(warned.contains("unless the policy lists providers"), "{warned}");
    let told = text(&folder.assay(&set).stdout);
    assert!(
        told.contains("Warning: The fee can be evaded") && told.contains("pays no fee"),
        "{told}"
    );
    let listed = policy(&['2'], 1, 4_000_000_000);
    let listed = listed.replacen(
        "\"accounts\":\"any\"",
        &format!("\"accounts\":[\"{}\"]", OWNER.to_lowercase()),
        1,
    );
    folder.write("people.json", listed);
    let told = text(&folder.assay(&set).stdout);
    assert!(told.contains("/people, version") && !told.contains("pays no fee"), "{told}");
    assert!(!told.contains("Warning"), "{told}");

    let refused = [
        ("both", "nothing", "there is no dataset"),
        ("both", "0x0101010101010101010101010101010101010101/people", "no market runs"),
        ("people", "both", "never itself"),
    ];
    for (name, from, cause) in refused {
        let error = folder.assay(&["data", "seal", "data", "--name", name, "--from", from]);
        assert_eq!(error.status.code(), Some(1));
        assert!(text(&error.stderr).contains(cause), "{}", text(&error.stderr));
    }
    let none = folder.assay(&["data", "seal", "data", "--name", "both", "--from", "No/Name"]);
    assert_eq!(none.status.code(), Some(2), "{}", text(&none.stderr));
}
