//! The operator as a process: with the rights of its chart, started, stopped, asked whether it is well.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{AuthInfo, Kubeconfig};
use kube::{Api, Client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::bed::SYSTEM;

const ADMIN: &str = "127.0.0.1:18080";
const HEALTHY: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(30);

/// How the operator is started.
pub struct Recipe {
    binary: PathBuf,
    kubeconfig: PathBuf,
    log: PathBuf,
}

impl Recipe {
    /// With a token of the chart's service account, so that it has the chart's rights and a name of its own in the audit log.
    ///
    /// # Errors
    /// When the API server gives no token.
    pub async fn new(client: &Client, admin: &Path, binary: PathBuf, out: &Path) -> Result<Self> {
        let spec = TokenRequestSpec { expiration_seconds: Some(86_400), ..TokenRequestSpec::default() };
        let accounts = Api::<ServiceAccount>::namespaced(client.clone(), SYSTEM);
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let token = accounts.create_token_request("deepseek-operator", &PostParams::default(), &request).await?;
        let token = token.status.context("the token has no status")?.token;
        let mut config = serde_json::to_value(Kubeconfig::read_from(admin)?)?;
        config["users"][0]["user"] = serde_json::to_value(AuthInfo::default())?;
        config["users"][0]["user"]["token"] = token.into();
        let kubeconfig = admin.with_file_name("operator.kubeconfig");
        std::fs::write(&kubeconfig, config.to_string())?;
        let log = out.join("operator.log");
        File::create(&log)?;
        Ok(Self { binary, kubeconfig, log })
    }

    /// Starts it and waits until it is healthy; also says how many seconds that took.
    ///
    /// # Errors
    /// When it cannot be started or does not get healthy.
    pub async fn start(&self) -> Result<(Operator, f64)> {
        let (operator, start) = self.spawn()?;
        operator.healthy().await?;
        Ok((operator, start.elapsed().as_secs_f64()))
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self) -> Result<(Operator, Instant)> {
        let log = File::options().append(true).open(&self.log)?;
        let start = Instant::now();
        let child = Command::new(&self.binary)
            .args(["controller", "--admin", ADMIN, "--namespace", SYSTEM, "--kubeconfig"])
            .arg(&self.kubeconfig)
            // as the chart does
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.binary.display()))?;
        let pid = child.id().context("the operator is gone")?;
        Ok((Operator { child, pid }, start))
    }
}

/// The operator while it runs.
pub struct Operator {
    child: Child,
    /// Its number.
    pub pid: u32,
}

impl Operator {
    /// Waits until `/readyz` says so.
    ///
    /// # Errors
    /// When it never does.
    pub async fn healthy(&self) -> Result<()> {
        let asked = async {
            while !is_ready().await {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(HEALTHY, asked).await.context("the operator does not get healthy; see operator.log beside the results")
    }

    /// Asks it to stop, and waits; returns the moment at which it was asked.
    ///
    /// # Errors
    /// When it does not stop, or not well.
    pub async fn stop(mut self) -> Result<Instant> {
        let asked = Instant::now();
        let killed = Command::new("kill").arg(self.pid.to_string()).status().await?;
        ensure!(killed.success(), "the operator is gone");
        let status = timeout(STOP, self.child.wait()).await.context("the operator does not stop")??;
        ensure!(status.success(), "the operator stopped with {status}; see operator.log beside the results");
        Ok(asked)
    }
}

async fn is_ready() -> bool {
    let ask = async {
        let mut socket = TcpStream::connect(ADMIN).await?;
        socket.write_all(b"GET /readyz HTTP/1.1\r\nhost: operator\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200"))
    };
    ask.await.unwrap_or(false)
}
