//! Who plays: the world, engines that answer on command, operators that start, stop and crash.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deepseek_controller::canary::Prober;
use deepseek_controller::clients::Clients;
use deepseek_controller::lease::Claimant;
use deepseek_controller::run::{Options, RunError, run_with};
use deepseek_controller::sentry::Rhythm;
use deepseek_core::demand::Demand;
use deepseek_core::observed::Settings;
use deepseek_testkit::fixtures::{DeepSeek, Fixture, deepseek, namespace, node};
use deepseek_testkit::{OPERATOR, World};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::gateways::Traffic;

/// The namespace of everything here.
pub const AI: &str = "ai";
/// How a node shows that it carries H100s.
pub const H100: &str = "NVIDIA-H100-80GB-HBM3";
/// The operator's own namespace and lease.
pub const SYSTEM: &str = "deepseek-system";

/// A cluster with engines in it.
#[derive(Clone)]
pub struct Stage {
    pub world: World,
    pub engines: Engines,
}

/// A deployment with one replica on one accelerator.
pub fn chat() -> Fixture<DeepSeek> {
    deepseek("chat").within(AI)
}

impl Stage {
    /// One node with eight H100 and one with processors alone; Deployments, scheduler and kubelets work.
    pub fn with_gpus() -> Self {
        let stage = Self::bare();
        stage.world.put(node("n1").with_gpus(8, H100).tainted("nvidia.com/gpu", "present", "NoSchedule"));
        stage.world.put(node("c1"));
        stage.world.run_deployments();
        stage
    }

    /// No node, and the rest of Kubernetes works on command.
    pub fn bare() -> Self {
        let world = World::new();
        let stage = Self { engines: Engines { world: world.clone(), ..Engines::default() }, world };
        stage.world.put(namespace(SYSTEM));
        stage
    }

    /// An operator that runs.
    pub fn operator(&self) -> Operator {
        self.operator_as(OPERATOR)
    }

    /// The same as one of several; the name is its user's, too.
    pub fn operator_as(&self, name: &str) -> Operator {
        Operator::start(self, options(name, anywhere()))
    }

    /// One that looks at so many deployments at once.
    pub fn operator_with_concurrency(&self, concurrency: u16) -> Operator {
        Operator::start(self, Options { concurrency, ..options(OPERATOR, anywhere()) })
    }

    /// The same, knowing the image of gateways.
    pub fn operator_with_gateways(&self) -> Operator {
        self.operator_with_gateways_as(OPERATOR)
    }

    /// The same as one of several.
    pub fn operator_with_gateways_as(&self, name: &str) -> Operator {
        let settings = Settings {
            gateway_image: Some("example.org/deepseek-operator:1".into()),
            namespace: SYSTEM.into(),
            ..Settings::default()
        };
        Operator::start(self, Options { settings, ..options(name, anywhere()) })
    }

    /// The Pods of one component that are not on their way out, as node and address.
    pub fn pods_of(&self, component: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut pods: Vec<_> = (self.world.objects("Pod").iter())
            .filter(|pod| pod["metadata"]["labels"]["app.kubernetes.io/component"] == component)
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            .map(|pod| (text(&pod["spec"]["nodeName"]), format!("{}:8000", text(&pod["status"]["podIP"]))))
            .collect();
        pods.sort();
        pods
    }

    /// Nobody on this node answers any more, and its kubelet does nothing.
    pub fn silence(&self, node: &str) {
        self.world.cut_power(node);
        self.engines.silent.lock().unwrap_or_else(PoisonError::into_inner).insert(node.to_owned());
    }

    /// Everybody answers again, on all nodes.
    pub fn come_back(&self) {
        self.world.restore_power();
        self.engines.silent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The same with an admin port that can be asked.
    pub fn operator_with_admin_port(&self) -> (Operator, SocketAddr) {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).unwrap();
        (Operator::start(self, options(OPERATOR, free)), free)
    }

    /// Changes the spec of a deployment, as `kubectl edit` does.
    pub fn edit_spec(&self, name: &str, change: impl FnOnce(&mut Value)) {
        self.world.edit("DeepSeekDeployment", AI, name, |object| change(&mut object["spec"]));
    }

    /// The conditions of a deployment, each as `Ready=True AllReplicasAnswer`.
    pub fn conditions(&self, name: &str) -> Vec<String> {
        let spoken =
            |c: &Value| [&c["type"], &c["status"], &c["reason"]].map(|word| word.as_str().unwrap_or("?").to_owned());
        let each = self.stated(name).into_iter().map(|condition| spoken(&condition));
        each.map(|[kind, status, reason]| format!("{kind}={status} {reason}")).collect()
    }

    /// What a condition says.
    pub fn message(&self, name: &str, kind: &str) -> String {
        let found = self.stated(name).into_iter().find(|condition| condition["type"] == kind);
        found.and_then(|condition| condition["message"].as_str().map(str::to_owned)).unwrap_or_default()
    }

    fn stated(&self, name: &str) -> Vec<Value> {
        let object = self.world.object("DeepSeekDeployment", AI, name).unwrap_or_default();
        object["status"]["conditions"].as_array().cloned().unwrap_or_default()
    }

    /// Waits, for a minute at most, until a deployment says `Ready=True AllReplicasAnswer` or the like.
    pub async fn until(&self, name: &str, condition: &str) {
        self.until_within(Duration::from_secs(60), name, condition).await;
    }

