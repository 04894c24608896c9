//! A scratch file that holds events which do not fit into memory while the coordinator is away.
//!
//! First in, first out. It belongs to one lease and removes itself. Positions are kept here and not in the
//! file, so a write that fails half-way changes nothing: the next one overwrites what it left.

use serde_json::value::RawValue;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The file and what it holds.
#[derive(Debug)]
pub(super) struct Spill {
    path: PathBuf,
    file: File,
    begin: u64,
    end: u64,
    /// Length of each event that was not taken yet, in order.
    lengths: VecDeque<usize>,
}

impl Spill {
    /// A new, empty file, readable by its owner only.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(Self { path: path.to_owned(), file, begin: 0, end: 0, lengths: VecDeque::new() })
    }

    /// Whether nothing is left to take.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Appends an event.
    ///
    /// # Errors
    /// If the disk does not take it; the file is then as it was.
    pub(super) fn push(&mut self, event: &RawValue) -> io::Result<()> {
        self.file.write_all_at(event.get().as_bytes(), self.end)?;
        self.lengths.push_back(event.get().len());
        self.end += event.get().len() as u64;
        Ok(())
    }

    /// Takes events of about `bytes` together, at least one unless there is none.
    ///
    /// # Errors
    /// If the file does not give back what was written.
    pub(super) fn take(&mut self, bytes: usize) -> io::Result<Vec<Box<RawValue>>> {
        let (mut taken, mut left) = (Vec::new(), bytes);
        while left > 0 {
            let Some(length) = self.lengths.pop_front() else { break };
            let mut text = vec![0; length];
            self.file.read_exact_at(&mut text, self.begin)?;
            taken.push(serde_json::from_slice(&text)?);
            self.begin += length as u64;
            left = left.saturating_sub(length);
        }
        Ok(taken)
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        // The scratch directory is removed as a whole later: a file that stays until then is no loss.
        std::fs::remove_file(&self.path).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_in_order_and_the_file_goes_away() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("spill");
        let mut spill = Spill::create(&path).unwrap();
        for number in 0..5 {
            spill.push(&RawValue::from_string(format!("\"é{number}\"")).unwrap()).unwrap();
        }
        let texts =
            |events: Vec<Box<RawValue>>| events.iter().map(|e| e.get().to_owned()).collect::<Vec<_>>();
        assert_eq!(texts(spill.take(7).unwrap()), ["\"é0\"", "\"é1\""]);
        spill.push(&RawValue::from_string("5".into()).unwrap()).unwrap();
        assert_eq!(texts(spill.take(1000).unwrap()), ["\"é2\"", "\"é3\"", "\"é4\"", "5"]);
        assert!(spill.is_empty() && path.exists());
        drop(spill);
        assert!(!path.exists());
    }
}
