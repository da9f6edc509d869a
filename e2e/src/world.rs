//! All that a scenario has to work with.

use std::sync::Arc;

use anyhow::Result;

use crate::audit::Audit;
use crate::cluster::Cluster;
use crate::namespace::Namespace;
use crate::operator::Operator;
use crate::options::Options;

/// The cluster, the operator in it, and the flags.
#[derive(Clone)]
pub struct World {
    /// Where.
    pub cluster: Arc<Cluster>,
    /// What is tested.
    pub operator: Arc<Operator>,
    /// How.
    pub options: Arc<Options>,
}

impl World {
    /// Reaches the cluster; the operator is not installed yet.
    ///
    /// # Errors
    /// When the cluster cannot be reached.
    pub async fn new(options: Options) -> Result<Self> {
        let cluster = Arc::new(Cluster::reach(&options).await?);
        let operator = Arc::new(Operator::new(&cluster, &options));
        Ok(Self { cluster, operator, options: Arc::new(options) })
    }

    /// A new namespace, in which Pod Security *restricted* is enforced.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn namespace(&self, story: &str) -> Result<Namespace> {
        Namespace::make(self.clone(), &format!("e2e-{story}")).await
    }

    /// What the API server writes down from now on.
    ///
    /// # Errors
    /// When the cluster is no lab's.
    pub async fn audit(&self) -> Result<Audit> {
        Audit::from_now(self.cluster.needed_lab()?.audit_log().await?).await
    }
}
