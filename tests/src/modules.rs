//! Which file of a crate uses which, read from its source, and the circles among them.
//!
//! A re-export is followed to where the name is defined, so `pub use` itself ties nothing together.
//! Tests and generated files are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module by its path within the crate; the root is empty.
type Module = Vec<String>;

/// The files of one crate.
pub struct Modules {
    files: BTreeMap<Module, Source>,
}

struct Source {
    tokens: Vec<String>,
    /// Names that it passes on: the name, and the path it stands for.
    exports: BTreeMap<String, Module>,
}

impl Modules {
    /// Reads `src` of a crate; binaries' `main.rs` counts as a root of its own.
    pub fn read(src: &Path, root: &str) -> Self {
        let mut files = BTreeMap::new();
        read_module(src, &src.join(root), Vec::new(), &mut files);
        Self { files }
    }

    /// A circle among the files, as module paths, if there is one.
    pub fn circle(&self) -> Option<Vec<String>> {
        let edges: BTreeMap<_, _> = self.files.keys().map(|module| (module, self.uses(module))).collect();
        let mut done = BTreeSet::new();
        self.files.keys().find_map(|start| circle_from(start, &edges, &mut Vec::new(), &mut done))
    }

    fn uses(&self, module: &Module) -> BTreeSet<Module> {
        let paths = self.files[module].paths(module, self);
        let targets = paths.into_iter().filter_map(|path| self.resolve(&path, 0));
        targets.filter(|target| target != module).collect()
    }

    /// The module that defines the item of this path from the root.
    fn resolve(&self, path: &[String], depth: usize) -> Option<Module> {
        let mut module = Vec::new();
        for (at, name) in path.iter().enumerate() {
            let child = [&module[..], std::slice::from_ref(name)].concat();
            if self.files.contains_key(&child) {
                module = child;
                continue;
            }
            let export = self.files.get(&module)?.exports.get(name).filter(|_| depth < 8);
            return match export {
                Some(target) => self.resolve(&[&target[..], &path[at + 1..]].concat(), depth + 1),
                None => Some(module),
            };
        }
        Some(module)
    }

    fn has_child(&self, module: &Module, name: &str) -> bool {
        self.files.contains_key(&[&module[..], &[name.to_owned()]].concat())
    }
}

impl Source {
    /// Every path in it that leads to a module of this crate, from the root.
    fn paths(&self, module: &Module, modules: &Modules) -> Vec<Module> {
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            if let Some(end) = export_end(&self.tokens, at) {
                at = end;
                continue;
            }
            if let Some(base) = self.base(at, module, modules) {
                expand(&self.tokens, at + 1, &base, &mut paths);
            }
            at += 1;
        }
        paths
    }

    /// Where a path that begins at this token starts from, if one begins here.
    fn base(&self, at: usize, module: &Module, modules: &Modules) -> Option<Module> {
        let before = at.checked_sub(1).map_or("", |before| self.tokens[before].as_str());
        if before == "::" || before == "." || self.tokens.get(at + 1)? != "::" {
            return None;
        }
        base_of(&self.tokens[at], module).or_else(|| {
            let name = &self.tokens[at];
            modules.has_child(module, name).then(|| [&module[..], std::slice::from_ref(name)].concat())
        })
    }
}

fn base_of(name: &str, module: &Module) -> Option<Module> {
    match name {
        "crate" => Some(Vec::new()),
        "self" => Some(module.clone()),
        "super" => Some(module[..module.len().checked_sub(1)?].to_vec()),
        _ => None,
    }
}

/// Collects the paths of a use-tree, or of a plain path, that goes on after `base` at token `at`.
fn expand(tokens: &[String], mut at: usize, base: &Module, paths: &mut Vec<Module>) -> usize {
    let mut path = base.clone();
    while tokens.get(at).is_some_and(|token| token == "::") {
        let Some(next) = tokens.get(at + 1) else { break };
        if next == "{" {
            let mut inner = at + 2;
            while tokens.get(inner).is_some_and(|token| token != "}") {
                inner = match tokens[inner].as_str() {
                    "," => inner + 1,
                    "self" => {
                        paths.push(path.clone());
                        inner + 1
                    }
                    name => {
                        let deeper = [&path[..], &[name.to_owned()]].concat();
                        skip_rename(tokens, expand(tokens, inner + 1, &deeper, paths))
                    }
                };
            }
            return inner + 1;
        }
        match next.as_str() {
            "super" => drop(path.pop()),
            name if is_name(name) => path.push(name.to_owned()),
            _ => break,
        }
        at += 2;
    }
    paths.push(path);
    at
}

