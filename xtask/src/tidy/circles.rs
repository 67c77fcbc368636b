//! No circle of imports across the files of a service crate, and none of the node's rooms knows a
//! room after it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Finding;
use super::modules::{Arrow, Modules};
use super::tree::Tree;

/// Crates none of whose files import each other in a circle, without "crates/".
const CRATES: [&str; 4] = ["broker", "broker-client", "cli", "protocol"];

/// The crate whose folders are rooms.
const NODE: &str = "crates/node";

/// The rooms of the node. A file imports from its own room and from rooms before it.
const ROOMS: [&str; 12] = [
    "base",
    "chain",
    "log",
    "board",
    "job",
    "role",
    "provider",
    "requester",
    "auditor",
    "owner",
    "key_service",
    "market",
];

/// Rooms of one role each: their files may know each other as they like.
const ROLES: [&str; 5] = ["provider", "requester", "auditor", "owner", "key_service"];

pub(crate) fn check(tree: &Tree) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for name in CRATES {
        let folder = format!("crates/{name}");
        let arrows = Modules::read(tree, &folder)?.arrows();
        let circles = circles(&arrows);
        findings.extend(circles.iter().map(|circle| told(&folder, circle, &arrows)));
    }
    let modules = Modules::read(tree, NODE)?;
    let arrows = modules.arrows();
    let circles = circles(&arrows);
    let is_one_role = |circle: &BTreeSet<&str>| {
        let rooms: BTreeSet<&str> = circle.iter().filter_map(|file| room(file)).collect();
        rooms.len() == 1 && rooms.iter().all(|room| ROLES.contains(room))
    };
    let circles = circles.iter().filter(|circle| !is_one_role(circle));
    findings.extend(circles.map(|circle| told(NODE, circle, &arrows)));
    findings
        .extend(rooms(&modules, &arrows).into_iter().map(|text| Finding::new(area(NODE), text)));
    Ok(findings)
}

fn area(folder: &str) -> String {
    format!("circles {folder}")
}

/// Arrows upwards, and files that are in no room.
fn rooms(modules: &Modules, arrows: &[Arrow]) -> Vec<String> {
    let place = |file: &str| ROOMS.iter().position(|name| room(file) == Some(name));
    let library = format!("{NODE}/src/lib.rs");
    let homeless =
        modules.files().into_iter().filter(|file| *file != library && place(file).is_none());
    let homeless = homeless.map(|file| {
        format!("{file} is in no room: see house.md's order, in xtask/src/tidy/circles.rs")
    });
    let upward = arrows
        .iter()
        .filter(|arrow| arrow.from != library && place(&arrow.from) < place(&arrow.to));
    let upward = upward.map(|Arrow { from, to, line, path }| {
        let [lower, upper] = [from, to].map(|file| room(file).unwrap_or_default());
        format!("{from}:{line}: {lower} must not know {upper} ({path}, defined in {to})")
    });
    let at_root = arrows.iter().filter(|arrow| arrow.to == library).map(|arrow| {
        format!("{}:{}: {} is defined in lib.rs, above all", arrow.from, arrow.line, arrow.path)
    });
    homeless.chain(upward).chain(at_root).collect()
}

/// The folder of a file of the node below `src`, or the file itself.
fn room(file: &str) -> Option<&str> {
    let rest = file.strip_prefix(NODE)?.strip_prefix("/src/")?;
    rest.split('/').next().map(|first| first.trim_end_matches(".rs"))
}

/// A circle by all its files, and a shortest way around.
fn told(folder: &str, circle: &BTreeSet<&str>, arrows: &[Arrow]) -> Finding {
    let short = |file: &str| file.trim_start_matches(&format!("{folder}/src/")).to_owned();
    let files: Vec<String> = circle.iter().map(|file| short(file)).collect();
    let way = circle.iter().map(|file| way_around(file, circle, arrows)).min_by_key(Vec::len);
    let way: Vec<String> = way
        .into_iter()
        .flatten()
        .map(|a| format!("{}:{} imports {} of {}", short(&a.from), a.line, a.path, short(&a.to)))
        .collect();
    let count = circle.len();
    let text = format!(
        "{folder}/src: {count} files import each other in a circle: {}\n      for one: {}",
        files.join(", "),
        way.join("; ")
    );
    Finding::new(area(folder), text)
}

