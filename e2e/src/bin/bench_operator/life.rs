//! One life of the operator: start, N deployments, rest, restart, children that are deleted.

use std::time::Duration;

use anyhow::{Context, Result};
use deepseek_e2e::bench::machine::{cpu, memory};
use deepseek_e2e::progress::say;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject};
use kube::{Client, ResourceExt};
use tokio::time::{Instant, sleep};

use crate::audit::{Audit, Mark, Requests};
use crate::book::Book;
use crate::copies::Copies;
use crate::measures::{
    ALL_READY, ANON_EACH, ANON_IDLE, ANON_STEADY, BACK_BUDGET, BACK_SERVICE, BACK_WORKLOAD, BEYOND, CPU, CPU_EACH,
    CREATES, DELETES, FAILED, HALF_READY, HALF_SHARE, Measure, PATCHES, READS, REQUESTS, REST_CPU, REST_LEASES,
    REST_WRITES, RESTART, RESTART_CPU, RESTART_RSS, RESTART_WRITES, RSS_IDLE, RSS_PEAK, RSS_STEADY, START_EMPTY,
    START_FULL, STOP, UPDATES,
};
use crate::objects::{Side, make_namespace, remove_namespace};
use crate::process::{Operator, Recipe};
use crate::ready::Changes;

/// Until what was started has settled: memory is looked at, and late writes are counted.
const SETTLE: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_secs(60);
const AFTER: Duration = Duration::from_secs(30);
/// Children that are deleted, of each kind.
const DELETIONS: u32 = 20;
/// What one life needs.
pub struct Life<'a> {
    /// Talks as the administrator.
    pub client: &'a Client,
    /// Counts requests.
    pub audit: &'a Audit,
    /// Starts the operator.
    pub recipe: &'a Recipe,
    /// How many deployments there are.
    pub n: u32,
    /// Where they are.
    pub namespace: &'a str,
    /// Where the numbers go.
    pub book: &'a mut Book,
}

