//! `deepseek-operator controller`: its flags, and how it stops.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use deepseek_controller::lease::Claimant;
use deepseek_controller::sentry::Rhythm;
use deepseek_core::observed::Settings;
use tokio::signal::unix::{SignalKind, signal};

/// Flags of the controller.
#[derive(Args)]
pub(crate) struct Options {
    /// A kubeconfig with a token or a client certificate. Default: the Pod's service account.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig. Default: its current one.
    #[arg(long, requires = "kubeconfig")]
    context: Option<String>,
    /// Namespace of the operator itself; its lease lies there.
    #[arg(long, env = "POD_NAMESPACE", default_value = "deepseek-system")]
    namespace: String,
    /// Name of this replica, as the lease shows it.
    #[arg(long, env = "POD_NAME", default_value = "deepseek-operator")]
    name: String,
    /// Name of the lease that decides who writes.
    #[arg(long, default_value = "deepseek-operator")]
    lease: String,
    /// Where /livez, /readyz, /metrics and /debug/state are served.
    #[arg(long, default_value = "0.0.0.0:8080")]
    admin: SocketAddr,
    /// Deployments that are worked on at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// Seconds between two canaries of an engine that answers.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    canary_interval: u64,
    /// Seconds within which a canary must be answered.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    canary_timeout: u64,
    /// An image in place of the catalogue's, as ENGINE=IMAGE; may be given for each engine.
    #[arg(long = "engine-image", value_parser = engine_image)]
    engine_images: Vec<(String, String)>,
    /// The operator's own image, mounted into engines that would otherwise cut running answers off when they stop.
    #[arg(long, env = "OPERATOR_IMAGE")]
    tools_image: Option<String>,
    /// Image of gateways: the operator's own. Without it there are no gateways, and Services lead straight to engines.
    #[arg(long, env = "GATEWAY_IMAGE")]
    gateway_image: Option<String>,
    /// A namespace whose Pods may read the metrics of engines; may be given several times.
    #[arg(long = "metrics-namespace")]
    metrics_namespaces: Vec<String>,
    /// Where gateways send spans: an OpenTelemetry collector, such as `http://collector.monitoring:4318`.
    #[arg(long)]
    otlp_endpoint: Option<String>,
}

fn engine_image(text: &str) -> Result<(String, String), String> {
    let (engine, image) =
        text.split_once('=').ok_or("write ENGINE=IMAGE, such as LlamaCpp=registry.example/llama:1")?;
    let known = deepseek_crds::v1alpha1::EngineType::KNOWN;
    if !known.iter().any(|e| e.as_str() == engine) {
        let names: Vec<_> = known.iter().map(deepseek_crds::v1alpha1::EngineType::as_str).collect();
        return Err(format!("no engine {engine:?}; there are {}", names.join(", ")));
    }
    Ok((engine.to_owned(), image.to_owned()))
}

pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    // two threads: one may decide while the other talks; the work is small
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let stop = stop_signal().context("signals")?;
        deepseek_controller::run(options.into(), stop).await?;
        Ok(())
    })
}

fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

impl From<Options> for deepseek_controller::Options {
    fn from(options: Options) -> Self {
        Self {
            kubeconfig: options.kubeconfig,
            context: options.context,
            claimant: Claimant {
                name: options.lease,
                namespace: options.namespace.clone(),
                // a restarted process is another claimant: its predecessor may still be writing
                identity: format!("{}_{}", options.name, identity_suffix()),
            },
            admin: options.admin,
            concurrency: options.concurrency,
            rhythm: Rhythm {
                healthy: Duration::from_secs(options.canary_interval),
                timeout: Duration::from_secs(options.canary_timeout),
                ..Rhythm::default()
            },
            settings: Settings {
                engine_images: options.engine_images.into_iter().collect(),
                tools_image: options.tools_image,
                gateway_image: options.gateway_image,
                namespace: options.namespace.clone(),
                metrics_namespaces: options.metrics_namespaces,
                otlp_endpoint: options.otlp_endpoint,
            },
        }
    }
}

/// A random word; the standard library's hasher has random keys in each process.
fn identity_suffix() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:08x}", RandomState::new().hash_one(std::process::id()) >> 32)
}
