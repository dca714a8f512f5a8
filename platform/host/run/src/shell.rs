// SPDX-License-Identifier: Apache-2.0
//! `make shell`: a shell in the guest.

use crate::{text, variable};
use baton_qemu::{Machine, Task};
use std::io::{BufRead, IsTerminal, Read, Write, stdin, stdout};
use std::process::{Command, ExitStatus, Stdio};

/// The terminal becomes the guest's console, on which QEMU's own keys work (`C-a x` ends it). What
/// comes from a file or a pipe goes to the shell line by line, and its end ends the shell.
pub fn shell() -> Result<(), String> {
    let mut machine = Machine::from_env(4).map_err(text)?;
    machine.says_power_off = false;
    let guest = Task::Shell.guest(&variable("APPEND").unwrap_or_default());
    let mut command = machine.command(&guest).map_err(text)?;
    let status = if stdin().is_terminal() {
        eprintln!("Leave with `poweroff -f`, or with C-a x.");
        command.status()
    } else {
        feed(command)
    };
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("QEMU ended with {status}")),
        Err(error) => Err(format!("cannot run {}: {error}", machine.qemu)),
    }
}

/// Gives the shell a line of standard input whenever it prompts: what comes earlier is lost when a
/// kernel takes over its console.
fn feed(mut command: Command) -> std::io::Result<ExitStatus> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (Some(mut keys), Some(mut console)) = (child.stdin.take(), child.stdout.take()) else {
        return child.wait();
    };
    let mut lines = stdin().lock().lines();
    let mut prompt = Prompt::default();
    let mut bytes = [0; 4096];
    loop {
        let count = console.read(&mut bytes)?;
        let Some(seen) = bytes.get(..count).filter(|seen| !seen.is_empty()) else {
            return child.wait();
        };
        stdout().write_all(seen)?;
        stdout().flush()?;
        // Not `any`: all of it has to be looked at.
        if seen.iter().filter(|&&byte| prompt.sees(byte)).count() > 0 {
            match lines.next().transpose()? {
                Some(line) => writeln!(keys, "{line}")?,
                // End of file, as a terminal types it.
                None => keys.write_all(b"\x04")?,
            }
            keys.flush()?;
        }
    }
}

/// Looks for the prompt of a root shell.
#[derive(Default)]
struct Prompt {
    line: Vec<u8>,
    found: bool,
}

impl Prompt {
    /// Whether a prompt ends with this byte: once a line.
    fn sees(&mut self, byte: u8) -> bool {
        if byte == b'\n' || byte == b'\r' {
            *self = Self::default();
            return false;
        }
        self.line.push(byte);
        let first = !self.found && self.line.starts_with(b"/") && self.line.ends_with(b" # ");
        self.found |= first;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompts(text: &str) -> usize {
        let mut prompt = Prompt::default();
        text.bytes().filter(|&byte| prompt.sees(byte)).count()
    }

    #[test]
    fn finds_each_prompt_once() {
        assert_eq!(
            prompts("boot # x\r\n/ # \x1b[6nnproc # \r\n2\r\n/tmp # "),
            2
        );
    }
}
