//! Peak resident memory of the `fleetest` process itself with 100,000 cases, read from the kernel (Linux only).

use super::{forget, peers};
use crate::{launch, place, say};
use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Cases of each generated project.
const CASES: usize = 100_000;
/// The kernel keeps the peak itself, so only the very last moments can be missed between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Peaks by project, in MiB.
pub(super) fn peaks(program: &Path) -> Result<Vec<(String, f64)>> {
    let mut peaks = Vec::new();
    for (name, project) in
        [("`command` with a JUnit report", junit_project()?), ("generated pytest files", pytest_project()?)]
    {
        say::err(&format!("memory: {name}"));
        forget(&project)?;
        let report = place::target().join("bench").join("report.xml");
        let mut command = Command::new(program);
        command.arg("run").arg(&project).args(["--retries", "0", "--quiet", "--junit"]).arg(&report);
        peaks.push((name.to_owned(), peak_mib(&mut command)?));
        let text = std::fs::read_to_string(&report).context("the measured run wrote no report")?;
        let cases = text.matches("<testcase").count();
        if cases != CASES {
            bail!("the measured run reported {cases} cases instead of {CASES}; its memory proves nothing");
        }
    }
    Ok(peaks)
}

/// A project whose only suite hands over a JUnit report.
fn junit_project() -> Result<PathBuf> {
    let project = place::target().join("bench").join("junit");
    std::fs::create_dir_all(&project).with_context(|| format!("could not create `{}`", project.display()))?;
    let mut report = String::from("<testsuites><testsuite name=\"many\">\n");
    for case in 0..CASES {
        let _ = writeln!(
            report,
            "<testcase classname=\"pkg.Class{}\" name=\"test_{case}\" time=\"0.001\"/>",
            case % 500
        );
    }
    report.push_str("</testsuite></testsuites>\n");
    peers::write(&project.join("many.xml"), &report)?;
    let config = "[suite.many]\nframework = \"command\"\ncommand = \"cp many.xml report.xml\"\nresults = [\"report.xml\"]\n";
    peers::write(&project.join("fleetest.toml"), config)?;
    Ok(project)
}

/// A project of 100 files of 1,000 trivial parametrised cases.
fn pytest_project() -> Result<PathBuf> {
    let project = place::target().join("bench").join("many");
    peers::python_project(&project)?;
    let text =
        "import pytest\n\n\n@pytest.mark.parametrize('n', range(1000))\ndef test_n(n):\n    assert n >= 0\n";
    for file in 0..CASES / 1000 {
        peers::write(&project.join(format!("test_{file:03}.py")), text)?;
    }
    Ok(project)
}

fn peak_mib(command: &mut Command) -> Result<f64> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("could not start `{}`", launch::line(command)))?;
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_kib.max(peak_of(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().context("could not wait")? {
            break status;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    if !status.success() {
        bail!("`{}` ended with {status}; memory of a failed run proves nothing", launch::line(command));
    }
    if peak_kib == 0 {
        bail!("this system does not tell the peak memory of a process; measure on Linux");
    }
    Ok(f64::from(peak_kib) / 1024.0)
}

/// The peak resident set of a process so far, in KiB.
fn peak_of(process: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_outlives_what_was_freed() {
        let script = "x = bytearray(64 * 1024 * 1024); del x; import sys; sys.stdin.read()";
        let mut child = Command::new("python3").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
        let mut peak = 0;
        // The child holds still until its input is closed, so the loop ends by what it has done, not by time.
        while peak < 64 * 1024 {
            peak = peak_of(child.id()).expect("the child is alive");
        }
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn a_failed_run_gives_no_number() {
        assert!(peak_mib(Command::new("sh").args(["-c", "exit 3"])).is_err());
    }
}
