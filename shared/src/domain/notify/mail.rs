//! E-mail: plain text, and HTML in which everything is escaped.

use super::parcel::{Mail, Parcel};
use super::story::{CaseLine, Told};
use crate::domain::render::{Safe, number_text};
use std::fmt::{self, Write as _};

pub(super) fn parcel(to: &[String], told: &Told) -> Parcel {
    Parcel::Mail(Mail {
        id: told.id.to_string(),
        to: to.to_vec(),
        subject: told.headline(),
        text: text(told),
        html: html(told),
    })
}

fn text(told: &Told) -> String {
    let facts = told.facts();
    let mut lines = vec![told.headline()];
    lines.extend((!facts.is_empty()).then_some(facts));
    lines.extend(told.cause().map(str::to_owned));
    for (title, (cases, more)) in lists(told) {
        if cases.is_empty() {
            continue;
        }
        lines.push(format!("\n{title}:"));
        for case in cases {
            lines.push(format!("  {} {}", case.job, case.case));
            lines.extend((!case.message.is_empty()).then(|| format!("    {}", case.message)));
        }
        lines.extend((more > 0).then(|| format!("  and {} more", number_text(more))));
    }
    lines.extend(told.link.as_deref().map(|link| format!("\n{link}")));
    lines.join("\n") + "\n"
}

fn lists(told: &Told) -> [(&'static str, (&[CaseLine], u64)); 2] {
    [("Failed", told.failures()), ("Newly flaky", told.newly_flaky())]
}

fn html(told: &Told) -> String {
    let mut page = String::new();
    // Writing into a string does not fail.
    write_html(&mut page, told).ok();
    page
}

fn write_html(page: &mut String, told: &Told) -> fmt::Result {
    writeln!(page, "<!doctype html><html><body style=\"font-family:sans-serif\">")?;
    writeln!(page, "<h2>{}</h2>", Safe(&told.headline()))?;
    let lines = [Some(told.facts()), told.cause().map(str::to_owned)];
    for line in lines.iter().flatten().filter(|line| !line.is_empty()) {
        writeln!(page, "<p>{}</p>", Safe(line))?;
    }
    for (title, (cases, more)) in lists(told) {
        if cases.is_empty() {
            continue;
        }
        writeln!(page, "<h3>{title}</h3><ul>")?;
        for case in cases {
            let (job, name) = (Safe(&case.job), Safe(&case.case));
            writeln!(page, "<li><code>{job} {name}</code><br>{}</li>", Safe(&case.message))?;
        }
        writeln!(page, "</ul>")?;
        if more > 0 {
            writeln!(page, "<p>and {} more</p>", number_text(more))?;
        }
    }
    if let Some(link) = &told.link {
        writeln!(page, "<p><a href=\"{}\">Open the run</a></p>", Safe(link))?;
    }
    writeln!(page, "</body></html>")
}
