//! The model: parsed once into what can only be right, then evaluated without checks for nonsense.

use alloc::vec::Vec;
use assay_guest::fixed::types::I40F24;
use assay_guest::{Decimal, Error, bail};

const TAG: &[u8; 8] = b"assayg\x01\x01";
const LEAF: u16 = 0xFFFF;
const MAX_FEATURES: u32 = 4096;
const MAX_TREES: u32 = 1 << 16;
const MAX_NODES: u32 = 1 << 20;

/// Stands for a missing number in a row; no threshold is this low.
pub(crate) const MISSING: i32 = i32::MIN;

/// What becomes of the sum.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Link {
    /// The score is the sum.
    Identity,
    /// The score is the sum's logistic function, a probability.
    Logistic,
}

/// One feature: where its number stands in a row, and how precise its thresholds are.
pub(crate) struct Feature<'a> {
    pub(crate) name: &'a str,
    /// Decimal places of the thresholds, 0 to 9.
    pub(crate) places: u32,
}

/// INVARIANT: roots, features and children are in range, and children lie behind their parents.
pub(crate) struct Model<'a> {
    pub(crate) link: Link,
    pub(crate) features: Vec<Feature<'a>>,
    base: i64,
    roots: Vec<u32>,
    nodes: Vec<Node>,
}

#[derive(Clone, Copy)]
struct Node {
    /// Index of the feature, or `LEAF`.
    feature: u16,
    missing_right: bool,
    /// Threshold in 10^-places, or the leaf's value in 2^-24.
    value: i32,
    right: u32,
}

impl<'a> Model<'a> {
    /// Reads and checks a model (README, "The model, byte for byte").
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let Some(rest) = bytes.strip_prefix(TAG) else {
            bail!("the dataset is no model: it does not begin with the tag assayg");
        };
        let mut reader = Reader { rest };
        let link = match reader.u32()? {
            0 => Link::Identity,
            1 => Link::Logistic,
            other => bail!("the model has the unknown link {other}"),
        };
        let features = reader.count("features", MAX_FEATURES)?;
        let trees = reader.count("trees", MAX_TREES)?;
        let nodes = reader.count("nodes", MAX_NODES)?;
        let base = i64::from_le_bytes(reader.array()?);
        // Not with_capacity: a short file that claims a million nodes should not cost a million.
        let features = (0..features).map(|_| reader.feature()).collect::<Result<Vec<_>, _>>()?;
        let roots = (0..trees).map(|_| reader.root(nodes)).collect::<Result<Vec<_>, _>>()?;
        let nodes = (0..nodes)
            .map(|index| reader.node(index, nodes, features.len()))
            .collect::<Result<Vec<_>, _>>()?;
        match reader.rest.len() {
            0 => Ok(Self { link, features, base, roots, nodes }),
            extra => bail!("the model has {extra} byte(s) too many"),
        }
    }

    /// The base and each tree's leaf for these numbers, one for each feature. Saturates.
    pub(crate) fn sum(&self, numbers: &[i32]) -> I40F24 {
        let leaves = self.roots.iter().map(|root| i64::from(self.leaf(*root, numbers)));
        // 2^16 leaves of 2^31 can't overflow; only the base can.
        I40F24::from_bits(self.base.saturating_add(leaves.sum()))
    }

    fn leaf(&self, root: u32, numbers: &[i32]) -> i32 {
        let mut index = root;
        loop {
            let node = self.nodes[index as usize];
            if node.feature == LEAF {
                return node.value;
            }
            let number = numbers[usize::from(node.feature)];
            let right = if number == MISSING { node.missing_right } else { number > node.value };
            index = if right { node.right } else { index + 1 };
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn feature(&mut self) -> Result<Feature<'a>, Error> {
        let [places, length] = self.array()?;
        let places = u32::from(places);
        if places > Decimal::PLACES {
            bail!("the model has a feature with {places} decimal places, at most 9 are possible");
        }
        let Ok(name) = core::str::from_utf8(self.take(usize::from(length))?) else {
            bail!("the model has a feature whose name is not UTF-8");
        };
        if name.is_empty() {
            bail!("the model has a feature without a name");
        }
        Ok(Feature { name, places })
    }

    fn root(&mut self, nodes: u32) -> Result<u32, Error> {
        match self.u32()? {
            root if root < nodes => Ok(root),
            root => bail!("the model has a tree whose root {root} is no node"),
        }
    }

    fn node(&mut self, index: u32, nodes: u32, features: usize) -> Result<Node, Error> {
        let feature = u16::from_le_bytes(self.array()?);
        let missing = u16::from_le_bytes(self.array()?);
        let value = i32::from_le_bytes(self.array()?);
        let right = self.u32()?;
        if feature == LEAF {
            if (missing, right) != (0, 0) {
                bail!("node {index}: a leaf has no children and no missing numbers");
            }
        } else if usize::from(feature) >= features {
            bail!("node {index}: there is no feature {feature}");
        } else if missing > 1 {
            bail!("node {index}: missing numbers go left (0) or right (1), not {missing}");
        } else if right <= index + 1 || right >= nodes {
            bail!(
                "node {index}: the right child {right} has to lie behind its parent and its left sibling"
            );
        } else if value == i32::MIN || value == i32::MAX {
            bail!("node {index}: no number can be told from the threshold {value}");
        }
        Ok(Node { feature, missing_right: missing == 1, value, right })
    }

    fn count(&mut self, what: &str, most: u32) -> Result<u32, Error> {
        match self.u32()? {
            count if (1..=most).contains(&count) => Ok(count),
            count => bail!("the model has {count} {what}, but 1 to {most} are possible"),
        }
    }

    fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        match self.rest.split_first_chunk() {
            Some((array, rest)) => {
                self.rest = rest;
                Ok(*array)
            }
            None => bail!("the model ends too early"),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => bail!("the model ends too early"),
        }
    }
}
