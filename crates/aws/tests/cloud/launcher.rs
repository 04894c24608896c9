//! The launcher's contract on ECS, and what only ECS can get wrong. ECS is a strict fake on HTTP.

use crate::hosted::Hosted;
use crate::stage;
use aws::config::Fleet;
use aws::connection::Connection;
use aws::ecs::{EcsLauncher, launch_of};
use serde_json::Value;
use shared::domain::id::{JobNo, RunId, ShardAttempt};
use shared::ports::{LaunchOrder, Launcher as _, PortError, RunnerState};
use testkit::contract::block_on;
use testkit::ecs::{CLUSTER, CONTAINER, End, FakeEcs, TASK_DEFINITION, Trouble};

testkit::launcher_contract!(ecs_launcher, with_room_for_two());

type Stage = (Hosted<EcsLauncher>, (FakeEcs, Connection));

fn fleet() -> Fleet {
    Fleet {
        cluster: CLUSTER.to_owned(),
        task_definition: TASK_DEFINITION.to_owned(),
        container: CONTAINER.to_owned(),
        subnets: vec!["subnet-a".to_owned(), "subnet-b".to_owned()],
        security_groups: vec!["sg-1".to_owned()],
        public_address: false,
        spot: true,
        link_url: "https://link.example.org".to_owned(),
    }
}

fn launcher_of(fake: &FakeEcs, fleet: Fleet) -> (Hosted<EcsLauncher>, Connection) {
    let connection = Connection::new(stage::account(&fake.url()));
    (Hosted(EcsLauncher::new(connection.ecs(), fleet)), connection)
}

fn staged() -> Stage {
    let fake = FakeEcs::new();
    let (launcher, connection) = launcher_of(&fake, fleet());
    (launcher, (fake, connection))
}

fn with_room_for_two() -> Stage {
    let stage = staged();
    stage.1.0.limit_tasks(2);
    stage
}

fn order(shard: u32) -> LaunchOrder {
    let shard = ShardAttempt { run: RunId(1 << 90), job: JobNo(1), shard, attempt: 1 };
    LaunchOrder { shard, bootstrap_token: "one-shot".to_owned(), slots: Some(2), round: 0, again: false }
}

fn launch(launcher: &Hosted<EcsLauncher>, shard: u32) -> String {
    block_on(launcher.launch(&order(shard))).unwrap()
}

fn describe(launcher: &Hosted<EcsLauncher>, shard: u32) -> RunnerState {
    block_on(launcher.describe(&order(shard).shard)).unwrap()
}

/// Describes until the task is over.
fn ended(launcher: &Hosted<EcsLauncher>, shard: u32) -> (Option<i32>, String) {
    for _ in 0..20 {
        if let RunnerState::Stopped { exit_code, reason } = describe(launcher, shard) {
            return (exit_code, reason);
        }
    }
    panic!("it never stopped")
}

fn told(launch: &Value) -> (&str, &str) {
    let provider = launch["capacityProviderStrategy"][0]["capacityProvider"].as_str().unwrap();
    (provider, launch["networkConfiguration"]["awsvpcConfiguration"]["subnets"][0].as_str().unwrap())
}

#[test]
fn a_task_is_started_with_one_request_that_says_whose_it_is() {
    let (launcher, (fake, connection)) = staged();
    launch(&launcher, 1);
    assert_eq!(connection.counts().of("ECS"), 1);
    let asked = fake.launches().remove(0);
    assert_eq!(launch_of(asked["startedBy"].as_str().unwrap()), Some(order(1).shard));
    let tags = asked["tags"].as_array().unwrap();
    assert!(tags.iter().any(|tag| tag["key"] == "fleetest:shard" && tag["value"] == "1"), "{tags:?}");
    let environment = &asked["overrides"]["containerOverrides"][0]["environment"];
    assert!(environment.to_string().contains("one-shot") && environment.to_string().len() < 1024);
    assert_eq!(asked["count"], 1);
}

