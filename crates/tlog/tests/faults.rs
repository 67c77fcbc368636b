//! Disks that fail and tear, logs that fork, forget and lie, and witnesses and fsck that notice.

mod common;

use std::sync::Arc;

use assay_tlog::{
    AddCheckpoint, CHECKPOINT, COSIGNED, Error, Fault, KeyKind, Known, Log, NOTE_SIGNATURES_MAX,
    NoteKey, Policy, Reader, Storage, Witness, WitnessError, fsck,
};
use common::{Disk, checkpoint, entry, log_key, log_of, witness_key};

const CRASHES: u64 = 1_000;
const NOW: u64 = 1_800_000_000;

fn policy() -> Policy {
    let witnesses = [1, 2].map(|number| witness_key(number).vkey().clone()).to_vec();
    Policy::new(log_key().vkey().clone(), witnesses, 1).expect("a policy")
}

/// Of a reader who asks for no witness.
fn log_alone() -> Policy {
    Policy::of_log(log_key().vkey().clone()).expect("a policy")
}

#[test]
fn whatever_write_is_torn_no_acknowledged_entry_is_lost() {
    let mut rng = fastrand::Rng::with_seed(0xc4a5);
    let disk = Disk::new();
    let mut log = Log::open(disk.clone(), log_key()).expect("begun");
    let mut acknowledged: Vec<(u64, u64)> = Vec::new();
    let (mut next, mut failures) = (0u64, 0);
    for seed in 0..CRASHES {
        disk.fail_after(rng.u32(0..6), seed);
        // Until the fuse has burnt down.
        loop {
            let numbers: Vec<u64> = (next..next + rng.u64(1..9)).collect();
            let entries: Vec<_> = numbers.iter().map(|number| entry(*number)).collect();
            match log.add(&entries) {
                Ok(added) => {
                    acknowledged.extend(added.iter().zip(numbers).map(|(a, n)| (a.index, n)));
                    next += entries.len() as u64;
                }
                Err(error) => {
                    assert!(matches!(error, Error::Storage(_)), "{error}");
                    failures += 1;
                    break;
                }
            }
        }
        disk.mend();
        // Half go on with the same log, half are restarted. Either way the same entries are offered
        // again.
        if rng.bool() {
            log = Log::open(disk.clone(), log_key()).expect("an ordinary start");
        }
        if seed % 100 == 99 {
            let tree = checkpoint(&disk);
            let reader = Reader::new(&disk, &tree);
            for (index, number) in &acknowledged {
                assert_eq!(reader.entry(*index).expect("there"), entry(*number), "entry {index}");
            }
            let report = fsck(&disk, &log_alone(), &[]).expect("read");
            assert_eq!(report.faults, [], "after {seed} crashes");
            acknowledged.drain(..acknowledged.len().saturating_sub(300));
        }
    }
    assert_eq!(failures, CRASHES, "each fuse burnt down");
    let tree = checkpoint(&disk);
    assert!(tree.size >= next, "{} entries of {next}", tree.size);
}

#[test]
fn the_same_entry_keeps_its_place() {
    let (disk, mut log) = log_of(300);
    let before = log.checkpoint().expect("there is one").to_vec();
    let twice = [entry(5), entry(299), entry(5)];
    let added = log.add(&twice).expect("added");
    let places: Vec<_> = added.iter().map(|added| (added.index, added.is_new)).collect();
    assert_eq!(places, [(5, false), (299, false), (5, false)]);
    assert_eq!(log.checkpoint().expect("there is one"), before, "nothing new, no new checkpoint");
    let mut log = Log::open(disk.clone(), log_key()).expect("opened");
    let added = log.add(&[b"new".to_vec(), entry(7), b"new".to_vec()]).expect("added");
    let places: Vec<_> = added.iter().map(|added| (added.index, added.is_new)).collect();
    assert_eq!(places, [(300, true), (7, false), (300, false)], "also after a restart");
    assert_eq!(checkpoint(&disk).size, 301);
}

