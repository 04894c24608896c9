//! What leaves the server by itself: the one outbound HTTP client with its guard, e-mail, and the `Notifier` on both.
//!
//! Every URL here was written by a user. Nothing else of the server may make HTTP calls: whoever needs one, as for the
//! keys of a token issuer, takes [`client::Outbound`].

pub mod address;
pub mod client;
pub mod github;
pub mod guard;
pub mod mail;
pub mod outbox;
pub mod sender;
