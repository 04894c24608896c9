//! From the body of a request to the order of a run.

use crate::api::problem::Problem;
use crate::api::wire::NewRunBody;
use shared::domain::id::SourceId;
use shared::domain::order::{RunOrder, Wrong};
use shared::service::order::OrderError;

const REASON_CHARS: usize = 500;

/// A text of people, cut to what a list can show.
pub(super) fn short(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(REASON_CHARS).collect()
}

/// What is asked for.
///
/// # Errors
/// 422 at the part of the body that is wrong.
pub(in crate::api) fn read(body: NewRunBody) -> Result<RunOrder, Problem> {
    let source = body.source.map(|text| text.parse::<SourceId>()).transpose();
    Ok(RunOrder {
        reference: body.r#ref,
        source: source.map_err(|error| Problem::invalid("/source", error.to_string()))?,
        commit: body.commit,
        branch: body.branch,
        pull_request: body.pull_request,
        config: body.config,
        suites: body.suites,
        filter: body.filter,
        fail_fast: body.fail_fast,
        timeout_s: body.timeout_s,
        priority: body.priority,
    })
}

impl From<Wrong> for Problem {
    fn from(wrong: Wrong) -> Self {
        Self::invalid(wrong.pointer, wrong.detail)
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Wrong(wrong) => wrong.into(),
            OrderError::Service(error) => error.into(),
        }
    }
}

impl From<RunOrder> for NewRunBody {
    fn from(order: RunOrder) -> Self {
        Self {
            r#ref: order.reference,
            source: order.source.map(|id| id.to_string()),
            commit: order.commit,
            branch: order.branch,
            pull_request: order.pull_request,
            config: order.config,
            suites: order.suites,
            filter: order.filter,
            fail_fast: order.fail_fast,
            timeout_s: order.timeout_s,
            priority: order.priority,
        }
    }
}
