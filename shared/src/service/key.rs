//! API keys: made, used, replaced, taken back. The text of a key is known to its owner alone.

use super::audit::{Change, Listed, partition_of};
use super::repository::{Commit, Stored, load};
use super::{ServiceError, ServiceResult, Services};
use crate::domain::access::{Principal, Role, Scope};
use crate::domain::audit::Actor;
use crate::domain::id::{KeyId, ProjectId};
use crate::domain::key::{Key as ApiKey, KeyText};
use crate::domain::time::Timestamp;
use crate::ports::{Condition, Document, Key, PortError, PortResult};
use crate::recent::Recent;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

const KEYS: &str = "keys";
/// A use is noted at most this often.
const NOTED_EVERY_MS: u64 = 60_000;
/// Keys of which is remembered what was read, at most.
const KEYS_KEPT: usize = 1_024;

/// What a new key is made of.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What its owner calls it.
    pub name: String,
    /// The project it is good for; `None` = all.
    pub project: Option<ProjectId>,
    /// Role.
    pub role: Role,
    /// Scopes.
    pub scopes: BTreeSet<Scope>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// The key that it replaces.
    pub replaces: Option<KeyId>,
}

impl NewKey {
    /// The key of whoever sets an instance up: it may do everything, and never ends.
    #[must_use]
    pub fn admin() -> Self {
        Self {
            name: "admin".to_owned(),
            project: None,
            role: Role::Admin,
            scopes: Scope::ALL.into_iter().collect(),
            expires_at: None,
            replaces: None,
        }
    }
}

/// The place of a key in the list of its project.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    digest: String,
}

fn by_digest(digest: &str) -> Key {
    Key::new(KEYS, digest)
}

fn place_key(project: Option<&ProjectId>, id: KeyId) -> Key {
    Key::new(partition_of(project), format!("key#{id}"))
}

/// A key and whom it stands for.
#[derive(Debug)]
struct Known {
    key: Stored<ApiKey>,
    principal: Arc<Principal>,
}

/// Keys that were read, by digest: of use only for the version that they were read from, so never out of date.
#[derive(Debug)]
pub struct KeyMemory(Mutex<Recent<String, Arc<Known>>>);

impl Default for KeyMemory {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(KEYS_KEPT / 2)))
    }
}

impl KeyMemory {
    fn read(&self, document: &Document) -> PortResult<Arc<Known>> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = &document.key.sort;
        let known = memory.look(place, Arc::clone);
        if let Some(known) = known.filter(|known| known.key.version == document.version) {
            return Ok(known);
        }
        let key: Stored<ApiKey> = super::repository::parse(document)?;
        let known = Arc::new(Known { principal: Arc::new(key.value.principal()), key });
        memory.put(place.clone(), 1, Arc::clone(&known));
        Ok(known)
    }
}

impl Services {
    /// Makes a key. Its text is returned this once and stored nowhere.
    ///
    /// # Errors
    /// Port errors.
    pub async fn create_key(&self, actor: &Actor, new: NewKey) -> ServiceResult<(ApiKey, KeyText)> {
        let text = KeyText::from_secret(&self.ids.secret())
            .ok_or_else(|| ServiceError::Invalid("the source of secrets gave too short a one".to_owned()))?;
        let key = ApiKey {
            id: KeyId(self.ids.uuid()),
            name: new.name,
            digest: text.digest(),
            hint: text.hint(),
            project: new.project,
            role: new.role,
            scopes: new.scopes,
            created_at: self.clock.now(),
            created_by: actor.subject.clone(),
            expires_at: new.expires_at,
            revoked_at: None,
            last_used_at: None,
            replaces: new.replaces,
        };
        let mut commit = Commit::new();
        commit.create(by_digest(&key.digest), &key)?;
        let project = key.project.as_ref();
        commit.create(place_key(project, key.id), &Place { digest: key.digest.clone() })?;
        let change = Change { actor, action: "key.created", project, subject: key.id.to_string() };
        self.audit(&mut commit, change, None::<&ApiKey>, Some(&shown(&key)))?;
        commit.perform(self.store.as_ref()).await?;
        Ok((key, text))
    }

