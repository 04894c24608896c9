//! What happens to runners and runs from outside: kills, pauses, polite stops, and people who cancel.

use super::Scenario;
use super::stage::World;
use crate::world::Owner;
use shared::domain::verdict::{Cause, CauseCode};
use std::sync::{Arc, PoisonError};

/// Starts the trouble of a scenario; it ends with the time of troubles.
pub(super) fn spawn(world: &World, scenario: &Scenario) {
    if scenario.chaos_ms > 0 {
        spawn_losses(world, scenario.chaos_ms, scenario.trouble_ms);
    }
    if let Some(at_ms) = scenario.cancel_at_ms {
        spawn_cancel(world, at_ms);
    }
}

fn spawn_losses(world: &World, mean_ms: u64, trouble_ms: u64) {
    let (hub, fleet) = (Arc::clone(&world.hub), Arc::clone(&world.fleet));
    let end = hub.now().plus_ms(trouble_ms);
    world.hub.spawn("chaos", Owner::World, async move {
        loop {
            hub.sleep(hub.between(1, 2 * mean_ms)).await;
            if hub.now() >= end {
                return;
            }
            let living = fleet.living();
            let pick = usize::try_from(hub.below(living.len() as u64)).unwrap_or(0);
            let Some(id) = living.get(pick) else { continue };
            match hub.below(5) {
                0 => drop(fleet.end(id, Some(137), "killed by signal 9")),
                1 => drop(fleet.end(id, None, "its machine was taken away")),
                2 => fleet.tell_to_stop(id),
                3 => fleet.pause(id, hub.between(1_000, 60_000)),
                _ => fleet.pause(id, hub.between(60_000, 600_000)),
            }
        }
    });
}

fn spawn_cancel(world: &World, at_ms: u64) {
    let (hub, services) = (Arc::clone(&world.hub), Arc::clone(&world.services));
    let accepted = Arc::clone(&world.accepted);
    world.hub.spawn("cancel", Owner::World, async move {
        hub.sleep(at_ms).await;
        let run = accepted.lock().unwrap_or_else(PoisonError::into_inner).0.last().copied();
        let Some(run) = run else { return };
        let cause = Cause::new(CauseCode::CancelledByUser, "somebody cancelled the run");
        while let Err(error) = services.cancel(run, cause.clone()).await {
            hub.note(|| format!("cancel failed: {error}"));
            hub.sleep(1_000).await;
        }
    });
}
