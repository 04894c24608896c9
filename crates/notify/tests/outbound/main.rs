//! What leaves the server, against real sockets on loopback: the guard, the client, mails, and the outbox over them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod client;
mod contract;
mod forge;
mod guard;
mod outbox;
mod receiver;
mod sender;
