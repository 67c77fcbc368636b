//! Looking for words where nobody should find them: in files, in memory, in a core.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use memchr::memmem::{Finder, find};

/// How much is read at once, in bytes.
const PIECE: usize = 1 << 20;

/// Pieces overlap by this much, so that none cuts a word in two. No word in any disguise is longer.
const OVERLAP: usize = 256;

/// Words, as they are and in disguise.
pub(crate) struct Sought(Vec<Finder<'static>>);

impl Sought {
    /// Each word as it is, in hexadecimal, and in base64 at each of its three alignments, without
    /// the ends that neighbours change.
    pub(crate) fn words(words: &[&str]) -> Self {
        Sought::bytes(words.iter().flat_map(|word| disguises(word)))
    }

    /// These bytes, as they are.
    pub(crate) fn bytes(all: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Sought(all.into_iter().map(|bytes| Finder::new(&bytes).into_owned()).collect())
    }

    /// Whether one of them stands there.
    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|word| word.find(bytes).is_some())
    }

    /// The files below a folder in which one stands.
    pub(crate) fn files(&self, folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(self.files(&path));
            } else if std::fs::read(&path).is_ok_and(|bytes| self.is_in(&bytes)) {
                found.push(path);
            }
        }
        found
    }

    /// The files that a process has open, deleted ones too, in which one stands; and how many it
    /// has open.
    pub(crate) fn open_files(&self, process: u32) -> (Vec<PathBuf>, usize) {
        let (mut found, mut count) = (Vec::new(), 0);
        for entry in std::fs::read_dir(format!("/proc/{process}/fd")).unwrap() {
            let path = entry.unwrap().path();
            // A socket or a pipe is none.
            if std::fs::metadata(&path).is_ok_and(|kind| kind.is_file()) {
                count += 1;
                if std::fs::read(&path).is_ok_and(|bytes| self.is_in(&bytes)) {
                    found.push(std::fs::read_link(&path).unwrap_or(path));
                }
            }
        }
        (found, count)
    }
}

fn disguises(word: &str) -> Vec<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let base64 = |skip: usize| -> Vec<u8> {
        let whole = word.as_bytes()[skip..].chunks_exact(3);
        whole
            .flat_map(|piece| {
                let bits =
                    u32::from(piece[0]) << 16 | u32::from(piece[1]) << 8 | u32::from(piece[2]);
                [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift & 63) as usize])
            })
            .collect()
    };
    let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
    vec![word.into(), hex.into_bytes(), base64(0), base64(1), base64(2)]
}

/// What a look at a process's memory has seen.
pub(crate) struct Seen {
    /// One of the words that must not be there.
    pub canary: bool,
    /// Which of the markers that must be there were not.
    pub missing: Vec<String>,
    /// How much was looked at, in bytes.
    pub bytes: u64,
}

/// Words that must not be in a memory, and markers that must, so that a blind look shows.
pub(crate) struct Look<'a> {
    pub canary: &'a Sought,
    pub markers: &'a [Vec<u8>],
}

impl Look<'_> {
    /// Looks through all that is read.
    fn through(&self, mut next: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<Seen> {
        let (mut piece, mut kept) = (vec![0; PIECE], 0);
        let (mut bytes, mut canary) = (0, false);
        let mut found = vec![false; self.markers.len()];
        loop {
            let read = next(&mut piece[kept..])?;
            if read == 0 {
                break;
            }
            let all = &piece[..kept + read];
            bytes += read as u64;
            canary |= self.canary.is_in(all);
            for (marker, found) in self.markers.iter().zip(&mut found) {
                *found |= find(all, marker).is_some();
            }
            let overlap = OVERLAP.min(all.len());
            let from = all.len() - overlap;
            piece.copy_within(from..from + overlap, 0);
            kept = overlap;
        }
        let missing = self.markers.iter().zip(found).filter(|(_, found)| !found);
        let missing = missing.map(|(marker, _)| String::from_utf8_lossy(marker).into_owned());
        Ok(Seen { canary, missing: missing.collect(), bytes })
    }

    /// Looks at every page that a running process can write, whether it lies in memory or was
    /// swapped out: reading brings it back. `None` where the system does not let us.
    pub(crate) fn at_memory(&self, process: u32) -> Option<Seen> {
        let memory = File::open(format!("/proc/{process}/mem")).ok()?;
        let mut places = writable(process)?.into_iter().map(|mapping| (mapping.low, mapping.high));
        let mut at = (0, 0);
        let seen = self.through(|piece| {
            loop {
                if at.0 == at.1 {
                    let Some(next) = places.next() else { return Ok(0) };
                    at = next;
                }
                let want = piece.len().min(usize::try_from(at.1 - at.0).unwrap_or(usize::MAX));
                // What went away in between, or is a device's, is not read.
                match memory.read_at(&mut piece[..want], at.0) {
                    Ok(read @ 1..) => {
                        at.0 += read as u64;
                        return Ok(read);
                    }
                    _ => at.0 = at.1,
                }
            }
        });
        seen.ok().filter(|seen| seen.bytes > 0)
    }

    /// Ends a process as a crash would, and looks at the core that the system writes of it in its
    /// working folder. `None` where cores go elsewhere, or may not be written; the process may be
    /// at an end or not.
    pub(crate) fn at_core(&self, process: &mut Child, folder: &Path) -> Option<Seen> {
        let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").ok()?;
        // A program or a folder of the system's gets it.
        if pattern.starts_with('|') || pattern.contains('/') {
            return None;
        }
        let id = process.id();
        let own = id.to_string();
        let limit = ["--core=unlimited:unlimited", "--pid", &own];
        let raised = Command::new("prlimit").args(limit).status().ok()?;
        // All kinds of mappings, those of files too.
        std::fs::write(format!("/proc/{id}/coredump_filter"), "0x7f").ok()?;
        if !raised.success() {
            return None;
        }
        Command::new("kill").args(["-ABRT", &own]).status().ok()?;
        let ended = process.wait().unwrap();
        assert!(ended.core_dumped(), "{id} ended without a core: {ended}");
        let mut cores = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut core = File::open(cores.next().expect("a core in its folder")).unwrap();
        Some(self.through(|piece| core.read(piece)).unwrap())
    }
}

/// A mapping that a process can write.
pub(crate) struct Mapping {
    low: u64,
    high: u64,
    /// In memory and swapped out, in bytes.
    pub resident: u64,
    pub swapped: u64,
    /// Left out of cores, as its process asked.
    pub is_hidden: bool,
}

/// What a running process can write; `None` where the system does not let us see.
pub(crate) fn writable(process: u32) -> Option<Vec<Mapping>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps")).ok()?;
    let mut all = Vec::new();
    let mut is_writable = false;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        let value = words.next().unwrap_or_default();
        let bytes = || value.parse::<u64>().map_or(0, |kilobytes| kilobytes << 10);
        if let Some((low, high)) = name.split_once('-') {
            is_writable = value.starts_with("rw");
            let address = |text| u64::from_str_radix(text, 16).unwrap();
            let (low, high) = (address(low), address(high));
            if is_writable {
                all.push(Mapping { low, high, resident: 0, swapped: 0, is_hidden: false });
            }
        } else if let (true, Some(last)) = (is_writable, all.last_mut()) {
            match name {
                "Rss:" => last.resident = bytes(),
                "Swap:" => last.swapped = bytes(),
                "VmFlags:" => last.is_hidden = line.split_whitespace().any(|flag| flag == "dd"),
                _ => {}
            }
        }
    }
    Some(all)
}
