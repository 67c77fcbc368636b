//! Which file of a crate imports from which: paths resolved to the file that defines what they
//! name, through whatever re-exports it on the way.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Import, Module, Source};
use super::tree::Tree;

/// Longer chains of re-exports than this are circles of their own.
const REEXPORTS_MAX: usize = 16;

/// An import, or a use of a full path, from one file of the crate in another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) line: usize,
    /// As it is written.
    pub(crate) path: String,
}

/// The modules of a crate, by their path from its root, without those that only tests have.
pub(crate) struct Modules(BTreeMap<Vec<String>, (String, Module)>);

enum Target {
    Module(Vec<String>),
    /// Something that this file defines.
    Item(String),
}

impl Modules {
    /// Of the crate in a folder: "crates/cli". Binaries beside a library are left out: nothing can
    /// import from them.
    pub(crate) fn read(tree: &Tree, folder: &str) -> Result<Self, String> {
        let folder = format!("{folder}/src");
        let has_library = tree.text(&format!("{folder}/lib.rs")).is_some();
        let mut modules = BTreeMap::new();
        let mut of_tests = BTreeSet::new();
        for (name, text) in tree.below(&folder, "rs") {
            let Some(path) = module_path(&name[folder.len() + 1..], has_library) else { continue };
            let source = Source::parse(name, text)?;
            of_tests.extend(source.test_modules.iter().map(|test| joined(&path, test)));
            for module in source.modules {
                let path = path.iter().chain(&module.path).cloned().collect();
                modules.insert(path, (name.to_owned(), module));
            }
        }
        modules.retain(|path: &Vec<String>, _| !of_tests.iter().any(|test| path.starts_with(test)));
        Ok(Modules(modules))
    }

    /// The files, each once.
    pub(crate) fn files(&self) -> BTreeSet<&str> {
        self.0.values().map(|(file, _)| file.as_str()).collect()
    }

    /// The first arrow between each two files. A re-export is none unless the file uses the name.
    pub(crate) fn arrows(&self) -> Vec<Arrow> {
        let mut arrows = BTreeMap::new();
        for (scope, (file, module)) in &self.0 {
            let names: BTreeSet<&String> =
                module.paths.iter().filter_map(|path| path.segments.first()).collect();
            let mut add = |line: usize, segments: &[String]| {
                let Some(Target::Item(to)) = self.resolve(scope, segments, 0) else { return };
                if to != *file {
                    let path = segments.join("::");
                    let arrow = Arrow { from: file.clone(), to: to.clone(), line, path };
                    arrows.entry((file.clone(), to)).or_insert(arrow);
                }
            };
            for Import { path, name, is_reexport } in &module.imports {
                if name == "*" {
                    for name in &names {
                        add(path.line, &joined(&path.segments, name));
                    }
                } else if !is_reexport || names.contains(name) {
                    add(path.line, &path.segments);
                }
            }
            for path in module.paths.iter().filter(|path| path.segments.len() > 1) {
                add(path.line, &path.segments);
            }
        }
        arrows.into_values().collect()
    }

    /// What a path in a module leads to; `None` outside the crate, and for what nobody defines.
    fn resolve(&self, scope: &[String], segments: &[String], depth: usize) -> Option<Target> {
        let (first, rest) = segments.split_first()?;
        if depth > REEXPORTS_MAX {
            return None;
        }
        match first.as_str() {
            "crate" => self.resolve_in(&[], rest, depth),
            "self" => self.resolve_in(scope, rest, depth),
            "super" => self.resolve_in(scope.split_last()?.1, rest, depth),
            _ if self.provides(scope, first, depth) => self.resolve_in(scope, segments, depth),
            _ => None,
        }
    }

    /// As `resolve`, of a path that begins in a module.
    fn resolve_in(&self, module: &[String], segments: &[String], depth: usize) -> Option<Target> {
        let Some((first, rest)) = segments.split_first() else {
            return Some(Target::Module(module.to_vec()));
        };
        if first == "super" {
            return self.resolve_in(module.split_last()?.1, rest, depth);
        }
        let child = joined(module, first);
        if self.0.contains_key(&child) {
            return self.resolve_in(&child, rest, depth);
        }
        let (file, own) = self.0.get(module)?;
        if own.defined.contains(first) {
            return Some(Target::Item(file.clone()));
        }
        if let Some(import) = own.imports.iter().find(|import| import.name == *first) {
            return match self.resolve(module, &import.path.segments, depth + 1)? {
                Target::Module(module) => self.resolve_in(&module, rest, depth + 1),
                item => Some(item),
            };
        }
        for glob in self.globs(module, depth) {
            if self.provides(&glob, first, depth + 1) {
                return self.resolve_in(&glob, segments, depth + 1);
            }
        }
        None
    }

