//! In which order capacities and zones are tried.

use crate::config::Fleet;
use shared::domain::id::ShardAttempt;
use std::fmt;

/// Zones that are tried with one capacity: enough for a region, few enough not to be throttled.
const ZONES_LIMIT: usize = 3;

/// Who provides the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capacity {
    /// Spare machines, taken back at two minutes' notice.
    Spot,
    /// Ordinary ones.
    OnDemand,
}

impl Capacity {
    /// The name of the capacity provider.
    pub(super) fn provider(self) -> &'static str {
        match self {
            Self::Spot => "FARGATE_SPOT",
            Self::OnDemand => "FARGATE",
        }
    }
}

/// One way to start a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Try<'a> {
    pub(super) capacity: Capacity,
    pub(super) subnet: &'a str,
}

impl fmt::Display for Try<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.capacity.provider(), self.subnet)
    }
}

/// The tries for a launch. Shards begin in different zones, and so do attempts of one shard.
pub(super) fn of(fleet: &Fleet, shard: ShardAttempt) -> Vec<Try<'_>> {
    let count = fleet.subnets.len().max(1);
    let first = u64::from(shard.shard) + u64::from(shard.attempt);
    let first = usize::try_from(first).unwrap_or(0) % count;
    let capacities: &[Capacity] =
        if fleet.spot { &[Capacity::Spot, Capacity::OnDemand] } else { &[Capacity::OnDemand] };
    let zones = || fleet.subnets.iter().cycle().skip(first).take(fleet.subnets.len().min(ZONES_LIMIT));
    capacities.iter().flat_map(|capacity| zones().map(|subnet| Try { capacity: *capacity, subnet })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::domain::id::{JobNo, RunId};
    use std::collections::BTreeSet;

    fn fleet(zones: usize, spot: bool) -> Fleet {
        Fleet {
            cluster: "c".to_owned(),
            task_definition: "t".to_owned(),
            container: "runner".to_owned(),
            subnets: (0..zones).map(|n| format!("subnet-{n}")).collect(),
            security_groups: Vec::new(),
            public_address: false,
            spot,
            link_url: "https://example.org".to_owned(),
        }
    }

    fn shard(shard: u32, attempt: u32) -> ShardAttempt {
        ShardAttempt { run: RunId(1), job: JobNo(1), shard, attempt }
    }

    #[test]
    fn spare_capacity_in_every_zone_comes_before_the_ordinary_one() {
        let fleet = fleet(2, true);
        let told: Vec<String> = of(&fleet, shard(1, 1)).iter().map(ToString::to_string).collect();
        let spot = ["FARGATE_SPOT in subnet-0", "FARGATE_SPOT in subnet-1"];
        assert_eq!(told, [spot[0], spot[1], "FARGATE in subnet-0", "FARGATE in subnet-1"]);
    }

    #[test]
    fn shards_and_attempts_spread_over_the_zones() {
        let fleet = fleet(3, false);
        let first = |s, a| of(&fleet, shard(s, a))[0].subnet;
        let by_shard: BTreeSet<&str> = (1..=3).map(|n| first(n, 1)).collect();
        let by_attempt: BTreeSet<&str> = (1..=3).map(|n| first(1, n)).collect();
        assert_eq!((by_shard.len(), by_attempt.len()), (3, 3));
    }

    #[test]
    fn no_zone_is_tried_twice_and_not_too_many() {
        for (zones, wanted) in [(0, 0), (1, 1), (2, 2), (3, 3), (16, 3)] {
            let fleet = fleet(zones, false);
            let tried: BTreeSet<&str> = of(&fleet, shard(7, 2)).iter().map(|one| one.subnet).collect();
            assert_eq!((tried.len(), of(&fleet, shard(7, 2)).len()), (wanted, wanted), "{zones}");
        }
    }
}