#[test]
fn spare_capacity_in_each_zone_comes_before_the_ordinary_one() {
    let (launcher, (fake, _connection)) = staged();
    fake.fill("FARGATE_SPOT", "subnet-a");
    launch(&launcher, 1);
    assert_eq!(told(fake.launches().last().unwrap()), ("FARGATE_SPOT", "subnet-b"));
    fake.fill("FARGATE_SPOT", "subnet-b");
    launch(&launcher, 2);
    assert_eq!(told(fake.launches().last().unwrap()).0, "FARGATE");
    fake.fill("FARGATE", "subnet-a");
    fake.fill("FARGATE", "subnet-b");
    let before = fake.launches().len();
    let refused = block_on(launcher.launch(&order(3)));
    assert!(
        matches!(&refused, Err(PortError::Unavailable { reason, .. }) if reason.contains("Capacity")),
        "{refused:?}"
    );
    assert_eq!(fake.launches().len() - before, 4);
    assert_eq!(describe(&launcher, 3), RunnerState::Unknown);
    // The tokens of these tries stand for refusals now, whatever room there is.
    fake.empty();
    assert!(block_on(launcher.launch(&order(3))).is_err());
    let next = LaunchOrder { round: 1, again: true, ..order(3) };
    let arn = block_on(launcher.launch(&next)).unwrap();
    assert_eq!(fake.started(), 3);
    // A pass that knows nothing of this one finds its task.
    let later = LaunchOrder { round: 2, ..next };
    let (other, _connection) = launcher_of(&fake, fleet());
    assert_eq!(block_on(other.launch(&later)).unwrap(), arn);
    assert_eq!(fake.started(), 3);
}

#[test]
fn a_task_that_was_started_another_way_is_found_by_its_token() {
    let (launcher, (fake, _connection)) = staged();
    fake.fill("FARGATE_SPOT", "subnet-a");
    fake.fill("FARGATE_SPOT", "subnet-b");
    let first = launch(&launcher, 1);
    fake.empty();
    // Somebody else, who knows nothing, tries spare capacity again.
    let (other, _connection) = launcher_of(&fake, fleet());
    assert_eq!(launch(&other, 1), first);
    assert_eq!(fake.started(), 1);
}

#[test]
fn of_two_tasks_of_one_launch_the_live_one_counts() {
    let (launcher, (fake, _connection)) = staged();
    // A list that lags behind hides the task of a pass whose answer was lost.
    fake.lag(1);
    let first = launch(&launcher, 1);
    fake.lag(0);
    let (other, _connection) = launcher_of(&fake, fleet());
    let second = LaunchOrder { round: 1, again: true, ..order(1) };
    let second = block_on(other.launch(&second)).unwrap();
    assert_ne!(first, second);
    fake.end(&second, End::Exit(0));
    let (watcher, _connection) = launcher_of(&fake, fleet());
    let live = |state| matches!(state, RunnerState::Pending | RunnerState::Running);
    assert!((0..20).all(|_| live(describe(&watcher, 1))), "the other one is there");
    fake.end(&first, End::Exit(0));
    assert_eq!(ended(&watcher, 1).0, Some(0));
}

#[test]
fn a_launch_whose_answer_was_lost_is_done_once() {
    let (launcher, (fake, _connection)) = staged();
    fake.trouble([Trouble::Lost]);
    let arn = launch(&launcher, 1);
    assert_eq!(launch(&launcher, 1), arn);
    assert_eq!(fake.started(), 1);
}

#[test]
fn throttles_are_found_wherever_they_hide() {
    let error =
        |status, code: &str, message: &str| Trouble::Error(status, code.to_owned(), message.to_owned());
    for trouble in [
        error(400, "ThrottlingException", "Rate exceeded"),
        error(400, "ClientException", "Rate exceeded"),
        error(400, "ClientException", "Too many concurrent attempts to create a new task."),
        Trouble::Failure("Rate exceeded".to_owned()),
    ] {
        let (launcher, (fake, _connection)) = staged();
        fake.trouble(std::iter::repeat_n(trouble.clone(), 8));
        let refused = block_on(launcher.launch(&order(1)));
        assert!(matches!(refused, Err(PortError::Unavailable { .. })), "{trouble:?}: {refused:?}");
        assert!(fake.launches().len() <= 4, "a throttle is no reason to ask in the next zone");
        assert_eq!(fake.started(), 0);
    }
}

#[test]
fn failures_are_waited_out_if_they_pass_and_told_if_they_stay() {
    let (launcher, (fake, _connection)) = staged();
    fake.trouble([Trouble::Failure("RESOURCE:ENI".to_owned())]);
    launch(&launcher, 1);
    assert_eq!(fake.launches().len(), 2, "the next zone was tried");
    fake.trouble([Trouble::Failure("MISSING".to_owned())]);
    let refused = block_on(launcher.launch(&order(2)));
    assert!(matches!(refused, Err(PortError::Denied { .. })), "{refused:?}");
}

