//! From arguments and the project's suites to the specification of a run.
//!
//! Pure. An argument wins over what the suite says; a suite that was not chosen is left out, and so is every gate
//! on it, because whoever names a suite wants that suite to run.

use crate::args::RunArgs;
use crate::exit::Problem;
use crate::git::Revision;
use shared::domain::id::ProjectId;
use shared::domain::spec::{ChosenUnit, RunSpec, Shards, Source, SuiteSpec};

/// What is known of the project when its run is specified.
#[derive(Debug, Clone)]
pub struct Project {
    /// Short name.
    pub id: ProjectId,
    /// Where its source is.
    pub source: Source,
    /// Where it stands.
    pub revision: Revision,
    /// Its suites, configured or detected.
    pub suites: Vec<SuiteSpec>,
    /// Cases to run instead of all (`--failed`).
    pub chosen: Vec<ChosenUnit>,
}

/// A specification, and what the user should know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Specified {
    /// The run.
    pub spec: RunSpec,
    /// Notes.
    pub notes: Vec<String>,
}

/// Specifies the run that the arguments ask for.
///
/// # Errors
/// A suite that does not exist.
pub fn specify(args: &RunArgs, project: Project) -> Result<Specified, Problem> {
    let mut notes = Vec::new();
    let mut suites = chosen_suites(&args.suites, project.suites)?;
    let names: Vec<String> = suites.iter().map(|suite| suite.name.clone()).collect();
    for suite in &mut suites {
        let (met, open): (Vec<_>, Vec<_>) = suite.needs.drain(..).partition(|need| names.contains(need));
        suite.needs = met;
        if !open.is_empty() {
            notes.push(format!("`{}` runs without `{}`, which it needs", suite.name, open.join("`, `")));
        }
        overlay(args, suite);
    }
    if args.timeout.is_some_and(|run| args.case_timeout.is_some_and(|case| case > run)) {
        notes.push("`--case-timeout` is longer than `--timeout` and will never be reached".to_owned());
    }
    if project.revision.dirty {
        notes.push("the working directory differs from its commit".to_owned());
    }
    let timeout_ms = args.timeout.map_or_else(|| longest(&suites), |limit| limit.ms());
    let spec = RunSpec {
        project: project.id,
        source: project.source,
        commit: project.revision.commit,
        branch: project.revision.branch,
        suites,
        fail_fast: args.fail_fast.map(std::num::NonZero::get),
        filter: args.filter.clone(),
        chosen: project.chosen,
        timeout_ms,
    };
    Ok(Specified { spec, notes })
}

/// The suites of these names, or all of them if none is named.
///
/// # Errors
/// There is no such suite.
pub(crate) fn chosen_suites(wanted: &[String], suites: Vec<SuiteSpec>) -> Result<Vec<SuiteSpec>, Problem> {
    if let Some(unknown) = wanted.iter().find(|name| !suites.iter().any(|suite| suite.name == **name)) {
        return Err(no_such_suite(unknown, &suites));
    }
    Ok(suites.into_iter().filter(|suite| wanted.is_empty() || wanted.contains(&suite.name)).collect())
}

fn no_such_suite(name: &str, suites: &[SuiteSpec]) -> Problem {
    let problem = Problem::usage(format!("there is no suite `{name}`"));
    let known: Vec<&str> = suites.iter().map(|suite| suite.name.as_str()).collect();
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), *known))
        .filter(|(distance, known)| *distance <= known.chars().count().max(3) / 3)
        .min();
    match nearest {
        Some((_, nearest)) => problem.hint(format!("did you mean `--suite {nearest}`?")),
        None if known.is_empty() => problem.hint("the project has no suites"),
        None => problem.hint(format!("its suites are `{}`", known.join("`, `"))),
    }
}

