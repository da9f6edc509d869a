//! All that a scenario has to work with.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::audit::Audit;
use crate::cluster::Cluster;
use crate::namespace::Namespace;
use crate::operator::Operator;
use crate::options::Options;
use crate::scarce::Scarce;

/// The cluster, the operator in it, and the flags.
#[derive(Clone)]
pub struct World {
    /// Where.
    pub cluster: Arc<Cluster>,
    /// What is tested.
    pub operator: Arc<Operator>,
    /// How.
    pub options: Arc<Options>,
    /// Accelerators that scenarios may take; `None` where no node has any to spare.
    pub scarce: Option<Arc<Scarce>>,
    left_out: Arc<Mutex<Vec<LeftOut>>>,
}

/// A part of a scenario that this cluster cannot show.
#[derive(Debug)]
pub struct LeftOut {
    /// Which part.
    pub name: String,
    /// What is missing.
    pub why: &'static str,
}

impl World {
    /// Reaches the cluster; the operator is not installed yet.
    ///
    /// # Errors
    /// When the cluster cannot be reached.
    pub async fn new(options: Options) -> Result<Self> {
        let cluster = Arc::new(Cluster::reach(&options).await?);
        let operator = Arc::new(Operator::new(&cluster, &options));
        let scarce = match cluster.lab() {
            Some(_) => Some(Scarce::of_lab()),
            None => Scarce::find(&cluster.client).await?,
        };
        let scarce = scarce.map(Arc::new);
        Ok(Self { cluster, operator, options: Arc::new(options), scarce, left_out: Arc::default() })
    }

    /// The accelerators, for scenarios that run nowhere else.
    ///
    /// # Errors
    /// When there are none: the scenario should have been skipped.
    pub fn needed_scarce(&self) -> Result<&Scarce> {
        self.scarce.as_deref().context("this scenario runs only where a node has accelerators to spare")
    }

    /// Tells that a part of a scenario is not shown here; it counts as skipped.
    pub fn leave_out(&self, name: &str, why: &'static str) {
        self.lock().push(LeftOut { name: name.to_owned(), why });
    }

    /// What was left out since the last call.
    pub fn left_out(&self) -> Vec<LeftOut> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<LeftOut>> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
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
