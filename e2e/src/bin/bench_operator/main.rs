//! What the operator costs: its time, memory, processor time and requests, beside the same Pods without any operator, and beside
//! the same children without it.
//!
//! | To find | Open |
//! |---|---|
//! | the cluster that is measured on | `bed.rs` |
//! | what happens inside it, in which order | `rounds.rs`, `life.rs` |
//! | the engine that answers at every Pod's address | `engine.rs` |
//! | the operator as a process | `process.rs`, `proc.rs` |
//! | what is created, and when it is ready | `objects.rs`, `copies.rs`, `ready.rs` |
//! | requests as the API server counted them | `audit.rs` |
//! | what is measured, and the numbers | `measures.rs`, `book.rs` |
//! | the table, the plot | `table.rs`, `plot.rs` |

mod audit;
mod bed;
mod book;
mod copies;
mod engine;
mod life;
mod measures;
mod objects;
mod plot;
mod proc;
mod process;
mod ready;
mod rounds;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use deepseek_e2e::bench::Written;

/// Measures what the operator costs on a cluster of simulated nodes.
///
/// Starts a lab of its own (e2e/lab; LAB_ID, default bench) and writes target/bench/operator.json, a plot beside it, and the table
/// in docs/performance.md.
#[derive(Parser)]
#[command(version, about)]
#[allow(clippy::doc_markdown, reason = "the docs of fields are the text of --help, which is no Markdown")]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What both parts need to know.
#[derive(Args, Clone, Debug)]
#[allow(clippy::doc_markdown, reason = "the docs of fields are the text of --help, which is no Markdown")]
struct Options {
    /// Numbers of deployments; each is measured by itself.
    #[arg(long, value_delimiter = ' ', default_value = "100 300", env = "N")]
    n: Vec<u32>,
    /// Rounds with up to 100 deployments; with more there are a third as many, but one at least.
    #[arg(long, default_value_t = 3, env = "ROUNDS")]
    rounds: u32,
    /// The operator.
    #[arg(long, env = "OPERATOR_BINARY")]
    operator: PathBuf,
    #[command(flatten)]
    written: Written,
    /// Seconds to wait before a round until the machine has nothing else to do.
    #[arg(long, default_value_t = 300)]
    patience: u64,
}

#[derive(Subcommand)]
enum Part {
    /// The part that runs inside the lab; the other part starts it.
    #[command(hide = true)]
    Inside {
        /// The administrator's kubeconfig.
        #[arg(long)]
        kubeconfig: PathBuf,
        /// The API server's audit log.
        #[arg(long)]
        audit: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { options, part } = Cli::parse();
    match start(options, part).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start(options: Options, part: Option<Part>) -> Result<()> {
    match part {
        None => bed::run(&options).await,
        Some(Part::Inside { kubeconfig, audit }) => rounds::run(&options, &kubeconfig, audit).await,
    }
}
