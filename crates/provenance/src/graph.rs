//! Lineage across jobs: what came out of one and went into another, as DOT and as a picture.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use alloy_primitives::B256;

use crate::life::Life;

/// A box's width and height, and what lies between boxes, in pixels.
const BOX: (u32, u32) = (170, 36);
const GAP: (u32, u32) = (70, 18);

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
        self.nodes.entry(Node::Slot(root)).or_insert_with(|| format!("{name} {}", short(root)));
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
        let columns = self.columns();
        let mut places: BTreeMap<Node, (u32, u32)> = BTreeMap::new();
        let mut filled: BTreeMap<u32, u32> = BTreeMap::new();
        for (node, column) in &columns {
            let row = filled.entry(*column).or_default();
            places.insert(*node, (column * (BOX.0 + GAP.0) + 20, *row * (BOX.1 + GAP.1) + 20));
            *row += 1;
        }
        let columns = filled.keys().max().map_or(1, |last| last + 1);
        let rows = filled.values().max().copied().unwrap_or(1);
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
