//! Connections to the API server, a class for each purpose: a slow answer to one must not delay another.
//!
//! The client's own retries are off: repeats are made by the loop, which knows what is still wanted. Watches may be silent for
//! as long as their server-side timeout, so only they have no limit for reading.

use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use thiserror::Error;

/// Connections of one process.
#[derive(Clone)]
pub struct Clients {
    /// For watches and lists.
    pub watch: Client,
    /// For reading and writing single objects.
    pub work: Client,
    /// For the lease: 1.5 s, because the lease must be renewed within 4.
    pub lease: Client,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The kubeconfig cannot be used.
    #[error("kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// Neither inside a cluster nor given a kubeconfig.
    #[error("not inside a cluster, and no --kubeconfig given: {0}")]
    InCluster(#[from] kube::config::InClusterError),
    /// A user entry starts a program or uses a plug-in.
    #[error(
        "kubeconfig: user {0:?} has an exec or auth-provider entry, which is not supported; use a token or a client certificate"
    )]
    RunsPrograms(String),
    /// The client cannot be made.
    #[error(transparent)]
    Client(#[from] kube::Error),
}

impl Clients {
    /// Connects with the Pod's service account, or with a context of a kubeconfig.
    ///
    /// # Errors
    /// [`ClientError`] when there is no usable configuration; the API server itself is not asked yet.
    pub async fn connect(kubeconfig: Option<&Path>, context: Option<String>) -> Result<Self, ClientError> {
        let config = match kubeconfig {
            Some(path) => from_file(path, context).await?,
            None => Config::incluster()?,
        };
        Ok(Self {
            watch: client(config.clone(), Duration::from_secs(5), None)?,
            work: client(config.clone(), Duration::from_secs(5), Some(Duration::from_secs(15)))?,
            lease: client(config, Duration::from_millis(1500), Some(Duration::from_millis(1500)))?,
        })
    }
}

async fn from_file(path: &Path, context: Option<String>) -> Result<Config, ClientError> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    for user in &kubeconfig.auth_infos {
        if user.auth_info.as_ref().is_some_and(|a| a.exec.is_some() || a.auth_provider.is_some()) {
            return Err(ClientError::RunsPrograms(user.name.clone()));
        }
    }
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    Ok(Config::from_custom_kubeconfig(kubeconfig, &options).await?)
}

fn client(mut config: Config, connect: Duration, answer: Option<Duration>) -> Result<Client, kube::Error> {
    config.connect_timeout = Some(connect);
    config.read_timeout = answer;
    config.write_timeout = answer.or(Some(Duration::from_secs(15)));
    config.default_retry = false;
    Client::try_from(config)
}
