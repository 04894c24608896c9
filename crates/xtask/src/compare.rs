//! Compares two lists of cases as multisets: class, name and outcome, each as often as it occurs.

use std::collections::BTreeMap;
use std::fmt;

/// What a report says of a case, in the order of gravity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Nothing bad.
    Passed,
    /// Not run, or expected to fail.
    Skipped,
    /// An assertion did not hold.
    Failed,
    /// Could not be judged.
    Errored,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Errored => "errored",
        })
    }
}

/// A case as a report shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Case {
    /// Class path.
    pub(crate) class: String,
    /// Name with its variant.
    pub(crate) name: String,
    /// Outcome.
    pub(crate) outcome: Outcome,
}

/// How many cases of each outcome a report has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// All.
    pub(crate) cases: usize,
    /// Passed.
    pub(crate) passed: usize,
    /// Failed or errored.
    pub(crate) failed: usize,
    /// Skipped.
    pub(crate) skipped: usize,
}

/// Counts cases.
pub(crate) fn tally(cases: &[Case]) -> Tally {
    let of = |wanted: &[Outcome]| cases.iter().filter(|case| wanted.contains(&case.outcome)).count();
    Tally {
        cases: cases.len(),
        passed: of(&[Outcome::Passed]),
        failed: of(&[Outcome::Failed, Outcome::Errored]),
        skipped: of(&[Outcome::Skipped]),
    }
}

/// How often a case has an outcome: in the reference, in the candidate.
type Outcomes = BTreeMap<Outcome, (usize, usize)>;

/// Every difference between the reference and the candidate, one sentence each; empty = equal.
pub(crate) fn differences(reference: &[Case], candidate: &[Case]) -> Vec<String> {
    let mut seen: BTreeMap<(&str, &str), Outcomes> = BTreeMap::new();
    for case in reference {
        seen.entry((&case.class, &case.name)).or_default().entry(case.outcome).or_default().0 += 1;
    }
    for case in candidate {
        seen.entry((&case.class, &case.name)).or_default().entry(case.outcome).or_default().1 += 1;
    }
    seen.iter()
        .filter(|(_, outcomes)| outcomes.values().any(|(left, right)| left != right))
        .map(|((class, name), outcomes)| {
            let left = side(outcomes, |pair| pair.0);
            let right = side(outcomes, |pair| pair.1);
            let case = if class.is_empty() { (*name).to_owned() } else { format!("{class}::{name}") };
            format!("`{case}`: framework {left}, fleetest {right}")
        })
        .collect()
}

fn side(outcomes: &Outcomes, pick: fn(&(usize, usize)) -> usize) -> String {
    let parts: Vec<String> = outcomes
        .iter()
        .filter(|(_, pair)| pick(pair) > 0)
        .map(|(outcome, pair)| match pick(pair) {
            1 => outcome.to_string(),
            count => format!("{count} × {outcome}"),
        })
        .collect();
    if parts.is_empty() { "absent".to_owned() } else { parts.join(" + ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str, outcome: Outcome) -> Case {
        Case { class: "m".to_owned(), name: name.to_owned(), outcome }
    }

    #[test]
    fn order_does_not_matter_but_numbers_do() {
        let a = [case("x", Outcome::Passed), case("y", Outcome::Failed), case("x", Outcome::Passed)];
        let b = [case("y", Outcome::Failed), case("x", Outcome::Passed), case("x", Outcome::Passed)];
        assert!(differences(&a, &b).is_empty());
        assert_eq!(differences(&a, &b[..2]), ["`m::x`: framework 2 × passed, fleetest passed"]);
    }

    #[test]
    fn a_changed_outcome_and_a_missing_case_are_named() {
        let reference = [case("x", Outcome::Passed), case("y", Outcome::Skipped)];
        let candidate = [case("x", Outcome::Failed), case("z", Outcome::Passed)];
        assert_eq!(
            differences(&reference, &candidate),
            [
                "`m::x`: framework passed, fleetest failed",
                "`m::y`: framework skipped, fleetest absent",
                "`m::z`: framework absent, fleetest passed",
            ]
        );
    }

    #[test]
    fn the_tally_adds_up() {
        let all =
            [Outcome::Passed, Outcome::Errored, Outcome::Failed, Outcome::Skipped].map(|o| case("x", o));
        assert_eq!(tally(&all), Tally { cases: 4, passed: 1, failed: 2, skipped: 1 });
    }
}
