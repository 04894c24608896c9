//! Use-cases: one file each; load, decide, save conditionally, then act.
