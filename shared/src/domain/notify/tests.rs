//! Who is told what, in every combination; and what hostile names look like in every channel.

use super::delivery::{ATTEMPTS, Delivery, DeliveryStatus, delivery_id};
use super::parcel::{Answer, HttpCall, Mail, Parcel};
use super::rule::GithubPlace;
use super::story::{CaseLine, JobLine, Story, Told};
use super::*;
use crate::domain::id::{EventId, ProjectId, RunId};
use crate::domain::outcome::{Counts, Outcome};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use proptest::prelude::*;
use serde_json::Value;

const OCCASIONS: [Occasion; 4] =
    [Occasion::Finished, Occasion::Failure, Occasion::FirstFailureAndRecovery, Occasion::NewFlaky];
const VERDICTS: [Verdict; 5] =
    [Verdict::Passed, Verdict::Failed, Verdict::TimedOut, Verdict::Errored, Verdict::Cancelled];
const HOSTILE: &str =
    "test_<!channel>&<@U1>`*b*`_i_[x](http://evil)\u{202e}\u{1b}[31m\"'<script>alert(1)</script>\r\nBcc: x";

fn rule(on: &[Occasion], branches: &[&str]) -> Rule {
    Rule {
        id: RuleId(7),
        name: "team".to_owned(),
        on: on.iter().copied().collect(),
        branches: branches.iter().map(|branch| (*branch).to_owned()).collect(),
        channel: Channel::Email { to: vec!["a@example.org".to_owned()] },
        paused: false,
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
    }
}

fn github(report: GithubReport, token: Option<&str>) -> Channel {
    Channel::Github(GithubPlace {
        owner: "o".to_owned(),
        repo: "r".to_owned(),
        token: token.map(Secret::new),
        api_url: None,
        report,
    })
}

fn ended(verdict: Verdict, previous: Option<Verdict>) -> Ended {
    Ended { verdict, branch: Some("main".to_owned()), partial: false, previous, newly_flaky: false }
}

fn told_events(rule: &Rule, ended: &Ended) -> Vec<Event> {
    decide(std::slice::from_ref(rule), ended).into_iter().flat_map(|telling| telling.events).collect()
}

#[test]
fn each_occasion_is_heard_when_it_is_due_and_only_then() {
    use Event::{Failed, Finished, FirstFailure, Recovered};
    use Verdict::{Cancelled, Errored, Failed as Red, Passed, TimedOut};
    let table: [(Occasion, Verdict, Option<Verdict>, &[Event]); 14] = [
        (Occasion::Finished, Passed, None, &[Finished]),
        (Occasion::Finished, Cancelled, None, &[Finished]),
        (Occasion::Failure, Red, Some(Red), &[Failed]),
        (Occasion::Failure, Errored, None, &[Failed]),
        (Occasion::Failure, Passed, Some(Red), &[]),
        (Occasion::Failure, Cancelled, None, &[]),
        (Occasion::FirstFailureAndRecovery, Red, None, &[FirstFailure]),
        (Occasion::FirstFailureAndRecovery, Red, Some(Passed), &[FirstFailure]),
        (Occasion::FirstFailureAndRecovery, Red, Some(Errored), &[]),
        (Occasion::FirstFailureAndRecovery, Passed, Some(TimedOut), &[Recovered]),
        (Occasion::FirstFailureAndRecovery, Passed, Some(Passed), &[]),
        (Occasion::FirstFailureAndRecovery, Passed, None, &[]),
        (Occasion::FirstFailureAndRecovery, Cancelled, Some(Red), &[]),
        (Occasion::NewFlaky, Red, None, &[]),
    ];
    for (on, verdict, previous, events) in table {
        let heard = told_events(&rule(&[on], &[]), &ended(verdict, previous));
        assert_eq!(heard, events, "{on:?} {verdict} after {previous:?}");
    }
    let flaky = Ended { newly_flaky: true, ..ended(Passed, None) };
    assert_eq!(told_events(&rule(&[Occasion::NewFlaky], &[]), &flaky), [Event::NewlyFlaky]);
}

#[test]
fn a_part_of_the_tests_says_nothing_about_the_branch_nor_to_github() {
    let part = Ended { partial: true, ..ended(Verdict::Passed, Some(Verdict::Failed)) };
    assert_eq!(told_events(&rule(&[Occasion::FirstFailureAndRecovery], &[]), &part), []);
    assert_eq!(told_events(&rule(&[Occasion::Finished], &[]), &part), [Event::Finished]);
    let check = Rule { channel: github(GithubReport::Both, None), ..rule(&[Occasion::Finished], &[]) };
    assert_eq!(told_events(&check, &part), []);
}

