//! What a Rust file says, without its tests: its modules, what they define and import, the paths
//! that stand in their code, and its strings. Read from tokens, so comments and the insides of
//! strings are no code, and what stands in macros is.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A file. Its own module is the first of `modules`; inline ones follow.
pub(crate) struct Source {
    pub(crate) modules: Vec<Module>,
    pub(crate) strings: Vec<Text>,
    /// Modules in files of their own that only tests have: `#[cfg(test)] mod tests;`
    pub(crate) test_modules: BTreeSet<String>,
}

#[derive(Default)]
pub(crate) struct Module {
    /// Its place within the file; empty for the file's own.
    pub(crate) path: Vec<String>,
    /// Items of its own.
    pub(crate) defined: BTreeSet<String>,
    pub(crate) imports: Vec<Import>,
    /// Every other path in its code, single names too; not names of fields and methods.
    pub(crate) paths: Vec<Path>,
}

/// One name that a `use` brings.
pub(crate) struct Import {
    pub(crate) path: Path,
    /// The name it has here; `*` for all.
    pub(crate) name: String,
    /// `pub use`, in whatever reach.
    pub(crate) is_reexport: bool,
}

/// A path; an absolute one (`::std::fs`) begins with an empty segment.
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

/// A string, or the lines of a doc comment, with each run of white space as one space.
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) line: usize,
    pub(crate) is_doc: bool,
}

