//! The `fleetest` command: reads the arguments, calls what they ask for, turns problems into words and codes.

use clap::Parser as _;
use cli::args::{Cli, Colour, Command, RunArgs};
use cli::config::Config;
use cli::exit::{Exit, describe};
use cli::line::{Ink, Line, Tone};
use cli::progress::terminal::write_lines;
use cli::{remote, run, serve, start};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = Config::read();
    match &cli.command {
        Command::Run(args) => finish(run_tests(args, &config), args.color, &config),
        Command::Serve(args) => finish(serve::serve(args, &config), args.color, &config),
        Command::Backup(args) => finish(serve::backup(args, &config), Colour::Auto, &config),
        Command::Restore(args) => finish(serve::restore(args, &config), Colour::Auto, &config),
        Command::Remote(command) => finish(remote::dispatch(command, &config), Colour::Auto, &config),
        Command::Runner(_) => ExitCode::from(runner::main()),
    }
}

fn finish(done: anyhow::Result<Exit>, colour: Colour, config: &Config) -> ExitCode {
    done.unwrap_or_else(|error| complain(run::ink(colour, config), &error)).into()
}

fn run_tests(args: &RunArgs, config: &Config) -> anyhow::Result<Exit> {
    if args.remote { remote::run(args, config) } else { start::run(args, config) }
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
