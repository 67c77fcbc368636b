//! The files that tidy reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::find;

/// Text files that tidy reads, by extension.
const TEXT: [&str; 14] = [
    "rs", "md", "toml", "json", "sol", "js", "mjs", "py", "sh", "ld", "html", "lock", "txt", "svg",
];

/// Folders of what is built or fetched, where git is not there to tell.
const BUILT: [&str; 5] = ["target", "node_modules", "out", "cache", ".git"];

/// Text files by their path from the root, with `/`.
pub(crate) struct Tree(BTreeMap<String, String>);

impl Tree {
    /// Reads what git tracks or would add; without git, what lies in no folder of built things.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let names = if find("git").is_some() && root.join(".git").exists() {
            git_files(root)?
        } else {
            let mut names = Vec::new();
            walk(root, root, &mut names)?;
            names
        };
        let mut files = BTreeMap::new();
        for name in names {
            let path = root.join(&name);
            let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            // git lists what was deleted and not yet staged.
            if TEXT.contains(&extension.as_str()) && path.is_file() {
                files.insert(name, read(&path)?);
            }
        }
        Ok(Tree(files))
    }

    /// A made-up tree.
    #[cfg(test)]
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        Tree(files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect())
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Files below a folder ("crates/cli/src"), with an extension.
    pub(crate) fn below<'a>(
        &'a self,
        folder: &'a str,
        extension: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files().filter(move |(name, _)| {
            name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
                && name.strip_suffix(extension).is_some_and(|rest| rest.ends_with('.'))
        })
    }

    /// The folders in a folder, by name, that hold a text file.
    pub(crate) fn folders(&self, folder: &str) -> BTreeSet<&str> {
        self.0
            .keys()
            .filter_map(|name| name.strip_prefix(folder)?.strip_prefix('/')?.split_once('/'))
            .map(|(name, _)| name)
            .collect()
    }
}

fn git_files(root: &Path) -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("git ls-files: {error}"))?;
    if !output.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let names = output.stdout.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

fn walk(root: &Path, folder: &Path, names: &mut Vec<String>) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries: Result<Vec<_>, _> = std::fs::read_dir(folder).map_err(fail)?.collect();
    let mut paths: Vec<PathBuf> = entries.map_err(fail)?.into_iter().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !BUILT.contains(&name.as_str()) {
            walk(root, &path, names)?;
        } else if let (true, Ok(name)) = (path.is_file(), path.strip_prefix(root)) {
            names.push(name.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_folder_and_extension() {
        let tree = Tree::new(&[("crates/a/src/lib.rs", ""), ("crates/ab/src/lib.rs", "")]);
        let below: Vec<_> = tree.below("crates/a", "rs").map(|(name, _)| name).collect();
        assert_eq!(below, ["crates/a/src/lib.rs"]);
        assert_eq!(tree.folders("crates").into_iter().collect::<Vec<_>>(), ["a", "ab"]);
    }
}
