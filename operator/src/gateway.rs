//! `deepseek-operator gateway`: its flags, and how it stops.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use deepseek_gateway::scene::Found;
use tokio::signal::unix::{SignalKind, signal};

/// Flags of the gateway.
#[derive(Args)]
pub(crate) struct Options {
    /// The configuration, as JSON; it is read again when it changes.
    #[arg(long)]
    config: PathBuf,
    /// A folder with API keys: one file for each client, with its name; it is read again when it changes.
    #[arg(long)]
    keys: Option<PathBuf>,
    /// Where clients are served.
    #[arg(long, default_value = "0.0.0.0:8000")]
    listen: SocketAddr,
    /// Where /healthz, /readyz, /metrics and /debug/state are served.
    #[arg(long, default_value = "0.0.0.0:8080")]
    admin: SocketAddr,
    /// A replica, as NAME=ADDRESS:PORT; may be given several times.
    #[arg(long = "replica", value_parser = replica)]
    replicas: Vec<Found>,
    /// Threads that serve clients. Default: one for each processor.
    #[arg(long)]
    workers: Option<usize>,
}

fn replica(text: &str) -> Result<Found, String> {
    let (name, address) = text.split_once('=').ok_or("write NAME=ADDRESS:PORT, such as chat-0=10.1.2.3:8000")?;
    let address = address.parse().map_err(|error| format!("{address:?}: {error}"))?;
    Ok(Found { name: name.to_owned(), address, leaving: false })
}

pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let options = deepseek_gateway::run::Options {
        config: options.config,
        keys: options.keys,
        listen: options.listen,
        admin: options.admin,
        replicas: options.replicas,
        workers: options.workers.unwrap_or(processors),
    };
    deepseek_gateway::run::run(options, until_told)?;
    Ok(())
}

/// Blocks until a signal to stop comes.
fn until_told() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        Ok(())
    })
}
