//! Filter expressions, on any case id.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::domain::case::CaseId;
use shared::domain::filter::Filter;

fuzz_target!(|input: (&str, &str)| {
    let (expression, id) = input;
    let case = CaseId(id.to_owned());
    if let Ok(filter) = Filter::parse(expression) {
        std::hint::black_box(filter.keeps(&case));
    }
    if !id.trim().is_empty()
        && let Ok(exact) = Filter::parse(&Filter::exact(&case))
    {
        assert!(exact.keeps(&case));
    }
});
