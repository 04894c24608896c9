//! Reports whose format is found out.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fleetest_fuzz::report(None, bytes));
