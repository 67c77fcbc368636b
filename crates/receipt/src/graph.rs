//! Lineage across jobs: what came out of one and went into another, as DOT and as a picture.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use alloy_primitives::B256;

use crate::layout::{Layout, ROW, Spot};
use crate::summary::JobSummary;

/// A box's width and height, what lies between boxes, and what lies around them all, in pixels.
const BOX: (u32, u32) = (176, 44);
const GAP: (u32, u32) = (64, 18);
const MARGIN: u32 = 20;

/// What marks a job that was paid, one that was not, and a slot.
const PAID: &str = "#dbe9ff";
const UNPAID: &str = "#ffe1d6";
const SLOT: &str = "#f1f1e6";

/// Jobs, and the slots between them.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: BTreeMap<Node, Label>,
    edges: BTreeSet<(Node, Node)>,
    /// Those of the edges that rest on a requester's word: what a sealed input was made of.
    said: BTreeSet<(Node, Node)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Slot(B256),
    Job(B256),
}

/// What stands in a box: a line, or two.
#[derive(Clone, Debug)]
struct Label {
    first: String,
    second: Option<String>,
    fill: &'static str,
}

impl Graph {
    /// The graph of some jobs.
    pub fn of(lives: &[JobSummary]) -> Self {
        let mut graph = Graph::default();
        for summary in lives {
            let job = Node::Job(summary.job);
            let (outcome, fill) = match (summary.failure(), summary.paid) {
                (None, _) => ("paid".to_owned(), PAID),
                (Some(failure), Some(_)) => (format!("paid, {failure}"), UNPAID),
                (Some(failure), None) => (failure, UNPAID),
            };
            let first = format!("job {} ({outcome})", short(summary.job));
            let second = Some(format!("program {}", short(summary.program)));
            graph.nodes.insert(job, Label { first, second, fill });
            if let Some(root) = summary.output {
                graph.slot(root, "output");
                graph.edges.insert((job, Node::Slot(root)));
            }
            for (name, root) in [("input", summary.input), ("dataset", summary.dataset)] {
                if let Some(root) = root {
                    graph.slot(root, name);
                    graph.edges.insert((Node::Slot(root), job));
                }
            }
        }
        let outputs: BTreeMap<B256, B256> =
            lives.iter().filter_map(|summary| Some((summary.job, summary.output?))).collect();
        for summary in lives {
            let earlier = summary.input_of.and_then(|job| outputs.get(&job));
            let (Some(output), Some(input)) = (earlier, summary.input) else { continue };
            let edge = (Node::Slot(*output), Node::Slot(input));
            // Public, the two are one slot, which needs nobody's word.
            if *output != input && graph.edges.insert(edge) {
                graph.said.insert(edge);
            }
        }
        graph
    }

    /// A slot, under all the names that it goes by: what came out of one job and goes into another
    /// is both.
    fn slot(&mut self, root: B256, name: &str) {
        let new = || Label { first: String::new(), second: Some(short(root)), fill: SLOT };
        let label = self.nodes.entry(Node::Slot(root)).or_insert_with(new);
        let mut names: BTreeSet<&str> =
            label.first.split(", ").filter(|name| !name.is_empty()).collect();
        names.insert(name);
        // As a slot lives: it comes out before it goes in.
        let names: Vec<&str> = names.into_iter().rev().collect();
        label.first = names.join(", ");
    }

    /// Whether a line is, or ends, one of the edges that are only said.
    fn rests_on_a_word(&self, from: &Spot, to: &Spot) -> bool {
        let (Spot::Node(from) | Spot::Lane(from, _)) = from;
        matches!(to, Spot::Node(to) if self.said.contains(&(*from, *to)))
    }

    /// The graph in Graphviz's language. What rests on a requester's word is dotted.
    pub fn dot(&self) -> String {
        let mut text =
            "digraph lineage {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n".to_owned();
        for (node, label) in &self.nodes {
            let shape = if matches!(node, Node::Job(_)) { "box" } else { "ellipse" };
            let label = label.lines().collect::<Vec<_>>().join("\\n");
            let _ = writeln!(text, "  \"{}\" [label=\"{label}\", shape={shape}];", id(*node));
        }
        for (from, to) in &self.edges {
            let style = if self.said.contains(&(*from, *to)) { " [style=dotted]" } else { "" };
            let _ = writeln!(text, "  \"{}\" -> \"{}\"{style};", id(*from), id(*to));
        }
        text + "}\n"
    }

