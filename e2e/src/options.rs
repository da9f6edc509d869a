//! Flags.

use std::path::PathBuf;

use clap::Parser;

/// Runs the operator on real Kubernetes and tells how each scenario went.
///
/// Without --context it starts a lab of its own (e2e/lab), which ends with this program. With CI set in the environment, a skipped
/// scenario is a failure. e2e/lab/README.md tells what runs on a cluster of yours.
#[derive(Parser, Clone, Debug)]
#[command(version, about)]
#[allow(clippy::doc_markdown, reason = "the docs of fields are the text of --help, which is no Markdown")]
pub struct Options {
    /// Prints the names of all scenarios, and what each of them tells.
    #[arg(long)]
    pub list: bool,
    /// Runs only scenarios whose name contains this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
    /// Leaves the lab, and what is in it, for a look around.
    #[arg(long, conflicts_with = "context")]
    pub keep: bool,
    /// Uses this context of a kubeconfig in place of a lab; the operator is installed there, and its CRDs stay. What cannot be
    /// shown there is skipped by name.
    #[arg(long)]
    pub context: Option<String>,
    /// The kubeconfig with that context. Default: $KUBECONFIG, or ~/.kube/config.
    #[arg(long, requires = "context")]
    pub kubeconfig: Option<PathBuf>,
    /// Installs nothing: an operator runs already in this namespace. What stops or counts it is skipped.
    #[arg(long, value_name = "NAMESPACE")]
    pub installed: Option<String>,
    /// Tells the lab from others; 1 to 6 lower-case letters and digits. Without meaning beside --context.
    #[arg(long, value_name = "ID", env = "LAB_ID", default_value = "e2e")]
    pub lab: String,
    /// Image of the operator.
    #[arg(long, default_value = "lab.local/deepseek-operator:dev")]
    pub operator_image: String,
    /// Image of llama.cpp's server.
    #[arg(long, default_value = "lab.local/llama-server:1")]
    pub llama_image: String,
    /// Image of llm-d-inference-sim.
    #[arg(long, default_value = "lab.local/llm-d-inference-sim:1")]
    pub simulator_image: String,
    /// Image with the tiny model as /model.gguf.
    #[arg(long, default_value = "lab.local/tiny-deepseek:1")]
    pub weights_image: String,
    /// Image of a program that ends at once.
    #[arg(long, default_value = "lab.local/crash:1")]
    pub crash_image: String,
}

/// The root of the source tree: charts, examples and the lab lie there.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