/// The checkpoint was replaced and nobody was told: the entry is there, and is added again.
#[test]
fn an_entry_whose_answer_was_lost_has_its_place_and_proof_when_it_is_added_again() {
    let (mut lost, mut rng) = (0, fastrand::Rng::with_seed(40));
    for seed in 0..400 {
        let (disk, mut log) = log_of(rng.u64(1..600));
        let before = checkpoint(&disk).size;
        // Tiles are written, and the checkpoint is replaced or not.
        disk.fail_after(1, seed);
        let refused = log.add(&[b"the entry".to_vec()]);
        assert!(matches!(refused, Err(Error::Storage(_))), "{refused:?}");
        disk.mend();
        let tree = checkpoint(&disk);
        if tree.size == before {
            continue;
        }
        lost += 1;
        let proof = Reader::new(&disk, &tree).prove_inclusion(before).expect("it is there");
        if rng.bool() {
            log = Log::open(disk.clone(), log_key()).expect("an ordinary start");
        }
        let again = log.add(&[b"another".to_vec(), b"the entry".to_vec()]).expect("added");
        let places: Vec<_> = again.iter().map(|added| (added.index, added.is_new)).collect();
        assert_eq!(places, [(before + 1, true), (before, false)], "it has two places");
        let proof_again = Reader::new(&disk, &tree).prove_inclusion(before).expect("it is there");
        assert_eq!(proof_again, proof, "another proof under the same checkpoint");
        let known = Known { source: "a reader".into(), size: tree.size, root: tree.root };
        assert_eq!(fsck(&disk, &log_alone(), &[known]).expect("read").faults, []);
    }
    assert!(lost > 100, "{lost} answers were lost: the test shows nothing");
}

#[test]
fn two_writers_do_not_make_two_logs() {
    let (disk, mut one) = log_of(10);
    let mut two = Log::open(disk.clone(), log_key()).expect("opened");
    one.add(&[b"of one".to_vec()]).expect("added");
    let refused = two.add(&[b"of two".to_vec()]);
    assert!(matches!(refused, Err(Error::OtherWriter)), "{refused:?}");
    let added = two.add(&[b"of two".to_vec()]).expect("it has seen the other's by now");
    assert_eq!(added[0].index, 11);
    assert_eq!(fsck(&disk, &log_alone(), &[]).expect("read").faults, []);
}

#[test]
fn a_long_entry_is_refused_before_anything_is_written() {
    let (disk, mut log) = log_of(3);
    let before = disk.objects();
    let refused = log.add(&[b"good".to_vec(), vec![0; 65_536]]);
    assert!(matches!(refused, Err(Error::EntryLong { length: 65_536, max: 65_535 })));
    assert_eq!(disk.objects(), before);
    log.add(&[vec![], vec![0; 65_535]]).expect("the shortest and the longest");
}

#[test]
fn a_log_does_not_start_on_what_was_changed() {
    let (disk, log) = log_of(300);
    drop(log);
    for (name, bytes) in disk.objects() {
        // Full bundles are read when asked for, and by fsck.
        if name == "tile/entries/000" || name == "tile/1/000.p/1" {
            continue;
        }
        let current = ["tile/0/001.p/44", "tile/entries/001.p/44", "tile/0/000", CHECKPOINT];
        if !current.contains(&name.as_str()) {
            continue;
        }
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        for spoilt in [Some(changed), Some(bytes[..bytes.len() - 1].to_vec())] {
            disk.set(&name, spoilt);
            let opened = Log::open(disk.clone(), log_key());
            assert!(opened.is_err(), "{name} was changed and nobody noticed");
        }
        disk.set(&name, Some(bytes));
    }
    let other = NoteKey::new("log.example/assay", KeyKind::Log, &[8; 32]).expect("a key");
    let opened = Log::open(disk.clone(), other);
    assert!(matches!(opened, Err(Error::Checkpoint(_))), "another key's log");
    Log::open(disk, log_key()).expect("as it was, it opens");
}

#[test]
fn a_log_whose_checkpoint_is_lost_is_not_begun_again() {
    for size in [1, 255, 256, 600] {
        let (disk, log) = log_of(size);
        drop(log);
        let note = disk.get(CHECKPOINT).expect("read").expect("there is one");
        disk.set(CHECKPOINT, None);
        let before = disk.objects();
        let opened = Log::open(disk.clone(), log_key()).err();
        assert!(
            matches!(opened, Some(Error::CheckpointLost)),
            "a second log of one key: {opened:?}"
        );
        assert_eq!(disk.objects(), before, "what could still be restored is changed");
        disk.set(CHECKPOINT, Some(note));
        let mut log = Log::open(disk.clone(), log_key()).expect("restored");
        assert_eq!(log.add(&[b"next".to_vec()]).expect("added")[0].index, size);
    }
}

