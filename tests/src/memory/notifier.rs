//! `Notifier` that keeps what it is given, and answers as it was told.

use super::lock;
use async_trait::async_trait;
use shared::domain::notify::parcel::{Answer, Parcel};
use shared::ports::Notifier;
use std::collections::VecDeque;
use std::sync::Mutex;

/// A notifier in memory. Without an answer in store it takes everything.
#[derive(Debug, Default)]
pub struct MemoryNotifier {
    taken: Mutex<Vec<Parcel>>,
    answers: Mutex<VecDeque<Answer>>,
}

impl MemoryNotifier {
    /// Answers the next parcel like this, the one after it like the next call says.
    pub fn answer(&self, answer: Answer) {
        lock(&self.answers).push_back(answer);
    }

    /// Everything that was given so far, delivered or not.
    #[must_use]
    pub fn parcels(&self) -> Vec<Parcel> {
        lock(&self.taken).clone()
    }
}

#[async_trait]
impl Notifier for MemoryNotifier {
    async fn deliver(&self, parcel: &Parcel) -> Answer {
        lock(&self.taken).push(parcel.clone());
        lock(&self.answers).pop_front().unwrap_or(Answer::Delivered)
    }
}
