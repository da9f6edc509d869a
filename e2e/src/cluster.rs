//! The cluster that scenarios run on: a lab's, or anybody's.

use std::path::PathBuf;

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::command::output;
use crate::door::Door;
use crate::lab::{CLUSTER, Lab};
use crate::options::Options;

/// A cluster, and how to get at it.
pub struct Cluster {
    /// Talks to its API server.
    pub client: Client,
    ways: Ways,
}

enum Ways {
    Lab(Box<Lab>),
    Context { name: String, kubeconfig: Option<PathBuf> },
}

impl Cluster {
    /// The cluster that the flags name, or a new lab's.
    ///
    /// # Errors
    /// When it cannot be reached, or the lab does not start.
    pub async fn reach(options: &Options) -> Result<Self> {
        match &options.context {
            Some(name) => Self::of_context(name, options.kubeconfig.clone()).await,
            None => Self::of_lab(Lab::start(&options.lab, options.keep).await?).await,
        }
    }

    async fn of_context(name: &str, kubeconfig: Option<PathBuf>) -> Result<Self> {
        let read = match &kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let choice = KubeConfigOptions { context: Some(name.to_owned()), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(read.context("kubeconfig")?, &choice).await?;
        let client = Client::try_from(config)?;
        client.apiserver_version().await.with_context(|| format!("context {name:?} does not answer"))?;
        Ok(Self { client, ways: Ways::Context { name: name.to_owned(), kubeconfig } })
    }

    async fn of_lab(lab: Lab) -> Result<Self> {
        let mut config = Config::from_custom_kubeconfig(lab.kubeconfig().await?, &KubeConfigOptions::default()).await?;
        // a proxy of the environment leads nowhere from a loopback address
        config.proxy_url = None;
        Ok(Self { client: Client::try_from(config)?, ways: Ways::Lab(Box::new(lab)) })
    }

    /// Talks to the API server as another user, as administrators may.
    ///
    /// # Errors
    /// When it is not a lab's cluster.
    pub async fn client_as(&self, user: &str) -> Result<Client> {
        let kubeconfig = self.needed_lab()?.kubeconfig().await?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.proxy_url = None;
        config.auth_info.impersonate = Some(user.to_owned());
        Ok(Client::try_from(config)?)
    }

    /// The lab, if it is one's.
    pub fn lab(&self) -> Option<&Lab> {
        match &self.ways {
            Ways::Lab(lab) => Some(lab),
            Ways::Context { .. } => None,
        }
    }

    /// The lab, for scenarios that run nowhere else.
    ///
    /// # Errors
    /// When it is not a lab's cluster: the scenario should have been skipped.
    pub fn needed_lab(&self) -> Result<&Lab> {
        self.lab().context("this scenario runs in a lab only; leave --context out")
    }

    /// Runs helm against the cluster.
    ///
    /// # Errors
    /// When helm fails, with what it said.
    pub async fn helm(&self, args: &[&str]) -> Result<String> {
        match &self.ways {
            Ways::Lab(lab) => lab.call(&[&["helm", CLUSTER], args].concat()).await,
            Ways::Context { name, kubeconfig } => {
                let path = kubeconfig.as_ref().map(|path| path.to_string_lossy().into_owned());
                let file: Vec<_> = path.iter().flat_map(|path| ["--kubeconfig", path]).collect();
                output("helm", &[args, &["--kube-context", name], &file].concat(), &[]).await
            }
        }
    }

    /// The way to a Service: in a lab through a node, as clients inside go; elsewhere through the API server.
    ///
    /// # Errors
    /// When the lab cannot forward it.
    pub async fn service(&self, namespace: &str, name: &str) -> Result<Door> {
        match self.lab() {
            Some(lab) => Ok(Door::at(lab.forward(namespace, name, 8000).await?)),
            None => Ok(Door::proxied(self.client.clone(), namespace, "services", &format!("{name}:8000"))),
        }
    }

    /// The way to one Pod, past the Service.
    pub fn pod(&self, namespace: &str, name: &str) -> Door {
        Door::proxied(self.client.clone(), namespace, "pods", &format!("{name}:8000"))
    }
}