/// A witness, and what it has cosigned last.
struct Watched {
    disk: Arc<Disk>,
    witness: Witness<Arc<Disk>>,
}

impl Watched {
    fn new() -> Self {
        let disk = Disk::new();
        Watched { witness: watching(&disk), disk }
    }

    fn see(&self, of: &Arc<Disk>, old_size: u64) -> Result<Vec<u8>, WitnessError> {
        self.witness.add_checkpoint(&request(of, old_size), NOW)
    }
}

fn watching(disk: &Arc<Disk>) -> Witness<Arc<Disk>> {
    let logs = vec![log_key().vkey().clone()];
    Witness::new(disk.clone(), witness_key(1), logs).expect("a witness")
}

fn request(of: &Arc<Disk>, old_size: u64) -> Vec<u8> {
    let tree = checkpoint(of);
    let consistency = Reader::new(of, &tree).prove_consistency(old_size).unwrap_or_default();
    let checkpoint = of.get(CHECKPOINT).expect("read").expect("there is one");
    AddCheckpoint { old_size, consistency, checkpoint }.to_bytes()
}

/// The same log with its last entries cut off, by the same key: what a restored backup is.
fn rolled_back(size: u64) -> Arc<Disk> {
    log_of(size).0
}

/// A log that shares so many entries with the others and goes on differently.
fn forked(shared: u64, size: u64) -> Arc<Disk> {
    let (disk, mut log) = log_of(shared);
    let others: Vec<_> = (shared..size).map(|number| entry(number + 1_000_000)).collect();
    log.add(&others).expect("added");
    disk
}

#[test]
fn a_witness_cosigns_one_history() {
    let watched = Watched::new();
    watched.see(&log_of(0).0, 0).expect("an empty log");
    watched.see(&log_of(100).0, 0).expect("it has grown");
    watched.see(&log_of(300).0, 100).expect("it has grown");
    watched.see(&log_of(300).0, 300).expect("the same again");

    let stale = watched.see(&log_of(400).0, 100);
    assert!(matches!(stale, Err(WitnessError::Stale { size: 300 })), "{stale:?}");
    let fork = watched.see(&forked(200, 300), 300);
    assert!(matches!(fork, Err(WitnessError::Forked { size: 300 })), "{fork:?}");
    let fork = watched.see(&forked(200, 400), 300);
    assert!(matches!(fork, Err(WitnessError::Inconsistent { size: 300 })), "{fork:?}");
    let back = watched.see(&rolled_back(250), 250);
    assert!(matches!(back, Err(WitnessError::Stale { size: 300 })), "{back:?}");
    let back = watched.see(&rolled_back(250), 300);
    assert!(matches!(back, Err(WitnessError::Shrinks)), "{back:?}");
    let begun_again = watched.see(&forked(0, 10), 0);
    assert!(matches!(begun_again, Err(WitnessError::Stale { size: 300 })), "{begun_again:?}");

    // A restarted witness has forgotten nothing.
    let again = watching(&watched.disk);
    let fork = again.add_checkpoint(&request(&forked(200, 400), 300), NOW);
    assert!(matches!(fork, Err(WitnessError::Inconsistent { .. })), "{fork:?}");
    again.add_checkpoint(&request(&log_of(400).0, 300), NOW).expect("the true one");
}

/// Signature lines of a key that nobody knows.
fn junk_lines(count: usize) -> Vec<u8> {
    // Five bytes: a key's id, and a signature of one.
    (0..count)
        .flat_map(|number| format!("\u{2014} junk-{number} AAAAAAA=\n").into_bytes())
        .collect()
}

