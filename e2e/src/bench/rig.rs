//! A lab with an operator, three nodes that may be broken, and a deployment of the real engine behind gateways on them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

use crate::deployed::{Deployed, TOLD};
use crate::fixtures::{TINY, real};
use crate::lab::{CLUSTER, Lab};
use crate::load::Load;
use crate::operator::is_ready;
use crate::options::Options;
use crate::own_nodes::{self, PRODUCT, node_of, number};
use crate::wait::eventually;
use crate::world::World;

/// After everything is well again.
const SETTLED: Duration = Duration::from_secs(6);
/// Until everything is well again after a fault.
const MENDED: Duration = Duration::from_secs(90);

/// What is measured on.
pub struct Rig {
    /// The lab and the operator.
    pub world: World,
    /// Two replicas behind two gateways.
    pub chat: Deployed,
}

impl Rig {
    /// Builds it up, in a lab of its own: the id of that is that of the environment, with something behind it.
    ///
    /// # Errors
    /// When something does not come up.
    pub async fn set_up(name: &str, suffix: &str) -> Result<Self> {
        // no flags: those of the scenarios have other meanings
        let mut options = Options::parse_from([name]);
        options.lab.push_str(suffix);
        let world = World::new(options).await?;
        world.operator.install().await?;
        own_nodes::add(world.cluster.needed_lab()?).await?;
        let namespace = world.namespace(name).await?;
        // llama.cpp keeps what long streams have said, here in the memory of the host
        let roomy = json!({"resources": {"memory": "512Mi"}});
        let chat = namespace.apply(&real("chat", &world.options).on(PRODUCT).times(2).but(roomy)).await?;
        chat.is_ready().await?;
        chat.answers(TINY).await?;
        Ok(Self { world, chat })
    }

    /// Takes it down.
    ///
    /// # Errors
    /// When something of it is left.
    pub async fn take_down(&self) -> Result<()> {
        self.lab()?.stop().await
    }

    /// The lab.
    ///
    /// # Errors
    /// Never: a rig always is in a lab.
    pub fn lab(&self) -> Result<&Lab> {
        self.world.cluster.needed_lab()
    }

    /// A load that flows.
    ///
    /// # Errors
    /// When it does not.
    pub async fn load(&self, per_second: u32) -> Result<Load> {
        let load = Load::start(&self.chat.service().await?, TINY, per_second);
        eventually("the load to flow", TOLD, || async {
            ensure!(load.answered() >= 20, "{} answers", load.answered());
            Ok(())
        })
        .await?;
        Ok(load)
    }

    /// Breaks something. A container that has just been started is not there for the lab at once.
    ///
    /// # Errors
    /// When the lab does not obey for some seconds.
    pub async fn fault(&self, args: &[&str]) -> Result<()> {
        let words = [&["fault"], args].concat();
        eventually("the fault to be made", TOLD, || self.lab_call(&words)).await
    }

    /// Runs a command of the lab.
    ///
    /// # Errors
    /// When the lab does not obey.
    pub async fn lab_call(&self, args: &[&str]) -> Result<()> {
        self.lab()?.call(args).await.map(drop)
    }

    /// An engine's Pod, the first by name, as the lab names it: the node's number, and NAMESPACE/POD.
    ///
    /// # Errors
    /// When there is none.
    pub async fn an_engine(&self) -> Result<(String, String)> {
        self.named(self.chat.pods().await?)
    }

    /// The same of a gateway's.
    ///
    /// # Errors
    /// When there is none.
    pub async fn a_gateway(&self) -> Result<(String, String)> {
        self.named(self.chat.gateways().await?)
    }

    fn named(&self, mut pods: Vec<Pod>) -> Result<(String, String)> {
        pods.retain(is_ready);
        pods.sort_by_key(ResourceExt::name_any);
        let pod = pods.first().context("no Pod is Ready")?;
        Ok((number(&node_of(pod)?).to_owned(), format!("{}/{}", self.chat.namespace.name, pod.name_any())))
    }

    /// Replicas that are Ready on nodes other than this one.
    ///
    /// # Errors
    /// When Pods cannot be listed.
    pub async fn ready_beside(&self, node: &str) -> Result<usize> {
        let pods = self.chat.pods().await?;
        let elsewhere = |pod: &&Pod| node_of(pod).is_ok_and(|at| number(&at) != node);
        Ok(pods.iter().filter(elsewhere).filter(|pod| is_ready(pod)).count())
    }

    /// Mends everything and waits until two replicas and two gateways are well, and nothing else is left.
    ///
    /// # Errors
    /// When they are not.
    pub async fn mend(&self) -> Result<()> {
        self.lab_call(&["heal", "all"]).await?;
        self.lab_call(&["ready", CLUSTER, "90"]).await?;
        self.world.operator.is_ready().await?;
        eventually("two replicas and two gateways alone", MENDED, || async {
            for pods in [self.chat.pods().await?, self.chat.gateways().await?] {
                ensure!(pods.len() == 2 && pods.iter().all(is_ready), "{} Pods", pods.len());
            }
            Ok(())
        })
        .await?;
        self.chat.is_ready().await?;
        // Kubernetes may still learn of what was broken
        tokio::time::sleep(SETTLED).await;
        self.chat.is_ready().await
    }
}