#[test]
fn branches_are_names_or_beginnings() {
    let listens = |patterns: &[&str], branch: Option<&str>| rule(&[], patterns).listens_to(branch);
    assert!(listens(&[], None) && listens(&[], Some("x")) && listens(&["*"], Some("x")));
    assert!(listens(&["main", "release/*"], Some("release/1")) && listens(&["main"], Some("main")));
    for (patterns, branch) in [(&["main"], Some("main2")), (&["main*"], None), (&["x/*"], Some("x"))] {
        assert!(!listens(patterns, branch), "{patterns:?} {branch:?}");
    }
    assert!(!Rule { paused: true, ..rule(&[], &[]) }.listens_to(Some("main")));
}

proptest! {
    #[test]
    fn a_rule_is_told_once_of_what_it_asked_for_and_only_of_news(
        on in proptest::collection::btree_set(proptest::sample::select(OCCASIONS.to_vec()), 1..5),
        verdict in proptest::sample::select(VERDICTS.to_vec()),
        previous in proptest::option::of(proptest::sample::select(VERDICTS.to_vec())),
        partial: bool,
        newly_flaky: bool,
        twins in 1_usize..4,
    ) {
        let rules: Vec<Rule> = (0..twins)
            .map(|no| Rule { id: RuleId(no as u128), on: on.clone(), ..rule(&[], &[]) })
            .collect();
        let ended = Ended { partial, newly_flaky, ..ended(verdict, previous) };
        let told = decide(&rules, &ended);
        prop_assert_eq!(&told, &decide(&rules, &ended));
        let mut ids: Vec<RuleId> = told.iter().map(|telling| telling.rule).collect();
        ids.dedup();
        prop_assert_eq!(ids.len(), told.len());
        for telling in &told {
            let has = |event| telling.events.contains(&event);
            prop_assert!(!telling.events.is_empty() && telling.events.len() <= on.len());
            prop_assert!(!(has(Event::Recovered) && has(Event::FirstFailure)));
            prop_assert!(!(has(Event::Failed) || has(Event::FirstFailure)) || is_red(verdict));
            prop_assert!(!has(Event::Recovered) || verdict == Verdict::Passed);
            prop_assert!(!has(Event::NewlyFlaky) || newly_flaky);
        }
        if on.contains(&Occasion::Failure) && is_red(verdict) {
            prop_assert_eq!(told.len(), twins);
        }
    }

    #[test]
    fn a_delivery_ends_after_at_most_five_attempts(answers in proptest::collection::vec(0_u8..3, 0..12), asked in 0_u64..10_000_000) {
        let mut now = Timestamp(1_000);
        let mut delivery = Delivery::new(EventId(1), &rule(&[], &[]), BTreeSet::new(), story(), now);
        let mut tried = 0;
        for answer in answers {
            let Some(begun) = delivery.begun(now) else { break };
            tried += 1;
            prop_assert!(begun.begun(now).is_none(), "nobody else begins while it is tried");
            let answer = match answer {
                0 => Answer::Later { reason: "x".to_owned(), after_ms: None },
                1 => Answer::Later { reason: "x".to_owned(), after_ms: Some(asked) },
                _ => Answer::Delivered,
            };
            delivery = begun.answered(&answer, now);
            prop_assert_eq!(delivery.next_at.is_some(), delivery.status == DeliveryStatus::Pending);
            if let Some(next) = delivery.next_at {
                prop_assert!(next > now && next.since_ms(now) <= 3_600_000);
                now = next;
            }
        }
        prop_assert!(tried <= ATTEMPTS);
        prop_assert_eq!(delivery.again(now).begun(now).map(|begun| begun.tried), Some(1));
    }

    #[test]
    fn whatever_a_case_is_called_every_parcel_is_whole(name in ".{0,400}", message in ".{0,600}", branch in ".{0,300}") {
        let mut story = story();
        let line = CaseLine { case: name, message, ..story.failures[0].clone() };
        story.failures = vec![line; 60];
        story.branch = Some(branch);
        let told = Told { story: story.fitted(), ..told(&[Event::Failed]) };
        for channel in channels() {
            match render(&channel, &told).unwrap() {
                Parcel::Calls(calls) => for call in calls {
                    serde_json::from_str::<Value>(&call.body).unwrap();
                },
                Parcel::Mail(mail) => {
                    prop_assert!(!mail.subject.contains(['\r', '\n']));
                }
            }
        }
    }
}

