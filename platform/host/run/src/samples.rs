// SPDX-License-Identifier: Apache-2.0
//! Files of samples that a later run goes on with.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Returns the path of `NAME.csv` in `folder`, which is made if it is not there. Samples of something
/// else than `subject` (versions and settings, a line each) are put aside: the file is not there then.
///
/// # Errors
/// What the system says.
pub fn file(folder: &Path, name: &str, subject: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let (path, about) = (
        folder.join(format!("{name}.csv")),
        folder.join("subject.txt"),
    );
    if path.exists() && fs::read_to_string(&about).ok().as_deref() != Some(subject) {
        let aside = (1..)
            .map(|n| folder.join(format!("{name}-{n}.csv")))
            .find(|aside| !aside.exists());
        if let Some(aside) = aside {
            eprintln!(
                "  the samples so far are of another build or machine: now in {}",
                aside.display()
            );
            fs::rename(&path, aside)?;
        }
    }
    fs::write(about, subject)?;
    Ok(path)
}
