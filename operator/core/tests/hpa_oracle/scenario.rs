//! A scenario as the oracle reads it (`e2e/hpa-oracle/scenario.go`), and what it answers. Times: seconds since the first pass.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscalerSpec, HorizontalPodAutoscalerStatus};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scenario {
    pub controller: Flags,
    pub spec: HorizontalPodAutoscalerSpec,
    pub replicas: i32,
    pub worlds: Vec<World>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Flags {
    pub tolerance: f64,
    pub downscale_stabilization: u64,
    pub cpu_initialization_period: u64,
    pub initial_readiness_delay: u64,
    pub scale_to_zero: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct World {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<HorizontalPodAutoscalerSpec>,
    pub replicas: Option<i32>,
    pub status_ahead: i32,
    pub selector: Option<String>,
    pub scale_error: String,
    pub update_error: String,
    pub restart: bool,
    pub pods: Vec<Pod>,
    pub readings: BTreeMap<String, Reading>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    pub name: String,
    pub phase: String,
    pub ready: String,
    pub start: Option<i64>,
    pub transition: i64,
    pub deleted: bool,
    pub containers: Vec<Container>,
    #[serde(rename = "podRequests", skip_serializing_if = "Option::is_none")]
    pub requests: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    pub name: String,
    pub sidecar: bool,
    pub requests: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    pub error: String,
    pub pods: BTreeMap<String, Sample>,
    pub values: Vec<i64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    pub value: i64,
    pub at: i64,
    pub window: i64,
}

/// One pass of the controller.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pass {
    pub at: i64,
    pub world: usize,
    pub replicas: i32,
    pub status: HorizontalPodAutoscalerStatus,
}
