// SPDX-License-Identifier: Apache-2.0
//! U-Boot's script, `boot.scr` (U-Boot, include/image.h: a legacy image of type script): the way with Baton in
//! front of the one that starts the system.
//!
//! U-Boot runs the first component of such a file. That of Baton's is the script twice: with Baton in the kernel's
//! place first, and behind that as it was. So whatever cannot be loaded, the system starts as before. The
//! second component, which U-Boot leaves alone, is the file as it was, byte for byte.

mod text;

use text::{BEGIN, kernel, two_ways};

/// Where it is.
pub const FILE: &str = "/boot/boot.scr";

/// Bytes of the header, and fields in it, which are big-endian.
const HEADER: usize = 64;
const HEADER_CRC: usize = 4;
const DATA_SIZE: usize = 12;
const DATA_CRC: usize = 24;
const TYPE: usize = 30;
const COMPRESSION: usize = 31;
const MAGIC: u32 = 0x2705_1956;
const SCRIPT: u8 = 6;
const UNCOMPRESSED: u8 = 0;
/// Components lie on multiples of this.
const ALIGN: usize = 4;

/// Why Baton cannot be put into a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// The file is none of U-Boot's, or is damaged.
    #[error("it is no script of U-Boot's: {0}")]
    Format(&'static str),
    /// It starts something else.
    #[error("it loads no file that is called vmlinuz or Image")]
    NoKernel,
    /// The name of its kernel is made of a variable that something else sets.
    #[error("it loads {0}, and does not say which file that is")]
    Unnamed(String),
    /// It may end before its end, and then the way without Baton would not be reached.
    #[error("it has an `exit`")]
    Exit,
}

/// Returns whether a script has Baton in it.
pub fn has_baton(file: &[u8]) -> bool {
    matches!(components(file).as_deref(), Ok([script, _, ..]) if script.starts_with(BEGIN.as_bytes()))
}

/// Returns the file without Baton.
pub fn without(file: &[u8]) -> &[u8] {
    match components(file).as_deref() {
        Ok([script, original, ..]) if script.starts_with(BEGIN.as_bytes()) => original,
        _ => file,
    }
}

/// Returns the name of the kernel that a script starts.
///
/// # Errors
///
/// [`ScriptError`] if that cannot be told.
pub fn present(file: &[u8]) -> Result<String, ScriptError> {
    let script = script(without(file))?;
    kernel(&script).and_then(|kernel| kernel.name(&script))
}

/// Returns the file with Baton in the kernel's place: as `image`, in the kernel's folder. That way is taken
/// unless U-Boot's variable `baton` is `off`, if it is to be the `default`, and else only if that is `on`.
///
/// # Errors
///
/// [`ScriptError`] if nothing in it can be replaced.
pub fn with(file: &[u8], image: &str, is_default: bool) -> Result<Vec<u8>, ScriptError> {
    let original = without(file);
    let script = two_ways(&script(original)?, image, is_default)?;
    Ok(assemble(original, &[script.as_bytes(), original]))
}

fn script(file: &[u8]) -> Result<String, ScriptError> {
    let components = components(file)?;
    let text = components.first().copied().unwrap_or_default();
    String::from_utf8(text.to_vec()).map_err(|_| ScriptError::Format("it is not text"))
}

/// Returns the components of a file of this format.
fn components(file: &[u8]) -> Result<Vec<&[u8]>, ScriptError> {
    let error = ScriptError::Format;
    let (header, data) = file
        .split_first_chunk::<HEADER>()
        .ok_or(error("it is shorter than a header"))?;
    if word(header, 0) != Some(MAGIC) {
        return Err(error("its header begins with another number"));
    }
    if (header[TYPE], header[COMPRESSION]) != (SCRIPT, UNCOMPRESSED) {
        return Err(error("its header is of something else"));
    }
    if word(header, HEADER_CRC) != Some(header_crc(header)) {
        return Err(error("its header has another checksum"));
    }
    let data = word(header, DATA_SIZE).and_then(|size| data.get(..size as usize));
    let data = data.ok_or(error("it is cut off"))?;
    if word(header, DATA_CRC) != Some(crc32fast::hash(data)) {
        return Err(error("it has another checksum"));
    }
    // Their sizes, up to a 0, come first.
    let sizes: Vec<usize> = data
        .chunks_exact(4)
        .map_while(|bytes| word(bytes, 0).filter(|&size| size != 0))
        .map(|size| size as usize)
        .collect();
    let mut rest = data.get(4 * (sizes.len() + 1)..).unwrap_or_default();
    let mut components = Vec::new();
    for size in sizes {
        components.push(rest.get(..size).ok_or(error("a component is cut off"))?);
        rest = rest.get(size.next_multiple_of(ALIGN)..).unwrap_or_default();
    }
    Ok(components)
}

/// Returns a file of these components, with the header of `original`.
fn assemble(original: &[u8], components: &[&[u8]]) -> Vec<u8> {
    let mut data = Vec::new();
    for component in components {
        data.extend((component.len() as u32).to_be_bytes());
    }
    data.extend([0; 4]);
    for component in components {
        data.extend(*component);
        data.resize(data.len().next_multiple_of(ALIGN), 0);
    }
    let mut file = original[..HEADER].to_vec();
    file[DATA_SIZE..][..4].copy_from_slice(&(data.len() as u32).to_be_bytes());
    file[DATA_CRC..][..4].copy_from_slice(&crc32fast::hash(&data).to_be_bytes());
    let crc = header_crc(&file);
    file[HEADER_CRC..][..4].copy_from_slice(&crc.to_be_bytes());
    file.extend(data);
    file
}

/// Returns the checksum of a header, whose own field counts as 0.
fn header_crc(header: &[u8]) -> u32 {
    let mut header = header.to_vec();
    header[HEADER_CRC..][..4].fill(0);
    crc32fast::hash(&header)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

#[cfg(test)]
pub(crate) mod tests;
