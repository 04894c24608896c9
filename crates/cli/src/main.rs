//! The `fleetest` command.

fn main() {}
