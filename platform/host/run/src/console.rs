// SPDX-License-Identifier: Apache-2.0
//! Watches a machine's console, within bounds of time.

use crate::Error;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// QEMU's trace event of a power-off; a reset that ends QEMU does not come by it.
pub const POWER_OFF: &str = "qemu_system_shutdown_request";

/// A line of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Host time since QEMU was started.
    pub at: Duration,
    /// The line, without its end.
    pub text: String,
}

/// How long a machine may run.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub total: Duration,
    /// Without a new line on the console.
    pub silence: Duration,
}

/// Why watching ended.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// The guest switched the machine off.
    PoweredOff,
    /// QEMU ended without an error, and without a power-off: the guest reset the machine.
    Reset,
    /// QEMU failed.
    Failed(ExitStatus),
    /// The observer had seen enough.
    Stopped,
    /// [`Limits::total`] was over.
    TimedOut(Duration),
    /// [`Limits::silence`] was over.
    Silent(Duration),
}

impl End {
    /// Whether the guest ended the machine, by a power-off or a reset.
    pub fn is_clean(&self) -> bool {
        matches!(self, End::PoweredOff | End::Reset)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::PoweredOff => write!(f, "the guest switched the machine off"),
            End::Reset => write!(f, "the guest reset the machine"),
            End::Failed(status) => write!(f, "QEMU ended with {status}"),
            End::Stopped => write!(f, "stopped when enough had been seen"),
            End::TimedOut(limit) => write!(f, "stopped after {} s", limit.as_secs()),
            End::Silent(limit) => {
                write!(
                    f,
                    "stopped after {} s without a new line on the console",
                    limit.as_secs()
                )
            }
        }
    }
}

/// All that was seen.
#[derive(Clone, Debug)]
pub struct Console {
    /// The lines, in the order in which they came.
    pub lines: Vec<Line>,
    /// Why there are no more.
    pub end: End,
}

impl Console {
    /// The first line that has `pattern` in it.
    pub fn find(&self, pattern: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.text.contains(pattern))
    }

    /// The lines that have `pattern` in them.
    pub fn all<'a>(&'a self, pattern: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines
            .iter()
            .filter(move |line| line.text.contains(pattern))
    }

    /// The last `count` lines with their times, for a reader who wants to know what went wrong.
    pub fn tail(&self, count: usize) -> String {
        let skipped = self.lines.len().saturating_sub(count);
        let mut text = format!("--- console, {skipped} lines before left out ---\n");
        for line in &self.lines[skipped..] {
            text += &format!("{:9.3} {}\n", line.at.as_secs_f64(), line.text);
        }
        text + &format!("--- {} ---", self.end)
    }
}

/// Ends QEMU when the watching is over, for whatever reason.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What types on a machine's console.
pub struct Keyboard(Option<ChildStdin>);

impl Keyboard {
    /// Types `text`. A machine that has ended reads nothing: that is seen by its end.
    pub fn type_text(&mut self, text: &str) {
        if let Some(keys) = &mut self.0 {
            let _ = keys.write_all(text.as_bytes()).and_then(|()| keys.flush());
        }
    }
}

/// Runs `command` until it ends, a limit is over, or `observe`, which is shown each line as it comes,
/// returns false. Standard error is part of the console.
///
/// # Errors
/// [`Error::Program`] if the command cannot be started.
pub fn watch(
    command: Command,
    limits: Limits,
    mut observe: impl FnMut(&Line) -> bool,
) -> Result<Console, Error> {
    run(command, limits, Stdio::null(), |line, _| observe(line))
}

/// As [`watch`]; `observe` may type.
///
/// # Errors
/// As [`watch`].
pub fn converse(
    command: Command,
    limits: Limits,
    observe: impl FnMut(&Line, &mut Keyboard) -> bool,
) -> Result<Console, Error> {
    run(command, limits, Stdio::piped(), observe)
}

