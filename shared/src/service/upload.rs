//! Uploads: offered, received piece by piece, handed to runners, forgotten. Nothing is unpacked here.

use super::repository::{Commit, Stored, load, project_partition};
use super::submit::load_spec;
use super::token::Caller;
use super::{DECISIONS, ServiceError, ServiceResult, Services};
use crate::domain::audit::Actor;
use crate::domain::id::{ProjectId, SourceId};
use crate::domain::project::Project;
use crate::domain::spec::Archive;
use crate::domain::time::Timestamp;
use crate::domain::upload::{OFFER_MS, UNUSED_MS, UPLOAD_LIMIT_BYTES, Upload, is_gzip_or_tar};
use crate::ports::{Condition, IndexEntry, Key, PortError, PortResult, UploadLink, UploadTerms};
use sha2::{Digest as _, Sha256};

/// Index of uploads by the time at which they are forgotten.
const KEPT_SOURCES: &str = "kept_sources";
const PURPOSE: &str = "upload";
/// Bytes are stored and handed out in pieces of this size.
pub const PIECE_BYTES: usize = 1024 * 1024;
/// Uploads forgotten by one pass.
const FORGOTTEN_AT_ONCE: usize = 100;
/// Enough to see what it is.
const HEAD_BYTES: usize = 512;

/// An upload that can be filled, and how.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The upload.
    pub upload: Upload,
    /// The way for its bytes.
    pub way: Way,
}

/// How an upload is filled.
#[derive(Debug, Clone)]
pub enum Way {
    /// By [`Services::receive_source`] with this token, which is good for this one upload until it is over.
    Token(String),
    /// Past us: by this request, which takes nothing but what was announced.
    Direct(UploadLink),
}

/// What is known of an archive before it comes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Announcement {
    /// Its size, or the most that it can be, in bytes.
    pub size_bytes: Option<u64>,
    /// Its SHA-256; then the size is exact.
    pub sha256: Option<[u8; 32]>,
}

/// Why bytes were not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// More than was offered.
    #[error("the archive has more than {limit_bytes} bytes; leave out what can be built or downloaded")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// Something else than a tar archive.
    #[error("what was uploaded is no tar archive, plain or compressed by gzip")]
    NotTar,
    /// Another digest than was announced.
    #[error("these are not the bytes that were announced; send them again, or ask for another upload")]
    Differs,
    /// It was filled before.
    #[error("this upload has its archive already; ask for another upload")]
    Filled,
    /// The use-case did not happen.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<PortError> for ReceiveError {
    fn from(error: PortError) -> Self {
        Self::Service(error.into())
    }
}

fn upload_key(project: &ProjectId, id: SourceId) -> Key {
    Key::new(project_partition(project), format!("source#{id}"))
}

fn kept_entry(upload: &Upload) -> IndexEntry {
    IndexEntry { name: KEPT_SOURCES.to_owned(), sort: format!("{:020}#{}", upload.keep_until.0, upload.id) }
}

fn folder(id: SourceId) -> String {
    format!("sources/{id}/")
}

/// Where an archive comes by itself.
fn direct_blob(id: SourceId) -> String {
    format!("{}announced", folder(id))
}

/// An archive that is coming in. Nothing of it counts before [`Receiving::finish`].
#[derive(Debug)]
pub struct Receiving {
    upload: Stored<Upload>,
    /// Names this attempt: two at once must not mix.
    attempt: u128,
    buffer: Vec<u8>,
    digest: Sha256,
    size_bytes: u64,
    head: Vec<u8>,
    pieces: Vec<String>,
}

