// SPDX-License-Identifier: Apache-2.0
//! The files of a system, below a folder that is `/` but in tests.

use crate::Error;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Bytes of the largest file that is read: no kernel has as many.
const FILE_MAX: u64 = 512 << 20;
/// How often what changes is read again.
const READS: u32 = 16;

/// The folder that stands for `/`.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    /// Takes `folder` for `/`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Returns where the file with an absolute path is.
    pub fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let path = absolute.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Returns the bytes of a file; `None` if it cannot be read, or has more than 512 MiB.
    pub fn bytes(&self, absolute: impl AsRef<Path>) -> Option<Vec<u8>> {
        read(&self.path(absolute), FILE_MAX).ok()
    }

    /// Returns the bytes of a file that may change while it is read, as [`at_rest`] does.
    pub fn bytes_at_rest(&self, absolute: impl AsRef<Path>) -> Option<Vec<u8>> {
        at_rest(|| self.bytes(&absolute))
    }

    /// Returns the bytes of a file that must be there.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn needed(&self, absolute: impl AsRef<Path>) -> Result<Vec<u8>, Error> {
        read(&self.path(&absolute), FILE_MAX).map_err(|error| Error::File {
            path: absolute.as_ref().to_owned(),
            error,
        })
    }

    /// Returns a file as text, without the white space and the NULs at its end; `None` if it cannot be read.
    pub fn text(&self, absolute: impl AsRef<Path>) -> Option<String> {
        let text = String::from_utf8_lossy(&self.bytes(absolute)?).into_owned();
        let end = |letter: char| letter.is_whitespace() || letter == '\0';
        Some(text.trim_end_matches(end).to_owned())
    }

    /// Returns whether there is such a file or folder.
    pub fn exists(&self, absolute: impl AsRef<Path>) -> bool {
        self.path(absolute).exists()
    }

    /// Returns the names in a folder, in order; none if it cannot be read.
    pub fn names(&self, absolute: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.path(absolute)).into_iter().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// Returns where a symbolic link leads; `None` if it is none.
    pub fn link(&self, absolute: impl AsRef<Path>) -> Option<PathBuf> {
        fs::read_link(self.path(absolute)).ok()
    }
}

/// Reads a file that has `most` bytes at most.
fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}

/// Returns what `read` reads that may change meanwhile: it was the same two times in a row. `None` if it cannot be
/// read, or changes each time.
pub fn at_rest(read: impl Fn() -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut last = read()?;
    for _ in 0..READS {
        let bytes = read()?;
        if bytes == last {
            return Some(bytes);
        }
        last = bytes;
    }
    None
}

/// A system for tests: a folder of its own, which is removed when this is dropped.
#[cfg(test)]
pub(crate) mod fake {
    use super::Root;
    use std::fs;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    /// A system of files.
    pub struct System {
        folder: PathBuf,
    }

    impl System {
        /// Returns one that has no files.
        pub fn new() -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let name = format!(
                "baton-command-{}-{}",
                std::process::id(),
                NUMBER.fetch_add(1, Relaxed)
            );
            let folder = std::env::temp_dir().join(name);
            fs::create_dir_all(&folder).expect("a folder for the test");
            Self { folder }
        }

        /// Adds a file.
        pub fn with(self, path: &str, content: impl AsRef<[u8]>) -> Self {
            self.put(path, content);
            self
        }

        /// Writes a file.
        pub fn put(&self, path: &str, content: impl AsRef<[u8]>) {
            let path = self.root().path(path);
            let folder = path.parent().expect("a file is in a folder");
            fs::create_dir_all(folder).expect("a folder of the system");
            fs::write(path, content).expect("a file of the system");
        }

        /// Adds a symbolic link.
        pub fn with_link(self, path: &str, to: &str) -> Self {
            let path = self.root().path(path);
            let folder = path.parent().expect("a link is in a folder");
            fs::create_dir_all(folder).expect("a folder of the system");
            std::os::unix::fs::symlink(to, path).expect("a link of the system");
            self
        }

        /// Returns its `/`.
        pub fn root(&self) -> Root {
            Root::new(&self.folder)
        }

        /// Returns all files, with their contents, by path.
        pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
            let mut files = Vec::new();
            let mut folders = vec![self.folder.clone()];
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).expect("a folder").flatten() {
                    let path = entry.path();
                    match path.is_dir() && !path.is_symlink() {
                        true => folders.push(path),
                        false => files.push((path.clone(), fs::read(&path).unwrap_or_default())),
                    }
                }
            }
            files.sort();
            files
        }
    }

    impl Drop for System {
        fn drop(&mut self) {
            // What is left is in the folder for temporary files.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let system = fake::System::new().with("/file", [0; 100]);
        let path = system.root().path("/file");
        assert_eq!(read(&path, 100).expect("100 bytes").len(), 100);
        let error = read(&path, 99).expect_err("one byte more");
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn what_changes_is_read_until_it_does_not() {
        let reads = Cell::new(0);
        let read = |changes| {
            reads.set(0);
            at_rest(|| {
                reads.set(reads.get() + 1);
                Some(vec![reads.get().min(changes)])
            })
        };
        assert_eq!(read(3), Some(vec![3]));
        assert_eq!(reads.get(), 4);
        assert_eq!(read(u8::MAX), None, "it changes each time");
        assert_eq!(at_rest(|| None), None, "it cannot be read");
    }
}
