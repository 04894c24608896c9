//! How much one lease takes from the queue.

/// A batch takes at most `1 / (α · live slots)` of the remaining work: big batches first, single entries last.
pub const BATCH_ALPHA: u64 = 2;
/// Starting a batch may cost at most `1/20` of it, so a batch lasts at least 20 times its overhead.
pub const BATCH_EPSILON_PARTS: u64 = 20;

/// Time that the next batch should take: `max(c / ε, R / (α · k))`, in milliseconds.
#[must_use]
pub fn batch_target_ms(remaining_ms: u64, live_slots: u32, overhead_ms: u64) -> u64 {
    let share_ms = remaining_ms / (BATCH_ALPHA * u64::from(live_slots.max(1)));
    overhead_ms.saturating_mul(BATCH_EPSILON_PARTS).max(share_ms)
}
