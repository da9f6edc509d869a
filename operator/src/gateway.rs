//! `deepseek-operator gateway`: its flags, and how it stops.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use deepseek_gateway::cluster::Place;
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
    /// A folder with tls.crt and tls.key: clients then speak TLS; it is read again when it changes.
    #[arg(long)]
    tls: Option<PathBuf>,
    /// A folder that outlives the container, for the last good configuration and replicas.
    #[arg(long)]
    state: Option<PathBuf>,
    /// The namespace of the Service and the ConfigMap.
    #[arg(long)]
    namespace: Option<String>,
    /// The headless Service of the engines, whose endpoint slices say which replicas there are.
    #[arg(long, requires = "namespace", conflicts_with = "replicas")]
    service: Option<String>,
    /// A ConfigMap whose config.json is the configuration; --config is what counts until it has been read.
    #[arg(long, requires = "namespace")]
    config_map: Option<String>,
    /// Where clients are served.
    #[arg(long, default_value = "0.0.0.0:8000")]
    listen: SocketAddr,
    /// Where /healthz, /readyz, /metrics, /demand, /capacity and /debug/state are served.
    #[arg(long, default_value = "0.0.0.0:8080")]
    admin: SocketAddr,
    /// A replica, as NAME=ADDRESS:PORT; may be given several times. For use without Kubernetes.
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
        tls: options.tls,
        state: options.state,
        listen: options.listen,
        admin: options.admin,
        replicas: options.replicas,
        place: options.namespace.map(|namespace| Place {
            namespace,
            service: options.service,
            config_map: options.config_map,
        }),
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
