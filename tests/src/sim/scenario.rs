//! What a seed stands for: a project, how it is run, and how much goes wrong for how long.

use crate::fault::{Rates, Seeded};
use crate::memory::SplitMix;
use crate::world::fleet::LaunchRates;
use crate::world::link::LinkPlan;
use crate::world::quota::{AWS, Quotas};
use crate::world::truth::{self, SuiteTruth};
use shared::domain::id::ProjectId;
use shared::domain::spec::{Framework, RunSpec, Shards, Source, SuiteSpec};
use shared::service::Stride;

/// All launches that a shard may take, each lost as late as can be, with some jobs waiting for others.
const PATIENCE_MS: u64 = 4 * 3_600_000;

/// A drawn history before it happens.
#[derive(Debug)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// The project.
    pub suites: Vec<SuiteTruth>,
    /// How the suites are run, in the same order.
    pub plans: Vec<SuiteSpec>,
    /// Runs, one after the other.
    pub runs: u32,
    /// Stop after so many failures.
    pub fail_fast: Option<u32>,
    /// Limit of each run, in milliseconds.
    pub timeout_ms: u64,
    /// Whether there is time enough for everything, however often it goes wrong: no verdict may be `timed_out`.
    pub patient: bool,
    /// Faults stop after this time, in milliseconds.
    pub trouble_ms: u64,
    /// Results that may stay with their lease.
    pub closing_bytes: usize,
    /// Faults of ports.
    pub rates: Rates,
    /// Faults of the network, per thousand requests.
    pub link_rate: u64,
    /// Faults of launches.
    pub launch_rates: LaunchRates,
    /// Deaths of service processes, per million steps.
    pub service_deaths: u64,
    /// Slow port calls, per thousand.
    pub slow_calls: u64,
    /// How many of 1,000 ends of runners are told of.
    pub events_told: u64,
    /// Mean time between troubles of runners, in milliseconds; 0 for none.
    pub chaos_ms: u64,
    /// When to cancel, in milliseconds after the start.
    pub cancel_at_ms: Option<u64>,
    /// What the cloud allows; absent = anything, at once.
    pub quotas: Option<Quotas>,
    /// How far one step goes.
    pub stride: Stride,
    /// How many runs of the project may be at work; then all are submitted at once.
    pub limit: Option<u32>,
}

/// Steps so short that a job of a few shards is worked on like one of hundreds.
const SHORT: Stride =
    Stride { shards_per_commit: 2, commits_per_pass: 1, launches: 2, few_shards: 1, page: 1 };
/// How much longer jobs are there, in shards.
const MORE_SHARDS: u32 = 3;
/// Runs of a project that limits how many are at work.
const LIMITED_RUNS: u32 = 4;
/// Launches that find no room, of 1,000, where there is none for long.
const SELDOM_ROOM: u64 = 500;