    /// The graph as a picture: what comes later lies further to the right, and no line goes through
    /// a box.
    pub fn svg(&self) -> String {
        let layout = Layout::of(self.nodes.keys().copied(), &self.edges);
        let (width, height) = size(&layout);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <title>Lineage of {} jobs</title>\n\
             <defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"#555\"/></marker></defs>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
            self.nodes.keys().filter(|node| matches!(node, Node::Job(_))).count()
        );
        for (from, to) in &layout.lines {
            let places = &layout.places;
            let (path, more) = match layout.goes_back(from, to) {
                true => (path_back(places[from], places[to], height), " stroke-dasharray=\"4 3\""),
                false if self.rests_on_a_word(from, to) => {
                    (path(places[from], places[to], to), " stroke-dasharray=\"1 3\"")
                }
                false => (path(places[from], places[to], to), ""),
            };
            let arrow = if matches!(to, Spot::Node(_)) { " marker-end=\"url(#a)\"" } else { "" };
            let _ =
                writeln!(text, "<path d=\"{path}\" fill=\"none\" stroke=\"#555\"{more}{arrow}/>");
        }
        for (node, label) in &self.nodes {
            text += &boxed(*node, label, pixels(layout.places[&Spot::Node(*node)]));
        }
        text + "</svg>\n"
    }
}

impl Label {
    fn lines(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.first.as_str()).chain(self.second.as_deref())
    }
}

/// A box with its label.
fn boxed(node: Node, label: &Label, (x, y): (u32, u32)) -> String {
    let round = if matches!(node, Node::Job(_)) { 3 } else { BOX.1 / 2 };
    let (w, h, fill) = (BOX.0, BOX.1, label.fill);
    let mut text = format!(
        "<g><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{round}\" fill=\"{fill}\" stroke=\"#555\"/>",
        id(node)
    );
    for (line, colour, below) in
        [(Some(&label.first), "#000", 19), (label.second.as_ref(), "#555", 34)]
    {
        let Some(line) = line else { continue };
        let _ = write!(
            text,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"{colour}\">{line}</text>",
            x + w / 2,
            y + below
        );
    }
    text + "</g>\n"
}

/// Where a box's upper left corner is.
fn pixels((column, row): (u32, u32)) -> (u32, u32) {
    let y = u64::from(row) * u64::from(BOX.1 + GAP.1) / u64::from(ROW);
    let y = u32::try_from(y).unwrap_or(u32::MAX / 2);
    (column.saturating_mul(BOX.0 + GAP.0) + MARGIN, y + MARGIN)
}

/// The picture's width and height.
fn size(layout: &Layout) -> (u32, u32) {
    let corners = layout.places.values().map(|place| pixels(*place));
    let (x, y) = corners
        .fold((MARGIN, MARGIN), |(x, y), (other_x, other_y)| (x.max(other_x), y.max(other_y)));
    let rings = layout.lines.iter().any(|(from, to)| layout.goes_back(from, to));
    let below = if rings { BOX.1 } else { 0 };
    (x + BOX.0 + MARGIN, y + BOX.1 + MARGIN + below)
}

/// A line from a box's right side to the next one's left, or on through a lane.
fn path(from: (u32, u32), to: (u32, u32), spot: &Spot) -> String {
    let ((x1, y1), (x2, y2)) = (pixels(from), pixels(to));
    let (x1, y1, y2) = (x1 + BOX.0, y1 + BOX.1 / 2, y2 + BOX.1 / 2);
    let between = x2.saturating_sub(x1) / 2;
    let curve = format!("M{x1} {y1} C{} {y1} {} {y2} {x2} {y2}", x1 + between, x2 - between);
    match spot {
        Spot::Node(_) => curve,
        Spot::Lane(..) => format!("{curve} H{}", x2 + BOX.0),
    }
}

/// A line that closes a ring, below the boxes.
fn path_back(from: (u32, u32), to: (u32, u32), height: u32) -> String {
    let ((x1, y1), (x2, y2)) = (pixels(from), pixels(to));
    let (x1, y1) = (x1 + BOX.0 / 2, y1 + BOX.1);
    let (x2, y2) = (x2 + BOX.0 / 2, y2 + BOX.1);
    format!("M{x1} {y1} C{x1} {height} {x2} {height} {x2} {y2}")
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
