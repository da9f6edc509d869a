//! What the gateway costs, beside haproxy and nginx, and litellm for scale: the same requests through each in turn, on the same core.
//!
//! | To find | Open |
//! |---|---|
//! | the fake engines | `engine/` |
//! | the clients | `load/` |
//! | HTTP/1.1 as it arrives, a clock that processes share | `arrival.rs`, `clock.rs` |
//! | who is measured, and how each is configured | `subject.rs`, `peers.rs` |
//! | processes, each on its core | `process.rs` |
//! | what is done with each of them, and in which order | `phases.rs`, `rounds.rs` |
//! | what is measured, and the numbers | `measures.rs`, `book.rs` |
//! | the table, the plot | `table.rs`, `plot.rs` |

mod arrival;
mod book;
mod clock;
mod engine;
mod load;
mod measures;
mod peers;
mod phases;
mod plot;
mod process;
mod rounds;
mod subject;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use deepseek_e2e::bench::Written;

use crate::load::Load;

/// Measures what the gateway costs, beside other proxies.
///
/// Everything runs on loopback: the proxy alone on one core, engines and client on another. Writes target/bench/gateway.json, a plot
/// beside it, and the table in docs/performance.md.
#[derive(Parser)]
#[command(version, about)]
#[allow(clippy::doc_markdown, reason = "the docs of fields are the text of --help, which is no Markdown")]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    part: Option<Part>,
}

/// Flags.
#[derive(Args, Clone, Debug)]
#[allow(clippy::doc_markdown, reason = "the docs of fields are the text of --help, which is no Markdown")]
struct Options {
    /// Rounds; each of them measures everybody once.
    #[arg(long, default_value_t = 5, env = "ROUNDS")]
    rounds: u32,
    /// The gateway.
    #[arg(long, env = "OPERATOR_BINARY", default_value = "target/x86_64-unknown-linux-gnu/release/deepseek-operator")]
    operator: PathBuf,
    /// The litellm program; without it there are no figures for it.
    #[arg(long, env = "LITELLM")]
    litellm: Option<PathBuf>,
    /// Measures only phases whose name contains this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Measures only those whose name contains this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    who: Vec<String>,
    #[command(flatten)]
    written: Written,
    /// Seconds to wait in all until the machine has nothing else to do.
    #[arg(long, default_value_t = 300)]
    patience: u64,
}

#[derive(Subcommand)]
enum Part {
    /// The fake engines.
    #[command(hide = true)]
    Engine {
        /// One engine for each address.
        #[arg(required = true)]
        listen: Vec<SocketAddr>,
        /// Conversations that each remembers.
        #[arg(long, default_value_t = 64)]
        cache: usize,
    },
    /// A client.
    #[command(hide = true, subcommand)]
    Load(Load),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Cli { options, part } = Cli::parse();
    let ended = match part {
        None => rounds::run(&options).await,
        Some(Part::Engine { listen, cache }) => engine::run(&listen, cache),
        Some(Part::Load(load)) => load.run().await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
