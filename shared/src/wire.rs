//! Types that cross a process boundary, each with a version.
//!
//! `link` is the protocol between runner and coordinator. Nothing here has behaviour beyond its shape.

pub mod link;
pub mod percent;
