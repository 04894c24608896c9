//! Files kept from a run: taken from runners piece by piece, handed out the same way.

use super::audit::Listed;
use super::entries::job_folder;
use super::repository::{Commit, Stored, load, load_part, partition};
use super::token::Caller;
use super::{DECISIONS, ServiceError, ServiceResult, Services};
use crate::domain::artifact::{
    Artifact, ArtifactRefused, PIECE_BYTES, RUNNER_LIMIT_FILES, artifact_id, is_artifact_id, runner_prefix,
};
use crate::domain::id::RunId;
use crate::ports::{Condition, Key};
use crate::wire::link::{ArtifactPiece, ArtifactReply};

impl From<ArtifactRefused> for ServiceError {
    fn from(refused: ArtifactRefused) -> Self {
        Self::Invalid(refused.to_string())
    }
}

fn key(run: RunId, id: &str) -> Key {
    Key::new(partition(run), format!("artifact#{id}"))
}

fn blob(artifact: &Artifact, offset: u64) -> String {
    let writer = artifact.writer;
    format!("{}/artifacts/{}/{offset:012}", job_folder(writer.run, writer.job), artifact.id())
}

impl Services {
    /// Takes a piece of a file. A piece that is there already is acknowledged; one after a gap is refused by telling
    /// the offset that is expected.
    ///
    /// # Errors
    /// `Shard` if the runner is fenced; `Invalid` if the file cannot be kept; port errors.
    pub async fn append_artifact(
        &self,
        caller: &Caller,
        piece: &ArtifactPiece,
        bytes: &[u8],
    ) -> ServiceResult<ArtifactReply> {
        for _ in 0..DECISIONS {
            match self.try_keep(caller, piece, bytes).await {
                Err(error) if error.is_conflict() => {}
                other => return other,
            }
        }
        self.try_keep(caller, piece, bytes).await
    }

    async fn try_keep(
        &self,
        caller: &Caller,
        piece: &ArtifactPiece,
        bytes: &[u8],
    ) -> ServiceResult<ArtifactReply> {
        let now = self.clock.now();
        self.admit(caller, now).await?;
        let place = key(caller.id.run, &artifact_id(caller.id, &piece.path));
        let stored: Option<Stored<Artifact>> = load(self.store.as_ref(), &place, now).await?;
        let (condition, so_far) = match stored {
            Some(stored) => (Condition::Version(stored.version), stored.value),
            None => {
                let others = self.artifacts_of(caller).await?;
                (Condition::Absent, Artifact::begin(caller.id, &piece.path, &others)?)
            }
        };
        if so_far.complete || piece.offset != so_far.size_bytes {
            return Ok(ArtifactReply { next_offset: so_far.size_bytes });
        }
        let next = so_far.grown(bytes.len(), piece.end)?;
        if !bytes.is_empty() {
            self.blobs.put(&blob(&next, piece.offset), bytes.to_vec()).await?;
        }
        let mut commit = Commit::new();
        commit.put(place, condition, &next, None)?;
        commit.perform(self.store.as_ref()).await?;
        Ok(ArtifactReply { next_offset: next.size_bytes })
    }

    async fn artifacts_of(&self, caller: &Caller) -> ServiceResult<Vec<Artifact>> {
        let prefix = format!("artifact#{}", runner_prefix(caller.id));
        let place = (&*partition(caller.id.run), &*prefix);
        Ok(load_part(self.store.as_ref(), place, None, RUNNER_LIMIT_FILES, self.clock.now()).await?.items)
    }

    /// Files kept from a run, by job and runner. Those that are still coming in are among them.
    ///
    /// # Errors
    /// Port errors.
    pub async fn artifacts(
        &self,
        run: RunId,
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Listed<Artifact>> {
        let place = (&*partition(run), "artifact#");
        Ok(load_part(self.store.as_ref(), place, after, limit, self.clock.now()).await?)
    }

    /// One file.
    ///
    /// # Errors
    /// `NotFound`, also while it is coming in; port errors.
    pub async fn artifact(&self, run: RunId, id: &str) -> ServiceResult<Artifact> {
        let unknown = || ServiceError::NotFound(id.chars().take(100).collect());
        if !is_artifact_id(id) {
            return Err(unknown());
        }
        let stored = load::<Artifact>(self.store.as_ref(), &key(run, id), self.clock.now()).await?;
        stored.map(|stored| stored.value).filter(|artifact| artifact.complete).ok_or_else(unknown)
    }

    /// The piece of a file that begins at `offset`, a multiple of the size of a piece; empty at its end.
    ///
    /// # Errors
    /// Port errors.
    pub async fn artifact_piece(&self, artifact: &Artifact, offset: u64) -> ServiceResult<Vec<u8>> {
        let begin = offset - offset % (PIECE_BYTES as u64);
        if begin >= artifact.size_bytes {
            return Ok(Vec::new());
        }
        Ok(self.blobs.fetch(&blob(artifact, begin), None).await?)
    }
}
