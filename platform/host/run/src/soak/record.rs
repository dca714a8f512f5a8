// SPDX-License-Identifier: Apache-2.0
//! The kexecs that were seen so far, in a file.

use baton_qemu::samples;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Which guest kexecs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// The bare-metal guest.
    #[default]
    Probe,
    /// Debian's kernel.
    Linux,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Probe => "probe",
            Self::Linux => "linux",
        })
    }
}

/// One kexec.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Which guest.
    pub kind: Kind,
    /// The machine that it was seen on, counted from 1.
    pub machine: u32,
    /// Its vCPUs.
    pub smp: u32,
    /// Which kexec of that machine it was.
    pub kexec: u32,
    /// Bytes of the monitor's heap in use after it.
    pub heap: u64,
    /// Stage 2 roots that no CPU is left behind in.
    pub free_roots: u64,
    /// Microseconds from the request to the next kernel.
    pub us: f64,
    /// What the CPUs were doing: `state=count`.
    pub states: Vec<String>,
}

impl Row {
    fn to_line(&self) -> String {
        format!(
            "{},{},{},{},{},{},{},{}\n",
            self.kind,
            self.machine,
            self.smp,
            self.kexec,
            self.heap,
            self.free_roots,
            self.us,
            self.states.join(" ")
        )
    }

    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<_> = line.split(',').collect();
        let [kind, machine, smp, kexec, heap, free_roots, us, states] = fields[..] else {
            return None;
        };
        Some(Self {
            kind: match kind {
                "probe" => Kind::Probe,
                "linux" => Kind::Linux,
                _ => return None,
            },
            machine: machine.parse().ok()?,
            smp: smp.parse().ok()?,
            kexec: kexec.parse().ok()?,
            heap: heap.parse().ok()?,
            free_roots: free_roots.parse().ok()?,
            us: us.parse().ok()?,
            states: states.split_whitespace().map(str::to_owned).collect(),
        })
    }
}

/// All kexecs so far.
pub struct Record {
    /// Where the file is, and the report.
    pub folder: PathBuf,
    /// In the order in which they were seen.
    pub rows: Vec<Row>,
}

impl Record {
    /// Reads what is in `folder`, which is made if it is not there. A last line that was cut off does
    /// not count, and the kexecs of another build than `monitor`, a checksum, are put aside.
    pub fn open(folder: &Path, monitor: u32) -> Result<Self, String> {
        let rows = samples::file(folder, NAME, &format!("Monitor: build {monitor:08x}\n"))
            .map_err(|error| format!("{}: {error}", folder.display()))
            .map(|path| fs::read_to_string(path).unwrap_or_default())?;
        Ok(Self {
            folder: folder.to_owned(),
            rows: rows.lines().filter_map(Row::parse).collect(),
        })
    }

    /// Adds a kexec.
    pub fn add(&mut self, row: Row) -> Result<(), String> {
        let path = self.folder.join(format!("{NAME}.csv"));
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(row.to_line().as_bytes()))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        self.rows.push(row);
        Ok(())
    }

    /// The kexecs of a guest.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Row> + Clone {
        self.rows.iter().filter(move |row| row.kind == kind)
    }

    /// How many kexecs of a guest there are.
    pub fn count(&self, kind: Kind) -> u32 {
        self.of(kind).count() as u32
    }

    /// The number of the next machine.
    pub fn next_machine(&self, kind: Kind) -> u32 {
        1 + self.of(kind).map(|row| row.machine).max().unwrap_or(0)
    }
}

const NAME: &str = "kexecs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        let row = Row {
            kind: Kind::Linux,
            machine: 2,
            smp: 8,
            kexec: 3,
            heap: 4096,
            free_roots: 16,
            us: 12.5,
            states: vec!["wfe=3".into(), "off=1".into()],
        };
        let line = row.to_line();
        assert_eq!(Row::parse(line.trim_end()), Some(row));
        assert_eq!(Row::parse("probe,1,80,7"), None, "a line that was cut off");
    }

    #[test]
    fn begins_anew_with_another_build() {
        let folder = std::env::temp_dir().join(format!("baton-soak-{}", std::process::id()));
        let count = |monitor| {
            let mut record = Record::open(&folder, monitor).expect("a folder that can be written");
            record.add(Row::default()).expect("written");
            record.rows.len()
        };
        assert_eq!([count(1), count(1), count(2)], [1, 2, 1]);
        fs::remove_dir_all(&folder).expect("its own folder");
    }
}
