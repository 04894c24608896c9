//! The `fleetest` command: reads the arguments, calls what they ask for, turns problems into words and codes.

use clap::Parser as _;
use cli::args::{Cli, Colour, Command, RunArgs};
use cli::config::Config;
use cli::exit::{Exit, describe};
use cli::line::{Ink, Line, Tone};
use cli::progress::terminal::write_lines;
use cli::{remote, run, start};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = Config::read();
    match &cli.command {
        Command::Run(args) => run_tests(args, &config).into(),
        Command::Remote(command) => remote::dispatch(command, &config)
            .unwrap_or_else(|error| complain(run::ink(Colour::Auto, &config), &error))
            .into(),
        Command::Runner(_) => ExitCode::from(runner::main()),
    }
}

fn run_tests(args: &RunArgs, config: &Config) -> Exit {
    let result = if args.remote { remote::run(args, config) } else { start::run(args, config) };
    result.unwrap_or_else(|error| complain(run::ink(args.color, config), &error))
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
