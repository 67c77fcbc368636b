//! Proofs of all sizes, against a plain reading of RFC 6962, and every change to one.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use assay_tlog::{
    CheckpointError, EMPTY_ROOT, Frontier, LogProof, NoteKey, Policy, ProofError, ProofSet, Reader,
    Storage, TileName, Vkey, Witness, check_consistency, check_inclusion, leaf_hash,
};
use assay_types::{Hash, sha256};
use common::{Disk, checkpoint, entry, log_key, log_of, witness_key};

const SIZES: u64 = 1_024;

/// Hashes of subtrees `[from, to)` by the RFC's own recursion, each computed once.
struct Plain(BTreeMap<(u64, u64), Hash>);

impl Plain {
    fn root(&mut self, from: u64, to: u64) -> Hash {
        if from == to {
            return EMPTY_ROOT;
        }
        if to - from == 1 {
            return leaf_hash(&entry(from));
        }
        if let Some(hash) = self.0.get(&(from, to)) {
            return *hash;
        }
        let half = from + split(to - from);
        let (left, right) = (self.root(from, half), self.root(half, to));
        let hash = sha256(&[&[1][..], &left.0, &right.0].concat());
        self.0.insert((from, to), hash);
        hash
    }

    fn path(&mut self, index: u64, from: u64, to: u64) -> Vec<Hash> {
        if to - from == 1 {
            return Vec::new();
        }
        let half = from + split(to - from);
        let (mut path, sibling) = if index < half {
            (self.path(index, from, half), self.root(half, to))
        } else {
            (self.path(index, half, to), self.root(from, half))
        };
        path.push(sibling);
        path
    }

    fn consistency(&mut self, old: u64, from: u64, to: u64) -> Vec<Hash> {
        if old == to {
            return if from == 0 { Vec::new() } else { vec![self.root(from, to)] };
        }
        let half = from + split(to - from);
        let (mut path, sibling) = if old <= half {
            (self.consistency(old, from, half), self.root(half, to))
        } else {
            (self.consistency(old, half, to), self.root(from, half))
        };
        path.push(sibling);
        path
    }
}

