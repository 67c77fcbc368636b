//! A log in an object store: what a crash leaves, and two who write. In memory, and where
//! `ASSAY_PYTHON` can run moto (`cargo xtask test` sees to it) over S3's protocol on loopback.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use assay_storage::{LogFiles, LogObjects};
use assay_tlog::{
    AddCheckpoint, Added, CHECKPOINT, Checkpoint, Error, KeyKind, Log, NoteKey, Policy, Reader,
    Storage, StorageError, Witness, WitnessError, fsck,
};
use object_store::aws::AmazonS3Builder;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

static MARKS: AtomicU8 = AtomicU8::new(1);

fn key() -> NoteKey {
    NoteKey::new("log.example", KeyKind::Log, &[7; 32]).expect("a key")
}

fn policy() -> Policy {
    Policy::of_log(key().vkey().clone()).expect("a policy")
}

fn entry(number: u64) -> Vec<u8> {
    format!("entry {number}").into_bytes()
}

/// A bucket, and how to open it again as another process would.
struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// A prefix of its own, so that tests share a server.
    prefix: Path,
}

impl Bucket {
    fn open(&self) -> LogObjects {
        let mark = [MARKS.fetch_add(1, Ordering::Relaxed); 16];
        LogObjects::take_over(self.store.clone(), self.prefix.clone(), mark).expect("taken over")
    }

    fn log(&self) -> Log<LogObjects> {
        Log::open(self.open(), key()).expect("an ordinary start")
    }
}

/// The stores to test on: memory, and S3's protocol where a server can be started.
fn buckets(name: &str) -> (Vec<Bucket>, Option<Server>) {
    let server = Server::start();
    let prefix = Path::from(name);
    let s3 = server.as_ref().map(|server| Bucket { store: server.store(), prefix });
    ([Some(memory(name)), s3].into_iter().flatten().collect(), server)
}

/// For who writes at once: moto compares and puts in two steps, which S3 does in one.
fn memory(name: &str) -> Bucket {
    Bucket { store: Arc::new(InMemory::new()), prefix: Path::from(name) }
}

/// moto: S3 over HTTP on loopback.
struct Server(Child, String);

