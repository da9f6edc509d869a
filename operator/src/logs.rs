//! Structured logs on standard error.

use clap::{Args, ValueEnum};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// How logs look.
#[derive(Args)]
pub(crate) struct Options {
    /// Which messages: a level, or levels by module such as `info,kube=debug`.
    #[arg(long, env = "DEEPSEEK_LOG", default_value = "info", global = true)]
    log: Targets,
    /// One JSON object a line, or text for people.
    #[arg(long, env = "DEEPSEEK_LOG_FORMAT", default_value = "json", global = true)]
    log_format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Text,
}

pub(crate) fn start(options: &Options) {
    let layer = fmt::layer().with_writer(std::io::stderr);
    let layer = match options.log_format {
        Format::Json => layer.json().flatten_event(true).boxed(),
        Format::Text => layer.boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(options.log.clone())).init();
}
