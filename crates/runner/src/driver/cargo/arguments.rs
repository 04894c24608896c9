//! Sorts a suite's `args` as `cargo test` would: what to build, which packages, which targets, what the harness gets.

/// Options whose value is the next argument.
const WITH_VALUE: [&str; 12] = [
    "-F",
    "--features",
    "-j",
    "--jobs",
    "--profile",
    "--target",
    "--target-dir",
    "--manifest-path",
    "--config",
    "--color",
    "-Z",
    "--lockfile-path",
];
const PACKAGES: [&str; 3] = ["-p", "--package", "--exclude"];
const NAMED_TARGETS: [&str; 4] = ["--bin", "--test", "--example", "--bench"];
const TARGETS: [&str; 7] =
    ["--lib", "--bins", "--tests", "--examples", "--benches", "--all-targets", "--doctests"];
/// Options that this driver sets itself or that would change what it relies on.
const DROPPED: [&str; 5] = ["--no-run", "--no-fail-fast", "-q", "--quiet", "--message-format"];

/// Which ignored tests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ignored {
    /// None; they are reported as skipped.
    Skip,
    /// Only they.
    Only,
    /// All tests.
    Include,
}

/// A suite's arguments, sorted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    /// Features, profile, target and so on: for every call of cargo.
    pub(super) build: Vec<String>,
    /// `-p`, `--workspace`, `--exclude`.
    pub(super) packages: Vec<String>,
    /// `--lib`, `--test x` and so on.
    targets: Vec<String>,
    doc_only: bool,
    /// Name filters and `--skip`, which take effect when tests are listed.
    pub(super) harness: Vec<String>,
    pub(super) ignored: Ignored,
}

impl Arguments {
    pub(super) fn parse(args: &[String]) -> Self {
        let mut sorted = Self {
            build: Vec::new(),
            packages: Vec::new(),
            targets: Vec::new(),
            doc_only: false,
            harness: Vec::new(),
            ignored: Ignored::Skip,
        };
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            if arg == "--" {
                break;
            }
            sorted.cargo_argument(arg, &mut args);
        }
        args.for_each(|arg| match arg {
            "--ignored" => sorted.ignored = Ignored::Only,
            "--include-ignored" => sorted.ignored = Ignored::Include,
            "--nocapture" | "--no-capture" | "--show-output" | "-q" | "--quiet" => {}
            _ if arg.starts_with("--test-threads") => {}
            _ => sorted.harness.push(arg.to_owned()),
        });
        sorted
    }

    fn cargo_argument<'a>(&mut self, arg: &'a str, rest: &mut impl Iterator<Item = &'a str>) {
        let name = arg.split('=').next().unwrap_or(arg);
        let takes_value = |names: &[&str]| names.contains(&name);
        let with_value = takes_value(&WITH_VALUE) || takes_value(&PACKAGES) || takes_value(&NAMED_TARGETS);
        let value =
            if (with_value || arg == "--message-format") && !arg.contains('=') { rest.next() } else { None };
        let both = std::iter::once(arg).chain(value).map(str::to_owned);
        match name {
            _ if DROPPED.contains(&name) => {}
            "--doc" => self.doc_only = true,
            "--workspace" | "--all" => self.packages.extend(both),
            _ if PACKAGES.contains(&name) => self.packages.extend(both),
            _ if NAMED_TARGETS.contains(&name) || TARGETS.contains(&name) => self.targets.extend(both),
            _ if arg.starts_with('-') => self.build.extend(both),
            // `cargo test NAME` filters by name.
            _ => self.harness.push(arg.to_owned()),
        }
    }

    pub(super) fn wants_binaries(&self) -> bool {
        !self.doc_only
    }

    /// `cargo test` runs doc tests unless targets were chosen.
    pub(super) fn wants_doc_tests(&self) -> bool {
        self.doc_only || self.targets.is_empty()
    }

    /// Arguments of the build.
    pub(super) fn for_build(&self) -> Vec<String> {
        [&self.build, &self.packages, &self.targets].into_iter().flatten().cloned().collect()
    }

    /// The value of an option of the build.
    pub(super) fn build_value(&self, name: &str) -> Option<&str> {
        let mut args = self.build.iter();
        while let Some(arg) = args.next() {
            if arg == name {
                return args.next().map(String::as_str);
            }
            if let Some(value) = arg.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
                return Some(value);
            }
        }
        None
    }

    /// Packages named by one of `names`.
    pub(super) fn named_packages(&self, names: &[&str]) -> Vec<&str> {
        let mut found = Vec::new();
        let mut args = self.packages.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            match arg.split_once('=') {
                Some((name, value)) if names.contains(&name) => found.push(value),
                None if names.contains(&arg) => found.extend(args.next()),
                _ => {}
            }
        }
        found
    }

    pub(super) fn whole_workspace(&self) -> bool {
        self.packages.iter().any(|arg| arg == "--workspace" || arg == "--all")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Arguments {
        Arguments::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn sorts_what_cargo_test_takes() {
        let args =
            parse("--features a,b -p x --release --exclude=y --lib --test api name -- --skip slow --ignored");
        assert_eq!(args.build, ["--features", "a,b", "--release"]);
        assert_eq!(args.packages, ["-p", "x", "--exclude=y"]);
        assert_eq!(args.targets, ["--lib", "--test", "api"]);
        assert_eq!(args.harness, ["name", "--skip", "slow"]);
        assert_eq!(args.ignored, Ignored::Only);
        assert_eq!(args.named_packages(&["-p", "--package"]), ["x"]);
        assert_eq!(args.named_packages(&["--exclude"]), ["y"]);
        assert!(args.wants_binaries() && !args.wants_doc_tests());
    }

    #[test]
    fn doc_tests_run_unless_targets_are_chosen() {
        assert!(parse("--workspace").wants_doc_tests());
        assert!(parse("--doc").wants_doc_tests() && !parse("--doc").wants_binaries());
        assert!(!parse("--tests").wants_doc_tests());
    }

    #[test]
    fn what_the_driver_sets_is_dropped() {
        let args = parse("--no-run --message-format json -q --target=x --nonsense");
        assert_eq!(args.build, ["--target=x", "--nonsense"]);
        assert_eq!(args.build_value("--target"), Some("x"));
    }
}
