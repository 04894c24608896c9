//! How many machines a job gets.

/// The fewest shards that finish within the target: `setup + total / (n · slots) ≤ target`, at most `max`.
///
/// If set-up alone exceeds the target, no number meets it: then as many as keep the tests from taking longer
/// than the set-up, because more machines would mostly pay for setting up. No target = one shard.
#[must_use]
pub fn shards_auto(total_ms: u64, setup_ms: u64, target_time_ms: Option<u64>, slots: u32, max: u32) -> u32 {
    let Some(target_ms) = target_time_ms else { return 1 };
    let for_tests_ms = match target_ms.checked_sub(setup_ms) {
        None | Some(0) => setup_ms.max(1),
        Some(left_ms) => left_ms,
    };
    let per_shard_ms = for_tests_ms.saturating_mul(u64::from(slots.max(1)));
    u32::try_from(total_ms.div_ceil(per_shard_ms)).unwrap_or(u32::MAX).clamp(1, max.max(1))
}