    /// Whether a name stands in a module: as its own, a child, or an import.
    fn provides(&self, module: &[String], name: &str, depth: usize) -> bool {
        let Some((_, own)) = self.0.get(module) else { return false };
        self.0.contains_key(&joined(module, name))
            || own.defined.contains(name)
            || own.imports.iter().any(|import| import.name == name)
            || self.globs(module, depth).iter().any(|glob| self.provides(glob, name, depth + 1))
    }

    /// The modules of the crate from which a module imports all.
    fn globs(&self, module: &[String], depth: usize) -> Vec<Vec<String>> {
        let imports = self.0.get(module).into_iter().flat_map(|(_, module)| &module.imports);
        let globs = imports.filter(|import| import.name == "*" && depth <= REEXPORTS_MAX);
        let targets = globs.filter_map(|glob| {
            // Not by what other globs bring: that would ask this again.
            match self.resolve_plain(module, &glob.path.segments)? {
                path if path != module => Some(path),
                _ => None,
            }
        });
        targets.collect()
    }

    /// The module that a path names by its place alone.
    fn resolve_plain(&self, scope: &[String], segments: &[String]) -> Option<Vec<String>> {
        let mut path = match segments.first()?.as_str() {
            "crate" => Vec::new(),
            _ => scope.to_vec(),
        };
        for segment in segments {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => drop(path.pop()?),
                _ => path.push(segment.clone()),
            }
        }
        self.0.contains_key(&path).then_some(path)
    }
}

/// Where a file's module is, of its path below `src`; `None` for a binary beside a library.
fn module_path(file: &str, has_library: bool) -> Option<Vec<String>> {
    let file = file.strip_suffix(".rs")?;
    if file == "lib" || (file == "main" && !has_library) {
        return Some(Vec::new());
    }
    if file == "main" || file.starts_with("bin/") {
        return None;
    }
    let file = file.strip_suffix("/mod").unwrap_or(file);
    Some(file.split('/').map(str::to_owned).collect())
}

fn joined(path: &[String], name: &str) -> Vec<String> {
    path.iter().cloned().chain([name.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrows(files: &[(&str, &str)]) -> Vec<String> {
        let modules = Modules::read(&Tree::new(files), "c").expect("Rust");
        let arrows = modules.arrows().into_iter();
        arrows.map(|a| format!("{} -> {}", &a.from[6..], &a.to[6..])).collect()
    }

    #[test]
    fn reexports_lead_to_the_file_that_defines() {
        let library = ("c/src/lib.rs", "mod a; mod b; pub use a::inner::Thing; pub use b::*;");
        let a = ("c/src/a/mod.rs", "pub mod inner;");
        let inner = ("c/src/a/inner.rs", "pub struct Thing;\nuse crate::Other;");
        let b = ("c/src/b.rs", "pub fn f() -> crate::Thing {}\npub struct Other;");
        assert_eq!(
            arrows(&[library, a, inner, b]),
            ["a/inner.rs -> b.rs", "b.rs -> a/inner.rs"],
            "and lib.rs, which only re-exports, imports nothing"
        );
    }

    #[test]
    fn imported_modules_globs_and_parents_are_followed() {
        let library = ("c/src/lib.rs", "mod a; mod b; fn helper() {}\nfn f() { b::g() }");
        let a = ("c/src/a.rs", "use super::{b, helper};\nfn f() { b::g(); }");
        let b = ("c/src/b.rs", "use crate::a::*;\npub fn g() { f() }");
        assert_eq!(
            arrows(&[library, a, b]),
            ["a.rs -> b.rs", "a.rs -> lib.rs", "b.rs -> a.rs", "lib.rs -> b.rs"]
        );
        let unused = ("c/src/b.rs", "use crate::a::*;\npub fn g() {}");
        assert!(!arrows(&[library, a, unused]).contains(&"b.rs -> a.rs".to_owned()));
    }

    #[test]
    fn tests_and_other_crates_import_nothing() {
        let library = ("c/src/lib.rs", "mod a; mod log;\n#[cfg(test)]\nmod tests;");
        let a = ("c/src/a.rs", "use other::log;\n#[cfg(test)]\nmod tests { use crate::log::f; }");
        let tests = ("c/src/tests.rs", "use crate::a::g;");
        assert!(arrows(&[library, a, tests, ("c/src/log.rs", "fn f() {}")]).is_empty());
    }
}
