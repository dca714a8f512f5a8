// SPDX-License-Identifier: Apache-2.0
//! The text of a script, in the language of U-Boot's shell (U-Boot, doc/usage/cmdline.rst).

use super::ScriptError;
use std::ops::Range;

/// How the text of Baton's begins.
pub const BEGIN: &str = "# baton: begin";
/// Commands that load a file: their words are the command, the device, its partition, the address, the file.
const LOADS: [&str; 4] = ["load", "fatload", "ext4load", "ext2load"];
const FILE: usize = 4;
/// What the file of a kernel is called, or begins with.
const KERNELS: [&str; 2] = ["vmlinuz", "Image"];
/// Words behind which a command begins.
const KEYWORDS: [&str; 7] = ["if", "then", "elif", "else", "do", "while", "until"];

/// Where a script names its kernel.
pub struct Kernel(Range<usize>);

impl Kernel {
    /// Returns the name, with the value of each variable that the script sets before.
    pub fn name(&self, script: &str) -> Result<String, ScriptError> {
        let before = commands(&script[..self.0.start]);
        let mut name = script[self.0.clone()].to_owned();
        for words in before.iter().rev() {
            if let [command, variable, value] = words.as_slice()
                && &script[command.clone()] == "setenv"
            {
                let variable = format!("${{{}}}", &script[variable.clone()]);
                let value = script[value.clone()].trim_matches(['"', '\'']);
                name = name.replace(&variable, value);
            }
        }
        match name.contains('$') {
            true => Err(ScriptError::Unnamed(name)),
            false => Ok(name),
        }
    }
}

/// Returns where a script names its kernel first.
pub fn kernel(script: &str) -> Result<Kernel, ScriptError> {
    let loads = commands(script).into_iter().filter(|words| {
        let command = words.first().map(|word| &script[word.clone()]);
        command.is_some_and(|command| LOADS.contains(&command))
    });
    let mut files = loads.filter_map(|words| words.get(FILE).cloned());
    let kernel = files.find_map(|file| kernel_in(script, file));
    kernel.ok_or(ScriptError::NoKernel)
}

/// Returns where in the word of a file the name of a kernel is: behind a folder, or a variable that has one.
fn kernel_in(script: &str, file: Range<usize>) -> Option<Kernel> {
    let path = script[file.clone()].trim_end_matches(['"', '\'']);
    let end = file.start + path.len();
    let starts = KERNELS.iter().filter_map(|name| path.rfind(name));
    let start = starts.max()?;
    let is_name = start == 0 || path[..start].ends_with(['/', '}', '"', '\'']);
    let is_last = !path[start..].contains('/');
    (is_name && is_last).then(|| Kernel(file.start + start..end))
}

/// Returns the script that goes the way with Baton, as `image` in the kernel's folder, and then that without.
pub fn two_ways(script: &str, image: &str, is_default: bool) -> Result<String, ScriptError> {
    if commands(script).iter().any(|words| {
        words
            .first()
            .is_some_and(|word| &script[word.clone()] == "exit")
    }) {
        return Err(ScriptError::Exit);
    }
    let Kernel(name) = kernel(script)?;
    let condition = match is_default {
        true => "!= off",
        false => "= on",
    };
    let (before, after) = (&script[..name.start], &script[name.end..]);
    Ok(format!(
        "{BEGIN}: the script below, with Baton in the kernel's place; if that fails, the script below\n\
         setenv baton_bootargs \"${{bootargs}}\"\n\
         if test \"${{baton}}\" {condition}; then\n\
         {before}{image}{after}\n\
         fi\n\
         setenv bootargs \"${{baton_bootargs}}\"\n\
         # baton: end\n\
         {script}"
    ))
}

/// Returns the words of each command of a script.
fn commands(script: &str) -> Vec<Vec<Range<usize>>> {
    let mut commands = vec![Vec::new()];
    for word in words(script) {
        let text = &script[word.clone()];
        let separates = text.starts_with(['\n', ';', '&', '|']) || KEYWORDS.contains(&text);
        match (separates, commands.last_mut()) {
            (false, Some(command)) => command.push(word),
            _ => commands.push(Vec::new()),
        }
    }
    commands
}

