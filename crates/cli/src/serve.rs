//! `fleetest serve`: one instance in one process, from its arguments to its end.
//!
//! The public API and the runner link on the address that was asked for; the link once more on a loopback port of its
//! own, so that local runners are never kept waiting by the public's connections.

mod backup;
mod door;
mod drain;
mod host;
mod log;
mod pace;
mod place;
mod restore;
mod settings;

pub use backup::backup;
pub use restore::restore;

use crate::args::serve::ServeArgs;
use crate::config::Config;
use crate::engine::ground::{self, NoDelay, Plot};
use crate::exit::{Exit, Problem};
use crate::interrupt::{self, StopFlag};
use crate::run::{ink, wall_clock};
use axum::Router;
use embedded::git::{GitConfig, GitForge};
use host::Host;
use http_api::api::door::Api;
use http_api::api::settings::{ApiSettings, RateLimit};
use log::Log;
use notify::client::Outbound;
use notify::guard::Allow;
use notify::sender::Sender;
use pace::Patience;
use place::Place;
use settings::ServeSettings;
use shared::domain::audit::Actor;
use shared::domain::shard::Clocks;
use shared::ports::Unobserved;
use shared::service::key::NewKey;
use shared::service::notify::Notices;
use shared::service::{ServiceError, Services, Settings};
use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long runners may take to give their work back once the instance is to end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Serves until the process is asked to stop.
///
/// # Errors
/// The folder or the address cannot be used.
pub fn serve(args: &ServeArgs, config: &Config) -> anyhow::Result<Exit> {
    let log = Log::new(ink(args.color, config), wall_clock);
    let wishes = match &args.config {
        Some(path) => ServeSettings::read(&config.here.join(path))?,
        None => ServeSettings::default(),
    };
    let place = Arc::new(Place::open(&folder(args.data.as_deref(), config))?);
    let stop = StopFlag::default();
    interrupt::listen(stop.clone(), || {})?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(args, wishes, place, &log, &stop))?;
    // What still blocks then has nothing more to say.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(Exit::Passed)
}

/// The folder that is meant.
fn folder(named: Option<&Path>, config: &Config) -> PathBuf {
    named.map_or_else(|| place::default_dir(config), |dir| config.here.join(dir))
}

async fn run(
    args: &ServeArgs,
    mut wishes: ServeSettings,
    place: Arc<Place>,
    log: &Log,
    stop: &StopFlag,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(&args.listen).await.map_err(|error| {
        Problem::could_not_run(format!("cannot listen on `{}`", args.listen))
            .hint("name another address with `--listen`, as in `--listen 127.0.0.1:8001`")
            .because(error)
    })?;
    let address = listener.local_addr()?;
    let link = TcpListener::bind(("127.0.0.1", 0)).await?;
    let slots = args
        .slots
        .or_else(|| {
            std::thread::available_parallelism()
                .ok()
                .and_then(|n| u32::try_from(n.get()).ok().and_then(NonZero::new))
        })
        .map_or(1, NonZero::get);
    let mut launch = ground::launch_config(&place.dir, format!("http://{}", link.local_addr()?))?;
    launch.slots = Some(slots);
    launch.capacity = usize::try_from(slots)?;
    let local = if args.allow_local_sources { "1" } else { "0" };
    launch.env.insert(runner::config::LOCAL_VARIABLE.into(), local.into());
    let ground = ground::lay(Plot {
        dir: &place.dir,
        launch,
        settings: settings(&place, slots),
        forge: Arc::new(forge(&place, args.allow_local_sources)),
        observer: Arc::new(Unobserved),
        alarm: None,
    })
    .map_err(|error| explain(error.into()))?;
    let services = Arc::clone(&ground.services);
    let lost = services.resume().await.map_err(explain)?;
    let url = wishes.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    first_key(&services, args.new_admin_key, &url).await?;
    let private = http_api::link::router(Arc::clone(&services));
    tokio::spawn(async move { axum::serve(NoDelay(link), private).await });
    announce(args, &place, log, (address, slots, lost));
    let notices = notices(&services, args.allow_private_notifications, &mut wishes, &url)?;
    let host = Host::start(ground, notices, place, log);
    let router = router(&services, args.rate_limit, wishes);
    let public = tokio::spawn(door::serve(listener, router, Patience::default(), stop.clone()));
    stop.raised().await;
    log.say("stopping: open requests are answered, runners give their work back (once more to end at once)");
    let (closed, left) = tokio::join!(public, host.stop(LAST_WORDS));
    closed?;
    log.say(&format!("stopped; unfinished runs that the next start goes on with: {left}"));
    Ok(())
}

