//! The only place of this crate that writes to the terminal: results to stdout, progress to stderr.

/// Writes one line of results.
#[expect(clippy::print_stdout, reason = "the terminal is the interface of this program")]
pub(crate) fn out(line: &str) {
    println!("{line}");
}

/// Writes one line of progress or trouble.
#[expect(clippy::print_stderr, reason = "the terminal is the interface of this program")]
pub(crate) fn err(line: &str) {
    eprintln!("{line}");
}