impl Source {
    /// The name is for the error.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let tokens: TokenStream =
            text.parse().map_err(|error| format!("{name}: no Rust that tidy can read: {error}"))?;
        let mut source = Source {
            modules: vec![Module::default()],
            strings: Vec::new(),
            test_modules: BTreeSet::new(),
        };
        source.scan(tokens, 0, true);
        Ok(source)
    }

    /// Every path in imports and in code.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.modules.iter().flat_map(|module| {
            module.imports.iter().map(|import| &import.path).chain(&module.paths)
        })
    }

    /// Reads tokens as part of a module; `is_top` where items of the module's own stand.
    fn scan(&mut self, tokens: TokenStream, module: usize, is_top: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at += match &tokens[at] {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    self.attribute(&tokens[at..], module)
                }
                TokenTree::Ident(_) => self.ident(&tokens, at, module, is_top),
                TokenTree::Group(group) => {
                    self.scan(group.stream(), module, false);
                    1
                }
                TokenTree::Literal(literal) => {
                    self.string(&literal.to_string(), literal.span().start().line, false);
                    1
                }
                TokenTree::Punct(_) => 1,
            };
        }
    }

    /// Reads an attribute, and steps over the item that it keeps for tests. How many tokens that
    /// were.
    fn attribute(&mut self, tokens: &[TokenTree], module: usize) -> usize {
        let inner = usize::from(is_punct(tokens.get(1), '!'));
        let Some(TokenTree::Group(group)) = tokens.get(1 + inner) else { return 1 };
        let end = 2 + inner;
        let words: Vec<TokenTree> = group.stream().into_iter().collect();
        if inner == 0 && is_test_only(&words) {
            return end + self.test_item(&tokens[end..]);
        }
        match words.as_slice() {
            [TokenTree::Ident(doc), _, TokenTree::Literal(text)] if doc == "doc" => {
                self.string(&text.to_string(), text.span().start().line, true);
            }
            _ => self.scan(group.stream(), module, false),
        }
        end
    }

    /// How many tokens the item has: up to a semicolon or a body.
    fn test_item(&mut self, tokens: &[TokenTree]) -> usize {
        let is_end = |token: &TokenTree| {
            is_punct(Some(token), ';')
                || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
        };
        let end = tokens.iter().position(is_end).map_or(tokens.len(), |end| end + 1);
        if let [.., TokenTree::Ident(keyword), TokenTree::Ident(name), _] = &tokens[..end]
            && keyword == "mod"
        {
            self.test_modules.insert(name.to_string());
        }
        end
    }

    /// Reads what begins with a name. How many tokens that were.
    fn ident(&mut self, tokens: &[TokenTree], at: usize, module: usize, is_top: bool) -> usize {
        let TokenTree::Ident(ident) = &tokens[at] else { return 1 };
        let next = tokens.get(at + 1);
        match (ident.to_string().as_str(), next) {
            ("use", next) if !is_punct(next, '<') => self.import(tokens, at, module),
            // How far an item can be seen is no import.
            ("pub", Some(TokenTree::Group(group)))
                if group.delimiter() == Delimiter::Parenthesis =>
            {
                2
            }
            ("mod", Some(TokenTree::Ident(name))) => match tokens.get(at + 2) {
                Some(TokenTree::Group(body)) => {
                    let mut path = self.modules[module].path.clone();
                    path.push(name.to_string());
                    self.modules.push(Module { path, ..Module::default() });
                    self.scan(body.stream(), self.modules.len() - 1, true);
                    3
                }
                _ => 2,
            },
            (keyword, Some(TokenTree::Ident(name))) if DEFINES.contains(&keyword) => {
                if is_top {
                    self.modules[module].defined.insert(name.to_string());
                }
                // `const fn name` comes to `fn name`.
                if keyword == "const" && !is_punct(tokens.get(at + 2), ':') { 1 } else { 2 }
            }
            ("macro_rules", _) => {
                if let Some(TokenTree::Ident(name)) = tokens.get(at + 2) {
                    self.modules[module].defined.insert(name.to_string());
                }
                3
            }
            _ => self.path(tokens, at, module),
        }
    }

    fn path(&mut self, tokens: &[TokenTree], at: usize, module: usize) -> usize {
        let (segments, length) = segments(&tokens[at..]);
        let line = tokens[at].span().start().line;
        let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
        let is_member = is_punct(before(1), '.') && !is_punct(before(2), '.');
        let is_absolute = is_punct(before(1), ':') && is_punct(before(2), ':');
        if !is_member {
            let root = is_absolute.then(String::new);
            let segments = root.into_iter().chain(segments).collect();
            self.modules[module].paths.push(Path { segments, line });
        }
        length
    }

    /// Reads `use ...;`. How many tokens that were.
    fn import(&mut self, tokens: &[TokenTree], at: usize, module: usize) -> usize {
        let is_end = |token: &TokenTree| is_punct(Some(token), ';');
        let length = tokens[at..].iter().position(is_end).unwrap_or(tokens.len() - at - 1) + 1;
        let is_pub = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Ident(ident)) if ident == "pub");
        let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
        let is_reexport = is_pub(before(1))
            || (matches!(before(1), Some(TokenTree::Group(_))) && is_pub(before(2)));
        let mut imports = Vec::new();
        use_tree(&tokens[at + 1..at + length], &[], is_reexport, &mut imports);
        self.modules[module].imports.extend(imports);
        length
    }

    /// Keeps a string; a doc comment's line joins the one before it.
    fn string(&mut self, literal: &str, line: usize, is_doc: bool) {
        let Some(start) = literal.find('"') else { return };
        let end = literal.rfind('"').filter(|&end| end > start).unwrap_or(literal.len());
        // A backslash at a line's end joins the lines.
        let text = literal[start + 1..end].replace("\\\n", " ").replace("\\n", " ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match self.strings.last_mut() {
            Some(last) if is_doc && last.is_doc && last.line_last() + 1 == line => {
                last.text = format!("{}\n{text}", last.text);
            }
            _ => self.strings.push(Text { text, line, is_doc }),
        }
    }
}

impl Path {
    /// Whether these names stand in the path, one after another: `std::fs`.
    pub(crate) fn holds(&self, names: &str) -> bool {
        let names: Vec<&str> = names.split("::").collect();
        self.segments.windows(names.len()).any(|window| window == names)
    }
}

impl Text {
    /// The line of the last line of a doc comment.
    fn line_last(&self) -> usize {
        self.line + self.text.matches('\n').count()
    }
}

/// Keywords that a new name follows.
const DEFINES: [&str; 8] = ["struct", "enum", "fn", "const", "static", "trait", "type", "union"];

/// `cfg(test)`, `cfg(all(test, ...))`.
fn is_test_only(attribute: &[TokenTree]) -> bool {
    let [TokenTree::Ident(cfg), TokenTree::Group(condition)] = attribute else { return false };
    let condition = condition.stream().to_string().replace(' ', "");
    cfg == "cfg" && (condition == "test" || condition.starts_with("all(test,"))
}

