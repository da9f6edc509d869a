//! A lab of our own: one cluster, two real nodes with GPUs that do not exist, and a leash, so that it cannot outlive us.
//!
//! The first node has eight H100, the second a single B200: the last accelerator of its kind, for those who want the same one.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::config::Kubeconfig;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::command::output;
use crate::options::root;
use crate::progress::say;

/// The lab's only cluster.
pub const CLUSTER: &str = "east";
/// The node with a single accelerator, of [`SCARCE`].
pub const SCARCE_NODE: &str = "east-n2";
/// The product of which there is only one.
pub const SCARCE: &str = "nvidia-b200";
/// Images that scenarios need, by the names of their archives.
const IMAGES: [&str; 5] = ["operator", "llama-server", "tiny-model", "sim", "crash"];
const UP: Duration = Duration::from_secs(60);
const DOWN: Duration = Duration::from_secs(60);

/// A running lab.
pub struct Lab {
    id: String,
    keep: bool,
    /// The lab's foremost process. It ends the lab when its standard input, of which we hold the other end, is closed.
    leash: Mutex<Option<Child>>,
}

impl Lab {
    /// Starts a lab and waits until its nodes take Pods and have the images.
    ///
    /// # Errors
    /// When something is missing or does not start; the lab is taken down again.
    pub async fn start(id: &str, keep: bool) -> Result<Self> {
        let archives = archives()?;
        let mut lab = Self { id: id.to_owned(), keep, leash: Mutex::default() };
        say(format_args!("starting lab {}", lab.id));
        lab.raise().await?;
        if let Err(error) = lab.fill(&archives).await {
            lab.stop().await?;
            return Err(error);
        }
        Ok(lab)
    }

    async fn raise(&mut self) -> Result<()> {
        if self.keep {
            self.call(&["up", "--stay", "--empty"]).await?;
            return Ok(());
        }
        let mut child = Command::new(script())
            .args(["up", "--empty"])
            .env("LAB_ID", &self.id)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("e2e/lab/lab cannot be started")?;
        let out = child.stdout.take().context("the lab has no standard output")?;
        let mut lines = BufReader::new(out).lines();
        let line = timeout(UP, lines.next_line()).await.context("the lab is not up in time")??;
        if line.as_deref() != Some("ready") {
            bail!("the lab did not come up; see what it said above, and `e2e/lab/lab help`");
        }
        *self.leash.get_mut() = Some(child);
        Ok(())
    }

    async fn fill(&self, archives: &[String]) -> Result<()> {
        self.call(&["cluster", CLUSTER]).await?;
        self.call(&["gpus", CLUSTER, "1", "8"]).await?;
        self.call(&["gpus", CLUSTER, "2", "1", "NVIDIA-B200"]).await?;
        self.call(&["node", CLUSTER, "1", "2"]).await?;
        self.call(&["ready", CLUSTER]).await?;
        say("importing images");
        self.import_all(archives, "all").await
    }

    /// Puts all images onto a real node.
    ///
    /// # Errors
    /// When one is missing or cannot be taken.
    pub async fn import(&self, node: &str) -> Result<()> {
        self.import_all(&archives()?, node).await
    }

    async fn import_all(&self, archives: &[String], nodes: &str) -> Result<()> {
        let import: Vec<_> =
            ["import", CLUSTER, nodes].into_iter().chain(archives.iter().map(String::as_str)).collect();
        self.call(&import).await.map(drop)
    }

    /// Runs a command of the lab; see `e2e/lab/lab help`.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub async fn call(&self, args: &[&str]) -> Result<String> {
        output(script(), args, &[("LAB_ID", &self.id)]).await
    }

    /// A kubeconfig that works out here.
    ///
    /// # Errors
    /// When the lab cannot give one.
    pub async fn kubeconfig(&self) -> Result<Kubeconfig> {
        let text = self.call(&["kubeconfig", CLUSTER]).await?;
        Kubeconfig::from_yaml(&text).context("the lab's kubeconfig cannot be read")
    }

    /// The address on loopback at which a Service can be reached.
    ///
    /// # Errors
    /// When there is no such Service.
    pub async fn forward(&self, namespace: &str, service: &str, port: u16) -> Result<std::net::SocketAddr> {
        let target = format!("{namespace}/{service}:{port}");
        let address = self.call(&["forward", CLUSTER, &target]).await?;
        address.parse().with_context(|| format!("`lab forward` printed {address:?}, which is no address"))
    }

    /// Ends the forwarding of a Service: another one of the same name will have another address.
    ///
    /// # Errors
    /// When the lab does not obey.
    pub async fn unforward(&self, namespace: &str, service: &str, port: u16) -> Result<()> {
        self.call(&["unforward", CLUSTER, &format!("{namespace}/{service}:{port}")]).await.map(drop)
    }

    /// Where the API server writes down every request.
    ///
    /// # Errors
    /// When the lab does not tell.
    pub async fn audit_log(&self) -> Result<PathBuf> {
        let status: Value = serde_json::from_str(&self.call(&["status", "--json"]).await?)?;
        let path = status["clusters"][0]["audit_log"].as_str().context("`lab status --json` names no audit_log")?;
        Ok(path.into())
    }

    /// Ends the lab, unless it is to be kept, and looks for what it left.
    ///
    /// # Errors
    /// When something of it is still there.
    pub async fn stop(&self) -> Result<()> {
        if self.keep {
            say(format_args!("the lab stays; `LAB_ID={} e2e/lab/lab down` ends it", self.id));
            return Ok(());
        }
        say("ending the lab");
        if let Some(mut child) = self.leash.lock().await.take() {
            drop(child.stdin.take());
            timeout(DOWN, child.wait()).await.context("the lab does not end; run `e2e/lab/lab down`")??;
        }
        self.call(&["leftovers"]).await.map(drop)
    }
}

fn script() -> PathBuf {
    root().join("e2e/lab/lab")
}

/// Where the images and the tiny model lie.
pub fn images_folder() -> PathBuf {
    std::env::var_os("IMAGES").map_or_else(|| root().join("target/lab/images"), PathBuf::from)
}

/// Where the programs of the lab lie.
pub fn programs_folder() -> PathBuf {
    std::env::var_os("BIN").map_or_else(|| root().join("target/lab/bin"), PathBuf::from)
}

fn archives() -> Result<Vec<String>> {
    let path = |name: &str| images_folder().join(format!("{name}.tar"));
    if let Some(missing) = IMAGES.iter().find(|name| !path(name).exists()) {
        bail!("there is no {}; `e2e/engine/build.sh {missing}` builds it", path(missing).display());
    }
    Ok(IMAGES.iter().map(|name| path(name).to_string_lossy().into_owned()).collect())
}
