//! Who asks for work, and what it held before.

use super::super::repository::{Stored, lease_key, load};
use super::{Caller, Ending, Lease, LeaseRequest, LeaseStatus, PortError, Scene, ServiceResult, Services};

impl Services {
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
