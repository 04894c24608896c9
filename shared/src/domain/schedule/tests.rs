//! Fires against a naive reading of the clock, in zones whose clocks are set.

use super::*;
use jiff::civil::DateTime;
use proptest::prelude::*;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn fires(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let table = Timetable::parse(cron, zone).unwrap();
    table.next(at(from), count).into_iter().map(|fire| fire.rfc3339().replace(":00.000Z", "Z")).collect()
}

fn wall(table: &Timetable, time: Timestamp) -> DateTime {
    table.zoned(time).unwrap().datetime()
}

#[test]
fn a_time_of_day_is_that_of_the_zone() {
    let berlin = fires("30 6 * * *", "Europe/Berlin", "2026-10-23T12:00:00Z", 3);
    assert_eq!(berlin, ["2026-10-24T04:30Z", "2026-10-25T05:30Z", "2026-10-26T05:30Z"]);
    let weekly = fires("@weekly", "UTC", "2026-11-21T00:00:00Z", 2);
    assert_eq!(weekly, ["2026-11-22T00:00Z", "2026-11-29T00:00Z"]);
    let strictly = fires("0 0 * * *", "UTC", "2026-11-21T00:00:00Z", 1);
    assert_eq!(strictly, ["2026-11-22T00:00Z"], "a fire is not after itself");
    let names = fires("0 9 * jan mon-fri", "Asia/Kolkata", "2026-12-31T00:00:00Z", 2);
    assert_eq!(names, ["2027-01-01T03:30Z", "2027-01-04T03:30Z"]);
}

