//! Structured logs on standard error.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How logs look.
#[derive(Args)]
pub(crate) struct Options {
    /// Which messages: a level, or levels by module such as `info,kube=debug`.
    #[arg(long, env = "DEEPSEEK_LOG", default_value = "info", global = true)]
    log: String,
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
    let filter = EnvFilter::try_new(&options.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match options.log_format {
        Format::Json => logs.json().flatten_event(true).init(),
        Format::Text => logs.init(),
    }
}
