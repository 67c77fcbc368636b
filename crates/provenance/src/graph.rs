//! Lineage across jobs: what came out of one and went into another, as DOT and as a picture.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use alloy_primitives::B256;

use crate::life::Life;

/// A box's width and height, and what lies between boxes, in pixels.
const BOX: (u32, u32) = (170, 36);
const GAP: (u32, u32) = (70, 18);

/// How often nodes are put near those before them, and then near those after.
const SWEEPS: u32 = 6;

/// Jobs, and the slots between them.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: BTreeMap<Node, String>,
    edges: BTreeSet<(Node, Node)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Slot(B256),
    Job(B256),
}

impl Graph {
    /// The graph of some jobs.
    pub fn of(lives: &[Life]) -> Self {
        let mut graph = Graph::default();
        for life in lives {
            let job = Node::Job(life.job);
            let outcome = if life.paid.is_some() { "paid" } else { life.ending };
            graph.nodes.insert(job, format!("job {} ({outcome})", short(life.job)));
            for (name, root) in [("input", life.input), ("dataset", life.dataset)] {
                if let Some(root) = root {
                    graph.slot(root, name);
                    graph.edges.insert((Node::Slot(root), job));
                }
            }
            if let Some(root) = life.output {
                graph.slot(root, "output");
                graph.edges.insert((job, Node::Slot(root)));
            }
        }
        graph
    }

    fn slot(&mut self, root: B256, name: &str) {
        let label = format!("{name} {}", short(root));
        let known = self.nodes.entry(Node::Slot(root)).or_insert_with(|| label.clone());
        // What came out of one job and goes into another is both.
        if *known != label {
            *known = format!("slot {}", short(root));
        }
    }

    /// The graph in Graphviz's language.
    pub fn dot(&self) -> String {
        let mut text =
            "digraph lineage {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n".to_owned();
        for (node, label) in &self.nodes {
            let shape = if matches!(node, Node::Job(_)) { "box" } else { "ellipse" };
            let _ = writeln!(text, "  \"{}\" [label=\"{label}\", shape={shape}];", id(*node));
        }
        for (from, to) in &self.edges {
            let _ = writeln!(text, "  \"{}\" -> \"{}\";", id(*from), id(*to));
        }
        text + "}\n"
    }

    /// The graph as a picture: what comes later lies further to the right.
    pub fn svg(&self) -> String {
        let table = self.table();
        let mut places: BTreeMap<Node, (u32, u32)> = BTreeMap::new();
        for (column, nodes) in (0..).zip(&table) {
            for (row, node) in (0..).zip(nodes) {
                places.insert(*node, (column * (BOX.0 + GAP.0) + 20, row * (BOX.1 + GAP.1) + 20));
            }
        }
        let count = |length: usize| u32::try_from(length.max(1)).unwrap_or(u32::MAX);
        let columns = count(table.len());
        let rows = count(table.iter().map(Vec::len).max().unwrap_or_default());
        let (width, height) =
            (columns * (BOX.0 + GAP.0) + 40 - GAP.0, rows * (BOX.1 + GAP.1) + 40 - GAP.1);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <title>Lineage of {} jobs</title>\n\
             <defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"#555\"/></marker></defs>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
            self.nodes.keys().filter(|node| matches!(node, Node::Job(_))).count()
        );
        for (from, to) in &self.edges {
            let ((x1, y1), (x2, y2)) = (places[from], places[to]);
            let (y1, y2) = (y1 + BOX.1 / 2, y2 + BOX.1 / 2);
            let x1 = x1 + BOX.0;
            let _ = writeln!(
                text,
                "<path d=\"M{x1} {y1} C{} {y1} {} {y2} {x2} {y2}\" fill=\"none\" stroke=\"#555\" marker-end=\"url(#a)\"/>",
                x1 + GAP.0 / 2,
                x2.saturating_sub(GAP.0 / 2)
            );
        }
        for (node, label) in &self.nodes {
            let (x, y) = places[node];
            let (round, fill) = match node {
                Node::Job(_) => (3, "#dbe9ff"),
                Node::Slot(_) => (BOX.1 / 2, "#f1f1e6"),
            };
            let (w, h) = BOX;
            let (cx, cy) = (x + w / 2, y + h / 2 + 4);
            let _ = writeln!(
                text,
                "<g><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{round}\" fill=\"{fill}\" stroke=\"#555\"/><text x=\"{cx}\" y=\"{cy}\" text-anchor=\"middle\">{label}</text></g>",
                id(*node)
            );
        }
        text + "</svg>\n"
    }

    /// The nodes by column, each column's from the top down: near what they are joined to, so that few edges cross.
    fn table(&self) -> Vec<Vec<Node>> {
        let mut table: Vec<Vec<Node>> = Vec::new();
        for (node, column) in self.columns() {
            let column = column as usize;
            table.resize(table.len().max(column + 1), Vec::new());
            table[column].push(node);
        }
        // A ring leaves columns empty.
        table.retain(|column| !column.is_empty());
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        for (from, to) in &self.edges {
            before.entry(*to).or_insert_with(Vec::new).push(*from);
            after.entry(*from).or_insert_with(Vec::new).push(*to);
        }
        let mut rows: BTreeMap<Node, u64> = BTreeMap::new();
        for sweep in 0..SWEEPS {
            let forward = sweep % 2 == 0;
            let joined = if forward { &before } else { &after };
            let order: Vec<usize> =
                if forward { (0..table.len()).collect() } else { (0..table.len()).rev().collect() };
            for column in order {
                let nodes = &mut table[column];
                nodes.sort_by_cached_key(|node| {
                    let near = joined.get(node).into_iter().flatten();
                    let near: Vec<u64> =
                        near.filter_map(|other| rows.get(other).copied()).collect();
                    let own = rows.get(node).copied().unwrap_or_default();
                    // In thousandths of a row.
                    let mean = match near.len() as u64 {
                        0 => own * 1_000,
                        count => near.iter().sum::<u64>() * 1_000 / count,
                    };
                    (mean, *node)
                });
                rows.extend(nodes.iter().copied().zip(0..));
            }
        }
        table
    }

    /// How many nodes come before each, along the longest way. A job that gives out what it took in makes a ring, which ends the
    /// counting after as many rounds as there are nodes.
    fn columns(&self) -> BTreeMap<Node, u32> {
        let mut columns: BTreeMap<Node, u32> = self.nodes.keys().map(|node| (*node, 0)).collect();
        let last = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        for _ in 0..self.nodes.len() {
            let mut changed = false;
            for (from, to) in &self.edges {
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
        columns
    }
}

fn short(hash: B256) -> String {
    hex::encode(&hash[..5])
}

fn id(node: Node) -> String {
    match node {
        Node::Slot(root) => format!("slot {}", hex::encode(root)),
        Node::Job(job) => format!("job {}", hex::encode(job)),
    }
}