impl Scenario {
    /// The scenario of a seed.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let random = &mut SplitMix::new(seed ^ 0x5ce0_a110);
        let mood = random.below(4);
        let peaceful = random.chance(300);
        let count = 1 + random.below(3) * random.below(2);
        let suites: Vec<SuiteTruth> =
            (0..count).map(|number| truth::suite(random, &format!("s{number}"), peaceful)).collect();
        let mut plans: Vec<SuiteSpec> = (0..count).map(|number| plan(random, number)).collect();
        let trouble_ms = random.below(15 * 60_000) + 30_000;
        let hasty_ms = random.below(20 * 60_000) + if random.chance(150) { 20_000 } else { 8 * 60_000 };
        let patient = random.chance(250);
        if patient {
            plans.iter_mut().for_each(|plan| plan.timeout_ms = u64::from(u32::MAX));
        }
        let launch =
            |rate: u64| rate * [0, 1, 4, 12].get(usize::try_from(mood).unwrap_or(0)).unwrap_or(&0) / 4;
        // Decided by the seed itself, so that all other histories stay as they were drawn before.
        let (short, crowded) = (matches!(seed % 16, 3 | 5 | 9), seed % 16 == 5);
        let limit = matches!(seed % 16, 6 | 11).then_some(1 + u32::try_from(seed / 16 % 2).unwrap_or(0));
        for plan in plans.iter_mut().filter(|_| short) {
            if let Shards::Fixed(shards) = &mut plan.shards {
                *shards += MORE_SHARDS;
            }
        }
        Self {
            seed,
            plans,
            runs: if random.chance(300) { 2 } else { 1 }.max(limit.map_or(1, |_| LIMITED_RUNS)),
            fail_fast: random.chance(150).then_some(u32::try_from(random.below(3) + 1).unwrap_or(1)),
            timeout_ms: if patient { trouble_ms + PATIENCE_MS + 4 * work_ms(&suites) } else { hasty_ms },
            patient,
            trouble_ms,
            closing_bytes: if seed.is_multiple_of(2) { 4 * 1024 } else { 0 },
            rates: rates(mood),
            link_rate: launch(40),
            launch_rates: LaunchRates {
                no_room: if crowded { SELDOM_ROOM } else { launch(60) },
                denied: launch(3),
                silent: launch(20),
                slow: launch(40),
            },
            service_deaths: launch(600),
            slow_calls: random.below(2) * random.below(30),
            events_told: if random.chance(300) { 0 } else { random.below(1_001) },
            chaos_ms: if mood == 0 { 0 } else { random.below(120_000) + 10_000 },
            cancel_at_ms: random.chance(100).then(|| random.below(120_000)),
            quotas: None,
            stride: if short { SHORT } else { Stride::default() },
            limit,
            suites,
        }
    }

    /// A small project that passes but for one flaky and one failing case, without trouble of its own.
    #[must_use]
    pub fn happy(seed: u64) -> Self {
        let random = &mut SplitMix::new(seed);
        let mut suites: Vec<SuiteTruth> =
            (0..2).map(|number| truth::suite(random, &format!("s{number}"), true)).collect();
        for suite in &mut suites {
            suite.units.truncate(3);
            for unit in &mut suite.units {
                unit.cases.truncate(3);
            }
        }
        let two = [truth::Behaviour::Flaky(1), truth::Behaviour::Fails];
        let last_suite = suites.last_mut().into_iter().flat_map(|suite| &mut suite.units);
        for (case, behaviour) in last_suite.flat_map(|unit| &mut unit.cases).zip(two) {
            case.behaviour = behaviour;
        }
        let plans = (0..2_u64)
            .map(|number| SuiteSpec {
                shards: Shards::Fixed(if number == 0 { 1 } else { 2 }),
                slots: Some(2),
                needs: if number == 1 { vec!["s0".to_owned()] } else { Vec::new() },
                ..SuiteSpec::new(&format!("s{number}"), Framework::Command)
            })
            .collect();
        Self {
            seed,
            suites,
            plans,
            runs: 1,
            fail_fast: None,
            timeout_ms: 3_600_000,
            patient: true,
            trouble_ms: 3_600_000,
            closing_bytes: 4 * 1024,
            rates: Rates::default(),
            link_rate: 0,
            launch_rates: LaunchRates::default(),
            service_deaths: 0,
            slow_calls: 0,
            events_told: 1_000,
            chaos_ms: 0,
            cancel_at_ms: None,
            quotas: None,
            stride: Stride::default(),
            limit: None,
        }
    }

    /// A project that is as large as can be, on a cloud with its quotas and without trouble: so many shards, units of so
    /// many cases each that pass, and the time that a unit takes, in milliseconds.
    #[must_use]
    pub fn large(seed: u64, shards: u32, (units, cases): (u64, u64), unit_ms: (u64, u64)) -> Self {
        let random = &mut SplitMix::new(seed);
        let small = Self::happy(seed);
        let units = (0..units).map(|number| {
            let key = format!("large/test_module_{number:05}.py");
            // Nobody looks while it works, so its first case takes all its time.
            let all_ms = unit_ms.0 + random.below(unit_ms.1 - unit_ms.0 + 1);
            truth::passing_unit(key, (0..cases).map(|case| if case == 0 { all_ms } else { 0 }))
        });
        let suite = SuiteTruth { name: "large".to_owned(), units: units.collect(), broken: false };
        let plan = SuiteSpec {
            shards: Shards::Fixed(shards),
            slots: Some(1),
            ..SuiteSpec::new("large", Framework::Command)
        };
        Self { suites: vec![suite], plans: vec![plan], quotas: Some(AWS), ..small }
    }

    /// What is submitted.
    #[must_use]
    pub fn specs(&self) -> Vec<RunSpec> {
        let spec = RunSpec {
            project: project(),
            source: Source::Directory { path: "/simulated".to_owned() },
            commit: None,
            branch: None,
            suites: self.plans.clone(),
            fail_fast: self.fail_fast,
            filter: None,
            chosen: Vec::new(),
            timeout_ms: self.timeout_ms,
        };
        (0..self.runs).map(|_| spec.clone()).collect()
    }

    pub(super) fn port_faults(&self) -> Seeded {
        Seeded::new(self.seed ^ 0xfa17, self.rates)
    }

    pub(super) fn link_plan(&self) -> LinkPlan {
        LinkPlan::Rough(self.link_rate, SplitMix::new(self.seed ^ 0x7e7))
    }
}

/// The project of all runs.
pub(super) fn project() -> ProjectId {
    ProjectId("simulated".to_owned())
}

/// Time of every case, one after the other.
fn work_ms(suites: &[SuiteTruth]) -> u64 {
    let units = suites.iter().flat_map(|suite| &suite.units);
    units.flat_map(|unit| &unit.cases).map(|case| case.duration_ms).sum()
}

fn plan(random: &mut SplitMix, number: u64) -> SuiteSpec {
    let most = if random.chance(150) { 8 } else { 3 };
    let shards = u32::try_from(random.below(most) + 1).unwrap_or(1);
    let needs = if number > 0 && random.chance(500) {
        vec![format!("s{}", random.below(number))]
    } else {
        Vec::new()
    };
    SuiteSpec {
        shards: if random.chance(150) { Shards::Auto } else { Shards::Fixed(shards) },
        target_time_ms: random.chance(500).then_some(20_000),
        slots: Some(u32::try_from(random.below(4) + 1).unwrap_or(1)),
        retries: u32::try_from(random.below(3)).unwrap_or(0),
        timeout_ms: if random.chance(100) { random.below(300_000) + 5_000 } else { 3_600_000 },
        needs,
        ..SuiteSpec::new(&format!("s{number}"), Framework::Command)
    }
}

fn rates(mood: u64) -> Rates {
    let some = |fault: u64, wake: u64| Rates {
        fail_before: fault,
        fail_after: fault,
        drop: wake,
        duplicate: wake,
        delay: 2 * wake,
        delay_limit_ms: 240_000,
    };
    match mood {
        0 => some(0, 100),
        1 => some(3, 100),
        2 => some(15, 200),
        _ => some(60, 300),
    }
}
