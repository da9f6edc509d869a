//! How the gateway is started, kept up to date, and stopped.
//!
//! # Expected flow
//! The admin port answers first. Clients are listened to as soon as there are a configuration and, for TLS, a certificate, on
//! every processor. On the signal
//! `/readyz` fails, and what runs ends, at the latest after the drain time.
//! # Guarantees
//! A configuration, key or certificate that cannot be read neither ends the process nor changes anything: the last good one stays, and where there is
//! none yet, `/readyz` says what is lacking. Only addresses that cannot be listened on end it.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::Builder;

use deepseek_core::gateway::GatewayConfig;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio_rustls::rustls;

use crate::cluster::{self, Place};
use crate::health::Health;
use crate::kept::Kept;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::ready::{Need, Readiness};
use crate::roster::Roster;
use crate::scene::{Found, Shared};
use crate::settings::{Files, Settings};
use crate::socket::raise_file_limit;
use crate::tls::{Certificate, Tls};
use crate::{admin, demand, export, probe, serve};

/// How a gateway is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration, as JSON.
    pub config: PathBuf,
    /// A folder with API keys.
    pub keys: Option<PathBuf>,
    /// A folder with a certificate; clients then speak TLS.
    pub tls: Option<PathBuf>,
    /// A folder that outlives the container.
    pub state: Option<PathBuf>,
    /// Where clients are served.
    pub listen: SocketAddr,
    /// Where `/healthz`, `/readyz`, `/metrics`, `/demand`, `/capacity` and `/debug/state` are served.
    pub admin: SocketAddr,
    /// The replicas, where Kubernetes is not asked.
    pub replicas: Vec<Found>,
    /// What Kubernetes is asked.
    pub place: Option<Place>,
    /// Workers.
    pub workers: usize,
}

impl Options {
    /// Whether Kubernetes is asked for this.
    fn asks(&self, what: impl Fn(&Place) -> bool) -> bool {
        self.place.as_ref().is_some_and(what)
    }
}

/// Why a gateway does not start.
#[derive(Debug, Error)]
pub enum Error {
    /// An address cannot be listened on, or a thread cannot be started.
    #[error("{what}: {error}")]
    Start {
        /// What was tried.
        what: String,
        /// What went wrong.
        error: std::io::Error,
    },
    /// Ciphers and versions of TLS do not fit together.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// Two metrics have one name.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

impl Error {
    fn start(what: &str) -> impl Fn(std::io::Error) -> Self + use<> {
        let what = what.to_owned();
        move |error| Self::Start { what: what.clone(), error }
    }
}

/// Runs until `stop` is ready and what runs has ended.
///
/// # Errors
/// When it cannot start.
pub fn run(options: Options, stop: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Result<(), Error> {
    raise_file_limit();
    let shared = Shared::new(GatewayConfig::nothing(), Keys::default(), Metrics::new()?);
    let certificate = options.tls.clone().map(Certificate::within);
    let needs = [Need::Config, Need::Keys, Need::Replicas].into_iter();
    let ready = Arc::new(Readiness::lacking(needs.chain(certificate.as_ref().map(|_| Need::Certificate))));
    let tls = certificate.clone().map(Tls::with).transpose()?;
    let admin = bind(options.admin)?;
    let (stopping, stopped) = watch::channel(false);
    let signals = move || {
        if let Err(error) = stop() {
            tracing::error!(%error, "signals cannot be waited for");
        }
        stopping.send(true)
    };
    Builder::new().name("signals".into()).spawn(signals).map_err(Error::start("the signal thread"))?;
    let (listen, workers) = (options.listen, options.workers.max(1));
    let files = Files { config: options.config.clone(), keys: options.keys.clone(), certificate };
    let control = Control { options, files, shared: shared.clone(), ready: ready.clone(), stopped: stopped.clone() };
    // it goes on while workers drain, and ends with the process
    Builder::new().name("control".into()).spawn(move || control.run(admin)).map_err(Error::start("control"))?;
    if may_listen(&ready, stopped.clone()).map_err(Error::start("waiting"))? {
        work(listen, workers, tls.as_ref(), &shared, &stopped)?;
    }
    Ok(())
}

/// Waits until clients can be served; false when the gateway is told to stop before.
fn may_listen(ready: &Readiness, mut stopped: watch::Receiver<bool>) -> std::io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(async {
        tokio::select! {
            () = ready.may_listen() => true,
            _ = stopped.wait_for(|stop| *stop) => false,
        }
    }))
}

/// Serves clients; returns when all workers have ended.
fn work(
    listen: SocketAddr,
    workers: usize,
    tls: Option<&Tls>,
    shared: &Arc<Shared>,
    stopped: &watch::Receiver<bool>,
) -> Result<(), Error> {
    let listener = bind(listen)?;
    let mut running = Vec::new();
    for at in 0..workers {
        let (listener, tls) = (listener.try_clone().map_err(Error::start("listening"))?, tls.cloned());
        let (shared, stopped) = (shared.clone(), stopped.clone());
        let worker = move || serve::work(listener, tls, shared, stopped);
        running.push(Builder::new().name(format!("worker-{at}")).spawn(worker).map_err(Error::start("a worker"))?);
    }
    drop(listener);
    for worker in running {
        if let Ok(ended) = worker.join() {
            ended.map_err(Error::start("a worker"))?;
        }
    }
    Ok(())
}

fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    bound.map_err(Error::start(&format!("listening on {address}")))
}

/// Everything that is no request: probes, files, the API server, the admin port.
struct Control {
    options: Options,
    files: Files,
    shared: Arc<Shared>,
    ready: Arc<Readiness>,
    stopped: watch::Receiver<bool>,
}

impl Control {
    fn run(&self, admin: TcpListener) {
        let ended = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .and_then(|runtime| LocalSet::new().block_on(&runtime, self.attend(admin)));
        if let Err(error) = ended {
            tracing::error!(%error, "control loop ended");
        }
    }

    async fn attend(&self, admin: TcpListener) -> std::io::Result<()> {
        let Self { options, files, shared, ready, stopped } = self;
        let kept = options.state.as_deref().map(Kept::within);
        let settings = Settings::new(files.clone(), shared.clone(), ready.clone(), kept.clone());
        let roster = Roster::new(shared.clone(), ready.clone(), kept);
        settings.begin(options.asks(|place| place.config_map.is_some()));
        if options.asks(|place| place.service.is_some()) {
            ready.lacks(Need::Replicas, "the API server has not listed them yet");
            roster.recall();
        } else {
            shared.replace(&options.replicas, Health::new());
            ready.has(Need::Replicas);
        }
        let probes = async {
            // what a probe asks depends on the engine
            ready.may_listen().await;
            probe::attend(shared.clone()).await;
        };
        let cluster = async {
            if let Some(place) = &options.place {
                cluster::follow(place, &roster, &settings, &shared.metrics).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = admin::serve(admin, shared.clone(), ready.clone(), stopped.clone()) => ended,
            () = probes => Ok(()),
            () = settings.attend() => Ok(()),
            () = roster.attend() => Ok(()),
            () = export::export(shared.clone()) => Ok(()),
            never = demand::count(shared.clone()) => match never {},
            () = cluster => Ok(()),
        }
    }
}
