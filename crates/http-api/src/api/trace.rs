//! `traceparent`: the trace that a request belongs to, passed on with a span of our own.
//!
//! What is not of the form that W3C Trace Context gives (version 00) is replaced by a fresh trace.

use axum::http::{HeaderMap, HeaderValue};

/// The header.
pub(super) const TRACEPARENT: &str = "traceparent";

/// The place of a request in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// 32 hexadecimal digits, shared by everything that one call caused.
    pub trace_id: String,
    /// 16 hexadecimal digits: this request.
    pub span_id: String,
    flags: String,
}

impl Trace {
    /// The trace of a request; `fresh` is the request's own number, which also names a trace that begins with it.
    pub(super) fn of(headers: &HeaderMap, fresh: u128) -> Self {
        let mut sent = headers.get_all(TRACEPARENT).iter();
        let given = sent.next().and_then(|value| value.to_str().ok()).and_then(read);
        let given = given.filter(|_| sent.next().is_none());
        let (trace_id, flags) = given.unwrap_or_else(|| (format!("{fresh:032x}"), "00".to_owned()));
        // The lower half of a UUID of version 7 is random, but for two bits that are never both 0.
        let span_id = format!("{fresh:032x}").split_off(16);
        Self { trace_id, span_id, flags }
    }

    /// As a header.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("00-{}-{}-{}", self.trace_id, self.span_id, self.flags)).ok()
    }
}

fn read(text: &str) -> Option<(String, String)> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let named = |part: &str| part.bytes().any(|byte| byte != b'0');
    let sound = version == "00"
        && parts.next().is_none()
        && hex(trace, 32)
        && hex(span, 16)
        && hex(flags, 2)
        && named(trace)
        && named(span);
    sound.then(|| (trace.to_owned(), flags.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn of(values: &[&str]) -> Trace {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        Trace::of(&headers, 0x0190_0000_0000_7000_8000_0000_0000_0001)
    }

    #[test]
    fn a_sound_trace_goes_on_with_another_span() {
        let trace = of(&[&format!("00-{TRACE}-00f067aa0ba902b7-01")]);
        assert_eq!(trace.header().unwrap(), format!("00-{TRACE}-8000000000000001-01").as_str());
    }

    #[test]
    fn anything_else_is_replaced() {
        let zeros = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let sound = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let table: [&[&str]; 9] = [
            &[],
            &[""],
            &[&zeros],
            &[&format!("ff-{TRACE}-00f067aa0ba902b7-01")],
            &[&format!("00-{TRACE}-0000000000000000-01")],
            &[&format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase())],
            &[&format!("{sound}-more")],
            &[&format!("00-{TRACE}-00f067aa0ba902b7")],
            &[&sound, &sound],
        ];
        for sent in table {
            assert_eq!(of(sent).trace_id, "01900000000070008000000000000001", "{sent:?}");
        }
    }
}
