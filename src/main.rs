//! The program: argv and stdin in, one line on stderr and an exit code out.

use clap::Parser;
use oci_awsvpc_hook::{
    cli::Cli,
    commands,
    process::{limits, logging},
};
use std::process::ExitCode;

fn main() -> ExitCode {
    limits::begin();
    let cli = Cli::parse();
    match commands::run(&cli, std::io::stdin()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging::report(&format!("{}: {}", cli.command.name(), error.line()));
            ExitCode::FAILURE
        }
    }
}