#[test]
fn a_server_that_dies_while_it_sends_has_made_that_attempt() {
    let mut now = Timestamp(0);
    let mut delivery = Delivery::new(EventId(1), &rule(&[], &[]), BTreeSet::new(), story(), now);
    for tried in 1..=ATTEMPTS {
        delivery = delivery.begun(now).unwrap();
        assert_eq!(delivery.tried, tried);
        now = delivery.next_at.unwrap();
    }
    delivery = delivery.begun(now).unwrap();
    assert_eq!((delivery.status, delivery.next_at), (DeliveryStatus::Failed, None));
}

#[test]
fn ids_of_deliveries_are_derived_and_sort_by_time() {
    let id = |at, run, rule| delivery_id(Timestamp(at), RunId(run), RuleId(rule));
    assert_eq!(id(5, 1, 1), id(5, 1, 1));
    assert!(id(5, 1, 1) != id(5, 2, 1) && id(5, 1, 1) != id(5, 1, 2) && id(5, 9, 9) < id(6, 1, 1));
    let text = id(1_700_000_000_000, 1, 1).to_string();
    assert_eq!((text.as_bytes()[4 + 12], matches!(text.as_bytes()[4 + 16], b'8'..=b'b')), (b'7', true));
}

#[test]
fn rules_that_cannot_work_are_refused_at_their_place() {
    let url = |url: &str| Channel::Slack { url: Secret::new(url) };
    let email = |to: &str| Channel::Email { to: vec![to.to_owned()] };
    let base = rule(&[Occasion::Finished], &[]);
    let table: [(Rule, &str); 12] = [
        (Rule { name: "a\nb".to_owned(), ..base.clone() }, "/name"),
        (rule(&[], &[]), "/on"),
        (rule(&[Occasion::Finished], &["a*b*"]), "/branches"),
        (Rule { channel: url("ftp://x"), ..base.clone() }, "/channel/url"),
        (Rule { channel: url("https://user@x"), ..base.clone() }, "/channel/url"),
        (Rule { channel: url("https://x/ y"), ..base.clone() }, "/channel/url"),
        (Rule { channel: url("https:///x"), ..base.clone() }, "/channel/url"),
        (Rule { channel: email("a@b\r\nBcc: c@d"), ..base.clone() }, "/channel/to"),
        (Rule { channel: email("a@b,c@d"), ..base.clone() }, "/channel/to"),
        (Rule { channel: github(GithubReport::Both, Some("a b")), ..base.clone() }, "/channel/token"),
        (Rule { channel: github(GithubReport::Both, None), ..rule(&[Occasion::Failure], &[]) }, "/on"),
        (
            Rule {
                channel: Channel::Webhook { url: Secret::new("https://x"), secret: Secret::new("short") },
                ..base.clone()
            },
            "/channel/secret",
        ),
    ];
    for (rule, pointer) in table {
        assert_eq!(rule.check().map_err(|wrong| wrong.pointer), Err(pointer), "{rule:?}");
    }
    assert_eq!(base.check(), Ok(()));
    assert_eq!(rule(&[Occasion::Failure], &["main", "release/*", "*"]).check(), Ok(()));
}

#[test]
fn nothing_of_a_channels_secrets_is_shown() {
    for channel in channels() {
        let shown = format!("{:?} {}", channel, serde_json::to_string(&channel.masked()).unwrap());
        assert!(!shown.contains("canary"), "{shown}");
    }
}

fn channels() -> Vec<Channel> {
    vec![
        Channel::Slack { url: Secret::new("https://hooks.slack.com/services/canary") },
        Channel::Teams { url: Secret::new("https://x.logic.azure.com/workflows/canary") },
        Channel::Email { to: vec!["team@example.org".to_owned()] },
        Channel::Webhook {
            url: Secret::new("https://example.org/hook?canary"),
            secret: Secret::new("whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5"),
        },
        github(GithubReport::Both, Some("canary-token")),
    ]
}

fn story() -> Story {
    let mut counts = Counts::default();
    counts.announce(120);
    (0..116).for_each(|_| counts.settle(Outcome::Passed));
    for outcome in [Outcome::Failed, Outcome::Failed, Outcome::Crashed, Outcome::Skipped] {
        counts.settle(outcome);
    }
    counts.flaky = 1;
    let line = CaseLine {
        job: "unit".to_owned(),
        case: HOSTILE.to_owned(),
        file: Some("tests/test_a.py".to_owned()),
        line: Some(7),
        outcome: Outcome::Failed,
        message: HOSTILE.to_owned(),
    };
    let job = JobLine {
        name: "unit".to_owned(),
        verdict: Verdict::Failed,
        cause: Some("3 of 120 cases failed".to_owned()),
        counts,
    };
    Story {
        run: Some(RunId(5)),
        verdict: Verdict::Failed,
        cause: Some("3 of 120 cases failed".to_owned()),
        commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        branch: Some("feature/<b>".to_owned()),
        pull_request: Some(12),
        counts,
        queued_at: Timestamp(1_700_000_000_000),
        finished_at: Timestamp(1_700_000_065_000),
        jobs: vec![job],
        failures: vec![line.clone()],
        newly_flaky: vec![CaseLine { outcome: Outcome::Passed, ..line }],
        newly_flaky_count: 1,
        ..Story::test(ProjectId("web".to_owned()), "Web & <Co>".to_owned(), Timestamp(0))
    }
}

