//! Report readers on fixture files, on generated giants, and on noise.
#[cfg(test)]
mod formats;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod junit;
#[cfg(test)]
mod libtest;
#[cfg(test)]
mod small_fuzz;
#[cfg(test)]
mod tap;

/// The visible effect of reading a report, one line for each case and issue.
#[cfg(test)]
mod show {
    use shared::domain::parse::{ParseReport, ReportCase};

    fn short(text: &str) -> String {
        let shown: String = text.chars().take(60).collect();
        if text.len() > 200 { format!("{shown:?} ({} bytes)", text.len()) } else { format!("{text:?}") }
    }

    pub(crate) fn case(case: &ReportCase) -> String {
        let mut line = format!("{:<8} {} :: {}", case.outcome.as_str(), case.class, short(&case.name));
        let place = case.file.iter().map(|file| format!(" file={file}"));
        let number = case.line.iter().map(|line| format!(" line={line}"));
        let time = case.duration_us.iter().map(|us| format!(" us={us}"));
        let reason = case.reason.iter().map(|reason| format!(" reason={reason:?}"));
        let failure = case.failure.iter().map(|failure| {
            format!(" failure={}|{}|{}", failure.kind, short(&failure.message), short(&failure.detail))
        });
        let earlier =
            case.earlier.iter().map(|failure| format!(" earlier={}|{:?}", failure.kind, failure.message));
        line.extend(place.chain(number).chain(time).chain(reason).chain(failure).chain(earlier));
        if !case.output.is_empty() {
            line.extend([" output=", &short(&case.output)]);
        }
        line
    }

    pub(crate) fn all(cases: &[ReportCase], report: &ParseReport) -> String {
        let mut lines: Vec<String> = cases.iter().map(case).collect();
        lines.extend(report.issues.iter().map(|issue| format!("{:?}: {issue}", issue.severity)));
        lines.push(format!("{} suites, {} cases", report.suites, report.cases));
        lines.join("\n")
    }
}
