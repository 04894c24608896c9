//! Starting one runner: its process, its token, its log, and the thread that waits for it.

use super::{
    LAUNCH_VARIABLE, LINK_URL_VARIABLE, Phase, Runner, SLOTS_VARIABLE, Shared, ending, need, unavailable,
};
use nix::unistd::Pid;
use shared::ports::{LaunchOrder, PortError, PortResult};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;

/// Where a runner looks before it reads its standard input.
const TOKEN_VARIABLE: &str = "FLEETEST_BOOTSTRAP_TOKEN";

/// Starts the runner and its watcher; the caller holds the lock and keeps the record.
pub(super) fn start(shared: &Arc<Shared>, order: &LaunchOrder, token: &str) -> PortResult<Runner> {
    // The watcher comes first: a process that nobody waits for must not exist.
    let (sender, receiver) = mpsc::channel::<Child>();
    let watch = ending::Watch {
        shared: Arc::clone(shared),
        shard: order.shard,
        token: token.to_owned(),
        log: shared.config.log_dir.as_ref().map(|folder| folder.join(format!("{token}.log"))),
    };
    let log = watch.log.clone();
    let name = "runner-watch".to_owned();
    let work = move || receiver.into_iter().for_each(|child| watch.until_end(child));
    let no_thread = |error: io::Error| unavailable(order, format!("no thread to watch it: {error}"));
    thread::Builder::new().name(name).spawn(work).map_err(no_thread)?;

    let mut child = spawn(shared, order, token, log).map_err(|error| spawn_error(shared, order, &error))?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let lifeline = child.stdin.take().and_then(|stdin| hand_over(stdin, &order.bootstrap_token));
    // The watcher waits for exactly this; it cannot be gone.
    drop(sender.send(child));
    Ok(Runner {
        pid,
        slots: need(&shared.config, order),
        phase: Phase::Live,
        stop_requested: false,
        lifeline,
    })
}

fn spawn(shared: &Shared, order: &LaunchOrder, token: &str, log: Option<PathBuf>) -> io::Result<Child> {
    let config = &shared.config;
    let (stdout, stderr) = output(log)?;
    let mut command = Command::new(&config.program);
    command.args(&config.args).envs(&config.env).current_dir(&config.dir);
    command.env(LINK_URL_VARIABLE, &config.link_url).env(LAUNCH_VARIABLE, shared.mark(token));
    // Of a runner that this process itself may run in.
    command.env_remove(TOKEN_VARIABLE);
    let counted = config.slots.map(|_| need(config, order));
    match counted.or(order.slots) {
        Some(slots) => command.env(SLOTS_VARIABLE, slots.to_string()),
        None => command.env_remove(SLOTS_VARIABLE),
    };
    command.process_group(0).stdin(Stdio::piped()).stdout(stdout).stderr(stderr).spawn()
}

fn output(log: Option<PathBuf>) -> io::Result<(Stdio, Stdio)> {
    let Some(path) = log else { return Ok((Stdio::null(), Stdio::null())) };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = File::options().create(true).append(true).open(path)?;
    Ok((file.try_clone()?.into(), file.into()))
}

/// Writes the token; a runner that does not read it has ended or will be lost, and is seen as such.
fn hand_over(mut stdin: ChildStdin, bootstrap_token: &str) -> Option<ChildStdin> {
    stdin.write_all(format!("{bootstrap_token}\n").as_bytes()).ok().map(|()| stdin)
}

fn spawn_error(shared: &Shared, order: &LaunchOrder, error: &io::Error) -> PortError {
    let (program, dir) = (shared.config.program.display(), shared.config.dir.display());
    let reason = format!("`{program}` cannot be started in `{dir}`: {error}");
    let lasting =
        [ErrorKind::NotFound, ErrorKind::PermissionDenied, ErrorKind::NotADirectory, ErrorKind::InvalidInput];
    if lasting.contains(&error.kind()) {
        return PortError::Denied { port: "launcher", subject: order.shard.to_string(), reason };
    }
    unavailable(order, reason)
}