fn told(events: &[Event]) -> Told {
    Told {
        id: EventId(9),
        at: Timestamp(1_700_000_070_000),
        events: events.iter().copied().collect(),
        story: story(),
        link: Some("https://ci.example.org/v1/runs/run_1".to_owned()),
    }
}

fn shown(call: &HttpCall) -> String {
    let body: Value = serde_json::from_str(&call.body).unwrap();
    let headers: Vec<String> =
        call.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!(
        "POST {}\n{}{}\n",
        call.url.reveal(),
        headers.concat(),
        serde_json::to_string_pretty(&body).unwrap()
    )
}

fn rendered(channel: &Channel) -> String {
    let mut told = told(&[Event::FirstFailure, Event::NewlyFlaky]);
    told.story.failures = vec![line_from_record(); 2];
    told.story.newly_flaky = vec![CaseLine { outcome: Outcome::Passed, ..line_from_record() }];
    match render(channel, &told).unwrap() {
        Parcel::Calls(calls) => calls.iter().map(shown).collect(),
        Parcel::Mail(Mail { id, to, subject, text, html }) => {
            format!("{id} to {to:?}\nSubject: {subject}\n\n{text}\n----\n{html}")
        }
    }
}

/// A line as it is made of a record, so that its texts went through what makes them safe to print.
fn line_from_record() -> CaseLine {
    let line = story().failures[0].clone();
    CaseLine {
        case: crate::domain::render::one_line(&line.case, 160),
        message: crate::domain::render::one_line(&line.message, 300),
        ..line
    }
}

#[test]
fn hostile_names_are_inert_in_slack() {
    let text = rendered(&channels()[0]);
    assert!(!text.contains("<!channel>") && !text.contains("<@U1>") && !text.contains("<script"));
    insta::assert_snapshot!(text);
}

#[test]
fn hostile_names_are_inert_in_teams() {
    let text = rendered(&channels()[1]);
    assert!(!text.contains("\"TextBlock\"") && !text.contains("FactSet"), "those read Markdown");
    insta::assert_snapshot!(text);
}

#[test]
fn hostile_names_are_inert_in_mails() {
    let text = rendered(&channels()[2]);
    let html = text.split("----").nth(1).unwrap();
    assert!(!html.contains("<script") && !html.contains("<!channel>"));
    insta::assert_snapshot!(text);
}

#[test]
fn the_generic_webhook_is_signed_over_id_time_and_body() {
    let Parcel::Calls(calls) = render(&channels()[3], &told(&[Event::Failed])).unwrap() else { panic!() };
    let header = |name: &str| &calls[0].headers.iter().find(|(known, _)| known == name).unwrap().1;
    let secret = Secret::new("canarycanarycanary");
    let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
    assert_eq!(header("webhook-signature"), &signature(&secret, id, at, &calls[0].body));
    assert_ne!(header("webhook-signature"), &signature(&secret, id, "1", &calls[0].body));
    // The example of the convention's own documents.
    let known = signature(
        &Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        "{\"test\": 2432232314}",
    );
    assert_eq!(known, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    insta::assert_snapshot!(rendered(&channels()[3]));
}

#[test]
fn github_is_told_job_by_job_and_never_green_by_accident() {
    insta::assert_snapshot!(rendered(&channels()[4]));
    for verdict in VERDICTS {
        let mut told = told(&[Event::Finished]);
        told.story.jobs[0].verdict = verdict;
        let Parcel::Calls(calls) = render(&channels()[4], &told).unwrap() else { panic!() };
        let bodies: Vec<Value> = calls.iter().map(|call| serde_json::from_str(&call.body).unwrap()).collect();
        let green = (bodies[0]["conclusion"] == "success", bodies[1]["state"] == "success");
        assert_eq!(green, (verdict == Verdict::Passed, verdict == Verdict::Passed), "{verdict}");
        assert!(!["neutral", "skipped"].contains(&bodies[0]["conclusion"].as_str().unwrap()));
    }
    let mut nowhere = told(&[Event::Finished]);
    for commit in [None, Some("main"), Some("0123456"), Some("../../x")] {
        nowhere.story.commit = commit.map(str::to_owned);
        assert!(render(&channels()[4], &nowhere).is_err());
    }
}