#[test]
fn signatures_of_strangers_do_not_come_into_a_witnesss_state() {
    let watched = Watched::new();
    let (log, _) = log_of(5);
    let line = watched.see(&log, 0).expect("cosigned");
    // Anybody can take the public note, fill it up to what a note may have, and send it again.
    let note = log.get(CHECKPOINT).expect("read").expect("there is one");
    let public = [note, line].concat();
    let full = [public, junk_lines(NOTE_SIGNATURES_MAX - 2)].concat();
    let filled = |checkpoint| {
        let asked = AddCheckpoint { old_size: 5, consistency: Vec::new(), checkpoint };
        watched.witness.add_checkpoint(&asked.to_bytes(), NOW)
    };
    filled(full.clone()).expect("it is what was cosigned before");
    let (_, stored) = watched.disk.objects().pop_first().expect("its place");
    let lines =
        stored.split(|byte| *byte == b'\n').filter(|line| line.starts_with("\u{2014}".as_bytes()));
    assert_eq!(lines.count(), 2, "the log's signature and the witness's own, and nobody else's");
    watched.see(&log_of(9).0, 5).expect("a stranger's request has disabled the witness for good");
    let over = [full, junk_lines(1)].concat();
    assert!(filled(over).is_err(), "more than a note may have is none");
}

#[test]
fn a_witness_knows_its_logs_and_its_place() {
    let watched = Watched::new();
    let foreign = NoteKey::new("log.example/assay", KeyKind::Log, &[8; 32]).expect("a key");
    let disk = Disk::new();
    Log::open(disk.clone(), foreign).expect("begun");
    let note = disk.get(CHECKPOINT).expect("read").expect("there is one");
    let ask = |note: &[u8]| watched.witness.add_checkpoint(&[b"old 0\n\n", note].concat(), NOW);
    let unsigned = ask(&note);
    assert!(matches!(unsigned, Err(WitnessError::Checkpoint(_))), "{unsigned:?}");
    assert_eq!(unsigned.map_err(|error| error.status()), Err(403));
    let unknown = ask(&[b"x", &note[..]].concat());
    assert!(matches!(&unknown, Err(WitnessError::UnknownLog(name)) if name.starts_with('x')));
    for nonsense in [&b""[..], b"old 1", b"old -1\n\n", b"old 0\nnothing\n\n"] {
        let refused = watched.witness.add_checkpoint(nonsense, NOW);
        assert!(matches!(refused, Err(WitnessError::Form)), "{refused:?}");
    }
    for size in ["00", "+0", "-0", " 0", "000000000000000000000", "0x0"] {
        let own = log_of(5).0.get(CHECKPOINT).expect("read").expect("there is one");
        let asked = [format!("old {size}\n\n").as_bytes(), &own].concat();
        let refused = watched.witness.add_checkpoint(&asked, NOW);
        assert!(matches!(refused, Err(WitnessError::Form)), "old {size:?}: {refused:?}");
        let note = String::from_utf8(own).expect("text");
        let note = note.replacen("\n5\n", &format!("\n{size}5\n"), 1);
        let refused = watched.witness.add_checkpoint(format!("old 0\n\n{note}").as_bytes(), NOW);
        assert_eq!(refused.map_err(|error| error.status()), Err(400), "{note}");
    }
    // What it has cosigned is damaged: it would rather cosign nothing than a fork.
    watched.see(&log_of(5).0, 0).expect("cosigned");
    let (name, _) = watched.disk.objects().pop_first().expect("its place");
    watched.disk.set(&name, Some(b"nothing".to_vec()));
    let refused = watched.see(&log_of(9).0, 5);
    assert!(matches!(refused, Err(WitnessError::Damaged)), "{refused:?}");
}

#[test]
fn of_two_forks_at_once_one_at_most_is_cosigned() {
    for seed in 0..200 {
        let watched = Watched::new();
        watched.disk.fail_after(seed % 3, u64::from(seed));
        let (one, two) = (forked(0, 10), log_of(10).0);
        let signed = std::thread::scope(|scope| {
            let watched = &watched;
            let ask = |disk: Arc<Disk>| scope.spawn(move || watched.see(&disk, 0).is_ok());
            let asked = [ask(one.clone()), ask(two.clone())];
            asked.map(|thread| thread.join().expect("no panic"))
        });
        watched.disk.mend();
        let after = [&one, &two]
            .map(|disk| watching(&watched.disk).add_checkpoint(&request(disk, 10), NOW));
        let good = after.iter().filter(|answer| answer.is_ok()).count();
        assert!(good <= 1, "both forks are cosigned");
        for (before, after) in signed.iter().zip(&after) {
            assert!(!before || after.is_ok(), "what was cosigned is forgotten");
        }
    }
}

fn cosign(disk: &Arc<Disk>) {
    let watched = Watched::new();
    let line = watched.see(disk, 0).expect("cosigned");
    let note = disk.get(CHECKPOINT).expect("read").expect("there is one");
    disk.set(COSIGNED, Some([note, line].concat()));
}