impl Life<'_> {
    /// Lives it; returns when each deployment was ready, and copies of the children of one.
    ///
    /// # Errors
    /// When something does not come about.
    pub async fn live(&mut self) -> Result<(Vec<f64>, Copies)> {
        make_namespace(self.client, self.namespace).await?;
        let (operator, healthy) = self.recipe.start().await?;
        self.add(START_EMPTY, healthy);
        sleep(SETTLE).await;
        let curve = self.creation(&operator).await?;
        self.rest(&operator).await?;
        let operator = self.restart(operator).await?;
        for (measure, resource) in [
            (BACK_SERVICE, ApiResource::erase::<Service>(&())),
            (BACK_BUDGET, ApiResource::erase::<PodDisruptionBudget>(&())),
            (BACK_WORKLOAD, ApiResource::erase::<Deployment>(&())),
        ] {
            self.deletions(measure, &resource).await?;
        }
        let copies = Copies::of(self.client, self.namespace, "d0000").await?;
        operator.stop().await?;
        remove_namespace(self.client, &self.new_namespace()).await?;
        remove_namespace(self.client, self.namespace).await?;
        Ok((curve, copies))
    }

    /// That of the deployment which is made during a restart: its writes are no writes for nothing.
    fn new_namespace(&self) -> String {
        format!("{}-new", self.namespace)
    }

    fn add(&mut self, measure: Measure, value: impl Into<f64>) {
        self.book.add(self.n, measure, value.into());
    }

    fn add_each(&mut self, measure: Measure, value: impl Into<f64>) {
        self.add(measure, value.into() / f64::from(self.n));
    }

    async fn creation(&mut self, operator: &Operator) -> Result<Vec<f64>> {
        let idle = memory(operator.pid)?;
        let (mark, before) = (self.audit.mark()?, cpu(operator.pid)?);
        let changes = Changes::of(&Side::Operator.api(self.client, self.namespace)).await?;
        let start = Instant::now();
        let (created, curve) = tokio::join!(
            Side::Operator.create_all(self.client, self.namespace, self.n),
            changes.ready(Side::Operator, self.n, start),
        );
        created?;
        let curve = curve?;
        let used = cpu(operator.pid)? - before;
        sleep(SETTLE).await;
        let steady = memory(operator.pid)?;
        let (half, all) = (curve[curve.len() / 2 - 1], *curve.last().context("nothing was created")?);
        self.add(ALL_READY, all);
        self.add(HALF_READY, half);
        self.add(HALF_SHARE, 100.0 * half / all);
        self.add(CPU, used);
        self.add_each(CPU_EACH, used * 1000.0);
        self.add(RSS_IDLE, idle.resident);
        self.add(ANON_IDLE, idle.anonymous);
        self.add(RSS_STEADY, steady.resident);
        self.add(ANON_STEADY, steady.anonymous);
        self.add(RSS_PEAK, steady.peak);
        self.add_each(ANON_EACH, (steady.anonymous - idle.anonymous) * 1024.0);
        let requests = self.audit.since(mark, None)?;
        say(format_args!("all Ready after {all:.2} s, {used:.2} s of CPU; requests: {:?}", requests.by_kind));
        self.count(&requests);
        Ok(curve)
    }

    fn count(&mut self, requests: &Requests) {
        self.add_each(REQUESTS, requests.total());
        self.add_each(CREATES, requests.of(&["create"]));
        self.add_each(PATCHES, requests.of(&["patch"]));
        self.add_each(UPDATES, requests.of(&["update"]));
        self.add_each(DELETES, requests.of(&["delete", "deletecollection"]));
        self.add_each(READS, requests.of(&["get", "list", "watch"]));
        self.add_each(BEYOND, requests.total() - requests.children);
        self.add(FAILED, requests.failed);
    }

    async fn rest(&mut self, operator: &Operator) -> Result<()> {
        let (mark, before) = (self.audit.mark()?, cpu(operator.pid)?);
        sleep(REST).await;
        let requests = self.audit.since(mark, None)?;
        self.add(REST_CPU, cpu(operator.pid)? - before);
        self.add(REST_WRITES, requests.writes());
        self.add(REST_LEASES, requests.leases);
        say(format_args!("at rest: {:?} and {} about leases", requests.by_kind, requests.leases));
        Ok(())
    }

    async fn restart(&mut self, operator: Operator) -> Result<Operator> {
        let new = &self.new_namespace();
        make_namespace(self.client, new).await?;
        let changes = Changes::of(&Side::Operator.api(self.client, new)).await?;
        let mark = self.audit.mark()?;
        let asked = operator.stop().await?;
        self.add(STOP, asked.elapsed().as_secs_f64());
        let (operator, start) = self.recipe.spawn()?;
        let (healthy, ready) =
            tokio::join!(async { operator.healthy().await.map(|()| start.elapsed().as_secs_f64()) }, async {
                Side::Operator.create(self.client, new, "newcomer").await?;
                changes.ready(Side::Operator, 1, asked).await
            },);
        self.add(START_FULL, healthy?);
        self.add(RESTART, ready?[0]);
        self.after_restart(&operator, mark, start).await?;
        Ok(operator)
    }

    async fn after_restart(&mut self, operator: &Operator, mark: Mark, start: Instant) -> Result<()> {
        tokio::time::sleep_until(start + AFTER).await;
        let requests = self.audit.since(mark, Some(&self.new_namespace()))?;
        say(format_args!("after the restart: {:?}", requests.by_kind));
        self.add(RESTART_WRITES, requests.writes());
        self.add(RESTART_CPU, cpu(operator.pid)?);
        self.add(RESTART_RSS, memory(operator.pid)?.resident);
        Ok(())
    }

    /// One child after the other, each of another deployment.
    async fn deletions(&mut self, measure: Measure, resource: &ApiResource) -> Result<()> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), self.namespace, resource);
        for at in 0..DELETIONS.min(self.n) {
            let name = format!("d{at:04}");
            // the watch comes first: the connection of this question is then free for the deletion, which needs no new one
            let mut changes = Changes::of(&api).await?;
            let uid = api.get_metadata(&name).await?.uid().unwrap_or_default();
            let asked = Instant::now();
            api.delete(&name, &DeleteParams::background()).await?;
            changes.back(&name, &uid).await?;
            self.add(measure, asked.elapsed().as_secs_f64() * 1000.0);
            // its Pods start anew, or its endpoints; that is not what is measured
            sleep(Duration::from_millis(250)).await;
        }
        Ok(())
    }
}
