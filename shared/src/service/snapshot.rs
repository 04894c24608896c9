//! Commits that runners cannot fetch: taken once, by whoever plans, and kept like an upload.

use super::upload::{ReceiveError, Receiving};
use super::{ServiceError, Services};
use crate::domain::audit::Actor;
use crate::domain::id::ProjectId;
use crate::domain::spec::Archive;
use crate::ports::PortError;
use crate::ports::forge::Snapshot;

/// Why a commit was not taken.
#[derive(Debug)]
pub(crate) enum SnapshotError {
    /// It did not come.
    Forge(PortError),
    /// It came and was not kept.
    Kept(ReceiveError),
}

impl From<ServiceError> for SnapshotError {
    fn from(error: ServiceError) -> Self {
        Self::Kept(error.into())
    }
}

impl From<ReceiveError> for SnapshotError {
    fn from(error: ReceiveError) -> Self {
        Self::Kept(error)
    }
}

impl Services {
    /// The archive that a snapshot becomes, for a run of this project: kept for a day, and longer once the run uses it.
    pub(crate) async fn kept_snapshot(
        &self,
        project: &ProjectId,
        mut snapshot: Box<dyn Snapshot>,
    ) -> Result<Archive, SnapshotError> {
        let mut receiving = self.begin_upload(&Actor::system(), project).await?;
        loop {
            let taken = match snapshot.next().await {
                Ok(Some(bytes)) => receiving.take(self, &bytes).await.map_err(SnapshotError::Kept),
                Ok(None) => break,
                Err(error) => Err(SnapshotError::Forge(error)),
            };
            if let Err(error) = taken {
                receiving.drop_pieces(self).await;
                return Err(error);
            }
        }
        let upload = receiving.finish(self).await?;
        let gone = || ServiceError::NotFound(format!("the archive of `{}`", upload.id));
        Ok(upload.archive.ok_or_else(gone)?)
    }

    /// An upload that we fill ourselves.
    async fn begin_upload(&self, actor: &Actor, project: &ProjectId) -> Result<Receiving, ReceiveError> {
        let upload = self.blank_upload(actor, project);
        self.note_upload(&upload).await?;
        let noted = self.upload(project, upload.id).await?;
        Ok(self
            .receiving(noted.ok_or_else(|| ServiceError::NotFound(format!("the upload `{}`", upload.id)))?))
    }
}