#[test]
fn fsck_finds_a_sound_log_sound() {
    for size in [0, 1, 255, 256, 257, 700] {
        let (disk, mut log) = log_of(size);
        cosign(&disk);
        let more: Vec<_> = (size..size + 77).map(entry).collect();
        log.add(&more).expect("added");
        let anchored = checkpoint(&rolled_back(size / 2));
        let known = Known { source: "an anchor".into(), size: anchored.size, root: anchored.root };
        let report = fsck(&disk, &policy(), &[known]).expect("read");
        assert_eq!(report.faults, [], "a log of {size}");
        assert_eq!((report.entries, report.known, report.cosigned), (size + 77, 2, Some(size)));
    }
}

#[test]
fn fsck_finds_every_changed_byte() {
    let (disk, _) = log_of(600);
    cosign(&disk);
    let current: Vec<_> = disk
        .objects()
        .into_iter()
        .filter(|(name, _)| !name.contains(".p/") || name.ends_with("/88") || name.ends_with("p/2"))
        .collect();
    assert_eq!(current.len(), 9, "{:?}", current.iter().map(|(name, _)| name).collect::<Vec<_>>());
    for (name, bytes) in current {
        // Each byte of what is short, every 97th of the rest.
        let stride = if bytes.len() < 700 { 1 } else { 97 };
        for place in (0..bytes.len()).step_by(stride) {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (place % 8);
            disk.set(&name, Some(changed));
            let report = fsck(&disk, &policy(), &[]).expect("read");
            assert!(!report.faults.is_empty(), "byte {place} of {name} makes no difference");
        }
        disk.set(&name, None);
        let report = fsck(&disk, &policy(), &[]).expect("read");
        assert!(!report.faults.is_empty(), "{name} is not missed");
        disk.set(&name, Some(bytes));
    }
    assert_eq!(fsck(&disk, &policy(), &[]).expect("read").faults, [], "as it was, it is sound");
}

#[test]
fn fsck_says_what_is_wrong() {
    let known = |size| {
        let tree = checkpoint(&rolled_back(size));
        Known { source: "a witness".into(), size, root: tree.root }
    };
    let faults =
        |disk: &Arc<Disk>, known: &[Known]| fsck(disk, &log_alone(), known).expect("read").faults;
    let source_name = || "a witness".to_owned();
    let rolled = faults(&rolled_back(250), &[known(300)]);
    assert_eq!(rolled, [Fault::RolledBack { source_name: source_name(), size: 300, now: 250 }]);
    let fork = faults(&forked(200, 400), &[known(100), known(300)]);
    assert_eq!(fork, [Fault::Forked { source_name: source_name(), size: 300 }]);
    let (truncated, _) = log_of(600);
    truncated.set("tile/entries/001", None);
    assert_eq!(faults(&truncated, &[]), [Fault::Missing { name: "tile/entries/001".into() }]);
    let both = [
        Fault::Missing { name: "tile/entries/001".into() },
        Fault::RolledBack { source_name: source_name(), size: 700, now: 600 },
    ];
    assert_eq!(faults(&truncated, &[known(300), known(700)]), both);
    let (unseen, _) = log_of(3);
    let found = fsck(&unseen, &policy(), &[]).expect("read");
    assert_eq!(
        (&found.faults[..], found.cosigned),
        (&[Fault::NotCosigned { quorum: 1 }][..], None)
    );
    let (unsigned, _) = log_of(3);
    let note = unsigned.get(CHECKPOINT).expect("read").expect("there is one");
    unsigned.set(CHECKPOINT, Some(note.replace_size()));
    assert!(matches!(faults(&unsigned, &[])[..], [Fault::Checkpoint { name: CHECKPOINT, .. }]));
    assert_eq!(faults(&Disk::new(), &[]), [Fault::NoCheckpoint]);
}

trait ReplaceSize {
    fn replace_size(&self) -> Vec<u8>;
}

impl ReplaceSize for Vec<u8> {
    /// A checkpoint that says 4 where it said 3.
    fn replace_size(&self) -> Vec<u8> {
        String::from_utf8_lossy(self).replacen("\n3\n", "\n4\n", 1).into_bytes()
    }
}
