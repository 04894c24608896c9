//! What a runner has discovered, and whether the coordinator has it.
//!
//! Every runner of a job discovers the same, and one manifest counts. The first shard's runner puts its own; the others only
//! name theirs when they ask for work, and put it if they are told that it is missing or another one.

use crate::link::Link;
use crate::outbox::Outbox;
use shared::domain::unit::manifest_digest;
use shared::wire::link::ManifestRequest;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// A discovery.
#[derive(Debug)]
pub struct Discovery {
    manifest: ManifestRequest,
    /// Absent if it cannot be named, so that it must be put.
    digest: Option<String>,
    /// Whether the coordinator has this manifest, or one that counts instead.
    announced: AtomicBool,
    /// Lanes that put it take turns.
    turn: Mutex<()>,
}

impl Discovery {
    /// Of this manifest, which the coordinator does not have yet.
    #[must_use]
    pub fn new(manifest: ManifestRequest) -> Self {
        let digest = manifest_digest(&manifest.units).ok();
        Self { manifest, digest, announced: AtomicBool::new(false), turn: Mutex::new(()) }
    }

    /// The manifest's name, as long as it is not put.
    #[must_use]
    pub fn unannounced(&self) -> Option<&str> {
        let announced = self.announced.load(Ordering::Acquire);
        self.digest.as_deref().filter(|_| !announced)
    }

    /// The coordinator has the same manifest: it need not be named again.
    pub fn known(&self) {
        self.announced.store(true, Ordering::Release);
    }

    /// Puts the manifest before any lane asks for work, where it is this runner that has to.
    pub fn put_if_first(&self, shard: u32, link: &Link, outbox: &Outbox) {
        if shard == 1 || self.digest.is_none() {
            self.put(link, outbox);
        }
    }

    /// Puts the manifest, once. An empty one is the coordinator's to judge.
    pub fn put(&self, link: &Link, outbox: &Outbox) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.announced.load(Ordering::Acquire) {
            return;
        }
        match link.put_manifest(&self.manifest) {
            Ok(reply) => {
                self.known();
                if reply.digest != reply.yours {
                    outbox.log(
                        "runner",
                        "this runner discovered other units than the first one of the job; it works by that one's list\n",
                    );
                }
            }
            Err(error) => outbox.judge(&error),
        }
    }
}
