//! One error for everything that is wrong with an environment.

use super::*;
use crate::limits::SECURITY_GROUPS_LIMIT;
use std::collections::BTreeMap;

fn right() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "very-secret"),
        ("FLEETEST_TABLE", "fleetest"),
        ("FLEETEST_BUCKET", "fleetest-blobs"),
        ("FLEETEST_PLAN_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/plan"),
        ("FLEETEST_LAUNCH_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/launch"),
        ("FLEETEST_AGGREGATE_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/aggregate"),
        ("FLEETEST_EVENTS_DEAD_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/events-dead"),
        ("FLEETEST_CLUSTER", "arn:aws:ecs:eu-central-1:123456789012:cluster/fleet"),
        ("FLEETEST_TASK_DEFINITION", "runner:7"),
        ("FLEETEST_SUBNETS", "subnet-a, subnet-b"),
        ("FLEETEST_LINK_URL", "https://link.example.org"),
        ("FLEETEST_EVENT_BUS", "fleetest-dev"),
        (
            "FLEETEST_TOKEN_KEY_SECRET",
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:fleetest-token-key-a1B2c3",
        ),
    ])
}

fn read(variables: &BTreeMap<&'static str, &'static str>) -> Result<Config, ConfigError> {
    Config::from_lookup(|name| variables.get(name).map(|text| (*text).to_owned()))
}

fn wrong(variables: &BTreeMap<&'static str, &'static str>) -> Vec<&'static str> {
    read(variables).unwrap_err().problems.into_iter().map(|problem| problem.variable).collect()
}

#[test]
fn a_complete_environment_is_read() {
    let config = read(&right()).unwrap();
    assert_eq!(config.fleet.subnets, ["subnet-a", "subnet-b"]);
    assert_eq!((config.fleet.container.as_str(), config.fleet.spot), ("runner", true));
    assert!(!config.fleet.public_address);
    assert_eq!((config.account.session_token, config.account.endpoint), (None, None));
}

#[test]
fn an_empty_environment_names_every_needed_variable_at_once() {
    let needed: Vec<&str> = right().into_keys().collect();
    let mut found = wrong(&BTreeMap::new());
    found.sort_unstable();
    assert_eq!(found, needed);
    let error = read(&BTreeMap::new()).unwrap_err().to_string();
    for name in needed {
        assert!(error.contains(&format!("`{name}` is missing")), "{error}");
    }
}

#[test]
fn an_empty_variable_is_a_missing_one() {
    let mut variables = right();
    variables.insert("FLEETEST_TABLE", "  ");
    variables.remove("FLEETEST_BUCKET");
    assert_eq!(wrong(&variables), ["FLEETEST_TABLE", "FLEETEST_BUCKET"]);
}

#[test]
fn each_wrong_value_is_told_with_its_variable() {
    for (name, text) in [
        ("AWS_REGION", "Frankfurt"),
        ("AWS_REGION", "central-1"),
        ("AWS_ENDPOINT_URL", "localhost:4566"),
        ("FLEETEST_TABLE", "a table"),
        ("FLEETEST_BUCKET", "Capital"),
        ("FLEETEST_BUCKET", "-edge"),
        ("FLEETEST_PLAN_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/123456789012/plan"),
        ("FLEETEST_PLAN_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/plan"),
        ("FLEETEST_LAUNCH_QUEUE_URL", "launch"),
        ("FLEETEST_CLUSTER", "arn:aws:ecs:us-east-1:123456789012:cluster/fleet"),
        ("FLEETEST_TASK_DEFINITION", "a b"),
        ("FLEETEST_CONTAINER", "a b"),
        ("FLEETEST_SUBNETS", "vpc-1"),
        ("FLEETEST_SUBNETS", ","),
        ("FLEETEST_SECURITY_GROUPS", "subnet-1"),
        ("FLEETEST_SPOT", "yes"),
        ("FLEETEST_LINK_URL", "ftp://example.org"),
        ("FLEETEST_EVENT_BUS", "a bus"),
        ("FLEETEST_TOKEN_KEY_SECRET", "arn:aws:secretsmanager:us-east-1:123456789012:secret:key"),
        ("FLEETEST_MAIL_FROM", "nobody"),
        ("FLEETEST_GITHUB_HOST", "https://github.com"),
        ("FLEETEST_GITHUB_HOST", "github.com:443"),
        ("FLEETEST_GITHUB_API", "http://api.github.com"),
        ("FLEETEST_GITHUB_API", "https://user@api.github.com"),
        ("FLEETEST_GITHUB_API", "https://api.github.com?x"),
        ("FLEETEST_GITHUB_API", "https:///v3"),
        ("FLEETEST_GITHUB_API", "api.github.com"),
        ("FLEETEST_GITHUB_TOKEN_SECRET", "arn:aws:secretsmanager:us-east-1:123456789012:secret:token"),
    ] {
        let mut variables = right();
        variables.insert(name, text);
        // A wrong region makes everything else look misplaced only if it is a region.
        assert_eq!(wrong(&variables), [name], "{text}");
    }
}

