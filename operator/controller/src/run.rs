//! Starts everything, runs the loop while this replica leads, and ends cleanly.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deepseek_core::observed::Settings;
use futures::StreamExt;
use futures::future::BoxFuture;
use kube::ResourceExt;
use kube::runtime::applier;
use kube::runtime::controller::Config;
use kube::runtime::reflector::ObjectRef;
use thiserror::Error;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::{self, Admin};
use crate::apply::Applier;
use crate::canary::{OpenAi, Prober};
use crate::clients::{ClientError, Clients};
use crate::keep_off::Guard;
use crate::lease::{Claimant, Elector, Leading};
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::observe::Observer;
use crate::reconcile::{Attempts, Context, after_error, reconcile};
use crate::report::{Reporter, recorder};
use crate::scaler::{Scaler, Scalings};
use crate::sentry::{Canaries, Rhythm, sentry};
use crate::silence::{Silences, listen};
use crate::wake::Waker;
use crate::watch::{Guarded, Stores, watch};

/// Changes of one deployment within this time are looked at together.
const DEBOUNCE: Duration = Duration::from_millis(5);

/// Settings of the controller.
#[derive(Clone, Debug)]
pub struct Options {
    /// A kubeconfig; `None` uses the Pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// A context of that kubeconfig; `None` uses its current one.
    pub context: Option<String>,
    /// Which lease, and who asks for it.
    pub claimant: Claimant,
    /// Where the admin port listens.
    pub admin: SocketAddr,
    /// Deployments that are looked at at once.
    pub concurrency: u16,
    /// How often engines are asked for a token.
    pub rhythm: Rhythm,
    /// Settings that decisions depend on.
    pub settings: Settings,
}

