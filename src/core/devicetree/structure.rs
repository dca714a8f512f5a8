// SPDX-License-Identifier: Apache-2.0
//! Walks the structure block of a flattened device tree once, and checks it on the way (Devicetree
//! Specification v0.4, 5.4).
//!
//! The guest stands still while the next kernel's tree is walked: so names are looked at only where the
//! visitor asks for them, and cells are read rather than bytes. A byte at a time is what the compiler makes
//! of cells that may lie anywhere, as the monitor reads trees with the MMU off too.

use super::blob_error::{BlobError, MAX_DEPTH};
use core::str;
use zerocopy::{FromBytes, IntoBytes};

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
pub(super) const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// Cells, the unit of the block, as they are in memory: big-endian.
type Cells = [u32];
/// Bytes of a cell.
const CELL: usize = size_of::<u32>();

/// What a walk meets, in the order of the tree. `depth` is 1 for the root.
pub trait Visitor<'a> {
    /// A node begins.
    fn node(&mut self, depth: usize, node: Node<'a>);
    /// A property of `node`, the one that began last, has the bytes of `value` up to `size`.
    fn property(&mut self, depth: usize, node: Node<'a>, value: &'a Cells, size: usize);
}

/// For a walk that does nothing but check.
pub struct Check;

impl<'a> Visitor<'a> for Check {
    fn node(&mut self, _: usize, _: Node<'a>) {}
    fn property(&mut self, _: usize, _: Node<'a>, _: &'a Cells, _: usize) {}
}

/// The structure block, which begins at `offset` bytes in the tree, and the strings block.
pub struct Structure<'a> {
    cells: &'a Cells,
    offset: usize,
    strings: &'a [u8],
}

impl<'a> Structure<'a> {
    /// Takes the blocks; `None` if the cells are not aligned in memory.
    pub fn new(block: &'a [u8], offset: usize, strings: &'a [u8]) -> Option<Self> {
        let (cells, _) = Cells::ref_from_prefix_with_elems(block, block.len() / CELL).ok()?;
        Some(Self {
            cells,
            offset,
            strings,
        })
    }

    /// Has `visitor` see all nodes and properties, up to the first error.
    ///
    /// # Errors
    ///
    /// [`BlobError`], with the offset at which the structure is broken.
    #[inline]
    pub fn walk(&self, visitor: &mut impl Visitor<'a>) -> Result<(), BlobError> {
        // Then each string has an end, and is UTF-8.
        let are_plain = self.strings.is_ascii() && self.strings.last() == Some(&0);
        let (mut depth, mut left) = (0, self.cells);
        let mut node = Node::default();
        // Properties come before child nodes.
        let mut properties = false;
        loop {
            let at = left;
            let Some((token, behind)) = left.split_first() else {
                return Err(self.unterminated("structure block", at));
            };
            left = behind;
            match u32::from_be(*token) {
                PROP if properties => {
                    let Some(([size, name], behind)) = left.split_first_chunk() else {
                        return Err(self.unterminated("property", left));
                    };
                    let size = u32::from_be(*size) as usize;
                    let name = u32::from_be(*name) as usize;
                    if !are_plain || name >= self.strings.len() {
                        check_name(self.strings, name)?;
                    }
                    let value = behind.split_at_checked(size.div_ceil(CELL));
                    let Some((value, behind)) = value else {
                        return Err(self.unterminated("property", left));
                    };
                    visitor.property(depth, node, value, size);
                    left = behind;
                }
                BEGIN_NODE => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return Err(BlobError::Depth(self.offset_of(at)));
                    }
                    let Some((length, is_ascii, behind)) = string(left) else {
                        return Err(self.unterminated("node name", left));
                    };
                    node = Node {
                        cells: left,
                        strings: self.strings,
                    };
                    if !is_ascii && str::from_utf8(node.first(length)).is_err() {
                        return Err(BlobError::Name(self.offset_of(left)));
                    }
                    visitor.node(depth, node);
                    properties = true;
                    left = behind;
                }
                END_NODE if depth > 0 => {
                    depth -= 1;
                    properties = false;
                    if depth == 0 {
                        return self.end(left);
                    }
                }
                NOP if depth > 0 => {}
                token => return Err(self.out_of_place(token, at)),
            }
        }
    }

    /// Checks what is behind the root.
    fn end(&self, mut left: &Cells) -> Result<(), BlobError> {
        while let Some((token, behind)) = left.split_first() {
            match u32::from_be(*token) {
                NOP => left = behind,
                END => return Ok(()),
                token => return Err(self.out_of_place(token, left)),
            }
        }
        Err(self.unterminated("structure block", left))
    }

    /// Returns the offset in the tree of what is left.
    fn offset_of(&self, left: &Cells) -> usize {
        self.offset + size_of_val(self.cells) - size_of_val(left)
    }

    #[cold]
    fn unterminated(&self, what: &'static str, left: &Cells) -> BlobError {
        let offset = self.offset_of(left);
        BlobError::Unterminated { what, offset }
    }

    #[cold]
    fn out_of_place(&self, token: u32, left: &Cells) -> BlobError {
        let offset = self.offset_of(left);
        BlobError::Token { token, offset }
    }
}

