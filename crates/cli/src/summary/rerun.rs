//! The exact command that runs a case again, quoted for a POSIX shell.

use shared::domain::case::CaseId;

/// What reruns have in common.
#[derive(Debug, Clone)]
pub struct Rerun {
    /// The target as it was given, without credentials.
    pub target: String,
    /// `--ref`, if it was given.
    pub reference: Option<String>,
    /// `--suite` as it was given.
    pub suites: Vec<String>,
    /// Whether the project has other suites than those that ran, or several ran: then the suite is named.
    pub name_suite: bool,
    /// Whether the next run finds this one's results.
    pub history: bool,
    /// The filter expression that matches exactly this case.
    pub filter_of: fn(&CaseId) -> String,
}

impl Rerun {
    /// Runs one case of a job again.
    #[must_use]
    pub fn case(&self, job: &str, case: &CaseId) -> String {
        let suite = job.split('[').next().unwrap_or_default();
        let suites: &[String] = if self.name_suite { &[suite.to_owned()] } else { &self.suites };
        let filter = (self.filter_of)(case);
        // A value that begins with a dash would be read as a flag of its own.
        let separator = if filter.starts_with('-') { "=" } else { " " };
        format!("{} --filter{separator}{}", self.command(suites), quote_always(&filter))
    }

    /// Runs everything that failed again; `None` if nothing is remembered.
    #[must_use]
    pub fn all_failed(&self) -> Option<String> {
        self.history.then(|| format!("{} --failed", self.command(&self.suites)))
    }

    fn command(&self, suites: &[String]) -> String {
        let reference = self.reference.iter().map(|reference| format!(" --ref {}", quote(reference)));
        let suites = suites.iter().map(|suite| format!(" --suite {}", quote(suite)));
        let flags: String = reference.chain(suites).collect();
        format!("fleetest run {}{flags}", quote(&self.target))
    }
}

/// The text as one word of a shell command.
#[must_use]
pub fn quote(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_./:=@%+,-".contains(c);
    if !text.is_empty() && text.chars().all(safe) { text.to_owned() } else { quote_always(text) }
}

fn quote_always(text: &str) -> String {
    if text.chars().any(char::is_control) {
        let escaped: String = text.chars().map(escape).collect();
        return format!("$'{escaped}'");
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// One character inside `$'…'`.
fn escape(c: char) -> String {
    match c {
        '\\' => r"\\".to_owned(),
        '\'' => r"\'".to_owned(),
        '\n' => r"\n".to_owned(),
        '\t' => r"\t".to_owned(),
        // Octal of three digits, byte by byte: unlike hexadecimal it ends by itself.
        c if c.is_control() => {
            c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("\\{byte:03o}")).collect()
        }
        c => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    fn rerun(suites: &[&str], name_suite: bool) -> Rerun {
        Rerun {
            target: ".".to_owned(),
            reference: None,
            suites: suites.iter().map(|suite| (*suite).to_owned()).collect(),
            name_suite,
            history: true,
            filter_of: |case| case.to_string(),
        }
    }

    #[test]
    fn the_command_is_as_short_as_it_can_be() {
        let case = CaseId::from("tests/test_a.py::test_b[it's 1]");
        assert_eq!(
            rerun(&[], false).case("unit", &case),
            r"fleetest run . --filter 'tests/test_a.py::test_b[it'\''s 1]'"
        );
        assert_eq!(
            rerun(&[], true).case("unit[python=3.12]", &CaseId::from("a")),
            "fleetest run . --suite unit --filter 'a'"
        );
        assert_eq!(
            rerun(&["a b", "c"], false).all_failed().as_deref(),
            Some("fleetest run . --suite 'a b' --suite c --failed")
        );
        assert_eq!(rerun(&[], false).case("unit", &CaseId::from("-x")), "fleetest run . --filter='-x'");
        let of_url = Rerun {
            target: "https://example.org/a?b".to_owned(),
            reference: Some("v1".to_owned()),
            history: false,
            ..rerun(&[], false)
        };
        assert_eq!(
            of_url.case("unit", &CaseId::from("a")),
            "fleetest run 'https://example.org/a?b' --ref v1 --filter 'a'"
        );
        assert_eq!(of_url.all_failed(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn a_shell_gives_back_what_was_quoted(text in "[^\u{0}]{0,30}") {
            let script = format!("printf %s {}", quote(&text));
            let output = Command::new("bash").args(["-c", &script]).env("LC_ALL", "C.UTF-8").output().unwrap();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }
}
