//! Files that the suite wants kept: found when its tests are over, sent piece by piece.
//!
//! Nothing here changes a verdict: what cannot be kept is told in the runner's log.

use crate::glob;
use crate::link::{Link, LinkError};
use crate::session::control::Control;
use shared::domain::artifact::PIECE_BYTES;
use shared::wire::link::ArtifactPiece;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;

/// What became of the files.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Files that were sent.
    pub(crate) files: usize,
    /// One line for each that was not.
    pub(crate) left_out: Vec<String>,
}

/// Sends every file below `root` that matches, until the runner is to stop.
///
/// # Errors
/// If the coordinator does not listen any more.
pub(crate) fn keep(link: &Link, control: &Control, root: &Path, globs: &[String]) -> Result<Kept, LinkError> {
    // A folder's name stands for all that is in it.
    let globs: Vec<String> =
        globs.iter().flat_map(|glob| [glob.clone(), format!("{}/**", glob.trim_end_matches('/'))]).collect();
    let mut kept = Kept::default();
    for path in glob::find(root, &globs).into_keys() {
        if control.stopping() {
            kept.left_out.push(format!("`{path}` and what follows: the runner was stopped"));
            break;
        }
        match send(link, control, root, &path) {
            Ok(()) => kept.files += 1,
            Err(NotKept::Unreadable(error)) => kept.left_out.push(format!("`{path}`: {error}")),
            Err(NotKept::Link(LinkError::Refused(reason))) => {
                kept.left_out.push(format!("`{path}`: {reason}"));
            }
            Err(NotKept::Link(error)) => return Err(error),
        }
    }
    Ok(kept)
}

enum NotKept {
    Unreadable(io::Error),
    Link(LinkError),
}

impl From<io::Error> for NotKept {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

fn send(link: &Link, control: &Control, root: &Path, path: &str) -> Result<(), NotKept> {
    let mut file = File::open(root.join(path))?;
    // What is written to it from now on is not part of it.
    let size = file.metadata()?.len();
    let mut offset = 0;
    let mut piece = Vec::new();
    loop {
        file.seek(SeekFrom::Start(offset))?;
        piece.clear();
        let wanted = size.saturating_sub(offset).min(PIECE_BYTES as u64);
        file.by_ref().take(wanted).read_to_end(&mut piece)?;
        let upto = offset + piece.len() as u64;
        let end = upto >= size || piece.len() < PIECE_BYTES;
        let said = ArtifactPiece { path: path.to_owned(), offset, end };
        let reply = link.artifact(&said, &piece).map_err(NotKept::Link)?;
        if end && reply.next_offset == upto {
            return Ok(());
        }
        if reply.next_offset > size || control.stopping() {
            return Err(io::Error::other("it changed, or the runner was stopped").into());
        }
        offset = reply.next_offset;
    }
}
