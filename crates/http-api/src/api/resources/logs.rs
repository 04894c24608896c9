//! Logs of a run: which there are, and any part of one, waiting for more if asked to.

use crate::api::door::{Api, Authorized, CanRead, OneRun};
use crate::api::extract::Asked;
use crate::api::page::{self, Part};
use crate::api::problem::Problem;
use crate::api::wire::{LogShown, LogText, Page, ProblemBody};
use axum::Json;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use shared::domain::id::{JobNo, ShardAttempt};
use shared::service::Services;
use shared::service::logs::LogPart;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Bytes of a part, unless asked otherwise.
const DEFAULT_BYTES: u32 = 64 * 1024;
/// Most bytes of a part.
const MAX_BYTES: u32 = 1024 * 1024;
/// Longest wait for more.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often is looked whether there is more.
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// The logs of a run, by job, shard and attempt.
#[utoipa::path(get, path = "/v1/runs/{run}/logs", tag = "logs", params(("run" = String, Path), Part),
    responses((status = 200, body = Page<LogShown>), (status = "4XX", body = ProblemBody)))]
async fn list(
    door: Authorized<OneRun, CanRead>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    let run = door.resource.0.value.id;
    let name = format!("logs {run}");
    let after = part.after(&door, &name)?;
    let listed = door.services().logs(run, after.as_deref(), part.limit()?).await?;
    Ok(page::answer(&door, (&name, &uri), listed, LogShown::from))
}

/// Which part of a log.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Where to begin, in bytes.
    offset: u64,
    /// Most bytes, 1 to 1048576.
    #[param(minimum = 1, maximum = 1_048_576, default = 65_536)]
    limit: Option<u32>,
    /// Whether to wait for more, up to 20 seconds, if there is nothing yet.
    follow: bool,
}

/// A part of a log. With `follow`, an empty part that is not the last one means: ask again.
#[utoipa::path(get, path = "/v1/runs/{run}/jobs/{job}/shards/{shard}/logs/{name}", tag = "logs",
    params(("run" = String, Path), ("job" = u32, Path), ("shard" = u32, Path),
        ("name" = String, Path, description = "attempt and stream, as in `1-setup`"), Wanted),
    responses((status = 200, body = LogText), (status = "4XX", body = ProblemBody)))]
async fn show(
    door: Authorized<OneRun, CanRead>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<LogText>, Problem> {
    let limit = wanted.limit.unwrap_or(DEFAULT_BYTES);
    if limit == 0 || limit > MAX_BYTES {
        return Err(Problem::invalid("limit", format!("`limit` must be 1 to {MAX_BYTES}")));
    }
    let (writer, stream) = place(&door)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let asked = (wanted.offset, limit, wanted.follow);
    Ok(Json(read(door.services(), (writer, &stream), asked).await?.into()))
}

fn place(door: &Authorized<OneRun, CanRead>) -> Result<(ShardAttempt, String), Problem> {
    let name: String = door.path.read("name")?;
    let (attempt, stream) = name
        .split_once('-')
        .and_then(|(attempt, stream)| Some((attempt.parse().ok()?, stream.to_owned())))
        .ok_or_else(|| Problem::not_found(format!("`{name}` is no log (as in `1-setup`)")))?;
    let run = door.resource.0.value.id;
    let writer =
        ShardAttempt { run, job: JobNo(door.path.read("job")?), shard: door.path.read("shard")?, attempt };
    Ok((writer, stream))
}

async fn read(
    services: &Services,
    (writer, stream): (ShardAttempt, &str),
    (offset, limit, follow): (u64, usize, bool),
) -> Result<LogPart, Problem> {
    let begun = follow.then(Instant::now);
    loop {
        let part = services.read_log(writer, stream, offset, limit).await?;
        let waits = begun.is_some_and(|begun| begun.elapsed() < PATIENCE);
        if !waits || part.is_last() || !part.text.is_empty() {
            return Ok(part);
        }
        sleep(LOOK_EVERY).await;
    }
}
