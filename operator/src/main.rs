//! The binary `deepseek-operator`: one small image, a subcommand for each part.

mod check;
mod controller;
mod crds;
mod drain;
mod gateway;
mod http;
mod logs;

use clap::{Parser, Subcommand};

/// Runs DeepSeek models on your own accelerators.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(flatten)]
    logs: logs::Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Watches DeepSeekDeployments and keeps the cluster as they say.
    Controller(controller::Options),
    /// Stands between clients and the replicas of one deployment.
    Gateway(gateway::Options),
    /// Waits until an address answers with HTTP 200; for `helm test`.
    Check(check::Options),
    /// Waits until an engine has nothing left to do; runs in engines before they are stopped.
    Drain(drain::Options),
    /// Prints the custom resource definitions as YAML.
    Crds,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    logs::start(&cli.logs);
    match cli.command {
        Command::Controller(options) => controller::run(options),
        Command::Gateway(options) => gateway::run(options),
        Command::Check(options) => check::run(&options),
        Command::Drain(options) => drain::run(&options),
        Command::Crds => crds::print(),
    }
}
