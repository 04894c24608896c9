//! What every `Clock` must do.

use shared::domain::time::Timestamp;
use shared::ports::Clock;

/// A later look never shows an earlier time.
pub async fn it_never_goes_back(clock: &dyn Clock) {
    let mut last = clock.now();
    for _ in 0..10_000 {
        let now = clock.now();
        assert!(now >= last, "{now} after {last}");
        last = now;
    }
}

/// The unit and the origin are right: somewhere between the years 2020 and 2200.
pub async fn it_counts_milliseconds_since_1970(clock: &dyn Clock) {
    let years = Timestamp(1_577_836_800_000)..Timestamp(7_258_118_400_000);
    assert!(years.contains(&clock.now()), "{}", clock.now());
}