/// Sets of files each of which reaches all others of its set.
fn circles(arrows: &[Arrow]) -> Vec<BTreeSet<&str>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for arrow in arrows {
        next.entry(&arrow.from).or_default().insert(&arrow.to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        next.keys().map(|file| (*file, reachable(file, &next))).collect();
    let mut circles = BTreeSet::new();
    for (file, reaches) in &reached {
        let comes_back = |other: &&str| reached.get(other).is_some_and(|back| back.contains(file));
        let circle: BTreeSet<&str> = reaches.iter().copied().filter(comes_back).collect();
        if !circle.is_empty() {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reachable<'a>(from: &str, next: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<&str> = next.get(from).into_iter().flatten().copied().collect();
    while let Some(file) = waiting.pop() {
        if reached.insert(file) {
            waiting.extend(next.get(file).into_iter().flatten());
        }
    }
    reached
}

/// A shortest circle through a file, by its arrows.
fn way_around<'a>(file: &str, circle: &BTreeSet<&str>, arrows: &'a [Arrow]) -> Vec<&'a Arrow> {
    let mut came_by: BTreeMap<&str, &Arrow> = BTreeMap::new();
    let mut waiting = VecDeque::from([file]);
    while let Some(at) = waiting.pop_front() {
        for arrow in arrows.iter().filter(|a| a.from == at && circle.contains(a.to.as_str())) {
            if !came_by.contains_key(arrow.to.as_str()) {
                came_by.insert(&arrow.to, arrow);
                waiting.push_back(&arrow.to);
            }
        }
    }
    let mut way = Vec::new();
    let mut at = file;
    while let Some(arrow) = came_by.get(at) {
        way.insert(0, *arrow);
        at = &arrow.from;
        if at == file {
            break;
        }
    }
    way
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(files: &[(&str, &str)]) -> Vec<String> {
        let findings = check(&Tree::new(files)).expect("Rust").into_iter();
        findings.map(|finding| finding.text).collect()
    }

    #[test]
    fn a_circle_of_two_files_is_refused_with_its_files() {
        let main = ("crates/cli/src/main.rs", "mod a; mod b; mod c;");
        let a = ("crates/cli/src/a.rs", "use crate::b::f;\npub fn g() {}");
        let b = ("crates/cli/src/b.rs", "pub fn f() {\n    crate::a::g()\n}");
        let c = ("crates/cli/src/c.rs", "use crate::a::g;");
        assert_eq!(
            texts(&[main, a, b, c]),
            ["crates/cli/src: 2 files import each other in a circle: a.rs, b.rs\n      for one: \
              a.rs:1 imports crate::b::f of b.rs; b.rs:2 imports crate::a::g of a.rs"]
        );
        assert!(texts(&[main, a, ("crates/cli/src/b.rs", "pub fn f() {}"), c]).is_empty());
    }

    #[test]
    fn an_arrow_upwards_between_rooms_is_refused() {
        let library = ("crates/node/src/lib.rs", "mod base; mod job; pub use job::Job;");
        let job = ("crates/node/src/job/mod.rs", "pub struct Job;\nuse crate::base::id;");
        let base = ("crates/node/src/base/mod.rs", "pub fn id() {}");
        assert!(texts(&[library, job, base]).is_empty());
        let base = ("crates/node/src/base/mod.rs", "use crate::Job;\n");
        assert_eq!(
            texts(&[library, job, base]),
            ["crates/node/src/base/mod.rs:1: base must not know job (crate::Job, defined in \
              crates/node/src/job/mod.rs)"]
        );
    }

    #[test]
    fn files_of_one_role_may_know_each_other_and_others_may_not() {
        let circle = |room: &str| {
            let [one, other] =
                ["mod", "part"].map(|file| format!("crates/node/src/{room}/{file}.rs"));
            let one = (one.as_str(), "mod part;\nuse part::f;\npub fn g() {}");
            let other = (other.as_str(), "use super::g;\npub fn f() {}");
            texts(&[("crates/node/src/lib.rs", ""), one, other])
        };
        assert!(circle("provider").is_empty());
        assert_eq!(circle("board").len(), 1, "a circle on the floor");
        assert_eq!(circle("shed").len(), 3, "a circle, and two files in no room");
    }
}
