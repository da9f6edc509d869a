//! What Kubernetes says: the `EndpointSlices` of the engines' Service, and the gateway's own `ConfigMap`. Nothing else is read.
//!
//! # Guarantees
//! Nothing waits for the API server but these streams: while it is away, everything stays as it was told last.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Config, Resource, ResourceExt};
use serde::Deserialize;
use tokio::time::sleep;

use crate::metrics::Metrics;
use crate::roster::Roster;
use crate::settings::Settings;
use crate::slices::{SeenSlice, replicas};

/// Seconds after which the server ends a watch: a connection that was silently dropped is noticed within this time.
const WATCH_SECONDS: u32 = 30;
/// A watch that is silent for longer than the server lets it be is dead.
const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);
/// Longest time for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// After a first failure, doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause: the API server is back for at most so long before its news arrives.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Failures in a row after which everything is read anew that a client was made from: its certificates may have been replaced.
const GIVEN_UP: u32 = 12;
/// The key in the `ConfigMap`.
const KEY: &str = "config.json";

/// What belongs to one gateway.
#[derive(Clone, Debug)]
pub struct Place {
    /// The namespace.
    pub namespace: String,
    /// The headless Service of its engines.
    pub service: Option<String>,
    /// The `ConfigMap` with its configuration.
    pub config_map: Option<String>,
}

/// A `ConfigMap`: what is decoded of it.
#[derive(Resource, Clone, Debug, Default, Deserialize)]
#[resource(inherit = ConfigMap)]
pub struct SeenConfigMap {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Its texts.
    #[serde(default)]
    pub data: BTreeMap<String, String>,
}

/// Follows what there is to follow, each with connections of its own.
pub async fn follow(place: &Place, roster: &Roster, settings: &Settings, metrics: &Metrics) {
    let slices = async {
        while place.service.is_some() {
            follow_slices(&connect(Config::incluster).await, place, roster, metrics).await;
        }
    };
    let config = async {
        while place.config_map.is_some() {
            follow_config(&connect(Config::incluster).await, place, settings, metrics).await;
        }
    };
    tokio::join!(slices, config);
}

/// Follows the slices; returns when the client should be made anew.
pub async fn follow_slices(client: &Client, place: &Place, roster: &Roster, metrics: &Metrics) {
    let Some(service) = &place.service else { return };
    let chosen = watcher::Config::default().labels(&format!("kubernetes.io/service-name={service}"));
    let api = Api::<SeenSlice>::namespaced(client.clone(), &place.namespace);
    let stream = watcher(api, chosen.timeout(WATCH_SECONDS));
    attend("endpointslices", stream, metrics, |slices| roster.told(replicas(slices.values()))).await;
}

/// Follows the configuration; returns when the client should be made anew.
pub async fn follow_config(client: &Client, place: &Place, settings: &Settings, metrics: &Metrics) {
    let Some(name) = &place.config_map else { return };
    let chosen = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let api = Api::<SeenConfigMap>::namespaced(client.clone(), &place.namespace);
    let stream = watcher(api, chosen.timeout(WATCH_SECONDS));
    attend("configmap", stream, metrics, |maps| match maps.get(name).map(|map| map.data.get(KEY)) {
        Some(Some(text)) => settings.told(text),
        Some(None) => settings.complain("configmap", &format!("ConfigMap {name}: it has no key {KEY}")),
        None => settings.complain("configmap", &format!("ConfigMap {name}: there is none")),
    })
    .await;
}

/// Keeps what a stream tells and shows all of it after each change, never half a list; returns after too many failures in a row.
async fn attend<K>(
    name: &'static str,
    stream: impl Stream<Item = watcher::Result<Event<K>>>,
    metrics: &Metrics,
    mut show: impl FnMut(&BTreeMap<String, K>),
) where
    K: Resource<DynamicType = ()> + Clone + Debug,
{
    let (mut known, mut listed, mut failures) = (BTreeMap::new(), BTreeMap::new(), 0);
    let mut stream = std::pin::pin!(stream);
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                if keep(event, &mut known, &mut listed) {
                    failures = 0;
                    show(&known);
                }
            }
            Err(error) => {
                failures += 1;
                metrics.watch_errors.with_label_values(&[name]).inc();
                tracing::warn!(stream = name, %error, "watch interrupted; it is tried again");
                if failures >= GIVEN_UP {
                    return;
                }
                sleep(pause(failures)).await;
            }
        }
    }
}

/// Takes an event into what is known; false in the middle of a list.
fn keep<K>(event: Event<K>, known: &mut BTreeMap<String, K>, listed: &mut BTreeMap<String, K>) -> bool
where
    K: Resource<DynamicType = ()>,
{
    match event {
        Event::Init => {
            listed.clear();
            return false;
        }
        Event::InitApply(object) => {
            listed.insert(object.name_any(), object);
            return false;
        }
        Event::InitDone => *known = std::mem::take(listed),
        Event::Apply(object) => drop(known.insert(object.name_any(), object)),
        Event::Delete(object) => drop(known.remove(&object.name_any())),
    }
    true
}

/// With jitter, so that gateways do not come back as one crowd.
fn pause(failures: u32) -> Duration {
    let pause = LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.pow(failures.min(10)));
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// A client, as soon as there is what it is made from.
async fn connect<E: std::fmt::Display>(config: impl Fn() -> Result<Config, E>) -> Client {
    loop {
        let made = config().map_err(|error| error.to_string()).and_then(|mut config| {
            config.connect_timeout = Some(CONNECT);
            config.read_timeout = Some(SILENCE);
            config.write_timeout = Some(CONNECT);
            config.default_retry = false;
            Client::try_from(config).map_err(|error| error.to_string())
        });
        match made {
            Ok(client) => return client,
            Err(error) => tracing::warn!(error, "no way to the API server; it is tried again"),
        }
        sleep(LONGEST_PAUSE).await;
    }
}
