//! The `fleetest` command: reads the arguments, calls what they ask for, turns problems into words and codes.

use clap::Parser as _;
use cli::args::{Cli, Colour, Command, RunArgs};
use cli::config::Config;
use cli::exit::{Exit, Problem, describe};
use cli::line::{Ink, Line, Tone};
use cli::progress::terminal::write_lines;
use cli::run;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = Config::read();
    let (result, colour) = match &cli.command {
        Command::Run(args) => (run_tests(args, &config), args.color),
        Command::Runner(_) => (Err(no_engine()), Colour::Auto),
    };
    result.unwrap_or_else(|error| complain(run::ink(colour, &config), &error)).into()
}

fn run_tests(args: &RunArgs, config: &Config) -> anyhow::Result<Exit> {
    let prepared = run::prepare(args, config, run::wall_clock())?;
    write_lines(run::ink(args.color, config), &run::note_lines(&prepared.notes));
    Err(no_engine())
}

fn no_engine() -> anyhow::Error {
    Problem::could_not_run("this build has no engine to execute tests with").into()
}

fn complain(ink: Ink, error: &anyhow::Error) -> Exit {
    let (exit, texts) = describe(error);
    let lines: Vec<Line> = texts
        .into_iter()
        .enumerate()
        .map(|(place, text)| match place {
            0 => Line::new().with(Tone::Bad, "error: ").plain(text),
            _ => Line::new().plain(text),
        })
        .collect();
    write_lines(ink, &lines);
    exit
}