/// Looks references up with git, which sees of the environment what a runner's git sees.
fn forge(place: &Place, allow_local: bool) -> GitForge {
    let seen = runner::config::git_environment();
    GitForge::new(GitConfig {
        folder: place.dir.join("repositories"),
        environment: seen.always,
        ssh_environment: seen.ssh,
        allow_local,
    })
}

/// What tells people, through the one guarded way out.
fn notices(
    services: &Arc<Services>,
    private: bool,
    wishes: &mut ServeSettings,
    url: &str,
) -> anyhow::Result<Notices> {
    let hosts = std::mem::take(&mut wishes.allow_hosts);
    let allow = Allow { private, hosts, ..Allow::default() };
    let outbound = Outbound::new(allow)
        .map_err(|error| Problem::could_not_run("notifications cannot be set up").because(error))?;
    Ok(Notices {
        services: Arc::clone(services),
        notifier: Arc::new(Sender::new(outbound, wishes.mailer.take(), wishes.github_app.take())),
        run_link: Some(format!("{url}/v1/runs/")),
    })
}

fn router(services: &Arc<Services>, per_minute: u32, wishes: ServeSettings) -> Router {
    let settings = ApiSettings {
        rate: (per_minute > 0).then_some(RateLimit { per_minute, burst: per_minute }),
        metrics_token: wishes.metrics_token,
        oidc: wishes.oidc,
        admins: wishes.admins,
    };
    let api = http_api::api::router(Api::with_settings(Arc::clone(services), settings));
    api.merge(http_api::link::router(Arc::clone(services)))
}

fn settings(place: &Place, slots: u32) -> Settings {
    let clocks = Clocks { wait_ms: 50, launch_retry_ms: 1_000, ..Clocks::default() };
    Settings { clocks, slots: Some(slots), ..ground::settings(place.token_key.clone()) }
}

/// Makes and prints a key for the one who has just set the instance up, or asks for another one.
async fn first_key(services: &Services, another: bool, url: &str) -> anyhow::Result<()> {
    let keys = services.keys(None, None, 1).await.map_err(explain)?;
    if !keys.items.is_empty() && !another {
        return Ok(());
    }
    let (_key, text) = services.create_key(&Actor::system(), NewKey::admin()).await.map_err(explain)?;
    let text = text.reveal();
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    writeln!(
        stdout,
        "The admin key, shown this once. To use it: export FLEETEST_URL={url} FLEETEST_TOKEN={text}"
    )?;
    Ok(stdout.flush()?)
}

fn announce(args: &ServeArgs, place: &Place, log: &Log, facts: (SocketAddr, u32, usize)) {
    let (address, slots, lost) = facts;
    if !address.ip().is_loopback() {
        log.warn(&format!(
            "`{address}` can be reached from other machines and is not encrypted: keys and results cross the network in the clear; put a TLS proxy before it, or listen on 127.0.0.1"
        ));
    }
    if args.allow_local_sources {
        log.warn("whoever may change a project's settings can have any repository of this machine tested");
    }
    if place.was_killed() {
        log.say(&format!(
            "the last server of this folder was killed; runners lost with it and replaced: {lost}"
        ));
    }
    log.say(&format!("fleetest serves http://{address} (data in {}, slots: {slots})", place.dir.display()));
}

/// An error of the services in words for the operator.
fn explain(error: ServiceError) -> anyhow::Error {
    Problem::could_not_run("the instance's folder cannot be used")
        .hint("check its rights and the room on its disk; `fleetest restore` brings a backup back")
        .because(error)
        .into()
}
