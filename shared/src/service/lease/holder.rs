//! Who asks for work, and beside whom.

use super::super::repository::{Stored, lease_key, load, load_shards};
use super::{Caller, Ending, Lease, LeaseRequest, LeaseStatus, PortError, Scene, ServiceResult, Services};

impl Services {
    /// Slots of all live runners of the caller's job, and whether there are others than the caller.
    pub(super) async fn live_slots(&self, scene: &Scene) -> ServiceResult<(u32, bool)> {
        let own = &scene.shard.value;
        if scene.shards <= 1 {
            return Ok((own.slots.max(1), false));
        }
        let shards = load_shards(self.store.as_ref(), own.id.run, own.id.job, scene.now).await?;
        let live = || shards.iter().map(|shard| &shard.value).filter(|shard| shard.live());
        let slots: u32 = live().map(|shard| shard.slots.max(1)).sum();
        Ok((slots.max(1), live().any(|shard| shard.id.shard != own.id.shard)))
    }

    /// A slot that asks anew does not know of the lease that it holds: the request for it was delayed, and
    /// answered to nobody. Without this the lease would stay open as long as its runner lives.
    pub(super) async fn end_orphan(
        &self,
        caller: &Caller,
        request: &LeaseRequest,
        scene: &Scene,
    ) -> ServiceResult<()> {
        let Some(held) = scene.shard.value.holding.get(&request.slot).copied() else {
            return Ok(());
        };
        if request.finished.as_ref().is_some_and(|finished| finished.lease == held) {
            return Ok(());
        }
        let id = caller.id;
        let key = lease_key(id.run, id.job, held);
        let lease: Option<Stored<Lease>> = load(self.store.as_ref(), &key, scene.now).await?;
        if lease.is_none_or(|lease| lease.value.status != LeaseStatus::Active) {
            return Ok(());
        }
        let reason = "its slot asked for another lease";
        self.end_lease(id.run, id.job, held, Ending::Release, reason).await?;
        // What was read is stale now.
        Err(PortError::Conflict { port: "store", subject: key.to_string() }.into())
    }
}
