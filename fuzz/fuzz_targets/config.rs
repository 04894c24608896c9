//! `fleetest.toml`: every refusal names a place and a way out.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::domain::config::parse;

fuzz_target!(|text: &str| {
    if let Err(error) = parse("fleetest.toml", text, None) {
        assert!(!error.problems.is_empty() && error.problems.iter().all(|problem| problem.line >= 1));
    }
});