/// The largest power of two below.
fn split(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

#[test]
fn every_proof_of_every_size_holds_and_no_neighbour_does() {
    let mut plain = Plain(BTreeMap::new());
    let mut frontier = Frontier::default();
    let (mut inclusions, mut consistencies) = (0, 0);
    for size in 1..=SIZES {
        frontier.push(leaf_hash(&entry(size - 1)), &mut |_, _| {});
        let root = plain.root(0, size);
        assert_eq!(frontier.root(), root, "the right edge of {size} has another root");
        for index in 0..size {
            let (path, leaf) = (plain.path(index, 0, size), leaf_hash(&entry(index)));
            check_inclusion(&path, size, root, index, leaf).expect("it is there");
            let elsewhere = check_inclusion(&path, size, root, index ^ 1, leaf);
            assert_eq!(elsewhere, Err(ProofError::Path), "{index} of {size} is at one place");
            inclusions += 1;
        }
        for old in 1..=size {
            let (path, old_root) = (plain.consistency(old, 0, size), plain.root(0, old));
            check_consistency(&path, size, root, old, old_root).expect("it goes on");
            let other = check_consistency(&path, size, root, old, plain.root(1, old + 1));
            assert_eq!(other, Err(ProofError::Inconsistent), "{old} of {size} had one root");
            consistencies += 1;
        }
    }
    let all = SIZES * (SIZES + 1) / 2;
    assert_eq!((inclusions, consistencies), (all, all));
}

#[test]
fn proofs_read_from_tiles_are_the_plain_ones() {
    let mut plain = Plain(BTreeMap::new());
    let mut rng = fastrand::Rng::with_seed(0x1067);
    let (disk, _) = log_of(SIZES);
    let stored = checkpoint(&disk);
    assert_eq!(stored.root, plain.root(0, SIZES));
    for size in 1..=SIZES {
        let mut tree = stored.clone();
        (tree.size, tree.root) = (size, plain.root(0, size));
        let reader = Reader::within(&disk, &tree, SIZES);
        let edges = [0, 1, 255, 256, 257, 511, 512, size - 1, rng.u64(0..size)];
        let all = [1, 2, 255, 256, 257, 513, SIZES].contains(&size);
        let indices: Vec<u64> = if all {
            (0..size).collect()
        } else {
            edges.into_iter().filter(|i| *i < size).collect()
        };
        for index in indices {
            let path = reader.prove_inclusion(index).expect("proved");
            assert_eq!(path, plain.path(index, 0, size), "the path of {index} in {size}");
            let path = reader.prove_consistency(index + 1).expect("proved");
            assert_eq!(path, plain.consistency(index + 1, 0, size), "{} to {size}", index + 1);
            if all || index + 1 == size {
                assert_eq!(reader.entry(index).expect("read"), entry(index));
            }
        }
        assert!(reader.prove_inclusion(size).is_err(), "{size} has no entry {size}");
        assert!(
            reader.prove_consistency(size + 1).is_err(),
            "{size} is no part of itself and more"
        );
        assert!(reader.prove_consistency(0).expect("nothing to prove").is_empty());
    }
}

/// Sets of proofs, of all sizes to 66 and some larger ones: each path comes back from the hashes
/// that were left in, one path alone has all of its own, and together no hash that follows from
/// others is there.
#[test]
fn sets_of_proofs_give_every_path_back() {
    let mut plain = Plain(BTreeMap::new());
    let mut rng = fastrand::Rng::with_seed(0x5e7);
    let (mut apart, mut together) = (0, 0);
    for round in 0..2_000 {
        let size = if round < 66 { round + 1 } else { rng.u64(1..=SIZES) };
        let some = rng.u64(1..=12);
        let mut indices: Vec<u64> = (0..some).map(|_| rng.u64(0..size)).collect();
        indices.sort_unstable();
        indices.dedup();
        let paths: Vec<_> = indices.iter().map(|index| plain.path(*index, 0, size)).collect();
        let leaves: Vec<_> = indices.iter().map(|at| (*at, leaf_hash(&entry(*at)))).collect();
        let old_size = rng.u64(1..=size);
        let consistency = plain.consistency(old_size, 0, size);
        let entries: Vec<_> =
            leaves.iter().zip(&paths).map(|((at, leaf), path)| (*at, *leaf, &path[..])).collect();
        let hashes = ProofSet::compact(size, Some((old_size, &consistency)), &entries);
        let mut given = hashes.iter().copied();
        let set = ProofSet::new(size, Some(old_size), &leaves, || given.next().expect("enough"));
        assert_eq!(given.next(), None, "a hash for nothing: {indices:?} of {size}");
        for (index, path) in indices.iter().zip(&paths) {
            assert_eq!(set.inclusion(*index), *path, "{index} of {size}");
        }
        assert_eq!(set.consistency(old_size), consistency, "{old_size} to {size}");
        let distinct: BTreeSet<_> = paths.iter().flatten().chain(&consistency).collect();
        assert!(hashes.len() <= distinct.len());
        (apart, together) = (apart + distinct.len(), together + hashes.len());
        let (index, leaf, path) = entries[0];
        let alone = ProofSet::compact(size, None, &[(index, leaf, path)]);
        let is_same = alone.iter().collect::<BTreeSet<_>>() == path.iter().collect();
        assert!(is_same && alone.len() == path.len(), "a path alone needs all of its hashes");
    }
    assert!(together < apart, "{together} of {apart} hashes: nothing was left out");
    let outside = ProofSet::new(4, Some(9), &[(7, EMPTY_ROOT)], || unreachable!("nothing within"));
    assert!(outside.inclusion(7).is_empty() && outside.consistency(9).is_empty());
}

/// A proof of a log that two witnesses have cosigned.
fn proof() -> (Vec<u8>, LogProof, Policy) {
    let (disk, mut log) = log_of(300);
    let note = log.checkpoint().expect("there is one").to_vec();
    let request = [b"old 0\n\n", &note[..]].concat();
    let mut cosigned = note;
    for number in [1, 2] {
        let logs = vec![log_key().vkey().clone()];
        let witness = Witness::new(Disk::new(), witness_key(number), logs).expect("a witness");
        cosigned.extend(witness.add_checkpoint(&request, 1_800_000_000).expect("cosigned"));
    }
    let tree = checkpoint(&disk);
    let path = Reader::new(&disk, &tree).prove_inclusion(17).expect("proved");
    let witnesses = [1, 2].map(|number| witness_key(number).vkey().clone()).to_vec();
    let policy = Policy::new(log_key().vkey().clone(), witnesses, 2).expect("a policy");
    (entry(17), LogProof { index: 17, path, checkpoint: cosigned }, policy)
}

#[test]
fn every_changed_byte_of_a_proof_is_refused() {
    let (entry, proof, policy) = proof();
    let bytes = proof.to_bytes();
    let opened = LogProof::from_bytes(&bytes).expect("a proof").verify(&entry, &policy);
    let opened = opened.expect("it holds");
    assert_eq!((opened.checkpoint.size, opened.cosignatures.len()), (300, 2));
    assert_eq!(opened.cosignatures[0].time_secs, 1_800_000_000);
    let holds = |bytes: &[u8]| {
        LogProof::from_bytes(bytes).is_ok_and(|proof| proof.verify(&entry, &policy).is_ok())
    };
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << bit;
            assert!(!holds(&changed), "bit {bit} of byte {place} makes no difference");
        }
        assert!(!holds(&bytes[..place]), "{place} bytes of it are enough");
    }
    assert!(!holds(&[&bytes[..], b"x"].concat()), "something may follow");
    let other = proof.verify(b"another entry", &policy);
    assert_eq!(other, Err(ProofError::Path), "another entry is at that place");
}

