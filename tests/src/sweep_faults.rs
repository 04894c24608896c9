//! The generated sweep: the happy path once, then again for each of its steps with that step failing before it
//! happens, failing after it, or happening twice. Every history must come to the same end.

use crate::fault::Fault;
use crate::sim::{History, Scenario, Trouble, history};
use crate::world::link::Mishap;

/// How long a repeated or late message takes, in milliseconds.
const LATE_MS: u64 = 1_500;

/// One generated history that did not come to the end of the happy path.
#[derive(Debug)]
pub struct Deviation {
    /// The step and what happened to it.
    pub trouble: String,
    /// What is wrong.
    pub what: String,
}

/// Plays the happy path of a seed with every single fault; answers with the number of histories and what was wrong
/// in any of them.
#[must_use]
pub fn sweep_faults(seed: u64) -> (u64, Vec<Deviation>) {
    let scenario = Scenario::happy(seed);
    let happy = history(&scenario, Trouble::Nothing, false);
    let mut found = Vec::new();
    let mut histories = 1;
    if !happy.violations.is_empty() {
        found.push(Deviation { trouble: "nothing".to_owned(), what: happy.violations.join("\n") });
        return (histories, found);
    }
    for (call, _) in &happy.calls {
        let faults: &[Fault] = match (call.port, call.is_write()) {
            ("queue", _) => &[Fault::Drop, Fault::Duplicate, Fault::Delay(90_000), Fault::FailAfter],
            (_, true) => &[Fault::FailBefore, Fault::FailAfter],
            (_, false) => &[Fault::FailBefore],
        };
        for fault in faults {
            histories += 1;
            let played = history(&scenario, Trouble::Port(call.number, *fault), false);
            let trouble = || format!("{fault:?} at {} {} {}", call.port, call.operation, call.subject);
            found.extend(deviation(&happy, &played, trouble));
        }
    }
    for number in 0..happy.requests {
        for mishap in [
            Mishap::Twice(0),
            Mishap::Twice(LATE_MS),
            Mishap::RequestLost,
            Mishap::AnswerLost,
            Mishap::Late(LATE_MS),
        ] {
            histories += 1;
            let played = history(&scenario, Trouble::Request(number, mishap), false);
            found.extend(deviation(&happy, &played, || format!("{mishap:?} at request {number}")));
        }
    }
    (histories, found)
}

fn deviation(happy: &History, played: &History, trouble: impl FnOnce() -> String) -> Option<Deviation> {
    if !played.violations.is_empty() {
        return Some(Deviation { trouble: trouble(), what: played.violations.join("\n") });
    }
    (played.ends != happy.ends).then(|| Deviation {
        trouble: trouble(),
        what: format!("it came to {:?}, not to {:?}", played.ends, happy.ends),
    })
}
