//! The cluster that is measured on: a control plane, a hundred simulated nodes, and an answer at every Pod's address.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use deepseek_e2e::bench::commit;
use deepseek_e2e::command::output;
use deepseek_e2e::options::root;
use deepseek_e2e::progress::say;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::Options;

const CLUSTER: &str = "east";
const NODES: &str = "100";
/// The addresses that kwok gives to Pods of the first rack.
const POD_ADDRESSES: &str = "10.140.0.0/16";
/// The operator's own namespace.
pub const SYSTEM: &str = "deepseek-system";
const UP: Duration = Duration::from_secs(60);
const DOWN: Duration = Duration::from_secs(60);

/// Starts the lab, measures inside it, ends it.
///
/// # Errors
/// When something is missing, fails, or is left behind.
pub async fn run(options: &Options) -> Result<()> {
    ensure!(options.operator.exists(), "there is no {}; `make operator` builds it", options.operator.display());
    let id = std::env::var("LAB_ID").unwrap_or_else(|_| "bench".to_owned());
    let bed = Bed { script: root().join("e2e/lab/lab").to_string_lossy().into_owned(), id };
    let mut leash = bed.raise().await?;
    let measured = bed.measure(options).await;
    drop(leash.stdin.take());
    timeout(DOWN, leash.wait()).await.context("the lab does not end; run `LAB_ID=bench e2e/lab/lab down`")??;
    measured?;
    bed.lab(&["leftovers"]).await.map(drop)
}

struct Bed {
    script: String,
    id: String,
}

impl Bed {
    async fn lab(&self, args: &[&str]) -> Result<String> {
        output(&self.script, args, &[("LAB_ID", &self.id)]).await
    }

    /// The lab ends when the standard input of its foremost process does, of which we hold the other end.
    async fn raise(&self) -> Result<Child> {
        say(format_args!("starting lab {}", self.id));
        let mut child = Command::new(&self.script)
            .args(["up", "--empty"])
            .env("LAB_ID", &self.id)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("e2e/lab/lab cannot be started")?;
        let out = child.stdout.take().context("the lab has no standard output")?;
        let line =
            timeout(UP, BufReader::new(out).lines().next_line()).await.context("the lab is not up in time")??;
        ensure!(line.as_deref() == Some("ready"), "the lab did not come up; see what it said above");
        Ok(child)
    }

    async fn measure(&self, options: &Options) -> Result<()> {
        self.lab(&["cluster", CLUSTER]).await?;
        self.lab(&["kwok", CLUSTER, "rack", NODES, "8", "NVIDIA-H200"]).await?;
        self.lab(&["ready", CLUSTER]).await?;
        // whoever asks a simulated Pod for a token is answered by the one engine of `engine.rs`
        self.lab(&["exec", "ip", "route", "add", "local", POD_ADDRESSES, "dev", "lo"]).await?;
        self.install(&options.written.out).await?;
        self.inside(options).await
    }

    /// The chart's definitions and rights, without its Deployment: the operator runs as a process beside the API server.
    async fn install(&self, out: &Path) -> Result<()> {
        std::fs::create_dir_all(out)?;
        let chart = root().join("charts/deepseek-operator");
        let template = ["helm", CLUSTER, "template", "deepseek-operator", &chart.to_string_lossy(), "-n", SYSTEM]
            .map(str::to_owned)
            .to_vec();
        let parts = ["crds", "serviceaccount", "rbac"].map(|part| format!("templates/{part}.yaml"));
        let shown = parts.into_iter().flat_map(|part| ["--show-only".to_owned(), part]);
        let args: Vec<_> = template.into_iter().chain(shown).collect();
        let yaml = self.lab(&args.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let file = std::path::absolute(out)?.join("operator-setup.yaml");
        std::fs::write(&file, yaml)?;
        self.lab(&["kubectl", CLUSTER, "create", "namespace", SYSTEM]).await?;
        self.lab(&["kubectl", CLUSTER, "apply", "--server-side", "-f", &file.to_string_lossy()]).await?;
        self.lab(&["kubectl", CLUSTER, "wait", "--for=condition=Established", "crd", "--all"]).await?;
        std::fs::remove_file(file)?;
        Ok(())
    }

    async fn inside(&self, options: &Options) -> Result<()> {
        let status: Value = serde_json::from_str(&self.lab(&["status", "--json"]).await?)?;
        let cluster = &status["clusters"][0];
        let path = |key: &str| cluster[key].as_str().with_context(|| format!("`lab status --json` names no {key}"));
        let n = options.n.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        let mut command = Command::new(&self.script);
        command.arg("exec").arg(std::env::current_exe()?);
        command.arg("--n").arg(n).arg("--rounds").arg(options.rounds.to_string());
        command.arg("--patience").arg(options.patience.to_string());
        command.arg("--operator").arg(std::path::absolute(&options.operator)?);
        command.arg("--out").arg(std::path::absolute(&options.written.out)?);
        if let Some(document) = &options.written.document {
            command.arg("--document").arg(std::path::absolute(document)?);
        }
        command.arg("inside").arg("--kubeconfig").arg(path("kubeconfig")?).arg("--audit").arg(path("audit_log")?);
        command.env("LAB_ID", &self.id).env("COMMIT", commit().await).stdin(Stdio::null()).kill_on_drop(true);
        let done = command.status().await.context("e2e/lab/lab cannot be started")?;
        if !done.success() {
            bail!("the part inside the lab ended with {done}; what it said is above");
        }
        Ok(())
    }
}
