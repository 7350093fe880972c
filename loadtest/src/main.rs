//! The command `tragen-loadtest`.

use clap::Parser as _;
use std::{io::Write as _, process::ExitCode};
use tragen_loadtest::cli::Cli;

// What the load test costs, the platform beside it lacks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "tragen-loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}
