//! What the simulated project really is: its units and cases, and how each behaves. Only runners see it while
//! it runs; the invariants compare what was reported with it.

use crate::memory::SplitMix;
use shared::domain::case::CaseId;
use shared::domain::outcome::Outcome;
use shared::domain::unit::{DiscoveredUnit, Selection};

/// How a case behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Always passes.
    Passes,
    /// Is skipped by the framework.
    Skipped,
    /// Always fails.
    Fails,
    /// Always runs into its own time limit.
    TimesOut,
    /// Fails in its first attempts, then passes.
    Flaky(u32),
    /// Always kills the process that the driver runs it in; the driver reports the unit aborted.
    KillsProcess,
    /// Always kills its own process; the driver reports the case crashed.
    Crashes,
    /// Always kills the whole runner.
    KillsRunner,
    /// Freezes the whole runner until that is given up.
    Freezes,
    /// Is found by the first collection of its unit only.
    Vanishes,
}

/// One case.
#[derive(Debug, Clone)]
pub struct CaseTruth {
    /// Id.
    pub id: CaseId,
    /// Behaviour.
    pub behaviour: Behaviour,
    /// Duration in virtual time.
    pub duration_ms: u64,
}

/// What collecting a unit comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    /// Its cases.
    Works,
    /// One errored case that stands for the unit.
    Errors,
    /// The process dies, always.
    Dies,
}

/// One unit.
#[derive(Debug, Clone)]
pub struct UnitTruth {
    /// Key.
    pub key: String,
    /// Cases.
    pub cases: Vec<CaseTruth>,
    /// Whether the cases are listed at discovery.
    pub listed: bool,
    /// Whether parts can be run.
    pub divisible: bool,
    /// Collection.
    pub collection: Collection,
}

/// One suite.
#[derive(Debug, Clone)]
pub struct SuiteTruth {
    /// Name.
    pub name: String,
    /// Units.
    pub units: Vec<UnitTruth>,
    /// Whether set-up fails, always.
    pub broken: bool,
}

impl UnitTruth {
    /// Cases that the `nth` collection (from 0) finds for a selection, as ids.
    #[must_use]
    pub fn collect(&self, selection: &Selection, first_time: bool) -> Vec<CaseTruth> {
        let chosen = selection.compile();
        let found = |case: &&CaseTruth| {
            chosen.keeps(&case.id) && (first_time || case.behaviour != Behaviour::Vanishes)
        };
        self.cases.iter().filter(found).cloned().collect()
    }

    fn discovered(&self) -> DiscoveredUnit {
        let cases = self.listed.then(|| self.cases.iter().map(|case| case.id.clone()).collect());
        DiscoveredUnit { key: self.key.clone(), cases, divisible: self.divisible, size_bytes: 0 }
    }
}

impl SuiteTruth {
    /// What discovery finds.
    #[must_use]
    pub fn discovered(&self) -> Vec<DiscoveredUnit> {
        self.units.iter().map(UnitTruth::discovered).collect()
    }

    /// A unit.
    #[must_use]
    pub fn unit(&self, key: &str) -> Option<&UnitTruth> {
        self.units.iter().find(|unit| unit.key == key)
    }
}

impl Behaviour {
    /// Outcomes that attempt `attempt` may be reported with; empty if it never gets as far as a result.
    #[must_use]
    pub fn outcome(self, attempt: u32) -> Option<Outcome> {
        match self {
            Self::Passes | Self::Vanishes => Some(Outcome::Passed),
            Self::Skipped => Some(Outcome::Skipped),
            Self::Fails => Some(Outcome::Failed),
            Self::TimesOut => Some(Outcome::TimedOut),
            Self::Flaky(failures) if attempt <= failures => Some(Outcome::Failed),
            Self::Flaky(_) => Some(Outcome::Passed),
            Self::Crashes => Some(Outcome::Crashed),
            Self::KillsProcess | Self::KillsRunner | Self::Freezes => None,
        }
    }
}

fn behaviour(random: &mut SplitMix, peaceful: bool) -> Behaviour {
    if peaceful {
        return if random.chance(50) { Behaviour::Skipped } else { Behaviour::Passes };
    }
    match random.below(1_000) {
        0..780 => Behaviour::Passes,
        780..820 => Behaviour::Skipped,
        820..870 => Behaviour::Fails,
        870..880 => Behaviour::TimesOut,
        880..930 => Behaviour::Flaky(u32::try_from(random.below(3) + 1).unwrap_or(1)),
        930..955 => Behaviour::KillsProcess,
        955..970 => Behaviour::Crashes,
        970..985 => Behaviour::KillsRunner,
        985..988 => Behaviour::Freezes,
        _ => Behaviour::Vanishes,
    }
}

/// A unit whose cases, one for each duration in milliseconds, all pass.
#[must_use]
pub fn passing_unit(key: String, durations: impl Iterator<Item = u64>) -> UnitTruth {
    let passing = |(number, duration_ms)| CaseTruth {
        id: CaseId(format!("{key}::test_{number:03}")),
        behaviour: Behaviour::Passes,
        duration_ms,
    };
    let cases = durations.enumerate().map(passing).collect();
    UnitTruth { key, cases, listed: false, divisible: true, collection: Collection::Works }
}

/// A suite of the given name; a peaceful one passes.
#[must_use]
pub fn suite(random: &mut SplitMix, name: &str, peaceful: bool) -> SuiteTruth {
    let largest = if random.chance(100) { 40 } else { 8 };
    let units = random.below(largest) + u64::from(!random.chance(30));
    let units = (0..units).map(|number| unit(random, name, number, peaceful)).collect();
    SuiteTruth { name: name.to_owned(), units, broken: !peaceful && random.chance(30) }
}

fn unit(random: &mut SplitMix, suite: &str, number: u64, peaceful: bool) -> UnitTruth {
    let key = format!("{suite}/u{number}");
    let largest = if random.chance(100) { 30 } else { 6 };
    let count = random.below(largest) + u64::from(!random.chance(50));
    let longest_ms = if random.chance(50) { 60_000 } else { 3_000 };
    let divisible = random.chance(700);
    let collection = match random.below(1_000) {
        0..15 if !peaceful => Collection::Errors,
        15..30 if !peaceful => Collection::Dies,
        _ => Collection::Works,
    };
    let cases = (0..count)
        .map(|case| CaseTruth {
            id: CaseId(format!("{key}::c{case}")),
            behaviour: behaviour(random, peaceful),
            duration_ms: random.below(longest_ms) + 1,
        })
        .collect();
    UnitTruth { key, cases, listed: divisible && random.chance(400), divisible, collection }
}
