//! A server of S3's protocol on loopback: moto, where there is a Python that has it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::path::Path;

const BUCKET: &str = "logs";

const SCRIPT: &str = include_str!("../../crates/storage/tests/moto.py");

/// A server that is killed when dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts it; says on standard error why not, where it can't.
    pub(crate) fn start() -> Option<Self> {
        // Where `cargo xtask test` puts it.
        let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/python/bin/python");
        let python =
            std::env::var_os("ASSAY_PYTHON").map_or_else(|| installed.into(), PathBuf::from);
        let started = Self::run(&python);
        if started.is_none() {
            eprintln!(
                "skipped: the log in an object store (no moto; `cargo xtask test` installs it)"
            );
        }
        started
    }

    fn run(python: &PathBuf) -> Option<Self> {
        let mut command = Command::new(python);
        command.args(["-c", SCRIPT, BUCKET]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().ok()?;
        let lines = BufReader::new(child.stdout.take()?).lines().map_while(Result::ok);
        let mut urls = lines.filter_map(|line| line.strip_prefix("URL ").map(str::to_owned));
        let mut server = Server { child, url: String::new() };
        server.url = urls.next()?;
        Some(server)
    }

    /// A log's place of its own in the bucket.
    pub(crate) fn log(&self, number: u8) -> Result<assay_storage::LogObjects, String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = AmazonS3Builder::new()
            .with_endpoint(&self.url)
            .with_allow_http(true)
            .with_bucket_name(BUCKET)
            .with_region("us-east-1")
            .with_access_key_id("k")
            .with_secret_access_key("s");
        let store = Arc::new(store.build().map_err(|error| error.to_string())?);
        let prefix = Path::from(format!("round-{number}"));
        let opened = assay_storage::LogObjects::take_over(store, prefix, [number; 16]);
        opened.map_err(|error| error.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
