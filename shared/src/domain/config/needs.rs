//! `needs`: every name is a suite, and no suite waits for itself.

use super::reader::{Reader, nearest};
use super::suite::ReadSuite;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(reader: &mut Reader<'_>, suites: &[ReadSuite]) {
    let names: BTreeSet<&str> = suites.iter().map(|suite| suite.spec.name.as_str()).collect();
    for (suite, (need, at)) in suites.iter().flat_map(|s| s.needs.iter().map(move |need| (s, need))) {
        if !names.contains(need.as_str()) {
            let others = names.iter().copied().filter(|name| *name != suite.spec.name);
            let hint = nearest(need, others).map_or_else(
                || format!("add `[suite.{need}]`, or remove the name"),
                |near| format!("did you mean `{near}`?"),
            );
            reader.problem(at.clone(), format!("`needs` names the unknown suite `{need}`"), hint);
        }
    }
    for cycle in cycles(suites) {
        let Some(first) = cycle.first() else { continue };
        let around: Vec<&str> = cycle.iter().chain([first]).map(|suite| suite.spec.name.as_str()).collect();
        let message = format!("`needs` goes round in a circle: {}", around.join(" → "));
        let at = first.needs.first().map_or_else(|| first.at.clone(), |(_, at)| at.clone());
        reader.problem(at, message, "remove one of them");
    }
}

/// Every cycle that a walk from each suite in turn meets first.
fn cycles(suites: &[ReadSuite]) -> Vec<Vec<&ReadSuite>> {
    let by_name: BTreeMap<&str, &ReadSuite> = suites.iter().map(|s| (s.spec.name.as_str(), s)).collect();
    let mut done = BTreeSet::new();
    let mut found = Vec::new();
    for suite in suites {
        // Each frame is a suite and the needs not yet followed; an explicit stack, so that a long chain is no crash.
        let mut stack = vec![(suite, suite.needs.iter())];
        while let Some((current, needs)) = stack.last_mut() {
            let name = current.spec.name.as_str();
            let Some((need, _)) = needs.next() else {
                done.insert(name);
                stack.pop();
                continue;
            };
            if done.contains(need.as_str()) {
                continue;
            }
            if let Some(start) = stack.iter().position(|(on_path, _)| on_path.spec.name == *need) {
                found.push(stack.iter().skip(start).map(|(suite, _)| *suite).collect());
            } else if let Some(next) = by_name.get(need.as_str()) {
                stack.push((next, next.needs.iter()));
            }
        }
    }
    found
}
