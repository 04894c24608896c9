//! Every finished run is in exactly one day, whatever the order; percentiles are times that happened.

use super::*;
use crate::domain::id::RunId;
use crate::domain::origin::{Figures, Origin};
use crate::domain::run::RunStatus;
use crate::domain::verdict::{Cause, Judgement};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(100 * DAY_MS + 5);

fn run(age_ms: u64, wall_ms: u64, code: Option<CauseCode>) -> Run {
    let queued_at = Timestamp(NOW.0 - age_ms);
    let judgement = code.map_or_else(Judgement::passed, |code| Judgement::because(Cause::new(code, "x")));
    let figures = Figures {
        started_at: Some(queued_at.plus_ms(wall_ms / 2)),
        slot_ms: wall_ms,
        busy_by_framework_ms: BTreeMap::from([("pytest".to_owned(), wall_ms / 3)]),
        ..Figures::default()
    };
    Run {
        id: RunId(1),
        origin: Origin::default(),
        status: RunStatus::Finished,
        queued_at,
        deadline: queued_at,
        begun_at: None,
        finished_at: Some(queued_at.plus_ms(wall_ms)),
        jobs: 1,
        partial: false,
        cancel: None,
        judgement: Some(judgement),
        figures: Some(figures),
    }
}

fn code() -> impl Strategy<Value = Option<CauseCode>> {
    prop_oneof![
        Just(None),
        Just(Some(CauseCode::TestsFailed)),
        Just(Some(CauseCode::RunnerLost)),
        Just(Some(CauseCode::SetupFailed)),
        Just(Some(CauseCode::CancelledByUser)),
        Just(Some(CauseCode::DeadlinePassed)),
    ]
}

fn trend(runs: &[Run], days: u32) -> Vec<Day> {
    let mut trend = Trend::new(days, NOW);
    runs.iter().for_each(|run| trend.take(run));
    trend.days()
}

proptest! {
    #[test]
    fn every_run_is_counted_on_one_day_in_any_order(
        made in proptest::collection::vec((0..20 * DAY_MS, 0..1_000_000u64, code()), 0..40),
        days in 1u32..15,
    ) {
        let mut runs: Vec<Run> = made.into_iter().map(|(age, wall, code)| run(age, wall, code)).collect();
        let seen = trend(&runs, days);
        prop_assert_eq!(seen.len(), days as usize);
        let since = Trend::new(days, NOW).since();
        let counted: u32 = seen.iter().map(Day::runs).sum();
        prop_assert_eq!(counted as usize, runs.iter().filter(|run| run.queued_at >= since).count());
        for (day, next) in seen.iter().zip(seen.iter().skip(1)) {
            prop_assert_eq!(day.begins_at.plus_ms(DAY_MS), next.begins_at);
        }
        for day in &seen {
            prop_assert!(day.infrastructure <= day.errored);
            prop_assert!(day.pass_rate().is_none_or(|rate| (0.0..=1.0).contains(&rate)));
            prop_assert!(day.wall.is_none_or(|wall| wall.p50_ms <= wall.p95_ms));
            prop_assert_eq!(day.wall.is_some(), day.runs() > day.cancelled);
        }
        runs.reverse();
        prop_assert_eq!(trend(&runs, days), seen);
    }

    #[test]
    fn a_percentile_is_a_time_that_enough_did_not_exceed(times in proptest::collection::vec(0..1000u64, 1..60)) {
        let found = Percentiles::of(times.clone()).unwrap();
        for (limit, percent) in [(found.p50_ms, 50), (found.p95_ms, 95)] {
            prop_assert!(times.contains(&limit));
            let within = times.iter().filter(|time| **time <= limit).count();
            let below = times.iter().filter(|time| **time < limit).count();
            prop_assert!(within * 100 >= times.len() * percent && below * 100 < times.len() * percent);
        }
    }
}

#[test]
fn a_day_says_what_went_wrong_and_what_it_cost() {
    let seen = trend(
        &[
            run(0, 10, None),
            run(1, 30, Some(CauseCode::TestsFailed)),
            run(2, 20, Some(CauseCode::RunnerLost)),
            run(3, 90, Some(CauseCode::CancelledByUser)),
        ],
        2,
    );
    let today = &seen[1];
    assert_eq!((today.passed, today.failed, today.errored, today.cancelled), (1, 1, 1, 1));
    assert_eq!((today.pass_rate(), today.infrastructure_failure_rate()), (Some(0.5), Some(0.25)));
    assert_eq!(today.wall, Some(Percentiles { p50_ms: 20, p95_ms: 30 }));
    assert_eq!((today.slot_ms, today.busy_ms["pytest"]), (150, 49));
    assert_eq!(seen[0], Day { begins_at: Timestamp(99 * DAY_MS), ..Day::default() });
}