/// The names of a path that begins here, and how many tokens it has.
fn segments(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let mut segments = Vec::new();
    let mut at = 0;
    while let Some(TokenTree::Ident(ident)) = tokens.get(at) {
        segments.push(ident.to_string());
        at += 1;
        let is_followed = is_punct(tokens.get(at), ':')
            && is_punct(tokens.get(at + 1), ':')
            && matches!(tokens.get(at + 2), Some(TokenTree::Ident(_)));
        if !is_followed {
            break;
        }
        at += 2;
    }
    (segments, at)
}

/// Reads one tree of a `use`, or several with commas between them.
fn use_tree(tokens: &[TokenTree], prefix: &[String], is_reexport: bool, into: &mut Vec<Import>) {
    for tree in tokens.split(|token| is_punct(Some(token), ',')) {
        let line = tree.first().map_or(0, |token| token.span().start().line);
        let (own, length) = segments(skip_root(tree));
        let mut path: Vec<String> = prefix.iter().cloned().chain(own).collect();
        let rest: Vec<&TokenTree> = skip_root(tree)[length..]
            .iter()
            .filter(|token| !is_punct(Some(token), ':') && !is_punct(Some(token), ';'))
            .collect();
        let name = match rest.as_slice() {
            [TokenTree::Group(group)] => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                use_tree(&inner, &path, is_reexport, into);
                continue;
            }
            [TokenTree::Punct(star)] if star.as_char() == '*' => "*".to_owned(),
            [TokenTree::Ident(_), TokenTree::Ident(name)] => name.to_string(),
            _ => String::new(),
        };
        // `a::b::{self}` is `a::b`.
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let Some(last) = path.last().cloned() else { continue };
        let name = if name.is_empty() { last } else { name };
        into.push(Import { path: Path { segments: path, line }, name, is_reexport });
    }
}

/// Without the colons of an absolute path.
fn skip_root(tokens: &[TokenTree]) -> &[TokenTree] {
    if is_punct(tokens.first(), ':') { &tokens[2..] } else { tokens }
}

fn is_punct(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Source {
        Source::parse("a.rs", text).expect("Rust")
    }

    fn paths(source: &Source) -> Vec<String> {
        source.paths().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn imports_are_taken_apart() {
        let source = parse("pub(crate) use a::{self, b::{C as D, *}, e};\nuse super::f;");
        let imports: Vec<(String, &str, bool)> = source.modules[0]
            .imports
            .iter()
            .map(|i| (i.path.segments.join("::"), i.name.as_str(), i.is_reexport))
            .collect();
        let expected = [
            ("a", "a", true),
            ("a::b::C", "D", true),
            ("a::b", "*", true),
            ("a::e", "e", true),
            ("super::f", "f", false),
        ];
        assert_eq!(imports, expected.map(|(path, name, is)| (path.to_owned(), name, is)));
    }

    #[test]
    fn comments_strings_and_tests_are_no_code() {
        let text = "// crate::a::b\n/// Of [`crate::c`].\nfn f() { x(\"crate::d\"); y.crate_e(); }
            #[cfg(test)]\nmod tests { use crate::g; }\n#[cfg(test)]\nmod other;";
        let source = parse(text);
        assert_eq!(paths(&source), ["x", "y"]);
        assert!(source.test_modules.contains("other") && source.modules.len() == 1);
    }

    #[test]
    fn paths_in_macros_and_attributes_are_code() {
        let source = parse(
            "fn f() { m!(\"{}\", crate::a::b(::std::fs::read(1.0))); <T as crate::c::D>::x() }",
        );
        assert_eq!(
            paths(&source),
            ["m", "crate::a::b", "::std::fs::read", "T", "as", "crate::c::D", "::x"]
        );
    }

    #[test]
    fn strings_are_kept_with_their_place() {
        let source = parse("/// One\n/// two.\nfn f() { g(\"a \\\n    b\") }");
        let texts: Vec<(String, usize, bool)> =
            source.strings.iter().map(|s| (s.text.clone(), s.line, s.is_doc)).collect();
        assert_eq!(texts, [("One\ntwo.".to_owned(), 1, true), ("a b".to_owned(), 3, false)]);
    }
}
