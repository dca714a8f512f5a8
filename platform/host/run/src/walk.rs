// SPDX-License-Identifier: Apache-2.0
//! Kexecs from kernel to kernel: which there are, which way to go, and how far it came.
//!
//! `kernels.sh` fetches the kernels and makes the disk from which the guest takes them.

use crate::{Console, Disk, Error, Guest, Task, linux, report};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A kernel of Debian on the disk.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Debian's release and the kernel's flavour.
    pub name: String,
    /// `uname -r`
    pub release: String,
    /// The Image.
    pub image: PathBuf,
    /// An initramfs with its modules.
    pub initrd: PathBuf,
}

/// Kernels, and the disk that has them; a kernel is known by its place, from 0.
#[derive(Clone, Debug)]
pub struct Kernels {
    /// The kernels.
    pub all: Vec<Kernel>,
    file: PathBuf,
}

/// The name of the folder of kernel `place` on the disk.
fn letter(place: usize) -> char {
    u8::try_from(place).map_or('?', |place| char::from(b'a' + place))
}

impl Kernels {
    /// What `kernels.sh` made.
    ///
    /// # Errors
    /// [`Error::File`] if there is something that it would have made, and is not there.
    pub fn open(file: &Path) -> Result<Self, Error> {
        let beside = |suffix: &str| {
            let mut name = file.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let list = beside(".list");
        let fail = |path: &Path, error| Error::File {
            path: path.to_owned(),
            error,
        };
        let names = fs::read_to_string(&list).map_err(|error| fail(&list, error))?;
        let mut all = Vec::new();
        for (place, name) in names.lines().enumerate() {
            let folder = beside(".d").join(letter(place).to_string());
            let image = folder.join("Image");
            let image = fs::canonicalize(&image).map_err(|error| fail(&image, error))?;
            let release = image.parent().and_then(Path::file_name);
            all.push(Kernel {
                name: name.to_owned(),
                release: release.unwrap_or_default().to_string_lossy().into_owned(),
                image,
                initrd: folder.join("initrd"),
            });
        }
        Ok(Self {
            all,
            file: file.to_owned(),
        })
    }

    /// The disk.
    pub fn disk(&self) -> Disk {
        Disk::kernels(self.file.clone())
    }

    /// The guest that goes the way `path` of kernels, beginning with its first; none if there is no
    /// such kernel. `append` is added to its command line.
    pub fn guest(&self, path: &[usize], append: &str) -> Option<Guest> {
        let (&first, rest) = path.split_first()?;
        let kernel = self.all.get(first)?;
        let letters = rest.iter().map(|&place| letter(place)).collect();
        Some(Guest {
            kernel: kernel.image.clone(),
            initrd: Some(kernel.initrd.clone()),
            append: Task::Walk { letters }.command_line(append),
        })
    }

    /// How the kexecs of a walk along `path` went, as far as it came: the time from hook to first
    /// instruction, or what failed. Empty if the first kernel did not come up.
    pub fn steps(
        &self,
        console: &Console,
        path: &[usize],
        smp: u32,
    ) -> Vec<Result<Duration, String>> {
        let seen = linux::generations(console);
        let takeovers = report::takeovers(console);
        let mut steps = Vec::new();
        if seen.is_empty() {
            return steps;
        }
        for (number, &place) in (1..).zip(path.iter().skip(1)) {
            let takeover = takeovers
                .iter()
                .find(|takeover| takeover.generation == number);
            let generation = seen.iter().find(|generation| generation.number == number);
            let release = self.all.get(place).map(|kernel| kernel.release.as_str());
            let disk = format!("guest: disk: wrote block {number}, read 0 to {number};");
            let failure = match (takeover, generation) {
                (None, None) => failure(console).unwrap_or("not entered".into()),
                (None, Some(_)) => "not carried by the monitor".into(),
                (Some(_), None) => failure(console).unwrap_or("not in user space".into()),
                (Some(takeover), _) if takeover.missing > 0 => {
                    format!("{} CPUs missing", takeover.missing)
                }
                (Some(takeover), _) if takeover.failed > 0 => {
                    format!("{} steps failed", takeover.failed)
                }
                (_, Some(generation)) if Some(generation.release.as_str()) != release => {
                    format!("entered {}", generation.release)
                }
                (_, Some(generation)) if (generation.online, generation.cpus) != (smp, smp) => {
                    format!("{} of {smp} CPUs", generation.online)
                }
                _ if console.find(&disk).is_none() => {
                    failure(console).unwrap_or("disk not read".into())
                }
                (Some(takeover), Some(_)) => {
                    steps.push(Ok(takeover.time));
                    continue;
                }
            };
            steps.push(Err(failure));
            break;
        }
        steps
    }
}

/// What the guest or the monitor said that went wrong.
fn failure(console: &Console) -> Option<String> {
    [
        "baton: error: ",
        "guest: FAIL ",
        "Kernel panic - not syncing: ",
    ]
    .iter()
    .find_map(|start| {
        let line = console.all(start).last()?;
        Some(line.text.split_once(start)?.1.to_owned())
    })
}

/// A way over kexecs that are left, `from` and `to`; it goes over each once, and takes what it goes
/// over away. Empty when none is left.
///
/// It goes to the highest kernel that it can, which takes it over all of them, without coming to a
/// dead end before, when all are left: the greedy construction of a de Bruijn sequence (M. H. Martin,
/// "A problem in arrangements", 1934).
pub fn path(left: &mut Vec<(usize, usize)>) -> Vec<usize> {
    let Some(&(first, _)) = left.iter().min() else {
        return Vec::new();
    };
    let mut path = vec![first];
    let mut here = first;
    while let Some(&step) = left.iter().filter(|(from, _)| *from == here).max() {
        left.retain(|other| *other != step);
        here = step.1;
        path.push(here);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{End, Line};

    #[test]
    fn goes_over_every_pair_once() {
        for count in 1..=8 {
            let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
            let mut left: Vec<_> = pairs.clone().collect();
            let path = path(&mut left);
            assert_eq!(left, [], "{count} kernels");
            let mut gone: Vec<_> = path.windows(2).map(|step| (step[0], step[1])).collect();
            gone.sort_unstable();
            assert_eq!(gone, pairs.collect::<Vec<_>>(), "{count} kernels");
        }
    }

    #[test]
    fn says_how_far_it_came() {
        let kernel = |name: &str| Kernel {
            name: name.into(),
            release: name.into(),
            image: PathBuf::new(),
            initrd: PathBuf::new(),
        };
        let kernels = Kernels {
            all: vec![kernel("6.1"), kernel("6.12")],
            file: PathBuf::new(),
        };
        let text = "guest: generation 0, Linux 6.1, CPUs online: 4 of 4\n\
             baton: generation 1: entered 1000.0 us after kernel_kexec(), 0 CPUs missing, 0 steps failed\n\
             guest: generation 1, Linux 6.12, CPUs online: 4 of 4\n\
             guest: disk: wrote block 1, read 0 to 1; ITS interrupts\n\
             baton: generation 2: entered 2000.0 us after kernel_kexec(), 0 CPUs missing, 0 steps failed\n\
             Kernel panic - not syncing: Attempted to kill init!";
        let lines = text.lines().map(|text| Line {
            at: Duration::ZERO,
            text: text.into(),
        });
        let console = Console {
            lines: lines.collect(),
            end: End::Reset,
        };
        let panic = Err("Attempted to kill init!".into());
        let steps = kernels.steps(&console, &[0, 1, 0, 1], 4);
        assert_eq!(steps, [Ok(Duration::from_millis(1)), panic]);
        let steps = kernels.steps(&console, &[0, 1], 8);
        assert_eq!(steps, [Err("4 of 8 CPUs".into())]);
    }
}