impl Server {
    fn start() -> Option<Self> {
        let Some(python) = std::env::var_os("ASSAY_PYTHON") else {
            assert!(std::env::var_os("CI").is_none(), "in CI a server must speak S3 to the log");
            eprintln!("skipped: S3 over HTTP; `cargo xtask test` installs a server");
            return None;
        };
        let script = include_str!("moto.py");
        let mut command = Command::new(python);
        command.args(["-c", script, "logs"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().expect("python starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let url = loop {
            let line = lines.next().expect("the server starts").expect("text");
            if let Some(url) = line.strip_prefix("URL ") {
                break url.to_owned();
            }
        };
        Some(Server(child, url))
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        let store = AmazonS3Builder::new()
            .with_endpoint(&self.1)
            .with_allow_http(true)
            .with_bucket_name("logs")
            .with_region("us-east-1")
            .with_access_key_id("k")
            .with_secret_access_key("s");
        let _ = rustls::crypto::ring::default_provider().install_default();
        Arc::new(store.build().expect("a store"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tree(storage: &impl Storage) -> Checkpoint {
    let note = storage.get(CHECKPOINT).expect("read").expect("there is one");
    policy().open(&note).expect("signed").checkpoint
}

#[test]
fn a_log_in_a_bucket_is_a_log() {
    let (buckets, _server) = buckets("appended");
    for bucket in buckets {
        let mut log = bucket.log();
        for batch in (0..600).collect::<Vec<_>>().chunks(150) {
            let entries: Vec<_> = batch.iter().map(|number| entry(*number)).collect();
            log.add(&entries).expect("added");
        }
        drop(log);
        // Another process goes on where this one ended, and knows what is there.
        let mut log = bucket.log();
        let added = log.add(&[entry(599), entry(600)]).expect("added");
        let places: Vec<_> = added.iter().map(|one| (one.index, one.is_new)).collect();
        assert_eq!(places, [(599, false), (600, true)]);
        let storage = bucket.open();
        let report = fsck(&storage, &policy(), &[]).expect("read");
        assert_eq!((report.faults, report.entries), (vec![], 601));
        let tree = tree(&storage);
        let entry_of = |index| Reader::new(&storage, &tree).entry(index).expect("there");
        assert_eq!(entry_of(311), entry(311));
        // Others read a bucket by the names of tlog-tiles, and know nothing of its head.
        let served = storage.get("head").expect("read").expect("there");
        assert!(served.ends_with(&storage.get(CHECKPOINT).expect("read").expect("there")));
        assert_eq!(storage.get("tile/0/000.p/1").expect("read"), None, "partial tiles are removed");
    }
}

/// A storage whose process is gone after so many writes: what was being written may be there or
/// not.
struct Killed<S>(S, std::sync::atomic::AtomicU32, u32);

impl<S: Storage> Killed<S> {
    fn dies(&self) -> bool {
        self.1.fetch_add(1, Ordering::Relaxed) >= self.2
    }
}

impl<S: Storage> Storage for Killed<S> {
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.0.get(name)
    }

    fn has_any(&self, folder: &str) -> Result<bool, StorageError> {
        self.0.has_any(folder)
    }

    fn put_all(&self, objects: &[(String, Vec<u8>)]) -> Result<(), StorageError> {
        if self.dies() {
            // Half of them, the last one cut: not by S3, which puts whole objects, but nothing
            // hangs on that.
            let mut half = objects[..objects.len() / 2 + 1].to_vec();
            if let Some((_, bytes)) = half.last_mut() {
                bytes.truncate(bytes.len() / 2);
            }
            self.0.put_all(&half)?;
            return Err(StorageError("killed".into()));
        }
        self.0.put_all(objects)
    }

    fn replace(&self, name: &str, old: Option<&[u8]>, new: &[u8]) -> Result<bool, StorageError> {
        if self.dies() {
            return Err(StorageError("killed".into()));
        }
        self.0.replace(name, old, new)
    }

    fn remove_all(&self, folder: &str) -> Result<(), StorageError> {
        if self.dies() {
            return Err(StorageError("killed".into()));
        }
        self.0.remove_all(folder)
    }
}

#[test]
fn a_crash_at_any_write_loses_nothing_that_was_acknowledged() {
    let (buckets, _server) = buckets("killed");
    for bucket in buckets {
        let mut rng = fastrand::Rng::with_seed(0x0b1e);
        drop(bucket.log());
        let mut acknowledged: Vec<(u64, u64)> = Vec::new();
        let mut next = 0;
        for round in 0..25 {
            let storage = Killed(bucket.open(), Default::default(), rng.u32(0..5));
            let mut log = Log::open(storage, key()).expect("an ordinary start");
            loop {
                let numbers: Vec<u64> = (next..next + rng.u64(1..60)).collect();
                let entries: Vec<_> = numbers.iter().map(|number| entry(*number)).collect();
                let Ok(added) = log.add(&entries) else { break };
                acknowledged.extend(added.iter().zip(&numbers).map(|(a, n)| (a.index, *n)));
                // What was not acknowledged is offered again next time.
                next += numbers.len() as u64;
            }
            let storage = bucket.open();
            let report = fsck(&storage, &policy(), &[]).expect("read");
            assert_eq!(report.faults, [], "after {round} crashes");
        }
        assert!(acknowledged.len() > 25, "no load: this test would show nothing");
        let storage = bucket.open();
        let tree = tree(&storage);
        let reader = Reader::new(&storage, &tree);
        for (index, number) in acknowledged {
            assert_eq!(reader.entry(index).expect("there"), entry(number));
        }
    }
}

#[test]
fn of_two_writers_the_later_owns_the_log_whatever_the_earlier_still_does() {
    let (buckets, _server) = buckets("two");
    for bucket in buckets {
        let mut one = bucket.log();
        one.add(&[entry(0), entry(1)]).expect("added");
        let mut two = bucket.log();
        // The earlier one goes on: its tiles lie there, and no checkpoint ever speaks of them.
        let refused = one.add(&[b"of one".to_vec()]);
        assert!(matches!(refused, Err(Error::OtherWriter)), "{refused:?}");
        let added = two.add(&[b"of two".to_vec()]).expect("the later one owns it");
        assert_eq!(added, [Added { index: 2, is_new: true }]);
        let refused = one.add(&[b"of one".to_vec(), b"more".to_vec()]);
        assert!(refused.is_err(), "{refused:?}");
        two.add(&[b"more of two".to_vec()]).expect("undisturbed");
        let storage = bucket.open();
        assert_eq!(fsck(&storage, &policy(), &[]).expect("read").faults, []);
        // Even in step with each other: each batch of the earlier one just before the later one's.
        let mut two = bucket.log();
        for number in 10..30 {
            let _ = one.add(&[entry(number), b"of one".to_vec()]);
            two.add(&[entry(number + 1_000)]).expect("undisturbed");
        }
        let storage = bucket.open();
        let report = fsck(&storage, &policy(), &[]).expect("read");
        assert_eq!((report.faults, report.entries), (vec![], 24));
    }
}

#[test]
fn two_writers_at_once_make_one_log() {
    let bucket = memory("race");
    drop(bucket.log());
    let acknowledged: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let writers = [0u64, 1].map(|writer| {
            let bucket = &bucket;
            scope.spawn(move || {
                let mut acknowledged = Vec::new();
                let mut log = None;
                // On a busy machine they take it from each other many times before either has ten.
                for number in (0..1_000).map(|number| writer * 1_000 + number) {
                    if acknowledged.len() == 10 {
                        break;
                    }
                    // Who has lost the log takes it over again, as a supervisor that restarts it
                    // would.
                    let opened = log.take().map_or_else(|| Log::open(bucket.open(), key()), Ok);
                    let Ok(mut opened) = opened else { continue };
                    if let Ok(added) = opened.add(&[entry(number)]) {
                        acknowledged.push((added[0].index, number));
                        log = Some(opened);
                    }
                }
                acknowledged
            })
        });
        writers.into_iter().flat_map(|writer| writer.join().expect("no panic")).collect()
    });
    assert_eq!(acknowledged.len(), 20, "a writer has never had the log for long enough");
    let storage = bucket.open();
    let tree = tree(&storage);
    let reader = Reader::new(&storage, &tree);
    for (index, number) in &acknowledged {
        assert_eq!(reader.entry(*index).expect("there"), entry(*number), "entry {index}");
    }
    assert_eq!(fsck(&storage, &policy(), &[]).expect("read").faults, []);
}

impl Bucket {
    fn remove(&self, name: &str) {
        let place = self.prefix.clone().join(name);
        done(self.store.delete(&place)).expect("removed");
    }

    fn put(&self, name: &str, bytes: Vec<u8>) {
        let place = name.split('/').fold(self.prefix.clone(), |path, part| path.join(part));
        done(self.store.put(&place, bytes.into())).expect("put");
    }
}

fn done<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

/// The log of so many entries goes on after the last one.
fn goes_on(bucket: &Bucket, size: u64) {
    let mut log = bucket.log();
    let added = log.add(&[entry(size)]).expect("added");
    assert_eq!(added, [Added { index: size, is_new: true }], "another history was begun");
    let storage = bucket.open();
    assert_eq!(fsck(&storage, &policy(), &[]).expect("read").faults, []);
}

#[test]
fn a_bucket_without_its_head_does_not_begin_another_log() {
    let (buckets, _server) = buckets("headless");
    for bucket in buckets {
        let entries: Vec<_> = (0..300).map(entry).collect();
        bucket.log().add(&entries).expect("added");
        bucket.remove("head");
        let reader = |bucket: &Bucket| bucket.open().get(CHECKPOINT).expect("read");
        let note = reader(&bucket).expect("there is one");
        goes_on(&bucket, 300);
        // Without the checkpoint there is nothing to go on from.
        bucket.remove("head");
        bucket.remove(CHECKPOINT);
        let opened = Log::open(bucket.open(), key()).err();
        assert!(matches!(opened, Some(Error::CheckpointLost)), "{opened:?}");
        assert_eq!(reader(&bucket), None, "nothing was signed");
        // Restored as the error says, though a head was put meanwhile.
        bucket.put(CHECKPOINT, note);
        goes_on(&bucket, 300);
    }
}

#[test]
fn a_log_that_was_copied_from_a_folder_goes_on_in_a_bucket() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = LogFiles::open(folder.path().join("log")).expect("opened");
    let entries: Vec<_> = (0..300).map(entry).collect();
    Log::open(files, key()).expect("begun").add(&entries).expect("added");
    let (buckets, _server) = buckets("copied");
    for bucket in buckets {
        let files = LogFiles::read_only(folder.path().join("log"));
        for name in [
            CHECKPOINT,
            "tile/0/000",
            "tile/0/001.p/44",
            "tile/1/000.p/1",
            "tile/entries/000",
            "tile/entries/001.p/44",
        ] {
            bucket.put(name, files.get(name).expect("read").expect(name));
        }
        goes_on(&bucket, 300);
    }
    std::fs::remove_file(folder.path().join("log").join(CHECKPOINT)).expect("removed");
    let files = LogFiles::open(folder.path().join("log")).expect("opened");
    let opened = Log::open(files, key()).err();
    assert!(matches!(opened, Some(Error::CheckpointLost)), "a folder without it: {opened:?}");
}

#[test]
fn a_witness_in_a_bucket_cosigns_one_history() {
    let bucket = memory("witness");
    let secret = NoteKey::new("witness.example", KeyKind::Witness, &[9; 32]).expect("a key");
    let watching = || {
        let logs = vec![key().vkey().clone()];
        Witness::new(bucket.open(), secret.clone(), logs).expect("a witness")
    };
    let note = |size: u64, fork: u64| {
        let mut log = memory("fork").log();
        let entries: Vec<_> = (0..size).map(|number| entry(fork * 1_000 + number)).collect();
        log.add(&entries).expect("added");
        log.checkpoint().expect("there is one").to_vec()
    };
    let ask =
        |checkpoint| AddCheckpoint { old_size: 0, consistency: Vec::new(), checkpoint }.to_bytes();
    let (one, two) = (watching(), watching());
    // Two processes of one witness, and a fork for each: one at most is cosigned.
    let done = std::thread::scope(|scope| {
        let asked = [(&one, 1), (&two, 2)].map(|(witness, fork)| {
            let request = ask(note(10, fork));
            scope.spawn(move || witness.add_checkpoint(&request, 1_800_000_000))
        });
        asked.map(|thread| thread.join().expect("no panic"))
    });
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1, "{done:?}");
    let again = watching().add_checkpoint(&ask(note(12, 0)), 1_800_000_000);
    assert!(matches!(again, Err(WitnessError::Stale { size: 10 })), "{again:?}");
}

#[test]
fn what_is_no_bucket_says_so() {
    for url in ["/a/folder", "http://example.org/logs", "s3://", "s3:///prefix"] {
        let error = LogObjects::read_only(url).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("object store can't be used")), "{url}");
    }
}
