//! Replicas and configuration as an API server tells them, and what stays when it does not.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use deepseek_core::gateway::GatewayConfig;
use deepseek_gateway::cluster::{Place, follow_config, follow_slices};
use deepseek_gateway::health::Signal;
use deepseek_gateway::kept::Kept;
use deepseek_gateway::keys::Keys;
use deepseek_gateway::metrics::Metrics;
use deepseek_gateway::ready::{Need, Readiness};
use deepseek_gateway::roster::Roster;
use deepseek_gateway::scene::Shared;
use deepseek_gateway::settings::{Files, Settings};
use deepseek_testkit::{Fault, When, World};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::gate::config;

/// A gateway without its connections.
struct Part {
    shared: Arc<Shared>,
    ready: Arc<Readiness>,
    roster: Roster,
    settings: Settings,
}

impl Part {
    /// With its files in this folder.
    fn within(folder: &Path) -> Self {
        let shared = Shared::new(GatewayConfig::nothing(), Keys::default(), Metrics::new().unwrap());
        let ready = Arc::new(Readiness::lacking([Need::Config, Need::Keys, Need::Replicas]));
        let kept = Some(Kept::within(folder));
        let files = Files { config: folder.join("mounted.json"), keys: None, certificate: None };
        let settings = Settings::new(files, shared.clone(), ready.clone(), kept.clone());
        Self { roster: Roster::new(shared.clone(), ready.clone(), kept), shared, ready, settings }
    }

    /// Follows this world while something else happens.
    async fn follow(&self, world: &World, happens: impl Future<Output = ()>) {
        let (client, metrics, place) = (world.client(), &self.shared.metrics, place());
        tokio::select! {
            () = follow_slices(&client, &place, &self.roster, metrics) => panic!("the client was given up"),
            () = follow_config(&client, &place, &self.settings, metrics) => panic!("the client was given up"),
            () = self.roster.attend() => {}
            () = happens => {}
        }
    }

    fn replicas(&self) -> Vec<String> {
        self.shared.scene().replicas.iter().map(|replica| format!("{}={}", replica.name, replica.address)).collect()
    }

    fn served(&self) -> Vec<String> {
        self.shared.scene().config.served_names.clone()
    }

    fn bring_up(&self) {
        for replica in self.shared.scene().replicas.iter() {
            replica.note(Signal::Probed);
            replica.note(Signal::Sang);
        }
    }
}

fn place() -> Place {
    Place { namespace: "ai".into(), service: Some("chat-engines".into()), config_map: Some("chat-gateway".into()) }
}

fn slice(name: &str, service: &str, pods: &[(&str, &str)]) -> Value {
    let endpoint = |(pod, address): &(&str, &str)| {
        json!({
            "addresses": [address], "targetRef": {"kind": "Pod", "name": pod},
            "conditions": {"ready": true, "serving": false, "terminating": false},
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "namespace": "ai", "labels": {"kubernetes.io/service-name": service}},
        "endpoints": pods.iter().map(endpoint).collect::<Vec<_>>(), "ports": [{"name": "http", "port": 8000}],
    })
}

fn config_map(serves: &str) -> Value {
    let config = GatewayConfig { served_names: vec![serves.into()], ..config() };
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "chat-gateway", "namespace": "ai"},
        "data": {"config.json": serde_json::to_string(&config).unwrap()},
    })
}

fn world() -> World {
    let world = World::new();
    world.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ai"}}));
    world
}