/// Returns the length of the string that `cells` begin with, whether it is certainly ASCII, and what is behind
/// its last cell; `None` if it has no end.
#[inline]
fn string(cells: &Cells) -> Option<(usize, bool, &Cells)> {
    /// One in each byte, and the highest bit of each.
    const ONES: u32 = 0x0101_0101;
    const HIGHEST: u32 = 0x8080_8080;
    let (mut left, mut all) = (cells, 0);
    loop {
        let (cell, behind) = left.split_first()?;
        let word = u32::from_le(*cell);
        all |= word;
        // The lowest bit that is set is that of the first byte that is zero.
        let zeroes = word.wrapping_sub(ONES) & !word & HIGHEST;
        if zeroes != 0 {
            let before = (cells.len() - left.len()) * CELL;
            let length = before + zeroes.trailing_zeros() as usize / 8;
            return Some((length, all & HIGHEST == 0, behind));
        }
        left = behind;
    }
}

/// A node, from its name on.
#[derive(Clone, Copy, Default)]
pub struct Node<'a> {
    cells: &'a Cells,
    strings: &'a [u8],
}

impl<'a> Node<'a> {
    /// Returns its name, with its unit address, and without its NUL.
    pub fn name(self) -> &'a [u8] {
        self.first(string(self.cells).map_or(0, |(length, ..)| length))
    }

    /// Returns whether its name begins with these bytes.
    pub fn begins(self, bytes: [u8; CELL]) -> bool {
        begins(self.cells, bytes)
    }

    /// Returns the value of its first property of that name, if all before it are whole.
    pub fn find(self, name: &str) -> Option<&'a [u8]> {
        let strings = self.strings;
        let is_it = |at: u32| {
            let found = strings.get(at as usize..).unwrap_or_default();
            let rest = found.strip_prefix(name.as_bytes());
            rest.is_some_and(|rest| rest.first() == Some(&0))
        };
        let (.., mut left) = string(self.cells)?;
        loop {
            let (token, behind) = left.split_first()?;
            left = behind;
            match u32::from_be(*token) {
                NOP => {}
                PROP => {
                    let ([size, at], behind) = left.split_first_chunk()?;
                    let size = u32::from_be(*size) as usize;
                    let (value, behind) = behind.split_at_checked(size.div_ceil(CELL))?;
                    if is_it(u32::from_be(*at)) {
                        return value.as_bytes().get(..size);
                    }
                    left = behind;
                }
                _ => return None,
            }
        }
    }

    fn first(self, length: usize) -> &'a [u8] {
        let bytes = self.cells.as_bytes();
        bytes.get(..length).unwrap_or_default()
    }
}

/// Returns whether `cells` begin with these bytes.
pub fn begins(cells: &Cells, bytes: [u8; CELL]) -> bool {
    cells.first() == Some(&u32::from_ne_bytes(bytes))
}

/// Checks the name at `offset` in the strings block.
#[cold]
fn check_name(strings: &[u8], offset: usize) -> Result<(), BlobError> {
    let what = "property name";
    let tail = strings.get(offset..).unwrap_or_default();
    let length = tail.iter().position(|byte| *byte == 0);
    let length = length.ok_or(BlobError::Unterminated { what, offset })?;
    let name = tail.get(..length).unwrap_or_default();
    str::from_utf8(name).map_err(|_| BlobError::Name(offset))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devicetree::blob;
    use crate::devicetree::sample::Sample;
    use alloc::string::String;
    use alloc::vec::Vec;

    #[derive(Default)]
    struct Seen {
        nodes: Vec<(usize, String)>,
        values: Vec<(usize, Vec<u8>)>,
        regs: Vec<Option<Vec<u8>>>,
    }

    impl<'a> Visitor<'a> for Seen {
        fn node(&mut self, depth: usize, node: Node<'a>) {
            let name = str::from_utf8(node.name()).expect("a name");
            self.nodes.push((depth, name.into()));
            self.regs.push(node.find("reg").map(<[u8]>::to_vec));
        }

        fn property(&mut self, depth: usize, node: Node<'a>, value: &'a Cells, size: usize) {
            let (_, last) = self.nodes.last().expect("a node");
            assert_eq!(node.name(), last.as_bytes());
            let value = value.as_bytes()[..size].to_vec();
            self.values.push((depth, value));
        }
    }

    #[test]
    fn meets_all_in_the_order_of_the_tree() {
        let mut tree = Sample::empty();
        tree.set("/", "name", "root")
            .set("/abc@1", "regs", 1u32)
            .set("/abc@1", "reg", 2u32)
            .set("/abc@1/a-longer-name", "x", "12345")
            .set("/b", "reg", 3u32);
        let mut seen = Seen::default();
        blob::walk(&tree.blob(), &mut seen).expect("a tree");
        let names = [(1, ""), (2, "abc@1"), (3, "a-longer-name"), (2, "b")];
        assert_eq!(seen.nodes, names.map(|(depth, name)| (depth, name.into())));
        let (two, three) = (2_u32.to_be_bytes(), 3_u32.to_be_bytes());
        let regs = [None, Some(two.to_vec()), None, Some(three.to_vec())];
        assert_eq!(seen.regs, regs, "none is a child's, or of a longer name");
        let one = 1_u32.to_be_bytes();
        let values = [
            (1, &b"root\0"[..]),
            (2, &one),
            (2, &two),
            (3, b"12345\0"),
            (2, &three),
        ];
        assert_eq!(
            seen.values,
            values.map(|(depth, value)| (depth, value.to_vec()))
        );
    }

    #[test]
    fn names_may_have_any_length_and_all_of_utf8() {
        for name in ["a", "abc", "abcd", "abcdefg", "größe", "größer"] {
            let mut tree = Sample::empty();
            tree.node(&alloc::format!("/{name}"));
            let mut seen = Seen::default();
            blob::walk(&tree.blob(), &mut seen).expect("a tree");
            assert_eq!(seen.nodes[1].1, name);
        }
    }
}