#[test]
fn lists_are_as_long_as_a_task_takes() {
    let many = |n: usize| vec!["subnet-x"; n].join(",");
    for (n, fits) in [(SUBNETS, true), (SUBNETS + 1, false)] {
        let list = many(n);
        let lookup = |name: &str| match name {
            "FLEETEST_SUBNETS" => Some(list.clone()),
            _ => right().get(name).map(|text| (*text).to_owned()),
        };
        assert_eq!(Config::from_lookup(lookup).is_ok(), fits, "{n}");
    }
}

#[test]
fn repositories_are_looked_up_at_github_unless_another_host_has_an_api_of_its_own() {
    let mut variables = right();
    assert_eq!(read(&variables).unwrap().github, Github::default());
    variables.insert("FLEETEST_GITHUB_HOST", "Git.Example.org");
    assert_eq!(wrong(&variables), ["FLEETEST_GITHUB_API"]);
    variables.insert("FLEETEST_GITHUB_API", "https://api.github.com/");
    assert_eq!(wrong(&variables), ["FLEETEST_GITHUB_API"]);
    variables.insert("FLEETEST_GITHUB_API", "https://git.example.org/api/v3");
    variables.insert("FLEETEST_GITHUB_TOKEN_SECRET", "fleetest-github-token");
    let github = Github {
        host: "git.example.org".to_owned(),
        api_url: "https://git.example.org/api/v3".to_owned(),
        token_secret: Some("fleetest-github-token".to_owned()),
    };
    assert_eq!(read(&variables).unwrap().github, github);
    // An emulator has no certificates.
    variables.insert("FLEETEST_GITHUB_API", "http://127.0.0.1:4000");
    assert_eq!(wrong(&variables), ["FLEETEST_GITHUB_API"]);
    variables.insert("AWS_ENDPOINT_URL", "http://127.0.0.1:4566");
    assert_eq!(read(&variables).unwrap().github.api_url, "http://127.0.0.1:4000");
}

const SUBNETS: usize = crate::limits::SUBNETS_LIMIT;

#[test]
fn as_many_security_groups_as_there_may_be_are_taken_and_no_more() {
    let all: Vec<String> = (0..=SECURITY_GROUPS_LIMIT).map(|n| format!("sg-{n:04}")).collect();
    let groups = |count: usize| -> &str { all[..count].join(",").leak() };
    let mut variables = right();
    variables.insert("FLEETEST_SECURITY_GROUPS", groups(SECURITY_GROUPS_LIMIT));
    assert_eq!(read(&variables).unwrap().fleet.security_groups.len(), SECURITY_GROUPS_LIMIT);
    variables.insert("FLEETEST_SECURITY_GROUPS", groups(SECURITY_GROUPS_LIMIT + 1));
    assert_eq!(wrong(&variables), ["FLEETEST_SECURITY_GROUPS"]);
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?}", read(&right()).unwrap());
    assert!(!shown.contains("very-secret"), "{shown}");
}
