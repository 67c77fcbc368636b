//! Rows that look alike: which groups are small, and how alike they are within.

use std::collections::BTreeMap;

use assay_types::Hash;
use sha2::{Digest, Sha256};

use super::MaskError;

/// The most different groups that are counted.
pub const GROUPS_MAX: u64 = 1 << 22;

/// The most different pairs of a group and a sensitive value, over all sensitive columns.
pub const DIVERSITY_MAX: u64 = 1 << 22;

/// Bits after the point in logarithms.
const LOG_BITS: u32 = 40;

/// What a logarithm may be off by and still count as reached: 2^-30 bit.
const SLACK: u128 = 1 << (LOG_BITS - 30);

/// Names what cells a row has: SHA-256 of each cell after its length (8 bytes, big-endian), so that
/// no two rows meet by accident.
pub(super) fn group_of<'a>(cells: impl Iterator<Item = &'a str>) -> Hash {
    let mut hash = Sha256::new();
    for cell in cells {
        hash.update((cell.len() as u64).to_be_bytes());
        hash.update(cell.as_bytes());
    }
    Hash(hash.finalize().into())
}

/// How many rows each group has.
#[derive(Default)]
pub(super) struct Sizes(BTreeMap<Hash, u64>);

impl Sizes {
    pub(super) fn add(&mut self, group: Hash) -> Result<(), MaskError> {
        bounded(&mut self.0, group, GROUPS_MAX, "groups of quasi-identifiers")
    }

    pub(super) fn of(&self, group: &Hash) -> u64 {
        self.0.get(group).copied().unwrap_or(0)
    }

    /// Rows in groups below k, and rows that were in the one group of blanks and stay there.
    pub(super) fn small(&self, k: u64, blank: &Hash) -> u64 {
        let small = |(group, size): &(&Hash, &u64)| **size < k || *group == blank;
        self.0.iter().filter(small).map(|(_, size)| size).sum()
    }
}

fn bounded<K: Ord>(
    counts: &mut BTreeMap<K, u64>,
    key: K,
    max: u64,
    of: &'static str,
) -> Result<(), MaskError> {
    let is_full = counts.len() as u64 >= max;
    match counts.entry(key) {
        std::collections::btree_map::Entry::Vacant(_) if is_full => {
            Err(MaskError::Groups { max, of })
        }
        entry => {
            *entry.or_default() += 1;
            Ok(())
        }
    }
}

/// How anonymous a table is (spec/mask.md#measures).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// How many different groups there are.
    pub groups: u64,
    /// The size of the smallest group; `None` if there are no rows.
    pub k: Option<u64>,
    /// For each sensitive column in the plan's order: distinct l, and entropy l in hundredths, of
    /// the least diverse group.
    pub diversity: Vec<(u64, u64)>,
}

/// Counts a table as it is written.
pub(super) struct Counted {
    sizes: Sizes,
    values: BTreeMap<(u32, Hash, Hash), u64>,
    columns: u32,
}

impl Counted {
    pub(super) fn new(columns: u32) -> Self {
        Counted { sizes: Sizes::default(), values: BTreeMap::new(), columns }
    }

    /// Adds a row: its group, and its sensitive cells.
    pub(super) fn add<'a>(
        &mut self,
        group: Hash,
        sensitive: impl Iterator<Item = &'a str>,
    ) -> Result<(), MaskError> {
        self.sizes.add(group)?;
        for (column, cell) in (0..).zip(sensitive) {
            let key = (column, group, group_of([cell].into_iter()));
            bounded(&mut self.values, key, DIVERSITY_MAX, "sensitive values within groups")?;
        }
        Ok(())
    }

    pub(super) fn measure(&self) -> Measure {
        let mut diversity = vec![None; self.columns as usize];
        let mut at = self.values.iter().peekable();
        // By column, then by group: neighbours in the map.
        while let Some(((column, group, _), first)) = at.next() {
            let mut counts = vec![*first];
            while let Some((_, count)) = at.next_if(|((c, g, _), _)| (c, g) == (column, group)) {
                counts.push(*count);
            }
            let found = (counts.len() as u64, entropy_l_hundredths(&counts));
            let least: &mut Option<(u64, u64)> = &mut diversity[*column as usize];
            *least =
                Some(least.map_or(found, |least| (least.0.min(found.0), least.1.min(found.1))));
        }
        Measure {
            groups: self.sizes.0.len() as u64,
            k: self.sizes.0.values().min().copied(),
            diversity: diversity.into_iter().map(Option::unwrap_or_default).collect(),
        }
    }
}

/// Two to the entropy of a group's values, in hundredths, rounded down: as many values as would be
/// this hard to guess if all were equally frequent.
fn entropy_l_hundredths(counts: &[u64]) -> u64 {
    let total: u64 = counts.iter().sum();
    // H = log2(n) - sum(c log2(c)) / n
    let weighted: u128 = counts.iter().map(|&count| u128::from(count) * log2(count)).sum();
    let entropy = log2(total).saturating_sub(weighted / u128::from(total.max(1)));
    let reaches = |l: u64| log2(l) <= entropy + log2(100) + SLACK;
    let (mut low, mut high) = (100, 100 * counts.len() as u64 + 1);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if reaches(middle) { low = middle } else { high = middle }
    }
    low
}

/// The binary logarithm of at least 1, with [`LOG_BITS`] bits after the point, rounded down:
/// squares bit by bit.
fn log2(number: u64) -> u128 {
    let whole = number.max(1).ilog2();
    let mut log = u128::from(whole);
    // 1 <= x < 2, with 63 bits after the point.
    let mut x = u128::from(number.max(1)) << (63 - whole);
    for _ in 0..LOG_BITS {
        x = (x * x) >> 63;
        log <<= 1;
        if x >= 1 << 64 {
            x >>= 1;
            log |= 1;
        }
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_those_of_floats() {
        for number in (1..5000).chain([u64::from(u32::MAX), 1 << 40, u64::MAX]) {
            let got = log2(number) as f64 / 2_f64.powi(LOG_BITS as i32);
            assert!((got - (number as f64).log2()).abs() < 1e-9, "log2({number}) is not {got}");
        }
    }

    #[test]
    fn entropy_l_is_that_of_its_definition() {
        for (counts, expect) in [
            (&[1][..], 100),
            (&[7, 7], 200),
            (&[5, 5, 5], 300),
            (&[1; 10], 1000),
            (&[99, 1], 105),
            (&[2, 1, 1], 282),
        ] {
            assert_eq!(entropy_l_hundredths(counts), expect, "{counts:?}");
        }
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..500 {
            let counts: Vec<u64> = (0..random.usize(1..20)).map(|_| random.u64(1..1000)).collect();
            let n = counts.iter().sum::<u64>() as f64;
            let entropy: f64 = counts.iter().map(|&c| c as f64 / n).map(|p| -p * p.log2()).sum();
            let (got, exact) = (entropy_l_hundredths(&counts), 100.0 * entropy.exp2());
            assert!((got as f64 - exact.floor()).abs() < 0.5, "{counts:?}: {got}, not {exact}");
        }
    }

    #[test]
    fn groups_are_told_apart_by_where_cells_end() {
        let group = |cells: &[&str]| group_of(cells.iter().copied());
        assert_ne!(group(&["ab", "c"]), group(&["a", "bc"]));
        assert_ne!(group(&["", "a"]), group(&["a", ""]));
        assert_eq!(group(&["a", ""]), group(&["a", ""]));
    }
}
