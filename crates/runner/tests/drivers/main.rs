//! Drivers on real projects and real processes, seen through `Driver` and `Slot` alone.
#[cfg(test)]
mod cargo;
#[cfg(test)]
mod command;
#[cfg(test)]
mod recording;
