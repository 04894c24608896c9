//! A pure replay of the lease rule, to measure how close to the bound it comes.

use super::{BATCH_ALPHA, BATCH_EPSILON_PARTS};
use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};

/// No schedule is shorter: the longest unit, and the work divided by the slots.
#[must_use]
pub fn lower_bound_us(durations_us: &[u64], slots: u32) -> u64 {
    let longest = durations_us.iter().copied().max().unwrap_or(0);
    let total = durations_us.iter().fold(0_u64, |sum, us| sum.saturating_add(*us));
    longest.max(total.div_ceil(u64::from(slots.max(1))))
}

/// Wall time, in microseconds, of leasing units in the order of their predictions to `slots` slots, each batch costing
/// `overhead_us` to start. `predictions_us` is aligned with `durations_us`.
#[must_use]
pub fn simulate(durations_us: &[u64], predictions_us: &[u64], slots: u32, overhead_us: u64) -> u64 {
    let mut queue: Vec<(u64, u64)> =
        predictions_us.iter().copied().zip(durations_us.iter().copied()).collect();
    queue.sort_by_key(|(predicted_us, _)| Reverse(*predicted_us));
    let mut queue: VecDeque<(u64, u64)> = queue.into();
    let mut remaining_us =
        queue.iter().fold(0_u64, |sum, (predicted_us, _)| sum.saturating_add(*predicted_us));
    let mut free_at: BTreeSet<(u64, u32)> = (0..slots.max(1)).map(|slot| (0, slot)).collect();
    let mut makespan_us = 0;
    while let Some(first) = queue.pop_front() {
        let share_us = remaining_us / (BATCH_ALPHA * u64::from(slots.max(1)));
        let target_us = share_us.max(overhead_us.saturating_mul(BATCH_EPSILON_PARTS));
        let (mut predicted_us, mut actual_us) = first;
        while let Some((next_us, duration_us)) =
            queue.pop_front_if(|(next_us, _)| predicted_us.saturating_add(*next_us) <= target_us)
        {
            predicted_us = predicted_us.saturating_add(next_us);
            actual_us = actual_us.saturating_add(duration_us);
        }
        remaining_us = remaining_us.saturating_sub(predicted_us);
        let Some((now_us, slot)) = free_at.pop_first() else { break };
        let end_us = now_us.saturating_add(overhead_us).saturating_add(actual_us);
        free_at.insert((end_us, slot));
        makespan_us = makespan_us.max(end_us);
    }
    makespan_us
}
