//! What a CI service says about the commit that it is testing, read from the variables it sets.
//!
//! Pure: variables come in as a function. What a service does not say, or says in a form that cannot be right, stays
//! unknown; nothing is guessed.

pub mod github;

use github::GitHub;
use std::path::PathBuf;

/// What is known of the CI job that this process is part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ci {
    /// The service.
    pub service: &'static str,
    /// The commit that is checked out.
    pub commit: Option<String>,
    /// The branch; that of the change if a pull request is tested.
    pub branch: Option<String>,
    /// Number of the pull request.
    pub pull_request: Option<u64>,
    /// Where GitHub Actions takes a summary from.
    pub github: Option<GitHub>,
}

/// A source of variables; absent and empty are the same.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

struct Service {
    name: &'static str,
    is_here: fn(Variables<'_>) -> bool,
    commit: fn(Variables<'_>) -> Option<String>,
    branch: fn(Variables<'_>) -> Option<String>,
    pull_request: fn(Variables<'_>) -> Option<String>,
}

/// More specific services come before those whose variables they also set.
const SERVICES: [Service; 11] = [
    Service {
        name: "GitHub Actions",
        is_here: |of| is_true(of, "GITHUB_ACTIONS"),
        commit: |of| of("GITHUB_SHA"),
        branch: |of| of("GITHUB_HEAD_REF").or_else(|| heads(of("GITHUB_REF")?)),
        pull_request: |of| Some(of("GITHUB_REF")?.strip_prefix("refs/pull/")?.split('/').next()?.to_owned()),
    },
    Service {
        name: "GitLab",
        is_here: |of| is_true(of, "GITLAB_CI"),
        commit: |of| of("CI_COMMIT_SHA"),
        branch: |of| of("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME").or_else(|| of("CI_COMMIT_BRANCH")),
        pull_request: |of| of("CI_MERGE_REQUEST_IID"),
    },
    Service {
        name: "Buildkite",
        is_here: |of| is_true(of, "BUILDKITE"),
        commit: |of| of("BUILDKITE_COMMIT"),
        // Of a build of a tag it is the tag's name.
        branch: |of| without(of, "BUILDKITE_TAG", "BUILDKITE_BRANCH"),
        pull_request: |of| of("BUILDKITE_PULL_REQUEST"),
    },
    Service {
        name: "CircleCI",
        is_here: |of| is_true(of, "CIRCLECI"),
        commit: |of| of("CIRCLE_SHA1"),
        branch: |of| of("CIRCLE_BRANCH"),
        pull_request: |of| {
            let last = |url: String| url.rsplit('/').next().map(str::to_owned);
            of("CIRCLE_PR_NUMBER").or_else(|| last(of("CIRCLE_PULL_REQUEST")?))
        },
    },
    Service {
        name: "Azure Pipelines",
        is_here: |of| is_true(of, "TF_BUILD"),
        commit: |of| of("BUILD_SOURCEVERSION"),
        branch: |of| heads(of("SYSTEM_PULLREQUEST_SOURCEBRANCH").or_else(|| of("BUILD_SOURCEBRANCH"))?),
        pull_request: |of| {
            of("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER").or_else(|| of("SYSTEM_PULLREQUEST_PULLREQUESTID"))
        },
    },
    Service {
        name: "Bitbucket",
        is_here: |of| of("BITBUCKET_BUILD_NUMBER").is_some(),
        commit: |of| of("BITBUCKET_COMMIT"),
        branch: |of| of("BITBUCKET_BRANCH"),
        pull_request: |of| of("BITBUCKET_PR_ID"),
    },
    Service {
        name: "Woodpecker",
        is_here: |of| of("CI").as_deref() == Some("woodpecker"),
        commit: |of| of("CI_COMMIT_SHA"),
        branch: |of| {
            of("CI_COMMIT_SOURCE_BRANCH").or_else(|| without(of, "CI_COMMIT_TAG", "CI_COMMIT_BRANCH"))
        },
        pull_request: |of| of("CI_COMMIT_PULL_REQUEST"),
    },
    Service {
        name: "Drone",
        is_here: |of| is_true(of, "DRONE"),
        commit: |of| of("DRONE_COMMIT_SHA").or_else(|| of("DRONE_COMMIT")),
        branch: |of| of("DRONE_SOURCE_BRANCH").or_else(|| without(of, "DRONE_TAG", "DRONE_BRANCH")),
        pull_request: |of| of("DRONE_PULL_REQUEST"),
    },
    Service {
        name: "Travis",
        is_here: |of| is_true(of, "TRAVIS"),
        commit: |of| of("TRAVIS_COMMIT"),
        branch: |of| of("TRAVIS_PULL_REQUEST_BRANCH").or_else(|| without(of, "TRAVIS_TAG", "TRAVIS_BRANCH")),
        pull_request: |of| of("TRAVIS_PULL_REQUEST"),
    },
    Service {
        name: "TeamCity",
        is_here: |of| of("TEAMCITY_VERSION").is_some(),
        commit: |of| of("BUILD_VCS_NUMBER"),
        // A branch is a parameter there, and no variable unless the project makes one.
        branch: |_| None,
        pull_request: |_| None,
    },
    Service {
        name: "Jenkins",
        is_here: |of| of("JENKINS_URL").is_some(),
        commit: |of| of("GIT_COMMIT"),
        branch: |of| {
            let local = |name: String| name.strip_prefix("origin/").unwrap_or(&name).to_owned();
            // A multibranch job calls a change `PR-12`; its branch is named apart.
            of("CHANGE_BRANCH").or_else(|| of("BRANCH_NAME")).or_else(|| of("GIT_BRANCH").map(local))
        },
        pull_request: |of| of("CHANGE_ID"),
    },
];

impl Ci {
    /// The CI service that set these variables, and what it says; `None` outside of every known one.
    #[must_use]
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let of = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let service = SERVICES.iter().find(|service| (service.is_here)(&of))?;
        let path = |name: &str| of(name).map(PathBuf::from);
        let github = (service.name == "GitHub Actions").then(|| GitHub {
            summary: path("GITHUB_STEP_SUMMARY"),
            workspace: path("GITHUB_WORKSPACE"),
            event: path("GITHUB_EVENT_PATH"),
        });
        Some(Self {
            service: service.name,
            commit: (service.commit)(&of).filter(|text| is_commit(text)).map(|id| id.to_ascii_lowercase()),
            branch: (service.branch)(&of).filter(|text| is_branch(text)),
            pull_request: (service.pull_request)(&of).and_then(|text| text.parse().ok()),
            github,
        })
    }
}

fn is_true(of: Variables<'_>, name: &str) -> bool {
    of(name).is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
}

/// `name`, unless `other` is set.
fn without(of: Variables<'_>, other: &str, name: &str) -> Option<String> {
    if of(other).is_some() { None } else { of(name) }
}

/// The branch of a full reference; `None` for a tag or anything else that is no branch.
fn heads(reference: String) -> Option<String> {
    match reference.strip_prefix("refs/heads/") {
        Some(branch) => Some(branch.to_owned()),
        None if reference.starts_with("refs/") => None,
        None => Some(reference),
    }
}

/// Whether the text is a whole commit id.
#[must_use]
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_branch(text: &str) -> bool {
    text.len() <= 255 && !text.starts_with('-') && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    fn detect(variables: &[(&str, &str)]) -> Option<Ci> {
        Ci::detect(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    fn row(variables: &[(&str, &str)]) -> String {
        let ci = detect(variables).unwrap();
        let commit = if ci.commit.as_deref() == Some(SHA) { "SHA" } else { "no commit" };
        let number = ci.pull_request.map_or_else(|| "-".to_owned(), |number| number.to_string());
        format!("{}: {commit}, {}, {number}", ci.service, ci.branch.as_deref().unwrap_or("-"))
    }

    /// Variables, and what is read from them.
    type Row = (&'static [(&'static str, &'static str)], &'static str);

    const TABLE: &[Row] = &[
        (
            &[("GITHUB_ACTIONS", "true"), ("GITHUB_SHA", SHA), ("GITHUB_REF", "refs/heads/feat/x")],
            "GitHub Actions: SHA, feat/x, -",
        ),
        (
            &[
                ("GITHUB_ACTIONS", "true"),
                ("GITHUB_SHA", SHA),
                ("GITHUB_REF", "refs/pull/12/merge"),
                ("GITHUB_HEAD_REF", "fix"),
            ],
            "GitHub Actions: SHA, fix, 12",
        ),
        (
            &[
                ("GITHUB_ACTIONS", "true"),
                ("GITHUB_SHA", SHA),
                ("GITHUB_REF", "refs/tags/v1"),
                ("GITHUB_HEAD_REF", ""),
            ],
            "GitHub Actions: SHA, -, -",
        ),
        (
            &[("GITLAB_CI", "true"), ("CI_COMMIT_SHA", SHA), ("CI_COMMIT_BRANCH", "main")],
            "GitLab: SHA, main, -",
        ),
        (
            &[
                ("GITLAB_CI", "true"),
                ("CI_COMMIT_SHA", SHA),
                ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "fix"),
                ("CI_MERGE_REQUEST_IID", "7"),
            ],
            "GitLab: SHA, fix, 7",
        ),
        (
            &[
                ("BUILDKITE", "true"),
                ("BUILDKITE_COMMIT", SHA),
                ("BUILDKITE_BRANCH", "fix"),
                ("BUILDKITE_PULL_REQUEST", "31"),
            ],
            "Buildkite: SHA, fix, 31",
        ),
        (
            &[
                ("BUILDKITE", "true"),
                ("BUILDKITE_COMMIT", "HEAD"),
                ("BUILDKITE_BRANCH", "main"),
                ("BUILDKITE_PULL_REQUEST", "false"),
            ],
            "Buildkite: no commit, main, -",
        ),
        (
            &[("BUILDKITE", "true"), ("BUILDKITE_TAG", "v1"), ("BUILDKITE_BRANCH", "v1")],
            "Buildkite: no commit, -, -",
        ),
        (
            &[
                ("CIRCLECI", "true"),
                ("CIRCLE_SHA1", SHA),
                ("CIRCLE_BRANCH", "fix"),
                ("CIRCLE_PULL_REQUEST", "https://github.com/o/r/pull/9"),
            ],
            "CircleCI: SHA, fix, 9",
        ),
        (
            &[("TF_BUILD", "True"), ("BUILD_SOURCEVERSION", SHA), ("BUILD_SOURCEBRANCH", "refs/heads/main")],
            "Azure Pipelines: SHA, main, -",
        ),
        (
            &[
                ("TF_BUILD", "True"),
                ("BUILD_SOURCEVERSION", SHA),
                ("BUILD_SOURCEBRANCH", "refs/pull/5/merge"),
                ("SYSTEM_PULLREQUEST_SOURCEBRANCH", "refs/heads/fix"),
                ("SYSTEM_PULLREQUEST_PULLREQUESTID", "5"),
            ],
            "Azure Pipelines: SHA, fix, 5",
        ),
        (
            &[
                ("BITBUCKET_BUILD_NUMBER", "1"),
                ("BITBUCKET_COMMIT", SHA),
                ("BITBUCKET_BRANCH", "fix"),
                ("BITBUCKET_PR_ID", "4"),
            ],
            "Bitbucket: SHA, fix, 4",
        ),
        (
            &[
                ("CI", "woodpecker"),
                ("CI_COMMIT_SHA", SHA),
                ("CI_COMMIT_BRANCH", "main"),
                ("CI_COMMIT_SOURCE_BRANCH", "fix"),
                ("CI_COMMIT_PULL_REQUEST", "3"),
            ],
            "Woodpecker: SHA, fix, 3",
        ),
        (&[("DRONE", "true"), ("DRONE_COMMIT_SHA", SHA), ("DRONE_BRANCH", "main")], "Drone: SHA, main, -"),
        (
            &[
                ("TRAVIS", "true"),
                ("TRAVIS_COMMIT", SHA),
                ("TRAVIS_BRANCH", "main"),
                ("TRAVIS_PULL_REQUEST_BRANCH", "fix"),
                ("TRAVIS_PULL_REQUEST", "8"),
            ],
            "Travis: SHA, fix, 8",
        ),
        (&[("TEAMCITY_VERSION", "2025.1"), ("BUILD_VCS_NUMBER", SHA)], "TeamCity: SHA, -, -"),
        (
            &[("JENKINS_URL", "http://j"), ("GIT_COMMIT", SHA), ("GIT_BRANCH", "origin/main")],
            "Jenkins: SHA, main, -",
        ),
        (
            &[
                ("JENKINS_URL", "http://j"),
                ("GIT_COMMIT", SHA),
                ("BRANCH_NAME", "PR-12"),
                ("CHANGE_BRANCH", "fix"),
                ("CHANGE_ID", "12"),
            ],
            "Jenkins: SHA, fix, 12",
        ),
    ];

    #[test]
    fn every_service_is_understood_on_a_branch_and_in_a_pull_request() {
        for (variables, expected) in TABLE {
            assert_eq!(row(variables), *expected, "{variables:?}");
        }
    }

    #[test]
    fn outside_of_ci_nothing_is_known() {
        assert_eq!(detect(&[]), None);
        assert_eq!(detect(&[("CI", "true"), ("GITHUB_ACTIONS", "false")]), None);
    }

    #[test]
    fn values_that_cannot_be_right_are_left_out() {
        let ci = detect(&[
            ("TF_BUILD", "True"),
            ("BUILD_SOURCEVERSION", "$(Build.SourceVersion)"),
            ("BUILD_SOURCEBRANCH", "-x"),
            ("SYSTEM_PULLREQUEST_PULLREQUESTID", "$(System.PullRequest.PullRequestId)"),
        ])
        .unwrap();
        assert_eq!((ci.commit, ci.branch, ci.pull_request), (None, None, None));
    }

    #[test]
    fn only_github_takes_a_summary() {
        let ci = detect(&[("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "/tmp/s")]).unwrap();
        assert_eq!(ci.github.unwrap().summary, Some(PathBuf::from("/tmp/s")));
        assert_eq!(detect(&[("CIRCLECI", "true"), ("GITHUB_STEP_SUMMARY", "/tmp/s")]).unwrap().github, None);
    }
}
