//! What clients feel when something breaks: each fault several times, under a steady load, on real nodes with a real engine and
//! Kubernetes' own times.
//!
//! | To find | Open |
//! |---|---|
//! | the faults | `faults.rs` |
//! | what is written | `book.rs` |

mod book;
mod faults;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use deepseek_e2e::bench::Written;
use deepseek_e2e::bench::rig::Rig;
use deepseek_e2e::load::{Felt, felt};
use deepseek_e2e::progress::say;
use tokio::sync::Mutex;

use crate::book::{Book, Row};
use crate::faults::{Fault, Lane, all};

/// Long streams that are under way when something breaks, over two engines and two gateways.
const STREAMS: usize = 4;

/// Measures what clients feel when something breaks. Starts three labs of its own (LAB_ID, default e2e, and with an n
/// and a c behind it), writes target/bench/faults.json, a plot beside it, and the table in docs/failure-modes.md.
#[derive(Parser)]
#[command(version, about)]
#[allow(clippy::doc_markdown, reason = "the docs of fields are the text of --help, which is no Markdown")]
struct Cli {
    /// How often each fault is made.
    #[arg(long, default_value_t = 10, env = "ROUNDS")]
    rounds: u32,
    /// Only faults whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Requests a second.
    #[arg(long, default_value_t = 10)]
    per_second: u32,
    #[command(flatten)]
    written: Written,
}

#[tokio::main]
async fn main() -> ExitCode {
    match measure(&Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_faults: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(cli: &Cli) -> Result<()> {
    let faults: Vec<_> =
        all().into_iter().filter(|f| cli.only.as_ref().is_none_or(|only| f.name.contains(only))).collect();
    let book = Mutex::new(Book::new(faults.iter().map(Row::of).collect(), cli.rounds, cli.per_second));
    let lanes = Lane::ALL.map(|lane| measure_in(lane, cli, &faults, &book));
    futures::future::join_all(lanes).await.into_iter().collect()
}

async fn measure_in(lane: Lane, cli: &Cli, faults: &[Fault], book: &Mutex<Book>) -> Result<()> {
    let mine: Vec<_> = faults.iter().enumerate().filter(|(_, fault)| fault.lane == lane).collect();
    if mine.is_empty() {
        return Ok(());
    }
    let rig = Rig::set_up("faults", lane.suffix()).await?;
    let measured = rounds(cli, &rig, &mine, book).await;
    rig.take_down().await?;
    measured
}

/// Interleaved: a slow minute of the machine falls on all faults. Written after each, because it takes an hour.
async fn rounds(cli: &Cli, rig: &Rig, faults: &[(usize, &Fault)], book: &Mutex<Book>) -> Result<()> {
    for round in 1..=cli.rounds {
        for (at, fault) in faults {
            let felt = match once(cli, rig, fault).await {
                Ok(felt) => felt,
                Err(error) => {
                    say(format_args!("round {round}, {}: not measured: {error:#}", fault.name));
                    rig.mend().await?;
                    continue;
                }
            };
            say(format_args!(
                "round {round}, {}: {} lost within {:.1} s, {} cut and told, {} untold, longest wait {:.1} s; {}",
                fault.name,
                felt.lost,
                felt.gap.as_secs_f64(),
                felt.told,
                felt.untold,
                felt.longest.as_secs_f64(),
                felt.example.as_deref().unwrap_or("nothing was lost")
            ));
            let mut book = book.lock().await;
            book.add(*at, &felt);
            book.write(&cli.written).await?;
        }
    }
    Ok(())
}

async fn once(cli: &Cli, rig: &Rig, fault: &Fault) -> Result<Felt> {
    let load = rig.load(fault.lane.per_second(cli.per_second)).await?;
    load.open_streams(STREAMS).await?;
    let at = load.now();
    fault.make(rig).await?;
    tokio::time::sleep(fault.lasts).await;
    let felt = felt(&load.end().await, at);
    rig.mend().await?;
    felt
}