#[test]
fn what_is_not_deployed_or_not_allowed_is_denied() {
    let fake = FakeEcs::new();
    for wrong in [
        Fleet { cluster: "other".to_owned(), ..fleet() },
        Fleet { task_definition: "other".to_owned(), ..fleet() },
        Fleet { container: "other".to_owned(), ..fleet() },
        Fleet { security_groups: vec!["sg".to_owned(); 6], ..fleet() },
    ] {
        let (launcher, _connection) = launcher_of(&fake, wrong.clone());
        let refused = block_on(launcher.launch(&order(1)));
        assert!(matches!(refused, Err(PortError::Denied { .. })), "{wrong:?}: {refused:?}");
    }
    let (launcher, _connection) = launcher_of(&fake, fleet());
    let denied = "User is not authorized to perform: ecs:RunTask";
    fake.trouble([Trouble::Error(400, "AccessDeniedException".to_owned(), denied.to_owned())]);
    let refused = block_on(launcher.launch(&order(1)));
    assert!(
        matches!(&refused, Err(PortError::Denied { reason, .. }) if reason.contains("role")),
        "{refused:?}"
    );
    assert_eq!(fake.started(), 0);
}

#[test]
fn a_life_is_seen_from_its_beginning_to_its_end() {
    let (launcher, (fake, _connection)) = staged();
    let arn = launch(&launcher, 1);
    let seen: Vec<RunnerState> = (0..5).map(|_| describe(&launcher, 1)).collect();
    use RunnerState::{Pending, Running};
    assert_eq!(seen, [Pending, Pending, Pending, Running, Running]);
    fake.end(&arn, End::Exit(0));
    assert_eq!(describe(&launcher, 1), Running, "on its way out");
    assert_eq!(ended(&launcher, 1).0, Some(0));
}

#[test]
fn ends_are_told_apart() {
    for (end, code, words) in [
        (End::Exit(0), Some(0), "exit code 0"),
        (End::Exit(3), Some(3), "exit code 3"),
        (End::Exit(139), None, "signal 11"),
        (End::OutOfMemory, None, "out of memory"),
        (End::Spot, None, "taken back"),
        (
            End::NotStarted("CannotPullContainerError: no such image".to_owned()),
            None,
            "CannotPullContainerError",
        ),
    ] {
        let (launcher, (fake, _connection)) = staged();
        let arn = launch(&launcher, 1);
        fake.end(&arn, end.clone());
        let (exit_code, reason) = ended(&launcher, 1);
        assert_eq!(exit_code, code, "{end:?}");
        assert!(reason.contains(words), "{end:?}: {reason}");
    }
}

#[test]
fn a_launcher_that_has_forgotten_everything_finds_and_stops_its_tasks() {
    let (launcher, (fake, _connection)) = staged();
    launch(&launcher, 1);
    launch(&launcher, 2);
    drop(launcher);
    let (second, _connection) = launcher_of(&fake, fleet());
    assert_eq!(describe(&second, 1), RunnerState::Pending);
    block_on(second.stop(&order(1).shard)).unwrap();
    assert!(ended(&second, 1).1.contains("stopped"));
    assert_ne!(describe(&second, 2), RunnerState::Unknown);
    let (third, _connection) = launcher_of(&fake, fleet());
    assert!(ended(&third, 1).1.contains("stopped"), "stopped tasks are found too");
}

#[test]
fn lists_that_lag_behind_do_not_hide_what_this_launcher_started() {
    let (launcher, (fake, _connection)) = staged();
    fake.lag(2);
    launch(&launcher, 1);
    let (other, _connection) = launcher_of(&fake, fleet());
    assert_eq!(describe(&other, 1), RunnerState::Unknown, "others see it later");
    assert_eq!(describe(&launcher, 1), RunnerState::Pending);
    block_on(launcher.stop(&order(1).shard)).unwrap();
    assert!(matches!(ended(&launcher, 1), (None, _)));
}

#[test]
fn what_ecs_has_forgotten_is_unknown_and_gone() {
    let (launcher, (fake, _connection)) = staged();
    let arn = launch(&launcher, 1);
    fake.end(&arn, End::Exit(0));
    ended(&launcher, 1);
    fake.advance_s(3601);
    assert_eq!(describe(&launcher, 1), RunnerState::Unknown);
    block_on(launcher.stop(&order(1).shard)).unwrap();
}