fn run(
    command: Command,
    limits: Limits,
    stdin: Stdio,
    mut observe: impl FnMut(&Line, &mut Keyboard) -> bool,
) -> Result<Console, Error> {
    let fail = |error| Error::Program {
        program: command.get_program().to_string_lossy().into_owned(),
        error,
    };
    let (reader, writer) = std::io::pipe().map_err(fail)?;
    // QEMU shall not outlive this process, however that ends.
    let mut child = Command::new("setpriv");
    child
        .args(["--pdeathsig", "KILL", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    child
        .stdin(stdin)
        .stdout(writer.try_clone().map_err(fail)?)
        .stderr(writer);
    let start = Instant::now();
    let mut running = Running(child.spawn().map_err(fail)?);
    let mut keyboard = Keyboard(running.0.stdin.take());
    // It holds the pipe's other end too.
    drop(child);
    let (sender, receiver) = mpsc::channel();
    // Not joined: it ends with the last holder of the pipe's other end.
    thread::spawn(move || {
        for bytes in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            if sender
                .send(Line {
                    at: start.elapsed(),
                    text,
                })
                .is_err()
            {
                break;
            }
        }
    });

    let mut lines: Vec<Line> = Vec::new();
    let mut powered_off = false;
    let end = loop {
        let last = lines.last().map_or(Duration::ZERO, |line| line.at);
        let deadline = limits.total.min(last + limits.silence);
        match receiver.recv_timeout(deadline.saturating_sub(start.elapsed())) {
            Ok(line) if line.text.contains(POWER_OFF) => powered_off = true,
            Ok(line) => {
                let go_on = observe(&line, &mut keyboard);
                lines.push(line);
                if !go_on {
                    break End::Stopped;
                }
            }
            Err(RecvTimeoutError::Timeout) if start.elapsed() >= limits.total => {
                break End::TimedOut(limits.total);
            }
            Err(RecvTimeoutError::Timeout) => break End::Silent(limits.silence),
            Err(RecvTimeoutError::Disconnected) => {
                break match running.0.wait().map_err(fail)? {
                    status if !status.success() => End::Failed(status),
                    _ if powered_off => End::PoweredOff,
                    _ => End::Reset,
                };
            }
        }
    };
    Ok(Console {
        lines: untangle(lines),
        end,
    })
}

/// Puts a line of the guest together again into which the monitor spoke: they share the UART.
fn untangle(lines: Vec<Line>) -> Vec<Line> {
    const MONITOR: &str = "baton: ";
    let mut untangled = Vec::with_capacity(lines.len());
    let mut begun = String::new();
    for mut line in lines {
        match line.text.find(MONITOR) {
            Some(at) if line.text[..at].ends_with(char::is_alphanumeric) => {
                begun.extend(line.text.drain(..at));
            }
            None => line.text.insert_str(0, &std::mem::take(&mut begun)),
            Some(_) => {}
        }
        untangled.push(line);
    }
    untangled
}

/// A line without what moves the cursor and colours the text (ECMA-48, 5.4: control sequences).
pub fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c| matches!(c, '@'..='~')).map_or(0, |at| at + 1);
        plain += &part[end..];
    }
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_together_what_the_monitor_spoke_into() {
        let lines = |texts: &[&str]| -> Vec<Line> {
            let line = |text: &&str| Line {
                at: Duration::ZERO,
                text: (*text).to_owned(),
            };
            texts.iter().map(line).collect()
        };
        let seen = lines(&[
            "[    0.5] baton: a node",
            "pbaton: warning: late",
            "baton: more",
            "robe: PASS",
            "probe: end",
        ]);
        let expected = [
            "[    0.5] baton: a node",
            "baton: warning: late",
            "baton: more",
            "probe: PASS",
            "probe: end",
        ];
        assert_eq!(untangle(seen), lines(&expected));
    }

    #[test]
    fn leaves_control_sequences_out() {
        let text = "\x1b[2J\x1b[01;01H[\x1b[0;32m  OK  \x1b[0m] Reached\x1b[";
        assert_eq!(plain(text), "[  OK  ] Reached");
        assert_eq!(plain("[    0.1] as it was"), "[    0.1] as it was");
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const LIMITS: Limits = Limits {
        total: Duration::from_secs(20),
        silence: Duration::from_millis(500),
    };

    #[test]
    fn returns_what_was_printed() {
        let console = watch(shell("echo one; echo two >&2; exit 3"), LIMITS, |_| true).unwrap();
        let texts: Vec<_> = console
            .lines
            .iter()
            .map(|line| line.text.as_str())
            .collect();
        assert_eq!(texts, ["one", "two"]);
        assert!(
            matches!(console.end, End::Failed(status) if status.code() == Some(3)),
            "{}",
            console.end
        );
    }

    #[test]
    fn types_what_the_observer_says() {
        let script = shell("echo what; read word; echo seen $word");
        let console = converse(script, LIMITS, |line, keyboard| {
            if line.text == "what" {
                keyboard.type_text("this\n");
            }
            true
        });
        let console = console.unwrap();
        assert!(console.find("seen this").is_some(), "{}", console.tail(2));
    }

    #[test]
    fn tells_power_off_from_reset() {
        let console = watch(shell("echo one"), LIMITS, |_| true).unwrap();
        assert!(matches!(console.end, End::Reset), "{}", console.end);
        let script = format!("echo one; echo {POWER_OFF} reason=6 >&2");
        let console = watch(shell(&script), LIMITS, |_| true).unwrap();
        assert!(matches!(console.end, End::PoweredOff), "{}", console.end);
        assert_eq!(console.lines.len(), 1, "{:?}", console.lines);
    }

    #[test]
    fn ends_what_falls_silent() {
        let console = watch(shell("echo one; exec sleep 60"), LIMITS, |_| true).unwrap();
        assert!(matches!(console.end, End::Silent(_)), "{}", console.end);
        assert!(console.find("one").is_some());
    }

    #[test]
    fn ends_what_talks_for_ever() {
        let limits = Limits {
            total: Duration::from_secs(1),
            ..LIMITS
        };
        let console = watch(shell("while echo x; do sleep 0.1; done"), limits, |_| true).unwrap();
        assert!(matches!(console.end, End::TimedOut(_)), "{}", console.end);
    }

    #[test]
    fn stops_when_enough_was_seen() {
        let console = watch(shell("echo a; echo b; sleep 60"), LIMITS, |line| {
            line.text != "b"
        })
        .unwrap();
        assert!(matches!(console.end, End::Stopped), "{}", console.end);
    }
}