#[test]
fn a_time_that_does_not_exist_fires_once_after_the_gap() {
    // 02:00 becomes 03:00 on 29 March 2026.
    let fixed = fires("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
    assert_eq!(fixed, ["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"]);
    let every = fires("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 4);
    assert_eq!(every, ["2026-03-29T00:30Z", "2026-03-29T01:00Z", "2026-03-29T01:30Z", "2026-03-29T02:00Z"]);
}

#[test]
fn a_time_that_comes_twice_fires_once_and_an_interval_goes_on() {
    // 03:00 becomes 02:00 on 25 October 2026.
    let fixed = fires("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
    assert_eq!(fixed, ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]);
    let every = fires("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", 5);
    let expected = [
        "2026-10-25T00:00Z",
        "2026-10-25T00:30Z",
        "2026-10-25T01:00Z",
        "2026-10-25T01:30Z",
        "2026-10-25T02:00Z",
    ];
    assert_eq!(every, expected);
}

#[test]
fn what_is_no_timetable_is_refused() {
    for cron in [
        "",
        "* * * *",
        "* * * * * *",
        "* * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "a b c d e",
        "@never",
        "* * * * 9",
        "*/0 * * * *",
        "5-1 * * * *",
        "\u{1b}[2J",
    ] {
        let error = Timetable::parse(cron, "UTC").map(drop).unwrap_err();
        assert!(matches!(error, TimetableError::Expression { .. }), "{cron}: {error}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
    assert!(Timetable::parse(&"*,".repeat(60), "UTC").is_err());
    for zone in ["", "Mars/Olympus", "CEST5", "../etc/passwd", "Europe/Berlin\0", "europe", "+01:00"] {
        let error = Timetable::parse("* * * * *", zone).map(drop).unwrap_err();
        assert!(matches!(error, TimetableError::Zone(_)), "{zone}: {error}");
    }
}

#[test]
fn what_never_fires_is_known_soon() {
    let begin = Timestamp(1_800_000_000_000);
    assert_eq!(Timetable::parse("0 0 30 2 *", "UTC").unwrap().after(begin), None);
    let leap = fires("0 0 29 2 *", "UTC", "2027-01-01T00:00:00Z", 2);
    assert_eq!(leap, ["2028-02-29T00:00Z", "2032-02-29T00:00Z"]);
}

fn schedule(next_fire: Option<Timestamp>) -> Schedule {
    Schedule {
        id: ScheduleId(7),
        project: ProjectId("p".to_owned()),
        name: "nightly".to_owned(),
        cron: "0 * * * *".to_owned(),
        zone: "UTC".to_owned(),
        order: RunOrder::default(),
        paused: false,
        next_fire,
        last_run: None,
        last_fire: None,
        problem: None,
        created_at: Timestamp(0),
        created_by: "t".to_owned(),
        updated_at: Timestamp(0),
    }
}

#[test]
fn of_the_fires_that_were_missed_the_latest_counts_if_it_is_not_too_old() {
    let hourly = Timetable::parse("0 * * * *", "UTC").unwrap();
    let first = Timestamp(1_800_000_000_000 / HOUR_MS * HOUR_MS);
    let due = |after_ms: u64| schedule(Some(first)).due(&hourly, first.plus_ms(after_ms));
    assert_eq!(due(0), Some(Due { fire: Some(first), next: Some(first.plus_ms(HOUR_MS)) }));
    let late = due(3 * HOUR_MS + 1).unwrap();
    assert_eq!(late.fire, Some(first.plus_ms(3 * HOUR_MS)));
    assert_eq!(schedule(Some(first)).due(&hourly, Timestamp(first.0 - 1)), None);
    assert_eq!(schedule(None).due(&hourly, first), None);
    assert_eq!(Schedule { paused: true, ..schedule(Some(first)) }.due(&hourly, first), None);
    let daily = Timetable::parse("0 0 * * *", "UTC").unwrap();
    let midnight = Timestamp(first.0 / DAY_MS * DAY_MS);
    let long_after = schedule(Some(midnight)).due(&daily, midnight.plus_ms(CATCH_UP_MS + HOUR_MS)).unwrap();
    assert_eq!(long_after, Due { fire: None, next: Some(midnight.plus_ms(DAY_MS)) });
}

#[test]
fn one_fire_is_one_run() {
    let (a, b) = (schedule(None), Schedule { id: ScheduleId(8), ..schedule(None) });
    let time = Timestamp(1_800_000_000_000);
    assert_eq!(a.run_at(time), a.run_at(time));
    assert_ne!(a.run_at(time), b.run_at(time));
    assert_ne!(a.run_at(time), a.run_at(time.plus_ms(MINUTE_MS)));
    assert!(a.run_at(time) < a.run_at(time.plus_ms(1)), "ids sort by their time");
    assert_eq!(a.run_at(time).0 >> 76 & 0xf, 7);
}

const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Africa/Casablanca",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Steps are exactly the minutes whose wall clock matches: none is left out, doubled or made up around changes.
    #[test]
    fn steps_match_the_wall_clock_minute_by_minute(
        zone in prop::sample::select(&ZONES[..]),
        step in prop::sample::select(&[1_i8, 7, 15, 30][..]),
        // Days around which some zone sets its clocks, and any other.
        day in prop_oneof![Just(20_541_u64), Just(20_751), Just(20_519), Just(20_757), Just(20_547), 20_400..21_000_u64],
        offset_minutes in 0..1_440_u64,
    ) {
        let table = Timetable::parse(&format!("*/{step} * * * *"), zone).unwrap();
        let begin = Timestamp(day * DAY_MS + offset_minutes * MINUTE_MS);
        let end = begin.plus_ms(6 * HOUR_MS);
        let naive: Vec<Timestamp> = (1..=6 * 60)
            .map(|minute| begin.plus_ms(minute * MINUTE_MS))
            .filter(|time| wall(&table, *time).minute() % step == 0)
            .collect();
        let told: Vec<Timestamp> = std::iter::successors(table.after(begin), |last| table.after(*last))
            .take_while(|fire| *fire <= end)
            .collect();
        prop_assert_eq!(told, naive);
    }

    /// A time of day fires exactly once on each day of the zone: at it, or right after the gap that swallowed it.
    #[test]
    fn a_time_of_day_fires_once_a_day(
        zone in prop::sample::select(&ZONES[..]),
        hour in 0..24_i8,
        minute in 0..60_i8,
        day in 20_400..21_000_u64,
    ) {
        let table = Timetable::parse(&format!("{minute} {hour} * * *"), zone).unwrap();
        let fires = table.next(Timestamp(day * DAY_MS), 40);
        prop_assert_eq!(fires.len(), 40);
        for pair in fires.windows(2) {
            let (one, next) = (wall(&table, pair[0]), wall(&table, pair[1]));
            prop_assert_eq!(one.date().tomorrow().unwrap(), next.date(), "{} {}", one, next);
            let exact = next.hour() == hour && next.minute() == minute;
            let wall_before = wall(&table, Timestamp(pair[1].0 - MINUTE_MS));
            let gap = next.duration_since(wall_before).as_mins() > 1;
            prop_assert!(exact || gap, "{} is neither the time nor the end of a gap", next);
        }
    }

    /// No text makes it fail in another way than by an error.
    #[test]
    fn any_text_is_a_timetable_or_an_error(cron in "[ -~]{0,30}|[0-9*/,@LW#-]{1,4}( [0-9*/,LW#?-]{1,4}){4}", zone in "[ -~]{0,20}") {
        drop(Timetable::parse(&cron, &zone));
        if let Ok(table) = Timetable::parse(&cron, "Europe/Berlin") {
            let fires = table.next(Timestamp(1_800_000_000_000), 3);
            prop_assert!(fires.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
