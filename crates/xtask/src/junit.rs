//! Reads JUnit XML down to what the comparison needs: class, name and outcome of each case.
//!
//! Deliberately forgiving about everything else; reruns inside a case are not cases of their own.

use crate::compare::{Case, Outcome};
use anyhow::{Context as _, Result, bail};
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// The cases of a JUnit file in their order.
pub(crate) fn cases(text: &str) -> Result<Vec<Case>> {
    let mut reader = Reader::from_str(text);
    let mut found = Vec::new();
    let mut open: Option<Case> = None;
    loop {
        match reader.read_event().context("the report is not well-formed XML")? {
            Event::Start(tag) if tag.name().as_ref() == "testcase" => open = Some(case(&tag)?),
            Event::Empty(tag) if tag.name().as_ref() == "testcase" => found.push(case(&tag)?),
            Event::Start(tag) | Event::Empty(tag) => {
                if let Some(case) = open.as_mut() {
                    case.outcome = case.outcome.max(outcome_of(tag.name().as_ref()));
                }
            }
            Event::End(tag) if tag.name().as_ref() == "testcase" => found.extend(open.take()),
            Event::Eof => break,
            Event::End(_)
            | Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => {}
        }
    }
    if open.is_some() {
        bail!("the report ends inside a test case");
    }
    Ok(found)
}

fn outcome_of(element: &str) -> Outcome {
    match element {
        "error" => Outcome::Errored,
        "failure" => Outcome::Failed,
        "skipped" => Outcome::Skipped,
        _ => Outcome::Passed,
    }
}

fn case(tag: &BytesStart<'_>) -> Result<Case> {
    let mut case = Case { class: String::new(), name: String::new(), outcome: Outcome::Passed };
    for attribute in tag.attributes() {
        let attribute = attribute.context("a test case has a malformed attribute")?;
        let slot = match attribute.key.as_ref() {
            "classname" => &mut case.class,
            "name" => &mut case.name,
            _ => continue,
        };
        *slot = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .context("a test case has a malformed attribute value")?
            .into_owned();
    }
    Ok(case)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_outcome_and_ignores_reruns() {
        let text = r#"<?xml version="1.0"?><testsuites><testsuite>
          <testcase classname="a.B" name="t[&lt;1&gt;]" time="0"/>
          <testcase classname="a" name="f"><failure message="x">boom</failure><system-out>&amp;</system-out></testcase>
          <testcase classname="a" name="e"><error/></testcase>
          <testcase classname="a" name="s"><skipped/></testcase>
          <testcase classname="a" name="flaky"><flakyFailure message="x"/></testcase>
        </testsuite></testsuites>"#;
        let found: Vec<(String, Outcome)> = cases(text)
            .unwrap()
            .into_iter()
            .map(|c| (format!("{}::{}", c.class, c.name), c.outcome))
            .collect();
        assert_eq!(
            found,
            [
                ("a.B::t[<1>]".to_owned(), Outcome::Passed),
                ("a::f".to_owned(), Outcome::Failed),
                ("a::e".to_owned(), Outcome::Errored),
                ("a::s".to_owned(), Outcome::Skipped),
                ("a::flaky".to_owned(), Outcome::Passed),
            ]
        );
    }

    #[test]
    fn a_cut_off_report_is_an_error() {
        assert!(cases("<testsuite><testcase name='a'>").is_err());
    }
}
