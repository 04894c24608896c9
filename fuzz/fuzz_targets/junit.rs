//! JUnit XML.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::domain::parse::format::Format;

fuzz_target!(|bytes: &[u8]| fleetest_fuzz::report(Some(Format::Junit), bytes));
