//! When the run will be over: predicted work against the speed at which it is being done.
//!
//! The estimate is a point in time, not a rate, so that it counts down steadily between results; it moves
//! towards each new measurement instead of jumping to it. No answer is better than a wild one.

use shared::domain::time::Timestamp;

/// Least time to watch before the first answer.
const WARM_UP_MS: u64 = 2_000;
/// Least share of the work to have seen before the first answer.
const WARM_UP_SHARE: f64 = 0.03;
/// How often the answer may move.
const STEP_MS: u64 = 500;
/// How far it moves towards a new measurement.
const PULL: f64 = 0.3;

/// The estimated end of a run.
#[derive(Debug, Clone, Default)]
pub struct Estimate {
    began_at: Option<Timestamp>,
    done_us: u64,
    end_ms: Option<f64>,
    moved_at: Timestamp,
}

impl Estimate {
    /// A case was done that took `duration_us`.
    pub fn work_done(&mut self, duration_us: u64, now: Timestamp) {
        // The first result's own time belongs to the measured span.
        let begin = Timestamp(now.0.saturating_sub(duration_us / 1000));
        self.began_at = Some(self.began_at.map_or(begin, |began| began.min(begin)));
        self.done_us = self.done_us.saturating_add(duration_us);
    }

    /// Looks again, given the predicted work of the whole run; without a prediction there is no answer.
    pub fn predict(&mut self, total_us: Option<u64>, now: Timestamp) {
        if self.end_ms.is_some() && now.since_ms(self.moved_at) < STEP_MS {
            return;
        }
        self.moved_at = now;
        self.end_ms = match (self.measure(total_us, now), self.end_ms) {
            (Some(measured), Some(before)) => Some(before + PULL * (measured - before)),
            (measured, _) => measured,
        };
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate is not exact to the millisecond")]
    fn measure(&self, total_us: Option<u64>, now: Timestamp) -> Option<f64> {
        let (total, began) = (total_us? as f64, self.began_at?);
        let (spent_ms, done) = (now.since_ms(began), self.done_us as f64);
        if spent_ms < WARM_UP_MS || done < total * WARM_UP_SHARE {
            return None;
        }
        // Past its prediction, the run is about to end or the prediction is worthless.
        let left = (total - done).max(0.0);
        Some(now.0 as f64 + left * spent_ms as f64 / done)
    }

    /// Milliseconds left; `None` while nobody knows, 0 when it should be over.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "clamped to the range of a run, and an estimate is not exact"
    )]
    pub fn left_ms(&self, now: Timestamp) -> Option<u64> {
        self.end_ms.map(|end| (end - now.0 as f64).clamp(0.0, 1e12) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four slots do 400 s of work in cases of 1 s.
    fn steady(seconds: u64, predicted_s: u64) -> (Estimate, Timestamp) {
        let mut estimate = Estimate::default();
        for second in 1..=seconds {
            for _ in 0..4 {
                estimate.work_done(1_000_000, Timestamp(second * 1000));
                estimate.predict(Some(predicted_s * 1_000_000), Timestamp(second * 1000));
            }
        }
        (estimate, Timestamp(seconds * 1000))
    }

    #[test]
    fn a_steady_run_is_foreseen() {
        let (estimate, now) = steady(20, 400);
        let left = estimate.left_ms(now).unwrap();
        assert!((76_000..=88_000).contains(&left), "100 s in all, 20 s gone, {left} ms left");
        assert!(estimate.left_ms(now.plus_ms(5_000)).unwrap() < left, "it counts down without news");
    }

    #[test]
    fn nothing_is_said_too_early_or_without_a_prediction() {
        let (estimate, now) = steady(1, 400);
        assert_eq!(estimate.left_ms(now), None);
        let mut blind = Estimate::default();
        blind.work_done(1_000_000, Timestamp(60_000));
        blind.predict(None, Timestamp(60_000));
        assert_eq!(blind.left_ms(Timestamp(60_000)), None);
    }

    #[test]
    fn past_its_prediction_it_is_about_to_end() {
        let (estimate, now) = steady(60, 100);
        assert_eq!(estimate.left_ms(now.plus_ms(1)), Some(0));
    }

    #[test]
    fn one_odd_result_does_not_make_it_jump() {
        let (mut estimate, now) = steady(50, 400);
        let before = estimate.left_ms(now).unwrap();
        let later = now.plus_ms(STEP_MS);
        estimate.work_done(100_000_000, later);
        estimate.predict(Some(400_000_000), later);
        let after = estimate.left_ms(later).unwrap();
        assert!(before - after < before / 2, "{before} to {after}");
    }
}