/// Why the controller ended.
#[derive(Debug, Error)]
pub enum RunError {
    /// There is no way to the API server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The admin port cannot be served.
    #[error("admin port {address}: {error}")]
    Admin {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// Two metrics of the same name.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Runs until `stop` is done, then gives the lease back.
///
/// # Errors
/// [`RunError`] when it cannot start. An API server that cannot be reached is no reason to end: it is asked again.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    let clients = Clients::connect(options.kubeconfig.as_deref(), options.context.clone()).await?;
    run_with(clients, Arc::new(OpenAi::default()), options, stop).await
}

/// The same with connections that exist already, and any way to ask engines.
///
/// # Errors
/// [`RunError`] when it cannot start.
pub async fn run_with(
    clients: Clients,
    prober: Arc<dyn Prober>,
    options: Options,
    stop: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let metrics = Arc::new(Metrics::new()?);
    let (queue, woken) = unbounded_channel();
    let (waker, mut tasks) = (Waker::new(queue), JoinSet::new());
    let memory = Arc::new(Memory::default());
    let stores = watch(&clients.watch, &waker, &memory, &metrics, &mut tasks);
    let canaries = Canaries::default();
    let (pods, seen) = (stores.pods.clone(), canaries.clone());
    tasks.spawn(sentry(pods, seen, waker.clone(), metrics.clone(), options.rhythm, prober.clone()));
    let silences = Silences::default();
    let (pods, nodes) = (stores.pods.clone(), stores.nodes.clone());
    let (waker_too, lease, prober_too) = (waker.clone(), clients.lease.clone(), prober.clone());
    tasks.spawn(listen(pods, nodes, silences.clone(), waker_too, metrics.clone(), lease, prober_too));

    let (leads, leading) = watch::channel(None);
    let mut elector = Elector::new(clients.lease.clone(), options.claimant.clone());
    let admin = Admin {
        stores: stores.clone(),
        silences: silences.clone(),
        leading: leading.clone(),
        metrics: metrics.clone(),
        identity: options.claimant.identity.clone(),
    };
    let parts = Parts { clients, options: options.clone(), stores, canaries, silences, memory, metrics, waker, prober };

    let ended = tokio::select! {
        error = admin::serve(options.admin, admin) => {
            error.map_err(|error| RunError::Admin { address: options.admin, error })
        }
        () = elector.run(&leads) => Ok(()),
        () = lead(parts, leading, woken) => Ok(()),
        () = stop => Ok(()),
    };
    tasks.shutdown().await;
    elector.release().await;
    tracing::info!("stopped");
    ended
}

/// What every term of leadership is made from.
struct Parts {
    clients: Clients,
    options: Options,
    stores: Stores,
    canaries: Canaries,
    silences: Silences,
    memory: Arc<Memory>,
    metrics: Arc<Metrics>,
    waker: Waker,
    prober: Arc<dyn Prober>,
}

/// Works whenever this replica leads; otherwise only keeps its queue empty. Losing the lease drops all that is under way.
async fn lead(
    parts: Parts,
    mut leading: watch::Receiver<Option<Arc<Leading>>>,
    mut woken: UnboundedReceiver<ObjectRef<Guarded>>,
) {
    parts.stores.filled().await;
    parts.canaries.inherit(&parts.stores.deployments, &parts.stores.pods);
    loop {
        let token = leading.borrow_and_update().clone();
        parts.metrics.leading.set(i64::from(token.is_some()));
        if let Some(token) = token {
            tracing::info!(deployments = parts.stores.deployments.len(), "leading");
            parts.metrics.leaderships.inc();
            tokio::select! {
                () = term(&parts, token, &mut woken) => {}
                _ = leading.changed() => tracing::warn!("no longer leading"),
            }
        } else {
            tokio::select! {
                _ = woken.recv() => {}
                _ = leading.changed() => {}
            }
        }
    }
}

/// One term: every deployment once, then those that are woken.
async fn term(parts: &Parts, leading: Arc<Leading>, woken: &mut UnboundedReceiver<ObjectRef<Guarded>>) {
    parts.waker.wake_all(&parts.stores.deployments);
    let scalings = Scalings::default();
    let context = Arc::new(parts.context(leading, scalings.clone()));
    let scaler = parts.scaler(context.clone(), scalings);
    let queue = futures::stream::poll_fn(|cx| woken.poll_recv(cx)).map(Ok::<_, std::convert::Infallible>);
    let config = Config::default().concurrency(parts.options.concurrency).debounce(DEBOUNCE);
    let passes = applier(pass, after_error, context.clone(), parts.stores.deployments.clone(), queue, config);
    let passes = passes.for_each(|result| {
        let word = if result.is_ok() { "ok" } else { "error" };
        context.metrics.reconciles.with_label_values(&[word]).inc();
        std::future::ready(())
    });
    let guard = parts.guard();
    tokio::select! {
        () = passes => {}
        () = guard.lift(&context.leading, &parts.silences) => {}
        () = Box::pin(scaler.attend()) => {}
    }
}

fn pass(
    object: Arc<Guarded>,
    context: Arc<Context>,
) -> BoxFuture<'static, Result<kube::runtime::controller::Action, crate::reconcile::Error>> {
    Box::pin(async move {
        let done = reconcile(object.clone(), context.clone()).await;
        if done.is_ok() {
            context.attempts.clear(&object);
        }
        tracing::debug!(deployment = object.name_any(), ok = done.is_ok(), "pass");
        done
    })
}

impl Parts {
    fn guard(&self) -> Guard {
        Guard::new(self.clients.work.clone(), self.stores.nodes.clone())
    }

    fn scaler(&self, context: Arc<Context>, scalings: Scalings) -> Scaler {
        let client = self.clients.work.clone();
        Scaler {
            context,
            scalings,
            deployments: self.stores.deployments.clone(),
            prober: self.prober.clone(),
            waker: self.waker.clone(),
            recorder: recorder(client.clone(), &self.options.claimant.identity),
            client,
        }
    }

    fn context(&self, leading: Arc<Leading>, scalings: Scalings) -> Context {
        let client = self.clients.work.clone();
        let settings = Arc::new(self.options.settings.clone());
        Context {
            leading,
            observer: Observer::new(
                self.stores.clone(),
                self.canaries.clone(),
                self.silences.clone(),
                scalings,
                settings,
            ),
            applier: Applier::new(client.clone(), self.stores.children.clone(), self.guard(), self.metrics.clone()),
            reporter: Reporter::new(client.clone(), recorder(client, &self.options.claimant.identity)),
            memory: self.memory.clone(),
            attempts: Attempts::default(),
            metrics: self.metrics.clone(),
        }
    }
}
