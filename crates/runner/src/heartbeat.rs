//! The heartbeat: a thread of its own, from the start of the session until after its end.
//!
//! It is the last thing to stop, because a coordinator that hears nothing gives the work to others. What the
//! coordinator answers goes to the [`Control`]; nothing is decided here but that.

use crate::link::{Link, LinkError};
use crate::outbox::Outbox;
use crate::session::control::{Control, Stop};
use shared::wire::link::{Command, HeartbeatReply, HeartbeatRequest};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The shortest time between two beats, whatever the coordinator wants.
const BEAT_FLOOR: Duration = Duration::from_millis(20);

/// Starts the heartbeat; [`Control::silence`] ends it.
pub fn start(link: Arc<Link>, control: Arc<Control>, outbox: Arc<Outbox>, beat_ms: u64) {
    let beat = Duration::from_millis(beat_ms).max(BEAT_FLOOR);
    std::thread::spawn(move || {
        while control.pause_beat(Instant::now() + beat) {
            let reply = link.heartbeat(&HeartbeatRequest { phase: control.phase().as_str().to_owned() });
            obey(&reply, &control, &outbox);
        }
    });
}

fn obey(reply: &Result<HeartbeatReply, LinkError>, control: &Control, outbox: &Outbox) {
    match reply {
        Ok(HeartbeatReply { command: Command::Continue }) => {}
        Ok(HeartbeatReply { command: Command::Cancel }) => control.request(Stop::Cancelled),
        Ok(HeartbeatReply { command: Command::Drain }) => control.drain(),
        Err(error) => outbox.judge(error),
    }
}
