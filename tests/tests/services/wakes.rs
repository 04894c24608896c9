//! Who is woken by what: a wake that finds nothing to do is paid for like any other.

use super::all;
use super::desk::{Desk, now, spec, suite, unit};
use shared::domain::outcome::Outcome::Passed;
use shared::domain::spec::{Shards, SuiteSpec};
use shared::domain::verdict::Verdict;
use shared::ports::{Topic, Wake};
use shared::wire::link::RunnerEnd;

#[test]
fn the_runner_that_ends_last_wakes_who_closes_the_job() {
    let desk = Desk::new();
    let three = SuiteSpec { shards: Shards::Fixed(3), ..suite("unit") };
    let run = desk.submit(&spec(vec![three]));
    let mut hands: Vec<_> = (1..=3).map(|shard| desk.runner(1, shard, 1)).collect();
    hands[0].manifest(&[unit("a")]);
    while desk.queue.pop().is_some() {}
    hands[0].work(&|_| all("a", 1, Passed));
    for hand in [1, 0, 2] {
        assert_eq!(desk.queue.waiting(), [], "{hand}");
        hands[hand].finish(RunnerEnd::Done);
    }
    let woken: Vec<_> = std::iter::from_fn(|| desk.queue.pop()).collect();
    assert_eq!(woken, [Wake { topic: Topic::Aggregate, run }]);
    now(desk.services.handle(woken[0])).unwrap();
    assert_eq!(desk.end(run).verdict, Verdict::Passed);
}