    /// The same with more patience.
    pub async fn until_within(&self, limit: Duration, name: &str, condition: &str) {
        let says = |_: &World| self.conditions(name).iter().any(|said| said == condition);
        let waited = tokio::time::timeout(limit, self.world.within(Duration::MAX, condition, says)).await;
        assert!(waited.is_ok(), "{name} does not say {condition}, but {:#?}\n{}", self.stated(name), self.log());
    }

    /// Waits until a deployment serves, then until nothing is sent any more.
    pub async fn until_served(&self, name: &str) {
        self.until(name, "Ready=True AllReplicasAnswer").await;
        self.settled().await;
    }

    /// Waits until nothing is sent for longer than any retry after a first failure takes.
    pub async fn settled(&self) {
        self.world.quiet_for(Duration::from_secs(10)).await;
    }

    /// What was sent last.
    pub fn log(&self) -> String {
        let requests = self.world.requests();
        let told = requests.iter().filter(|r| !r.is_lease()).rev().take(30).map(deepseek_testkit::Record::spoken);
        told.collect::<Vec<_>>().join("\n")
    }
}

/// Engines: every Pod has one, and all of them are in the same mood.
#[derive(Clone, Default)]
pub struct Engines {
    mood: Arc<Mutex<Mood>>,
    /// Nodes on which nobody answers.
    silent: Arc<Mutex<BTreeSet<String>>>,
    /// What gateways count.
    pub traffic: Traffic,
    world: World,
}

#[derive(Clone, Default)]
enum Mood {
    #[default]
    Answering,
    Failing(String),
    Silent,
}

impl Engines {
    /// They answer.
    pub fn answer(&self) {
        self.turn(Mood::Answering);
    }

    /// They answer with an error.
    pub fn fail(&self, message: &str) {
        self.turn(Mood::Failing(message.to_owned()));
    }

    /// They take the question and never answer.
    pub fn hang(&self) {
        self.turn(Mood::Silent);
    }

    /// The node at this address, or of the Pod at it.
    fn node_of(&self, address: &str) -> String {
        let (host, _) = address.rsplit_once(':').unwrap_or_default();
        let pods = self.world.objects("Pod");
        let pod = pods.iter().find(|pod| pod["status"]["podIP"] == host).map(|pod| pod["spec"]["nodeName"].clone());
        let nodes = self.world.objects("Node");
        let node = || nodes.iter().find(|node| node["status"]["addresses"][0]["address"] == host);
        let found = pod.or_else(|| node().map(|node| node["metadata"]["name"].clone()));
        found.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn turn(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }
}

impl Prober for Engines {
    fn ask_gateway<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn ask_demand<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Demand, String>> {
        let told = self.traffic.told(&self.world, address);
        Box::pin(async move { told })
    }

    fn await_request<'a>(&'a self, address: &'a str, limit: Duration) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            let asked = async {
                while self.traffic.told(&self.world, address).is_ok_and(|demand| demand.waiting == 0) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            let _ = tokio::time::timeout(limit, asked).await;
            self.traffic.told(&self.world, address).map(|demand| demand.waiting > 0)
        })
    }

    fn knock<'a>(&'a self, address: &'a str, _: Duration) -> BoxFuture<'a, bool> {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let there = silent.is_empty() || !silent.contains(&self.node_of(address));
        Box::pin(async move { there })
    }

    fn ask<'a>(&'a self, _: &'a str, _: &'a [String]) -> BoxFuture<'a, Result<(), String>> {
        let mood = self.mood.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            match mood {
                Mood::Answering => Ok(()),
                Mood::Failing(message) => Err(message),
                Mood::Silent => std::future::pending().await,
            }
        })
    }
}

/// A running operator; it crashes when it is dropped.
pub struct Operator {
    task: JoinHandle<Result<(), RunError>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Operator {
    fn start(stage: &Stage, options: Options) -> Self {
        let (name, _) = options.claimant.identity.split_once('_').unwrap();
        let client = stage.world.client_as(name);
        let clients = Clients { watch: client.clone(), work: client.clone(), lease: client };
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(run_with(clients, Arc::new(stage.engines.clone()), options, stopped));
        Self { task, stop: Some(stop) }
    }

    /// Ends it in good order.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.task).await.expect("the operator does not panic").expect("the operator ends well");
    }

    /// Ends it at once.
    pub async fn crash(mut self) {
        self.task.abort();
        let ended = (&mut self.task).await;
        assert!(ended.is_err_and(|error| error.is_cancelled()), "the operator had ended before");
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn anywhere() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn options(name: &str, admin: SocketAddr) -> Options {
    use std::sync::atomic::{AtomicU32, Ordering};
    static STARTS: AtomicU32 = AtomicU32::new(0);
    let claimant = Claimant {
        name: "operator".into(),
        namespace: SYSTEM.into(),
        identity: format!("{name}_{}", STARTS.fetch_add(1, Ordering::Relaxed)),
    };
    Options {
        kubeconfig: None,
        context: None,
        claimant,
        admin,
        concurrency: 16,
        rhythm: Rhythm::default(),
        settings: Settings::default(),
    }
}

/// Asks the admin port; returns the status and the body.
pub async fn ask_admin(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A patch of a Pod's status: its engine waits, for this reason.
pub fn waiting(reason: &str, message: &str) -> Value {
    json!([{"name": "engine", "restartCount": 3, "state": {"waiting": {"reason": reason, "message": message}}}])
}
