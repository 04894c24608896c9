//! Splitting.

/// Predicted time that the next batch should hold.
#[must_use]
pub fn batch_target_ms(remaining_ms: u64, live_slots: u32, overhead_ms: u64) -> u64 {
    (overhead_ms * 20).max(remaining_ms / (2 * u64::from(live_slots.max(1))))
}
