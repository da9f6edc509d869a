//! Runs the scenarios and tells how each went; the last line is `N passed, N failed`.

use std::process::ExitCode;

use clap::Parser;
use deepseek_e2e::options::Options;
use deepseek_e2e::run::run;

#[tokio::main]
async fn main() -> ExitCode {
    if run(Options::parse()).await { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
