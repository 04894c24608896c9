//! How many requests a caller may send: a bucket per subject, in the memory of this process.
//!
//! The level is counted in sixty-thousandths of a request, so that a bucket fills by whole numbers each millisecond.

use super::problem::Problem;
use super::settings::RateLimit;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use shared::domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

const REQUEST: u64 = 60_000;
/// More callers than this, and those with a full bucket are forgotten.
const CALLERS_LIMIT: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: u64,
    at: Timestamp,
}

/// What a caller has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    limit: RateLimit,
    /// Whether this request may pass.
    pub(super) granted: bool,
    /// Requests left.
    left: u64,
    /// When there is at least one again, or the bucket is full, in seconds.
    again_s: u64,
}

/// The buckets.
#[derive(Debug, Default)]
pub(super) struct Buckets(Mutex<BTreeMap<String, Bucket>>);

impl Buckets {
    /// Takes one request of a caller's budget.
    pub(super) fn take(&self, limit: RateLimit, subject: &str, now: Timestamp) -> Budget {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CALLERS_LIMIT && !buckets.contains_key(subject) {
            buckets.retain(|_, bucket| filled(limit, *bucket, now).level < capacity(limit));
        }
        let full = Bucket { level: capacity(limit), at: now };
        let bucket = buckets.entry(subject.to_owned()).or_insert(full);
        let (next, budget) = draw(limit, *bucket, now);
        *bucket = next;
        budget
    }
}

fn capacity(limit: RateLimit) -> u64 {
    u64::from(limit.burst.max(1)) * REQUEST
}

fn filled(limit: RateLimit, bucket: Bucket, now: Timestamp) -> Bucket {
    let gained = now.since_ms(bucket.at).saturating_mul(u64::from(limit.per_minute.max(1)));
    Bucket { level: bucket.level.saturating_add(gained).min(capacity(limit)), at: now.max(bucket.at) }
}

fn draw(limit: RateLimit, bucket: Bucket, now: Timestamp) -> (Bucket, Budget) {
    let mut bucket = filled(limit, bucket, now);
    let granted = bucket.level >= REQUEST;
    if granted {
        bucket.level -= REQUEST;
    }
    let goal = if granted { capacity(limit) } else { REQUEST };
    let again_ms = goal.saturating_sub(bucket.level).div_ceil(u64::from(limit.per_minute.max(1)));
    let budget = Budget { limit, granted, left: bucket.level / REQUEST, again_s: again_ms.div_ceil(1000) };
    (bucket, budget)
}

impl Budget {
    /// The refusal of a request that is one too many.
    pub(super) fn problem(&self) -> Problem {
        let detail = format!("more than {} requests a minute; wait and send it again", self.limit.per_minute);
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
        Problem { retry_after_s: Some(self.again_s.max(1)), ..problem }
    }

    /// Tells the caller.
    pub(super) fn note(&self, headers: &mut HeaderMap) {
        let policy =
            format!("\"default\";q={};w=60;burst={}", self.limit.per_minute.max(1), self.limit.burst.max(1));
        let now = format!("\"default\";r={};t={}", self.left, self.again_s);
        for (name, value) in [("ratelimit-policy", policy), ("ratelimit", now)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: RateLimit = RateLimit { per_minute: 60, burst: 3 };

    #[test]
    fn a_burst_passes_and_then_one_a_second() {
        let buckets = Buckets::default();
        let take = |who: &str, ms: u64| buckets.take(LIMIT, who, Timestamp(ms));
        assert_eq!([0, 0, 0, 0].map(|ms| take("a", ms).granted), [true, true, true, false]);
        assert!(take("b", 0).granted, "callers do not share");
        let refused = take("a", 999);
        assert_eq!((refused.granted, refused.again_s), (false, 1));
        assert!(take("a", 1000).granted && !take("a", 1001).granted);
        assert_eq!(take("a", 3_600_000).left, 2, "a bucket holds no more than the burst");
        assert!(take("a", 0).granted, "a clock that goes back takes nothing away");
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_what_time_brings(steps in prop::collection::vec(0u64..5_000, 1..200)) {
            let buckets = Buckets::default();
            let (mut now, mut granted) = (0, 0u64);
            for step in steps {
                now += step;
                granted += u64::from(buckets.take(LIMIT, "a", Timestamp(now)).granted);
                prop_assert!(granted <= 3 + now / 1000);
            }
        }
    }
}
