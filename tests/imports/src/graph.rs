// SPDX-License-Identifier: Apache-2.0
//! Which file of a crate imports from which.

use crate::source;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

/// A file of a crate, by its module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Module {
    /// Segments of its path below `crate`.
    segments: Vec<String>,
    /// The file, from the root of the repository.
    file: String,
}

impl Module {
    /// Returns the first segment of its path: the room; `lib` for the root.
    pub fn room(&self) -> &str {
        self.segments.first().map_or("lib", String::as_str)
    }

    /// Returns the file, from the root of the repository.
    pub fn file(&self) -> &str {
        &self.file
    }
}

/// One file names something of another.
#[derive(Clone, Debug)]
pub struct Import {
    /// Who does.
    pub from: Module,
    /// What is named is there.
    pub to: Module,
    /// The line in `from`.
    pub line: usize,
    /// As it is written.
    pub path: String,
}

impl Import {
    /// Returns whether a module names something of one above it.
    fn leads_to_the_face(&self) -> bool {
        self.from.segments.starts_with(&self.to.segments)
    }
}

/// The files of a crate and their imports.
pub struct Graph {
    modules: BTreeMap<Vec<String>, Module>,
    imports: Vec<Import>,
}

impl Graph {
    /// Reads the crate whose sources are in `folder` of the repository at `root`; folders with a
    /// `Cargo.toml` of their own are other crates, files called `tests.rs` are left aside.
    ///
    /// # Errors
    ///
    /// The file that cannot be read, or is no Rust.
    pub fn read(root: &Path, folder: &str) -> Result<Self, Box<dyn Error>> {
        let mut files = Vec::new();
        collect(&root.join(folder), "", &mut files)?;
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        Self::of(folder, &files)
    }

    /// The same for files given as names in `folder` and texts.
    ///
    /// # Errors
    ///
    /// As [`Graph::read`].
    pub fn of(folder: &str, files: &[(&str, &str)]) -> Result<Self, Box<dyn Error>> {
        let module = |name: &str| Module {
            segments: segments(name),
            file: format!("{folder}/{name}"),
        };
        let modules: BTreeMap<_, _> = files
            .iter()
            .map(|(name, _)| (segments(name), module(name)))
            .collect();
        let mut imports = Vec::new();
        for (name, text) in files {
            let from = module(name);
            let named = source::paths(text).map_err(|error| format!("{name}: {error}"))?;
            for named in named {
                if let Some(to) = target(&modules, &from, &named.path)
                    && *to != from
                {
                    imports.push(Import {
                        from: from.clone(),
                        to: to.clone(),
                        line: named.line,
                        path: named.path.join("::"),
                    });
                }
            }
        }
        Ok(Self { modules, imports })
    }

    /// Returns all files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.modules.values().map(Module::file)
    }

    /// Returns all imports, in the order of the files.
    pub fn imports(&self) -> impl Iterator<Item = &Import> {
        self.imports.iter()
    }

    /// Returns a line for each import that closes a circle: from whose target a way leads back.
    ///
    /// A module is the face of those below it: what it defines for all of them, they may name.
    pub fn circles(&self) -> Vec<String> {
        self.imports
            .iter()
            .filter(|import| !import.leads_to_the_face() && self.leads(&import.to, &import.from))
            .map(|import| {
                format!(
                    "{}:{}: `{}`: {} imports from this file in turn, or by others: a circle",
                    import.from.file(),
                    import.line,
                    import.path,
                    import.to.file()
                )
            })
            .collect()
    }

    fn leads(&self, from: &Module, to: &Module) -> bool {
        let mut seen = vec![from];
        let mut next = 0;
        while let Some(&here) = seen.get(next) {
            next += 1;
            for import in self
                .imports
                .iter()
                .filter(|import| import.from == *here && !import.leads_to_the_face())
            {
                if import.to == *to {
                    return true;
                }
                if !seen.contains(&&import.to) {
                    seen.push(&import.to);
                }
            }
        }
        false
    }
}

/// Returns the module that `path`, as `from` writes it, leads into: the deepest that is a file.
fn target<'a>(
    modules: &'a BTreeMap<Vec<String>, Module>,
    from: &Module,
    path: &[String],
) -> Option<&'a Module> {
    let mut here = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "super" | "self" => from.segments.clone(),
        // Another crate, a type, or a module below this one.
        child => {
            let below = [from.segments.as_slice(), &[child.to_owned()]].concat();
            if !modules.contains_key(&below) {
                return None;
            }
            from.segments.clone()
        }
    };
    for segment in path {
        match segment.as_str() {
            "crate" | "self" => {}
            "super" => drop(here.pop()),
            name => here.push(name.to_owned()),
        }
    }
    loop {
        if let Some(module) = modules.get(&here) {
            return Some(module);
        }
        here.pop()?;
    }
}

/// Returns the module of the file `name`: of `a/mod.rs` and `a.rs`, `a`.
fn segments(name: &str) -> Vec<String> {
    let name = name.strip_suffix(".rs").unwrap_or(name);
    let mut segments: Vec<String> = name.split('/').map(str::to_owned).collect();
    let last = segments.last().map(String::as_str);
    if last == Some("mod") || segments.len() == 1 && last == Some("lib") {
        segments.pop();
    }
    segments
}

fn collect(
    folder: &Path,
    prefix: &str,
    files: &mut Vec<(String, String)>,
) -> Result<(), Box<dyn Error>> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if path.is_dir() {
            if !path.join("Cargo.toml").exists() && name != "tests" && name != "bin" {
                collect(&path, &format!("{prefix}{name}/"), files)?;
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            files.push((format!("{prefix}{name}"), fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        Graph::of("src", files).expect("Rust").circles()
    }

    #[test]
    fn names_both_sides_of_a_circle() {
        let seen = circles(&[
            ("a/mod.rs", "mod b; mod c; use b::B;"),
            ("a/b.rs", "use super::c::C;"),
            ("a/c.rs", "\nuse crate::a::b::B;"),
            ("d.rs", "use crate::a::B;"),
        ]);
        assert_eq!(seen.len(), 2, "seen: {seen:#?}");
        assert!(seen[0].starts_with("src/a/b.rs:1: `super::c::C`: src/a/c.rs "));
        assert!(seen[1].starts_with("src/a/c.rs:2: `crate::a::b::B`: src/a/b.rs "));
    }

    #[test]
    fn finds_the_file_that_a_path_leads_into() {
        let graph = Graph::of(
            "src",
            &[
                ("lib.rs", ""),
                ("a.rs", ""),
                (
                    "b/mod.rs",
                    "use crate::a::x::Y;\nuse super::a;\nuse self::c::D;",
                ),
                ("b/c.rs", "use super::E;\nuse super::super::F;"),
            ],
        )
        .expect("Rust");
        let seen: Vec<_> = graph
            .imports()
            .map(|import| (import.from.file(), import.to.file()))
            .collect();
        let expected = [
            ("src/b/mod.rs", "src/a.rs"),
            ("src/b/mod.rs", "src/a.rs"),
            ("src/b/mod.rs", "src/b/c.rs"),
            ("src/b/c.rs", "src/b/mod.rs"),
            ("src/b/c.rs", "src/lib.rs"),
        ];
        assert_eq!(seen, expected);
    }
}