#[test]
fn a_policy_says_who_must_have_signed() {
    let (entry, proof, _) = proof();
    let log = log_key().vkey().clone();
    let witness = |number| witness_key(number).vkey().clone();
    let verify = |policy: Policy| match proof.verify(&entry, &policy) {
        Err(ProofError::Checkpoint(error)) => Err(error),
        other => Ok(other.expect("only its checkpoint is judged").cosignatures.len()),
    };
    let policy = |log, witnesses, quorum| Policy::new(log, witnesses, quorum);
    assert_eq!(verify(policy(log.clone(), vec![], 0).expect("good")), Ok(0));
    assert_eq!(verify(policy(log.clone(), vec![witness(2), witness(3)], 1).expect("good")), Ok(1));
    let few = verify(policy(log.clone(), vec![witness(2), witness(3)], 2).expect("good"));
    assert_eq!(few, Err(CheckpointError::Quorum { quorum: 2, found: 1 }));
    let foreign = NoteKey::new("other.example", assay_tlog::KeyKind::Log, &[9; 32]).expect("a key");
    let other = verify(policy(foreign.vkey().clone(), vec![], 0).expect("good"));
    assert!(matches!(other, Err(CheckpointError::Origin { .. })), "{other:?}");
    let same_name = NoteKey::new(log.name(), assay_tlog::KeyKind::Log, &[9; 32]).expect("a key");
    let other = verify(policy(same_name.vkey().clone(), vec![], 0).expect("good"));
    assert!(matches!(other, Err(CheckpointError::Unsigned(_))), "{other:?}");

    let renamed = NoteKey::new("again.example", assay_tlog::KeyKind::Witness, &[2; 32]);
    let renamed = renamed.expect("a key").vkey().clone();
    for (witnesses, quorum) in
        [(vec![witness(2), renamed], 2), (vec![witness(2)], 2), (vec![log.clone()], 1)]
    {
        let refused = Policy::new(log.clone(), witnesses, quorum);
        assert!(matches!(refused, Err(CheckpointError::Policy(_))), "nobody could mean that");
    }
}

#[test]
fn keys_are_read_as_they_are_written_and_not_otherwise() {
    for key in [log_key().vkey().clone(), witness_key(1).vkey().clone()] {
        let text = key.to_string();
        assert_eq!(text.parse::<Vkey>().as_ref(), Ok(&key));
        for place in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[place] ^= 1;
            let read = String::from_utf8(changed).ok().and_then(|text| text.parse::<Vkey>().ok());
            assert!(read.is_none(), "byte {place} of {text} makes no difference");
        }
    }
    let secret = format!("{:?}", log_key());
    assert!(!secret.contains("0707"), "a key's debug output shows its secret");
}

#[test]
fn tiles_have_the_names_that_others_use() {
    let names =
        ["tile/0/000", "tile/1/000.p/4", "tile/entries/x001/234.p/255", "tile/0/x123/x456/789"];
    for name in names {
        assert_eq!(TileName::from_path(name).expect(name).to_string(), name);
    }
    for name in [
        "tile/0/0",
        "tile/0/1000",
        "tile/0/000.p/256",
        "tile/0/000.p/0",
        "tile/9/000",
        "tile/0",
        "tile/",
        "tile/0/x000/001",
        "tile/entries/../000",
        "tile/8/0/000",
        "checkpoint",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert_eq!(TileName::from_path(name), None, "{name} names no tile");
    }
    let (disk, _) = log_of(600);
    let names: Vec<_> = disk.objects().into_keys().collect();
    for full in
        ["tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001"]
    {
        assert!(names.iter().any(|name| name == full), "{full} is not among {names:?}");
    }
    let left =
        |name: &&String| name.starts_with("tile/0/000.p") || name.starts_with("tile/entries/001.p");
    assert_eq!(names.iter().find(left), None, "what a full tile has replaced is removed");
    assert!(disk.get("tile/1/000.p/2").expect("read").is_some_and(|tile| tile.len() == 64));
}
