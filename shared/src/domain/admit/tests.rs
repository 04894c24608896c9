//! The order by example, and what must hold for any runs and any number of slots.

use super::*;
use proptest::prelude::*;

fn run(id: u128, project: &str, shards: &[u32]) -> OpenRun {
    let wants = (1..).zip(shards).map(|(shard, &slots)| Want { job: JobNo(1), shard, slots });
    OpenRun {
        run: RunId(id),
        project: ProjectId(project.to_owned()),
        priority: 0,
        project_priority: 0,
        queued_at: Timestamp(u64::try_from(id).unwrap()),
        concurrency: None,
        begun: false,
        taken: 0,
        wanted: wants.collect(),
    }
}

fn order(runs: &[OpenRun], slots: u32) -> Vec<u128> {
    admit(runs, slots).iter().map(|grant| grant.run.0).collect()
}

#[test]
fn priority_of_the_run_then_of_the_project_then_age() {
    let urgent = OpenRun { priority: 1, ..run(4, "a", &[1]) };
    let favoured = OpenRun { project_priority: 5, ..run(3, "b", &[1]) };
    assert_eq!(order(&[run(1, "a", &[1]), run(2, "c", &[1]), favoured, urgent], 9), [4, 3, 2, 1]);
}

#[test]
fn projects_take_turns() {
    let runs = [run(1, "a", &[1, 1, 1]), run(2, "a", &[1]), run(3, "b", &[1, 1])];
    assert_eq!(order(&runs, 9), [1, 3, 1, 3, 1, 2]);
    let busy = OpenRun { taken: 2, begun: true, ..run(1, "a", &[1, 1, 1]) };
    assert_eq!(order(&[busy, run(3, "b", &[1, 1, 1])], 5), [3, 3, 1]);
}

#[test]
fn who_does_not_fit_is_waited_for() {
    let busy = OpenRun { taken: 3, begun: true, ..run(1, "a", &[]) };
    assert_eq!(order(&[busy, run(2, "b", &[2]), run(3, "c", &[1])], 4), Vec::<u128>::new());
    assert_eq!(order(&[run(2, "b", &[64])], 4), [2], "more than there is counts as all");
}

#[test]
fn a_run_that_its_project_holds_back_lets_others_pass() {
    let one = |run: OpenRun| OpenRun { concurrency: Some(1), ..run };
    let begun = OpenRun { begun: true, ..one(run(1, "a", &[1])) };
    assert_eq!(order(&[begun, one(run(2, "a", &[1])), run(3, "b", &[1])], 9), [1, 3]);
    assert_eq!(order(&[one(run(2, "a", &[1, 1])), one(run(4, "a", &[1]))], 9), [2, 2]);
}

fn runs() -> impl Strategy<Value = Vec<OpenRun>> {
    let one = (
        0_u8..4,
        -1_i32..2,
        0_u64..6,
        prop::option::of(1_u32..4),
        any::<bool>(),
        0_u32..4,
        prop::collection::vec(0_u32..6, 0..4),
    );
    prop::collection::vec(one, 0..12).prop_map(|all| {
        let limits: BTreeMap<u8, Option<u32>> = all.iter().map(|one| (one.0, one.3)).collect();
        let built =
            (1_u128..).zip(all).map(|(id, (project, priority, queued_at, _, begun, taken, wanted))| {
                OpenRun {
                    priority,
                    project_priority: i32::from(project % 2),
                    queued_at: Timestamp(queued_at),
                    concurrency: limits[&project],
                    begun: begun || taken > 0,
                    taken,
                    ..run(id, &project.to_string(), &wanted)
                }
            });
        built.collect()
    })
}

fn find(runs: &[OpenRun], id: RunId) -> &OpenRun {
    runs.iter().find(|run| run.run == id).unwrap()
}

proptest! {
    #[test]
    fn never_over_budget(runs in runs(), slots in 1_u32..12) {
        let before: u32 = runs.iter().map(|run| run.taken).sum();
        let granted: u32 = admit(&runs, slots).iter().map(|grant| {
            let wanted = &find(&runs, grant.run).wanted;
            wanted.iter().find(|want| want.shard == grant.shard).unwrap().slots.clamp(1, slots)
        }).sum();
        prop_assert!(granted == 0 || before + granted <= slots);
    }

    #[test]
    fn no_project_has_more_runs_at_work_than_it_may(runs in runs(), slots in 1_u32..12) {
        let mut begun: BTreeMap<&ProjectId, Vec<RunId>> = BTreeMap::new();
        for run in runs.iter().filter(|run| run.begun) {
            begun.entry(&run.project).or_default().push(run.run);
        }
        for grant in admit(&runs, slots) {
            let run = find(&runs, grant.run);
            let all = begun.entry(&run.project).or_default();
            if !all.contains(&run.run) {
                all.push(run.run);
                prop_assert!(run.concurrency.is_none_or(|limit| all.len() <= limit as usize));
            }
        }
    }

    #[test]
    fn the_order_of_the_list_says_nothing(runs in runs(), slots in 1_u32..12, turn in 0_usize..12) {
        let mut turned = runs.clone();
        turned.reverse();
        let turn = turn % turned.len().max(1);
        turned.rotate_left(turn);
        prop_assert_eq!(admit(&runs, slots), admit(&turned, slots));
    }

    #[test]
    fn nothing_starts_twice_and_each_run_in_its_own_order(runs in runs(), slots in 1_u32..12) {
        let grants = admit(&runs, slots);
        for run in &runs {
            let own: Vec<u32> = grants.iter().filter(|g| g.run == run.run).map(|g| g.shard).collect();
            let wanted: Vec<u32> = run.wanted.iter().map(|want| want.shard).take(own.len()).collect();
            prop_assert_eq!(own, wanted);
        }
    }

    /// Runs keep coming in every project, each runner works for a few rounds: who waits is served after a time that
    /// follows from those before it alone, however many come later.
    #[test]
    fn nobody_among_equals_is_starved(
        wide in prop::collection::vec((0_u8..3, 1_u32..7), 1..40),
        limit in prop::option::of(1_u32..3),
        slots in 1_u32..6,
        works in 1_u32..4,
    ) {
        let mut waiting: Vec<(u32, OpenRun)> = Vec::new();
        let mut working: Vec<(u32, OpenRun)> = Vec::new();
        let mut arrivals = (1_u128..).zip(wide);
        for round in 0_u32..400 {
            if let Some((id, (project, slots))) = arrivals.next() {
                let fresh = run(id, &project.to_string(), &[slots]);
                waiting.push((round, OpenRun { concurrency: limit, ..fresh }));
            }
            working.retain(|(since, _)| round - since < works);
            let all: Vec<OpenRun> = working.iter().chain(&waiting).map(|(_, run)| run.clone()).collect();
            for grant in admit(&all, slots) {
                let at = waiting.iter().position(|(_, run)| run.run == grant.run).unwrap();
                let (since, mut run) = waiting.remove(at);
                let ahead = u32::try_from(waiting.iter().filter(|(_, other)| {
                    other.project == run.project && other.queued_at < run.queued_at
                }).count()).unwrap();
                prop_assert_eq!(ahead, 0, "{:?} overtook its own project", run.run);
                let older = u32::try_from(run.run.0).unwrap();
                prop_assert!(round - since <= older * 4 * (works + 1), "{:?} waited too long", run.run);
                run.taken = run.wanted[0].slots.clamp(1, slots);
                run.begun = true;
                run.wanted.clear();
                working.push((round, run));
            }
        }
        prop_assert!(waiting.is_empty());
    }
}