    /// Whom a key stands for, if it opens anything now. What is stored of it is always looked at; only reading that
    /// again is saved by `memory`.
    ///
    /// # Errors
    /// `BadToken` if it does not; port errors.
    pub async fn principal_of_key(&self, memory: &KeyMemory, text: &str) -> ServiceResult<Arc<Principal>> {
        let now = self.clock.now();
        let text = KeyText::parse(text).ok_or(ServiceError::BadToken)?;
        let document = self.store.load(&by_digest(&text.digest()), now).await?;
        let known = memory.read(&document.ok_or(ServiceError::BadToken)?)?;
        if !known.key.value.is_live(now) {
            return Err(ServiceError::BadToken);
        }
        self.note_use(&known.key, now).await;
        Ok(Arc::clone(&known.principal))
    }

    async fn note_use(&self, stored: &Stored<ApiKey>, now: Timestamp) {
        let fresh = stored.value.last_used_at.is_some_and(|at| now.since_ms(at) < NOTED_EVERY_MS);
        if fresh {
            return;
        }
        let next = ApiKey { last_used_at: Some(now), ..stored.value.clone() };
        let mut commit = Commit::new();
        let put = commit.put(by_digest(&next.digest), Condition::Version(stored.version), &next, None);
        if put.is_ok() {
            // Whoever noted it at the same time noted the same minute.
            drop(commit.perform(self.store.as_ref()).await);
        }
    }

    /// The keys of a project, or those that are good for all.
    ///
    /// # Errors
    /// Port errors.
    pub async fn keys(
        &self,
        project: Option<&ProjectId>,
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Listed<ApiKey>> {
        let now = self.clock.now();
        let page = self.store.query(&partition_of(project), "key#", after, limit, now).await?;
        let mut items = Vec::with_capacity(page.documents.len());
        for document in &page.documents {
            let place: Place = super::repository::parse(document)?.value;
            items.extend(
                load(self.store.as_ref(), &by_digest(&place.digest), now)
                    .await?
                    .map(|key: Stored<_>| key.value),
            );
        }
        Ok(Listed { items, next: page.next })
    }

    /// One key.
    ///
    /// # Errors
    /// `NotFound`; port errors.
    pub async fn key(&self, project: Option<&ProjectId>, id: KeyId) -> ServiceResult<Stored<ApiKey>> {
        let now = self.clock.now();
        let missing = || ServiceError::NotFound(id.to_string());
        let place: Option<Stored<Place>> = load(self.store.as_ref(), &place_key(project, id), now).await?;
        let digest = place.ok_or_else(missing)?.value.digest;
        load(self.store.as_ref(), &by_digest(&digest), now).await?.ok_or_else(missing)
    }

    /// Takes a key back, at once or at `at`; a key that has ended already stays as it is.
    ///
    /// # Errors
    /// `NotFound`; port errors.
    pub async fn revoke_key(
        &self,
        actor: &Actor,
        project: Option<&ProjectId>,
        id: KeyId,
        at: Timestamp,
    ) -> ServiceResult<ApiKey> {
        for _ in 0..super::DECISIONS {
            let stored = self.key(project, id).await?;
            if stored.value.revoked_at.is_some_and(|revoked| revoked <= at) {
                return Ok(stored.value);
            }
            let next = ApiKey { revoked_at: Some(at), ..stored.value.clone() };
            let mut commit = Commit::new();
            commit.put(by_digest(&next.digest), Condition::Version(stored.version), &next, None)?;
            let change = Change { actor, action: "key.revoked", project, subject: id.to_string() };
            self.audit(&mut commit, change, Some(&shown(&stored.value)), Some(&shown(&next)))?;
            match commit.perform(self.store.as_ref()).await {
                Ok(()) => return Ok(next),
                // Its use was noted meanwhile.
                Err(PortError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(PortError::Conflict { port: "store", subject: id.to_string() }.into())
    }
}

/// A key as the log may show it.
fn shown(key: &ApiKey) -> ApiKey {
    ApiKey { digest: String::new(), ..key.clone() }
}
