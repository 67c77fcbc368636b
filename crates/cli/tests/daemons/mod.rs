//! Brokers, witnesses and an object store as processes of their own, for tests that kill them and
//! lie to them.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses its share")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use alloy_signer_local::PrivateKeySigner;
use assay_broker_client::BrokerClient;
use assay_contracts::Deployment;

use super::nowhere::deployment;

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Options that let a daemon listen where it likes.
pub const ANYWHERE: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// A variable of a process's environment.
type Variable<'a> = (&'static str, &'a str);

/// A process that is killed when dropped, as a power cut would.
pub struct Daemon {
    child: Child,
    /// Where it listens.
    pub url: String,
    /// The key that it says is its own: a log's, or a witness's.
    pub key: String,
    stderr: PathBuf,
}

impl Daemon {
    /// Starts a command that says where it listens and by which key it signs; what it warns of goes
    /// to a file in the folder.
    fn start(mut command: Command, folder: &Path) -> Self {
        let stderr = folder.join("stderr");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).env("ASSAY_LOG", "info");
        let mut child = command.stderr(std::fs::File::create(&stderr).unwrap()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut word = || {
            let line = lines.next().and_then(Result::ok).unwrap_or_else(|| {
                panic!("it does not serve: {}", std::fs::read_to_string(&stderr).unwrap())
            });
            line.split_whitespace().nth(1).expect("a name and a word").to_owned()
        };
        let (url, key) = (word(), word());
        // Whoever else says something must not be told that nobody listens.
        std::thread::spawn(move || lines.for_each(drop));
        Daemon { child, url, key, stderr }
    }

    /// A broker of a folder's home.
    pub fn broker(folder: &Path, deployment: &Path, options: &[&str], store: &[Variable]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command.arg("broker").arg("--home").arg(folder.join("home"));
        command.arg("--deployment").arg(deployment).args(options);
        command.envs(store.iter().copied());
        Self::start(command, folder)
    }

    /// What a broker says that does not start.
    pub fn refused_broker(folder: &Path, deployment: &Path, options: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command.arg("broker").arg("--home").arg(folder.join("home"));
        command.arg("--deployment").arg(deployment).args(options).stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        said
    }

    /// A witness of a log.
    pub fn witness(folder: &Path, log: &str, options: &[&str], store: &[Variable]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command.args(["witness", "run", "--name", "witness.example", "--log", log]);
        command.arg("--home").arg(folder.join("home")).args(options);
        command.envs(store.iter().copied());
        Self::start(command, folder)
    }

    /// Host and port.
    pub fn listen(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches('/')
    }

    /// What it said on standard error so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    /// Waits until it has said that on standard error.
    pub async fn says(&self, words: &str) {
        until(
            || async { self.said().contains(words).then_some(()) },
            || format!("it does not say {words:?}: {}", self.said()),
        )
        .await;
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again until there is an answer.
pub async fn until<T, F: Future<Output = Option<T>>>(
    ask: impl Fn() -> F,
    otherwise: impl Fn() -> String,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{}", otherwise());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A deployment that no chain has: for brokers that ask none.
pub fn deployment_in(folder: &Path) -> (Deployment, PathBuf) {
    let deployment = deployment();
    let file = folder.join("deployment.json");
    std::fs::write(&file, serde_json::to_vec(&deployment).unwrap()).unwrap();
    (deployment, file)
}

/// Of the log that a broker keeps.
pub fn client(url: &str, deployment: &Deployment) -> BrokerClient {
    BrokerClient::new(
        url,
        deployment.clone(),
        &PrivateKeySigner::random(),
        assay_chain::SystemClock,
    )
    .unwrap()
}

/// An entry as brokers take them: in the form of a signed statement.
pub fn entry(number: u64) -> Vec<u8> {
    format!(
        "{{\"payload\":\"{}{number:08}\",\"payloadType\":\"application/vnd.in-toto+json\",\"signatures\":[{{\"keyid\":\"k\",\"sig\":\"c2ln\"}}]}}",
        "A".repeat(400)
    )
    .into_bytes()
}

/// Adds entries, all at once.
pub async fn add(client: &BrokerClient, numbers: std::ops::Range<u64>) {
    let mut adding = tokio::task::JoinSet::new();
    for number in numbers {
        let client = client.clone();
        adding.spawn(async move { client.log_add(entry(number)).await.unwrap() });
    }
    adding.join_all().await;
}

/// How many entries a served checkpoint speaks of.
pub async fn size_of(client: &BrokerClient, name: &str) -> Option<u64> {
    let note = client.log_object(name).await.ok()??;
    Some(assay_tlog::Checkpoint::unverified(&note).unwrap().size)
}

/// Waits until the log's witnesses have cosigned so many entries.
pub async fn cosigned(client: &BrokerClient, broker: &Daemon, size: u64) {
    until(
        || async { size_of(client, "cosigned").await.filter(|cosigned| *cosigned == size) },
        || format!("{size} entries are not cosigned: {}", broker.said()),
    )
    .await;
}

/// A copy of a folder.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

/// moto: S3 over HTTP on loopback, with a bucket `logs`. Killed when dropped.
pub struct ObjectStore {
    child: Child,
    url: String,
}

impl ObjectStore {
    /// Starts it where `ASSAY_PYTHON` can (`cargo xtask test` sees to it); in CI it must.
    pub fn start(test: &str) -> Option<Self> {
        let Some(python) = std::env::var_os("ASSAY_PYTHON") else {
            assert!(std::env::var_os("CI").is_none(), "in CI a server must speak S3 to the log");
            eprintln!("SKIPPED {test}: S3 over HTTP; `cargo xtask test` installs a server");
            return None;
        };
        let script = include_str!("../../../storage/tests/moto.py");
        let mut command = Command::new(python);
        command.args(["-c", script, "logs"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut urls = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("URL ").map(str::to_owned));
        let url = urls.next().expect("the server starts");
        Some(ObjectStore { child, url })
    }

    /// What a process must be told to use it.
    pub fn environment(&self) -> [Variable<'_>; 5] {
        [
            ("AWS_ENDPOINT_URL", &self.url),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "k"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
        ]
    }
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