fn overlay(args: &RunArgs, suite: &mut SuiteSpec) {
    if let Some(shards) = args.shards {
        suite.shards = Shards::Fixed(shards.get());
    }
    if let Some(slots) = args.slots {
        suite.slots = Some(slots.get());
    }
    if let Some(retries) = args.retries {
        suite.retries = retries;
    }
    if let Some(limit) = args.timeout {
        suite.timeout_ms = limit.ms();
    }
    if let Some(limit) = args.case_timeout {
        suite.case_timeout_ms = limit.ms();
    }
}

/// Suites may have to wait for each other, so the run may take as long as all of them in a row.
fn longest(suites: &[SuiteSpec]) -> u64 {
    suites.iter().fold(0u64, |sum, suite| sum.saturating_add(suite.timeout_ms)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser as _;
    use shared::domain::spec::{Framework, JOB_TIMEOUT_MS};

    fn args(text: &[&str]) -> RunArgs {
        let cli = Cli::try_parse_from(["fleetest", "run"].iter().chain(text)).unwrap();
        let Command::Run(run) = cli.command else { panic!("not a run") };
        *run
    }

    fn project() -> Project {
        let suite = |name: &str| SuiteSpec::new(name, Framework::Pytest);
        let e2e = SuiteSpec { needs: vec!["lint".to_owned(), "unit".to_owned()], ..suite("e2e") };
        Project {
            id: ProjectId("demo".to_owned()),
            source: Source::Directory { path: "/demo".to_owned() },
            revision: Revision::default(),
            suites: vec![suite("unit"), suite("lint"), e2e],
            chosen: Vec::new(),
        }
    }

    #[test]
    fn without_arguments_the_project_decides() {
        let specified = specify(&args(&[]), project()).unwrap();
        assert_eq!(specified.spec.suites, project().suites);
        assert_eq!(specified.spec.timeout_ms, 3 * JOB_TIMEOUT_MS);
        assert_eq!(specified.notes, Vec::<String>::new());
    }

    #[test]
    fn arguments_win_over_the_suite() {
        let flags =
            ["--slots=3", "--shards=2", "--retries=0", "--timeout=5m", "--case-timeout=10s", "--fail-fast"];
        let spec = specify(&args(&flags), project()).unwrap().spec;
        let unit = &spec.suites[0];
        assert_eq!((unit.slots, unit.shards, unit.retries), (Some(3), Shards::Fixed(2), 0));
        assert_eq!((unit.timeout_ms, unit.case_timeout_ms), (300_000, 10_000));
        assert_eq!((spec.timeout_ms, spec.fail_fast), (300_000, Some(1)));
    }

    #[test]
    fn a_chosen_suite_does_not_wait_for_one_that_was_not() {
        let specified = specify(&args(&["--suite=e2e", "--suite=unit"]), project()).unwrap();
        let names: Vec<&str> = specified.spec.suites.iter().map(|suite| suite.name.as_str()).collect();
        assert_eq!(names, ["unit", "e2e"], "the project's order");
        assert_eq!(specified.spec.suites[1].needs, ["unit"]);
        assert_eq!(specified.notes, ["`e2e` runs without `lint`, which it needs"]);
    }

    #[test]
    fn an_unknown_suite_is_met_with_the_nearest() {
        let refused = |name: &str| {
            let problem = specify(&args(&["--suite", name]), project()).unwrap_err();
            assert_eq!(problem.exit().code(), 2);
            format!("{problem}: {}", problem.next_step().unwrap())
        };
        assert_eq!(refused("untit"), "there is no suite `untit`: did you mean `--suite unit`?");
        assert_eq!(refused("browser"), "there is no suite `browser`: its suites are `unit`, `lint`, `e2e`");
    }

    #[test]
    fn doubtful_wishes_are_noted() {
        let mut dirty = project();
        dirty.revision.dirty = true;
        let specified = specify(&args(&["--timeout=1m", "--case-timeout=2m"]), dirty).unwrap();
        assert_eq!(specified.notes.len(), 2);
    }
}