async fn soon() {
    sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn all_slices_of_the_service_and_no_other_are_the_replicas() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    world.put(slice("one", "chat-engines", &[("chat-0", "10.0.0.1")]));
    world.put(slice("other", "embed-engines", &[("embed-0", "10.0.0.9")]));
    let part = Part::within(folder.path());
    part.follow(&world, async {
        soon().await;
        assert_eq!(part.replicas(), ["chat-0=10.0.0.1:8000"]);
        world.put(slice("two", "chat-engines", &[("chat-1", "10.0.0.2")]));
        soon().await;
        assert_eq!(part.replicas(), ["chat-0=10.0.0.1:8000", "chat-1=10.0.0.2:8000"]);
        world.edit("EndpointSlice", "ai", "two", |slice| {
            slice["endpoints"][0]["conditions"]["terminating"] = true.into();
        });
        part.bring_up();
        soon().await;
        let up: Vec<_> = part.shared.scene().replicas.iter().map(|replica| replica.is_up()).collect();
        assert_eq!(up, [true, false], "who is told to stop gets nothing new");
        world.remove("EndpointSlice", "ai", "two");
        soon().await;
        assert_eq!(part.replicas(), ["chat-0=10.0.0.1:8000"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_becomes_empty_takes_nobody_out_who_still_answers() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    world.put(slice("one", "chat-engines", &[("chat-0", "10.0.0.1"), ("chat-1", "10.0.0.2")]));
    let part = Part::within(folder.path());
    part.follow(&world, async {
        soon().await;
        part.bring_up();
        world.edit("EndpointSlice", "ai", "one", |slice| slice["endpoints"] = json!([]));
        soon().await;
        assert_eq!(part.replicas().len(), 2);
        let falling = part.shared.scene().replicas[0].clone();
        falling.note(Signal::Hard);
        falling.note(Signal::Hard);
        soon().await;
        assert_eq!(part.replicas(), ["chat-1=10.0.0.2:8000"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_configuration_arrives_at_once_and_a_broken_one_changes_nothing() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("mounted.json"), config_map("mounted")["data"]["config.json"].as_str().unwrap())
        .unwrap();
    let part = Part::within(folder.path());
    part.settings.begin(true);
    assert_eq!(part.served(), ["mounted"], "the file is what there is at first");
    world.put(config_map("first"));
    part.follow(&world, async {
        soon().await;
        assert_eq!(part.served(), ["first"]);
        world.put(config_map("second"));
        soon().await;
        assert_eq!(part.served(), ["second"]);
        part.settings.look();
        assert_eq!(part.served(), ["second"], "the file lags behind");
        world.edit("ConfigMap", "ai", "chat-gateway", |map| map["data"]["config.json"] = "{\"servedNames\":".into());
        soon().await;
        world.remove("ConfigMap", "ai", "chat-gateway");
        soon().await;
        assert_eq!(part.served(), ["second"]);
    })
    .await;
    let again = Part::within(folder.path());
    again.settings.begin(true);
    assert_eq!(again.served(), ["second"], "it was kept");
}

#[tokio::test(start_paused = true)]
async fn without_an_api_server_what_was_told_last_stays_and_news_come_when_it_is_back() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    world.put(slice("one", "chat-engines", &[("chat-0", "10.0.0.1")]));
    world.put(config_map("chat"));
    let part = Part::within(folder.path());
    part.follow(&world, async {
        soon().await;
        world.fail(When::any().every(1), Fault::Drop);
        world.cut_watches();
        sleep(Duration::from_secs(20)).await;
        assert_eq!(
            (part.replicas(), part.served()),
            (vec!["chat-0=10.0.0.1:8000".to_owned()], vec!["chat".to_owned()])
        );
        world.put(slice("one", "chat-engines", &[("chat-0", "10.0.0.1"), ("chat-1", "10.0.0.2")]));
        world.heal();
        sleep(Duration::from_secs(6)).await;
        assert_eq!(part.replicas().len(), 2);
    })
    .await;
    assert_eq!(part.ready.why_not(), None);
    let again = Part::within(folder.path());
    assert!(again.ready.why_not().is_some());
    again.settings.begin(true);
    again.roster.recall();
    assert_eq!(again.ready.why_not(), None, "a restart needs no API server");
    assert!(again.shared.scene().replicas.iter().all(|replica| replica.is_up()));
}