/// Returns the words of a script, and among them what separates commands. Comments are left out.
fn words(script: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut rest = script;
    while !rest.is_empty() {
        let start = script.len() - rest.len();
        let length = match rest.as_bytes() {
            [b'\\', b'\n', ..] => {
                rest = &rest[2..];
                continue;
            }
            [b'#', ..] => {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            [b'\n' | b';' | b'&' | b'|', ..] => 1,
            [b' ' | b'\t' | b'\r', ..] => {
                rest = &rest[1..];
                continue;
            }
            _ => word(rest),
        };
        words.push(start..start + length);
        rest = &rest[length..];
    }
    words
}

/// Returns how long the word at the start is: white space and separators in quotes belong to it.
fn word(text: &str) -> usize {
    let mut quote = None;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|') => return at,
            (None, _) => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that lists its ways, as Debian's flash-kernel and others do.
    const SCRIPT: &str = "# load a b c vmlinuz\n\
        if test -z \"${kvers}\"; then\n\tsetenv kvers '6.1.0-56-arm64'\nfi\n\
        load ${devtype} ${devnum}:1 ${kernel_addr_r} ${prefix}vmlinuz-${kvers} \\\n\
        && load ${devtype} ${devnum}:1 ${fdt_addr_r} ${prefix}dtb-${kvers} \\\n\
        && booti ${kernel_addr_r} - ${fdt_addr_r}\n\
        load ${devtype} ${devnum}:1 ${kernel_addr_r} ${prefix}vmlinuz && booti ${kernel_addr_r}";

    fn name(script: &str) -> Result<String, ScriptError> {
        kernel(script)?.name(script)
    }

    #[test]
    fn kernel_is_the_first_that_is_loaded() {
        assert_eq!(name(SCRIPT).as_deref(), Ok("vmlinuz-6.1.0-56-arm64"));
        for (script, expected) in [
            ("fatload mmc 0:1 0x200000 Image; booti", Ok("Image")),
            ("if load mmc 0 1 \"/boot/Image\"; then", Ok("Image")),
            ("load a b c d/vmlinuz-1&&booti", Ok("vmlinuz-1")),
            ("load a b c ${image}", Err(ScriptError::NoKernel)),
            ("load a b c vmlinuz/Image-of", Ok("Image-of")),
            ("load a b c vmlinuz.d/other", Err(ScriptError::NoKernel)),
            ("load a b c myImage", Err(ScriptError::NoKernel)),
            ("echo a b c vmlinuz", Err(ScriptError::NoKernel)),
            ("load a b c", Err(ScriptError::NoKernel)),
            ("", Err(ScriptError::NoKernel)),
            (
                "load a b c vmlinuz-${v}; setenv v 1",
                Err(ScriptError::Unnamed("vmlinuz-${v}".into())),
            ),
            (
                "setenv w 1\nsetenv v ${w}\nload a b c Image-${v}",
                Ok("Image-1"),
            ),
        ] {
            let seen = name(script);
            let seen = seen.as_ref().map(String::as_str);
            assert_eq!(seen, expected.as_ref().map(|name| *name), "{script}");
        }
    }

    #[test]
    fn way_with_baton_differs_by_the_kernel_and_the_way_without_follows() {
        let both = two_ways(SCRIPT, "baton/baton.img", false).expect("two ways");
        let (with, without) = both.split_once("# baton: end\n").expect("an end");
        assert_eq!(without, SCRIPT);
        let (head, with) = with.split_once("; then\n").expect("a condition");
        assert!(head.ends_with("if test \"${baton}\" = on"), "{head}");
        let (with, _) = with.split_once("\nfi\nsetenv bootargs ").expect("an end");
        assert_eq!(
            with,
            SCRIPT.replacen("}vmlinuz-${kvers}", "}baton/baton.img", 1)
        );
        let default = two_ways(SCRIPT, "baton/baton.img", true).expect("two ways");
        assert_eq!(default, both.replacen("= on", "!= off", 1));
    }

    #[test]
    fn a_script_that_may_end_early_is_refused() {
        let script = format!("if false; then exit; fi\n{SCRIPT}");
        assert_eq!(two_ways(&script, "i", true), Err(ScriptError::Exit));
        let script = format!("echo exit; setenv a \"; exit\"\n{SCRIPT}");
        assert!(two_ways(&script, "i", true).is_ok());
    }
}
