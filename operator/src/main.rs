//! The binary `deepseek-operator`: one small image, a subcommand for each part.

mod controller;
mod crds;
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
    /// Prints the custom resource definitions as YAML.
    Crds,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    logs::start(&cli.logs);
    match cli.command {
        Command::Controller(options) => controller::run(options),
        Command::Crds => crds::print(),
    }
}
