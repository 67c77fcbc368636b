//! Where a graph's boxes and lines go: columns from left to right, and in each column boxes, and
//! lanes for the lines that pass by.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::Node;

/// A row's height, in the unit that heights are counted in.
pub(crate) const ROW: u32 = 1_000;

/// How often spots are put near those before them, and then near those after.
const SWEEPS: u32 = 6;

/// More lanes than this and lines go straight, through whatever lies between: nobody could follow
/// them anyway.
const LANES_MAX: u64 = 100_000;

/// What has a place in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spot {
    /// A box.
    Node(Node),
    /// Where the lines from a node go by, to nodes in later columns. All of them share it.
    Lane(Node, u32),
}

/// A graph in its place.
pub(crate) struct Layout {
    /// Column, and height in [`ROW`]s.
    pub(crate) places: BTreeMap<Spot, (u32, u32)>,
    /// Lines between spots of neighbouring columns, in the place of the edges; and the edges that
    /// close rings.
    pub(crate) lines: BTreeSet<(Spot, Spot)>,
}

/// For each spot, those that it is joined to.
type Joined = BTreeMap<Spot, Vec<Spot>>;

impl Layout {
    /// Puts nodes in their places.
    pub(crate) fn of(nodes: impl Iterator<Item = Node>, edges: &BTreeSet<(Node, Node)>) -> Self {
        let columns = columns(nodes, edges);
        let lines = lines(&columns, edges);
        let (mut before, mut after) = (Joined::new(), Joined::new());
        for (from, to) in &lines {
            before.entry(*to).or_default().push(*from);
            after.entry(*from).or_default().push(*to);
        }
        let table = table(&columns, &lines, &before, &after);
        let rows = rows(&table, &before, &after);
        let mut places = BTreeMap::new();
        for (column, spots) in (0..).zip(&table) {
            places.extend(spots.iter().map(|spot| (*spot, (column, rows[spot]))));
        }
        Layout { places, lines }
    }

    /// Whether a line closes a ring.
    pub(crate) fn goes_back(&self, from: &Spot, to: &Spot) -> bool {
        self.places[from].0 >= self.places[to].0
    }
}

/// How many nodes come before each, along the longest way; what nothing comes before is next to the
/// first that it goes into. A job that gives out what it took in makes a ring, which ends the
/// counting after as many rounds as there are nodes.
fn columns(
    nodes: impl Iterator<Item = Node>,
    edges: &BTreeSet<(Node, Node)>,
) -> BTreeMap<Node, u32> {
    let mut columns: BTreeMap<Node, u32> = nodes.map(|node| (node, 0)).collect();
    let last = u32::try_from(columns.len()).unwrap_or(u32::MAX);
    for _ in 0..columns.len() {
        let mut changed = false;
        for (from, to) in edges {
            let after = (columns[from] + 1).min(last);
            if columns[to] < after {
                columns.insert(*to, after);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let mut nearest: BTreeMap<Node, u32> = BTreeMap::new();
    for (from, to) in edges {
        let column = nearest.entry(*from).or_insert(u32::MAX);
        *column = columns[to].min(*column);
    }
    for (_, to) in edges {
        nearest.remove(to);
    }
    columns.extend(nearest.into_iter().map(|(node, column)| (node, column.saturating_sub(1))));
    // A ring leaves columns empty.
    let used: BTreeSet<u32> = columns.values().copied().collect();
    let number: BTreeMap<u32, u32> = used.into_iter().zip(0..).collect();
    columns.values_mut().for_each(|column| *column = number[column]);
    columns
}

fn lines(columns: &BTreeMap<Node, u32>, edges: &BTreeSet<(Node, Node)>) -> BTreeSet<(Spot, Spot)> {
    let mut spans: BTreeMap<Node, u32> = BTreeMap::new();
    for (from, to) in edges {
        let span = columns[to].saturating_sub(columns[from] + 1);
        let longest = spans.entry(*from).or_default();
        *longest = span.max(*longest);
    }
    let has_lanes = spans.values().copied().map(u64::from).sum::<u64>() <= LANES_MAX;
    let mut lines = BTreeSet::new();
    for (from, to) in edges {
        let lanes = (columns[from] + 1)..if has_lanes { columns[to] } else { 0 };
        let mut next = Spot::Node(*to);
        // Backwards, until what another edge from there has laid already.
        let is_whole = lanes.rev().all(|column| {
            let lane = Spot::Lane(*from, column);
            let is_new = lines.insert((lane, next));
            next = lane;
            is_new
        });
        if is_whole {
            lines.insert((Spot::Node(*from), next));
        }
    }
    lines
}

/// The spots by column, each column's from the top down: near what they are joined to, so that few
/// lines cross.
fn table(
    columns: &BTreeMap<Node, u32>,
    lines: &BTreeSet<(Spot, Spot)>,
    before: &Joined,
    after: &Joined,
) -> Vec<Vec<Spot>> {
    let lanes = lines.iter().flat_map(|(from, to)| [*from, *to]).filter_map(|spot| match spot {
        Spot::Lane(_, column) => Some((spot, column)),
        Spot::Node(_) => None,
    });
    let nodes = columns.iter().map(|(node, column)| (Spot::Node(*node), *column));
    let spots: BTreeSet<(Spot, u32)> = nodes.chain(lanes).collect();
    let mut table: Vec<Vec<Spot>> = Vec::new();
    for (spot, column) in spots {
        let column = column as usize;
        table.resize(table.len().max(column + 1), Vec::new());
        table[column].push(spot);
    }
    let mut ranks: BTreeMap<Spot, u32> = BTreeMap::new();
    for sweep in 0..SWEEPS {
        let forward = sweep % 2 == 0;
        let joined = if forward { before } else { after };
        let order: Vec<usize> =
            if forward { (0..table.len()).collect() } else { (0..table.len()).rev().collect() };
        for column in order {
            let spots = &mut table[column];
            spots.sort_by_cached_key(|spot| {
                let own = ranks.get(spot).copied().unwrap_or_default();
                (mean(joined.get(spot), &ranks).unwrap_or(own), *spot)
            });
            ranks.extend(spots.iter().copied().zip((0..).map(|rank| rank * ROW)));
        }
    }
    table
}

/// How high each spot is: in line with what it is joined to, as far as those above it leave room.
fn rows(table: &[Vec<Spot>], before: &Joined, after: &Joined) -> BTreeMap<Spot, u32> {
    let mut rows = BTreeMap::new();
    let mut put = |spots: &[Spot], joined: &Joined| {
        let mut free = 0;
        for spot in spots {
            let near = mean(joined.get(spot), &rows).or_else(|| rows.get(spot).copied());
            let row = near.unwrap_or(free).max(free);
            free = row.saturating_add(ROW);
            rows.insert(*spot, row);
        }
    };
    table.iter().for_each(|spots| put(spots, before));
    table.iter().rev().for_each(|spots| put(spots, after));
    let highest = rows.values().min().copied().unwrap_or_default();
    rows.values_mut().for_each(|row| *row -= highest);
    rows
}

/// The mean height of those spots that have one.
fn mean(spots: Option<&Vec<Spot>>, heights: &BTreeMap<Spot, u32>) -> Option<u32> {
    let heights = spots?.iter().filter_map(|spot| heights.get(spot).copied()).map(u64::from);
    let (sum, count) = heights.fold((0, 0u64), |(sum, count), one| (sum + one, count + 1));
    u32::try_from(sum.checked_div(count)?).ok()
}
