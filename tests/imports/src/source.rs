// SPDX-License-Identifier: Apache-2.0
//! The paths that a source file names: those of its `use` declarations, and those written out.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use std::error::Error;
use std::iter::Peekable;

/// A path of two segments or more, and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The segments.
    pub path: Vec<String>,
    /// Counted from 1.
    pub line: usize,
}

type Tokens = Peekable<proc_macro2::token_stream::IntoIter>;

/// Returns the paths in `text`, what is `#[cfg(test)]` left aside.
///
/// # Errors
///
/// What `proc-macro2` says of text that is no Rust.
pub fn paths(text: &str) -> Result<Vec<Named>, Box<dyn Error>> {
    let mut found = Vec::new();
    let tokens: TokenStream = text.parse().map_err(|error| format!("{error}"))?;
    walk(tokens, &mut found, 0);
    Ok(found)
}

/// `depth` counts the modules written inline around the tokens: `super` leads out of them first.
fn walk(tokens: TokenStream, found: &mut Vec<Named>, depth: usize) {
    let mut tokens = tokens.into_iter().peekable();
    let mut module = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                if is_test_attribute(&mut tokens) {
                    skip_item(&mut tokens);
                }
            }
            TokenTree::Ident(ident) => {
                let word = ident.to_string();
                module = word == "mod" || module;
                if begins_path(&mut tokens) {
                    let line = ident.span().start().line;
                    rest(vec![word], line, &mut tokens, found, depth);
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => module = false,
            TokenTree::Group(group) => {
                let inside = depth + usize::from(module && group.delimiter() == Delimiter::Brace);
                module = false;
                walk(group.stream(), found, inside);
            }
            _ => {}
        }
    }
}

/// Takes an attribute's brackets, and returns whether they say `cfg(test)` or `cfg(any(test, …))`.
fn is_test_attribute(tokens: &mut Tokens) -> bool {
    match tokens.peek() {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => {
            let text = group.stream().to_string().replace(' ', "");
            tokens.next();
            text.starts_with("cfg(test)") || text.starts_with("cfg(any(test,")
        }
        _ => false,
    }
}

/// Takes the tokens of one item: up to its braces or its semicolon.
fn skip_item(tokens: &mut Tokens) {
    for token in tokens.by_ref() {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
            TokenTree::Punct(punct) if punct.as_char() == ';' => return,
            _ => {}
        }
    }
}

/// Takes a `::` if that is next.
fn begins_path(tokens: &mut Tokens) -> bool {
    match tokens.peek() {
        Some(TokenTree::Punct(punct))
            if punct.as_char() == ':' && punct.spacing() == Spacing::Joint =>
        {
            tokens.next();
            matches!(tokens.next(), Some(TokenTree::Punct(second)) if second.as_char() == ':')
        }
        _ => false,
    }
}

/// Takes the rest of a path behind a `::`, and all paths of a tree in braces.
fn rest(
    mut path: Vec<String>,
    line: usize,
    tokens: &mut Tokens,
    found: &mut Vec<Named>,
    depth: usize,
) {
    loop {
        match tokens.peek() {
            Some(TokenTree::Ident(ident)) => {
                path.push(ident.to_string());
                tokens.next();
                if !begins_path(tokens) {
                    break;
                }
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let mut inside = group.stream().into_iter().peekable();
                tokens.next();
                while inside.peek().is_some() {
                    rest(path.clone(), line, &mut inside, found, depth);
                    // `as NAME`, up to the comma.
                    for token in inside.by_ref() {
                        if matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ',') {
                            break;
                        }
                    }
                }
                return;
            }
            // A glob.
            Some(TokenTree::Punct(_))
            | Some(TokenTree::Group(_))
            | Some(TokenTree::Literal(_))
            | None => {
                break;
            }
        }
    }
    // What leads no further than out of inline modules stays in the file.
    for _ in 0..depth {
        if path.first().is_some_and(|first| first == "super") {
            path.remove(0);
        }
    }
    found.push(Named { path, line });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Vec<(String, usize)> {
        let paths = paths(text).expect("Rust");
        let paths = paths.into_iter();
        paths
            .map(|named| (named.path.join("::"), named.line))
            .collect()
    }

    #[test]
    fn finds_paths_in_declarations_and_in_code() {
        let text = "use crate::a::{self, b::{C, D as E}, F};\nfn f() { super::g(crate::h::I); }\n\
                    macro_rules! m { () => { $crate::j::k!() } }";
        let expected = [
            ("crate::a::self", 1),
            ("crate::a::b::C", 1),
            ("crate::a::b::D", 1),
            ("crate::a::F", 1),
            ("super::g", 2),
            ("crate::h::I", 2),
            ("crate::j::k", 3),
        ];
        assert_eq!(
            seen(text),
            expected.map(|(path, line)| (path.to_owned(), line))
        );
    }

    #[test]
    fn leads_out_of_inline_modules_first() {
        let text = "mod a { use super::B; use super::super::c::D; }";
        assert_eq!(
            seen(text),
            [("B", 1), ("super::c::D", 1)].map(|(path, line)| (path.to_owned(), line))
        );
    }

    #[test]
    fn leaves_tests_aside() {
        let text =
            "#[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod more { use crate::a; }\nuse crate::b;";
        assert_eq!(seen(text), [("crate::b".to_owned(), 5)]);
    }
}
