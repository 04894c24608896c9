//! The request that starts a task.
//!
//! Overrides carry a pointer, a one-shot token and the number of slots, nothing that grows with a run.

use super::PORT;
use super::tries::Try;
use crate::config::Fleet;
use crate::limits::CLIENT_TOKEN_LIMIT_CHARS;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::error::BuildError;
use aws_sdk_ecs::operation::run_task::builders::RunTaskFluentBuilder;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride, KeyValuePair,
    NetworkConfiguration, Tag, TaskOverride,
};
use shared::domain::id::{ShardAttempt, digest_hex};
use shared::ports::{LaunchOrder, PortError, PortResult};

/// Environment variable: where the runner finds the coordinator.
pub const LINK_URL_VARIABLE: &str = "FLEETEST_LINK_URL";
/// Environment variable: the one-shot token.
pub const TOKEN_VARIABLE: &str = "FLEETEST_BOOTSTRAP_TOKEN";
/// Environment variable: how many slots the runner should offer; absent = all of its machine.
pub const SLOTS_VARIABLE: &str = "FLEETEST_SLOTS";

/// Makes the request for one try.
pub(super) fn run_task(
    client: &Client,
    fleet: &Fleet,
    order: &LaunchOrder,
    one: &Try<'_>,
) -> PortResult<RunTaskFluentBuilder> {
    let unbuilt = |error: BuildError| PortError::Denied {
        port: PORT,
        subject: order.shard.to_string(),
        reason: error.to_string(),
    };
    let provider = CapacityProviderStrategyItem::builder().capacity_provider(one.capacity.provider());
    let provider = provider.weight(1).build().map_err(unbuilt)?;
    let network = network(fleet, one.subnet).map_err(unbuilt)?;
    Ok(client
        .run_task()
        .cluster(&fleet.cluster)
        .task_definition(&fleet.task_definition)
        .count(1)
        .client_token(client_token(order, one))
        .started_by(order.shard.to_string())
        .capacity_provider_strategy(provider)
        .network_configuration(network)
        .overrides(overrides(fleet, order))
        .enable_ecs_managed_tags(true)
        .set_tags(Some(tags(order.shard))))
}

/// The token of one try: ECS answers it with what the same request came to before, also if that was a refusal, and takes
/// it for no other request. So each way to start a task has one of its own, and a new one after there was no room.
fn client_token(order: &LaunchOrder, one: &Try<'_>) -> String {
    let digest = digest_hex(&format!("{} {} {one}", order.shard, order.round));
    digest.chars().take(CLIENT_TOKEN_LIMIT_CHARS).collect()
}

fn network(fleet: &Fleet, subnet: &str) -> Result<NetworkConfiguration, BuildError> {
    let groups = (!fleet.security_groups.is_empty()).then(|| fleet.security_groups.clone());
    let public = if fleet.public_address { AssignPublicIp::Enabled } else { AssignPublicIp::Disabled };
    let vpc =
        AwsVpcConfiguration::builder().subnets(subnet).set_security_groups(groups).assign_public_ip(public);
    Ok(NetworkConfiguration::builder().awsvpc_configuration(vpc.build()?).build())
}

fn overrides(fleet: &Fleet, order: &LaunchOrder) -> TaskOverride {
    let pair = |name: &str, value: String| KeyValuePair::builder().name(name).value(value).build();
    let mut environment = vec![
        pair(LINK_URL_VARIABLE, fleet.link_url.clone()),
        pair(TOKEN_VARIABLE, order.bootstrap_token.clone()),
    ];
    environment.extend(order.slots.map(|slots| pair(SLOTS_VARIABLE, slots.to_string())));
    let container =
        ContainerOverride::builder().name(&fleet.container).set_environment(Some(environment)).build();
    TaskOverride::builder().container_overrides(container).build()
}

fn tags(shard: ShardAttempt) -> Vec<Tag> {
    let pairs = [
        ("fleetest:run", shard.run.to_string()),
        ("fleetest:job", shard.job.to_string()),
        ("fleetest:shard", shard.shard.to_string()),
        ("fleetest:attempt", shard.attempt.to_string()),
    ];
    pairs.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::tries;
    use crate::limits::{OVERRIDES_LIMIT_CHARS, STARTED_BY_LIMIT_CHARS, TAG_VALUE_LIMIT_CHARS};
    use shared::domain::id::{JobNo, RunId};
    use std::collections::BTreeSet;

    #[test]
    fn the_longest_request_stays_far_below_the_limits() {
        let most = u32::MAX;
        let shard = ShardAttempt { run: RunId(u128::MAX), job: JobNo(most), shard: most, attempt: most };
        let order = LaunchOrder {
            shard,
            bootstrap_token: "t".repeat(512),
            slots: Some(most),
            round: most,
            again: true,
        };
        let fleet = Fleet {
            cluster: "c".to_owned(),
            task_definition: "t".to_owned(),
            container: "c".repeat(255),
            subnets: Vec::new(),
            security_groups: Vec::new(),
            public_address: true,
            spot: true,
            link_url: format!("https://{}", "h".repeat(500)),
        };
        let overrides = overrides(&fleet, &order);
        let container = &overrides.container_overrides()[0];
        // As JSON: names, values, quotes and the words around them.
        let pairs = container
            .environment()
            .iter()
            .map(|pair| pair.name().unwrap_or_default().len() + pair.value().unwrap_or_default().len() + 24);
        let chars = pairs.sum::<usize>() + container.name().unwrap_or_default().len() + 64;
        assert!(chars < 2048, "{chars} of {OVERRIDES_LIMIT_CHARS}");
        let fleet = Fleet { subnets: vec!["a".to_owned(), "b".to_owned()], ..fleet };
        let mut tokens = BTreeSet::new();
        for round in [0, 1, most] {
            let order = LaunchOrder { round, ..order.clone() };
            tokens.extend(tries::of(&fleet, shard).iter().map(|one| client_token(&order, one)));
        }
        assert_eq!(tokens.len(), 12, "one for each try of each round");
        let sound = |token: &String| token.len() <= CLIENT_TOKEN_LIMIT_CHARS && token.is_ascii();
        assert!(tokens.iter().all(sound), "{tokens:?}");
        let started_by = shard.to_string();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'/' | b'_');
        assert!(started_by.len() <= STARTED_BY_LIMIT_CHARS && started_by.bytes().all(allowed));
        assert!(tags(shard).iter().all(|tag| tag.value().unwrap_or_default().len() <= TAG_VALUE_LIMIT_CHARS));
    }
}
