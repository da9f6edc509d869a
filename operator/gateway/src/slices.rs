//! `EndpointSlices` of the engines' Service, as replicas.
//!
//! The Service publishes addresses that are not ready, so that Kubernetes' opinion of a node takes nobody out: an address is listed
//! for as long as its Pod exists. Whether it serves the gateway finds out itself; only that a Pod is told to stop is taken from here.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::Deserialize;

use crate::scene::Found;

/// The port of engines, where a slice names none.
const PORT: u16 = 8000;
/// The port's name.
const PORT_NAME: &str = "http";

/// A slice: what is decoded of it.
#[derive(Resource, Clone, Debug, Default, Deserialize)]
#[resource(inherit = EndpointSlice)]
pub struct SeenSlice {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Its endpoints.
    #[serde(default, deserialize_with = "none_is_empty")]
    pub endpoints: Vec<SeenEndpoint>,
    /// Its ports.
    #[serde(default, deserialize_with = "none_is_empty")]
    pub ports: Vec<SeenPort>,
}

/// A Pod's entry.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenEndpoint {
    /// Its addresses, each as good as the others.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// How it is.
    #[serde(default)]
    pub conditions: SeenConditions,
    /// The Pod.
    pub target_ref: Option<SeenTarget>,
}

/// How a Pod is.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenConditions {
    /// It has been told to stop.
    pub terminating: Option<bool>,
}

/// What an entry stands for.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenTarget {
    /// The Pod's name.
    pub name: Option<String>,
}

/// A port.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenPort {
    /// Its name.
    pub name: Option<String>,
    /// Its number.
    pub port: Option<i32>,
}

/// The API server writes an empty list as null.
fn none_is_empty<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The replicas of all slices together, each once: a Pod may stand in slices of both families, and for a moment in two of one.
pub fn replicas<'a>(slices: impl IntoIterator<Item = &'a SeenSlice>) -> Vec<Found> {
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    let entries = slices.into_iter().flat_map(|slice| slice.endpoints.iter().map(|entry| (entry, port(slice))));
    for replica in entries.filter_map(|(entry, port)| replica(entry, port)) {
        let known = found.entry(replica.name.clone()).or_insert_with(|| replica.clone());
        known.leaving |= replica.leaving;
        known.address = preferred(known.address, replica.address);
    }
    found.into_values().collect()
}

fn replica(entry: &SeenEndpoint, port: u16) -> Option<Found> {
    let address = entry.addresses.iter().find_map(|address| address.parse::<IpAddr>().ok())?;
    let name = entry.target_ref.as_ref().and_then(|target| target.name.clone());
    let leaving = entry.conditions.terminating == Some(true);
    Some(Found { name: name.unwrap_or_else(|| address.to_string()), address: SocketAddr::new(address, port), leaving })
}

/// IPv4 where there are both, and always the same of several: who changes address starts anew.
fn preferred(one: SocketAddr, other: SocketAddr) -> SocketAddr {
    one.min(other)
}

fn port(slice: &SeenSlice) -> u16 {
    let named = slice.ports.iter().find(|port| port.name.as_deref() == Some(PORT_NAME));
    named.and_then(|port| u16::try_from(port.port?).ok()).unwrap_or(PORT)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn slice(endpoints: &Value) -> SeenSlice {
        serde_json::from_value(json!({"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": endpoints}))
            .unwrap()
    }

    fn endpoint(pod: &str, address: &str, terminating: bool) -> Value {
        let conditions = json!({"ready": true, "serving": !terminating, "terminating": terminating});
        json!({"addresses": [address], "conditions": conditions, "targetRef": {"kind": "Pod", "name": pod}})
    }

    fn found(name: &str, address: &str, leaving: bool) -> Found {
        Found { name: name.into(), address: address.parse().unwrap(), leaving }
    }

    #[test]
    fn every_address_counts_and_who_is_told_to_stop_leaves() {
        let one = slice(&json!([endpoint("b", "10.0.0.2", true), endpoint("a", "10.0.0.1", false)]));
        let other = slice(&json!([endpoint("c", "10.0.0.3", false)]));
        let expected =
            [found("a", "10.0.0.1:8000", false), found("b", "10.0.0.2:8000", true), found("c", "10.0.0.3:8000", false)];
        assert_eq!(replicas([&one, &other]), expected);
    }

    #[test]
    fn a_pod_with_two_families_is_one_replica() {
        let (four, six) =
            (slice(&json!([endpoint("a", "10.0.0.9", false)])), slice(&json!([endpoint("a", "fd00::1", true)])));
        for slices in [[&four, &six], [&six, &four]] {
            assert_eq!(replicas(slices), [found("a", "10.0.0.9:8000", true)]);
        }
        assert_eq!(replicas([&six]), [found("a", "[fd00::1]:8000", true)]);
    }

    #[test]
    fn the_port_is_the_one_that_is_named_so() {
        let mut slice = slice(&json!([{"addresses": ["10.0.0.1"]}]));
        assert_eq!(
            replicas([&slice]),
            [found("10.0.0.1", "10.0.0.1:8000", false)],
            "without a Pod its address names it"
        );
        let port = |name: &str, port| SeenPort { name: Some(name.into()), port: Some(port) };
        slice.ports = vec![port("metrics", 9000), port("http", 8001)];
        assert_eq!(replicas([&slice])[0].address.port(), 8001);
    }

    #[test]
    fn what_is_null_or_no_address_is_nothing() {
        let empty: SeenSlice =
            serde_json::from_value(json!({"metadata": {}, "endpoints": null, "ports": null})).unwrap();
        assert!(replicas([&empty, &slice(&json!([{"addresses": ["engine.example"]}]))]).is_empty());
    }
}