fn skip_rename(tokens: &[String], at: usize) -> usize {
    if tokens.get(at).is_some_and(|token| token == "as") { at + 2 } else { at }
}

/// The end of a `pub use`, where one begins here.
fn export_end(tokens: &[String], at: usize) -> Option<usize> {
    let public = tokens.get(at)? == "pub";
    let using = match tokens.get(at + 1)?.as_str() {
        "use" => at + 1,
        "(" => at + 1 + tokens[at + 1..].iter().position(|token| token == ")")? + 1,
        _ => return None,
    };
    if !public || tokens.get(using)? != "use" {
        return None;
    }
    Some(using + tokens[using..].iter().position(|token| token == ";")?)
}

fn exports(tokens: &[String], module: &Module, children: &BTreeSet<String>) -> BTreeMap<String, Module> {
    let mut exports = BTreeMap::new();
    for at in 0..tokens.len() {
        let Some(end) = export_end(tokens, at) else { continue };
        let start = at + tokens[at..end].iter().position(|token| token == "use").unwrap_or(0) + 1;
        let base = base_of(&tokens[start], module).or_else(|| {
            children.contains(&tokens[start]).then(|| [&module[..], std::slice::from_ref(&tokens[start])].concat())
        });
        let Some(base) = base else { continue };
        let mut paths = Vec::new();
        expand(&tokens[..end], start + 1, &base, &mut paths);
        exports.extend(paths.into_iter().filter_map(|path| Some((path.last()?.clone(), path))));
    }
    exports
}

fn circle_from(
    module: &Module,
    edges: &BTreeMap<&Module, BTreeSet<Module>>,
    path: &mut Vec<Module>,
    done: &mut BTreeSet<Module>,
) -> Option<Vec<String>> {
    if let Some(at) = path.iter().position(|earlier| earlier == module) {
        return Some(path[at..].iter().chain([module]).map(|module| format!("crate::{}", module.join("::"))).collect());
    }
    if !done.insert(module.clone()) {
        return None;
    }
    path.push(module.clone());
    let found = edges[module].iter().find_map(|next| circle_from(next, edges, path, done));
    path.pop();
    found
}

fn read_module(folder: &Path, file: &Path, module: Module, files: &mut BTreeMap<Module, Source>) {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    if text.starts_with("//! Generated") {
        return;
    }
    let tokens = tokens(text.split("#[cfg(test)]").next().unwrap_or_default());
    let children: BTreeSet<String> = tokens
        .windows(3)
        .filter(|window| window[0] == "mod" && window[2] == ";")
        .map(|window| window[1].clone())
        .collect();
    let below = module.iter().fold(folder.to_path_buf(), |folder, name| folder.join(name));
    for child in &children {
        let flat = below.join(format!("{child}.rs"));
        let file: PathBuf = if flat.exists() { flat } else { below.join(child).join("mod.rs") };
        read_module(folder, &file, [&module[..], std::slice::from_ref(child)].concat(), files);
    }
    let exports = exports(&tokens, &module, &children);
    files.insert(module, Source { tokens, exports });
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Names, `::` and single signs; comments and texts are left out.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            text_length(rest)
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            if rest.starts_with("'\"'") { 3 } else { first.len_utf8() }
        };
        rest = &rest[length..];
    }
    tokens
}

fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, next) in rest.char_indices().skip(1) {
        match next {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circle(files: &[(&str, &str)]) -> Option<Vec<String>> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
            std::fs::write(path, text).expect("a file can be written");
        }
        Modules::read(folder.path(), "lib.rs").circle()
    }

    #[test]
    fn a_circle_is_found_through_use_trees_and_plain_paths() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::{b::{self, X}, };"),
            ("b.rs", "fn f() { super::a::g() }"),
        ];
        assert_eq!(circle(&files), Some(vec!["crate::a".into(), "crate::b".into(), "crate::a".into()]));
        let files = [("lib.rs", "mod a;"), ("a.rs", "mod c; fn f() { c::g() }"), ("a/c.rs", "use super::X;")];
        assert!(circle(&files).is_some());
    }

    #[test]
    fn a_re_export_leads_to_the_definition_and_ties_nothing() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
            ("a.rs", "use crate::B;"),
            ("b.rs", "// crate::A"),
        ];
        assert_eq!(circle(&files), None);
    }
}