impl Receiving {
    /// The most that it takes, in bytes.
    #[must_use]
    pub fn limit_bytes(&self) -> u64 {
        self.upload.value.limit_bytes
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `TooLarge`, `NotTar` as soon as it shows; port errors.
    pub async fn take(&mut self, services: &Services, mut bytes: &[u8]) -> Result<(), ReceiveError> {
        let limit_bytes = self.limit_bytes();
        self.size_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.size_bytes > limit_bytes {
            return Err(ReceiveError::TooLarge { limit_bytes });
        }
        self.digest.update(bytes);
        self.see(bytes)?;
        while !bytes.is_empty() {
            let room = PIECE_BYTES - self.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == PIECE_BYTES {
                self.store(services).await?;
            }
        }
        Ok(())
    }

    fn see(&mut self, bytes: &[u8]) -> Result<(), ReceiveError> {
        let wanted = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend(bytes.iter().take(wanted));
        let enough = self.head.len() == HEAD_BYTES;
        if enough && is_gzip_or_tar(&self.head).is_none() { Err(ReceiveError::NotTar) } else { Ok(()) }
    }

    async fn store(&mut self, services: &Services) -> PortResult<()> {
        let key = format!("{}{:032x}-{:06}", folder(self.upload.value.id), self.attempt, self.pieces.len());
        let bytes = std::mem::take(&mut self.buffer);
        services.blobs.put(&key, bytes).await?;
        self.pieces.push(key);
        Ok(())
    }

    /// Everything came: it is the upload's archive from now on.
    ///
    /// # Errors
    /// `NotTar`; `Differs`; `Filled` if another attempt was faster; port errors.
    pub async fn finish(mut self, services: &Services) -> Result<Upload, ReceiveError> {
        let gzip = is_gzip_or_tar(&self.head).ok_or(ReceiveError::NotTar)?;
        if !self.buffer.is_empty() {
            self.store(services).await?;
        }
        let digest = std::mem::take(&mut self.digest);
        let sha256 = hex::encode(digest.finalize());
        if self.upload.value.sha256.as_ref().is_some_and(|announced| *announced != sha256) {
            self.drop_pieces(services).await;
            return Err(ReceiveError::Differs);
        }
        let id = self.upload.value.id;
        let blob = format!("{}{:032x}", folder(id), self.attempt);
        services.blobs.compose(&blob, self.pieces.clone()).await?;
        let archive = Archive { id, blob: blob.clone(), sha256, size_bytes: self.size_bytes, gzip };
        let keep_until = services.clock.now().plus_ms(UNUSED_MS);
        let next = Upload { archive: Some(archive), keep_until, ..self.upload.value.clone() };
        let mut commit = Commit::new();
        let key = upload_key(&next.project, id);
        commit.put(key, Condition::Version(self.upload.version), &next, Some(kept_entry(&next)))?;
        let done = commit.perform(services.store.as_ref()).await;
        self.drop_pieces(services).await;
        match done {
            Ok(()) => Ok(next),
            Err(PortError::Conflict { .. }) => {
                drop(services.blobs.delete(&blob).await);
                Err(ReceiveError::Filled)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Nothing more will come: what came is of no use. What cannot be removed now goes with the upload.
    pub async fn drop_pieces(&self, services: &Services) {
        for piece in &self.pieces {
            drop(services.blobs.delete(piece).await);
        }
    }
}

impl Services {
    /// Offers an upload to one project.
    ///
    /// # Errors
    /// `Invalid` if it is to be larger than any may be; port errors.
    pub async fn offer_source(
        &self,
        actor: &Actor,
        project: &ProjectId,
        announcement: Announcement,
    ) -> ServiceResult<Offer> {
        let limit_bytes = announcement.size_bytes.unwrap_or(UPLOAD_LIMIT_BYTES);
        if !(1..=UPLOAD_LIMIT_BYTES).contains(&limit_bytes) {
            return Err(ServiceError::Invalid(format!("an archive has 1 to {UPLOAD_LIMIT_BYTES} bytes")));
        }
        let blank = self.blank_upload(actor, project);
        let link = self.direct_way(blank.id, announcement).await?;
        let upload = Upload {
            limit_bytes,
            sha256: announcement.sha256.map(hex::encode),
            direct: link.is_some().then(|| direct_blob(blank.id)),
            ..blank
        };
        self.note_upload(&upload).await?;
        let claim = format!("{project}\n{}", upload.id);
        let token = || Way::Token(self.settings.token_key.seal(PURPOSE, &claim));
        Ok(Offer { way: link.map_or_else(token, Way::Direct), upload })
    }

    pub(super) fn blank_upload(&self, actor: &Actor, project: &ProjectId) -> Upload {
        let now = self.clock.now();
        Upload {
            id: SourceId(self.ids.uuid()),
            project: project.clone(),
            limit_bytes: UPLOAD_LIMIT_BYTES,
            created_at: now,
            created_by: actor.subject.clone(),
            open_until: now.plus_ms(OFFER_MS),
            keep_until: now.plus_ms(UNUSED_MS),
            archive: None,
            sha256: None,
            direct: None,
        }
    }

    pub(super) async fn note_upload(&self, upload: &Upload) -> ServiceResult<()> {
        let mut commit = Commit::new();
        let key = upload_key(&upload.project, upload.id);
        commit.put(key, Condition::Absent, upload, Some(kept_entry(upload)))?;
        Ok(commit.perform(self.store.as_ref()).await?)
    }

    pub(super) fn receiving(&self, upload: Stored<Upload>) -> Receiving {
        Receiving {
            upload,
            attempt: self.ids.uuid(),
            buffer: Vec::new(),
            digest: Sha256::new(),
            size_bytes: 0,
            head: Vec::new(),
            pieces: Vec::new(),
        }
    }

    /// The way past us for an archive that is announced in full, where there are such ways: what goes through us is held
    /// within limits that large archives do not keep.
    async fn direct_way(
        &self,
        id: SourceId,
        announcement: Announcement,
    ) -> ServiceResult<Option<UploadLink>> {
        let (Some(size_bytes), Some(sha256)) = (announcement.size_bytes, announcement.sha256) else {
            return Ok(None);
        };
        let terms = UploadTerms { size_bytes, sha256, only_if_absent: true, expires_in_s: OFFER_MS / 1_000 };
        Ok(self.blobs.upload_link(&direct_blob(id), &terms).await?)
    }

    /// Begins to fill the upload that a token is for.
    ///
    /// # Errors
    /// `BadToken` if it is for none, or for one that is over; `Filled`; port errors.
    pub async fn receive_source(&self, token: &str) -> Result<Receiving, ReceiveError> {
        let claim = self.settings.token_key.unseal(PURPOSE, token).ok_or(ServiceError::BadToken)?;
        let (project, id) = claim.split_once('\n').ok_or(ServiceError::BadToken)?;
        let id: SourceId = id.parse().ok().ok_or(ServiceError::BadToken)?;
        let upload = self.upload(&ProjectId(project.to_owned()), id).await?.ok_or(ServiceError::BadToken)?;
        if upload.value.archive.is_some() {
            return Err(ReceiveError::Filled);
        }
        if upload.value.open_until < self.clock.now() {
            return Err(ServiceError::BadToken.into());
        }
        Ok(self.receiving(upload))
    }

    pub(super) async fn upload(
        &self,
        project: &ProjectId,
        id: SourceId,
    ) -> PortResult<Option<Stored<Upload>>> {
        load(self.store.as_ref(), &upload_key(project, id), self.clock.now()).await
    }

    /// The archive of an upload of this project, kept for the run that is about to use it. `None` if there is none.
    pub(crate) async fn use_source(&self, project: &Project, id: SourceId) -> ServiceResult<Option<Archive>> {
        for _ in 0..DECISIONS {
            let Some(stored) = self.upload(&project.id, id).await? else { return Ok(None) };
            let Some(archive) = self.archive_of(&stored.value).await? else { return Ok(None) };
            let next = Upload { archive: Some(archive.clone()), ..stored.value.clone() };
            let next = next.used(project, self.clock.now());
            let mut commit = Commit::new();
            let key = upload_key(&project.id, id);
            commit.put(key, Condition::Version(stored.version), &next, Some(kept_entry(&next)))?;
            match commit.perform(self.store.as_ref()).await {
                Ok(()) => return Ok(Some(archive)),
                // Used by another run at the same moment.
                Err(PortError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(PortError::Conflict { port: "store", subject: id.to_string() }.into())
    }

    /// What an upload was filled with; what came past us is looked at now.
    async fn archive_of(&self, upload: &Upload) -> ServiceResult<Option<Archive>> {
        let Some(blob) = upload.direct.as_ref().filter(|_| upload.archive.is_none()) else {
            return Ok(upload.archive.clone());
        };
        let head = u64::try_from(HEAD_BYTES).unwrap_or(u64::MAX);
        match self.blobs.fetch(blob, Some((0, head))).await {
            Ok(head) => match upload.arrived(&head) {
                Some(archive) => Ok(Some(archive)),
                None => Err(ServiceError::Invalid(ReceiveError::NotTar.to_string())),
            },
            Err(PortError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A piece of the archive that the caller's run is of, from `offset` on; empty at its end.
    ///
    /// # Errors
    /// `NotFound` if the run has another kind of source; `Invalid` if the archive is gone; `Shard` if the runner is
    /// fenced; port errors.
    pub async fn source_piece(&self, caller: &Caller, offset: u64) -> ServiceResult<Vec<u8>> {
        self.admit(caller, self.clock.now()).await?;
        let source = load_spec(self, caller.id.run).await?.source;
        let Some(archive) = source.archive() else {
            return Err(ServiceError::NotFound("an uploaded source".to_owned()));
        };
        let end = offset.saturating_add(u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX));
        match self.blobs.fetch(&archive.blob, Some((offset, end))).await {
            Err(PortError::NotFound { .. }) => {
                let text = format!(
                    "the source `{}` is gone; start a new run, with a new upload if it was one",
                    archive.id
                );
                Err(ServiceError::Invalid(text))
            }
            piece => Ok(piece?),
        }
    }

    /// Forgets uploads whose time is over. Returns how many.
    ///
    /// # Errors
    /// Port errors; the next pass goes on.
    pub async fn forget_sources(&self, now: Timestamp) -> ServiceResult<usize> {
        let upto = format!("{:020}~", now.0);
        let keys = self.store.query_index(KEPT_SOURCES, &upto, FORGOTTEN_AT_ONCE).await?;
        let mut forgotten = 0;
        for key in keys {
            let Some(stored) = load::<Upload>(self.store.as_ref(), &key, now).await? else { continue };
            if stored.value.keep_until > now {
                continue;
            }
            // The document goes first: a run that is asked for in between finds no upload rather than no bytes.
            let mut commit = Commit::new();
            commit.check_and_delete(key, stored.version);
            match commit.perform(self.store.as_ref()).await {
                Ok(()) => forgotten += 1,
                Err(PortError::Conflict { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
            for blob in self.blobs.list(&folder(stored.value.id)).await? {
                self.blobs.delete(&blob).await?;
            }
        }
        Ok(forgotten)
    }
}
