//! Connections of clients: one worker for each processor, with a runtime of its own, so that a request never changes threads.
//!
//! # Expected flow of an end
//! Nothing is refused. From the signal on every answer says `Connection: close` (HTTP/1) or follows a GOAWAY (HTTP/2), so that clients go
//! elsewhere with their next request. New connections are still accepted for a while, idle ones are kept for one more request, and
//! what runs then ends, at the latest after the drain time.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use deepseek_core::gateway::Limits;
use futures::FutureExt;
use http::header::{CONNECTION, HeaderValue};
use http::{StatusCode, Version};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::proxy::Worker;
use crate::reader::while_read;
use crate::scene::Shared;
use crate::socket::of_client;
use crate::tls::Tls;
use crate::upstream::Pool;

/// How often idle lines are looked through.
const SWEEP: Duration = Duration::from_secs(1);
/// After an error of `accept`, such as too many open files.
const BREATH: Duration = Duration::from_millis(50);
/// HTTP/2 connections are asked for a sign of life this often, and given up if none comes in time.
const PING: Duration = Duration::from_secs(10);
/// How long connections are accepted after the signal: other nodes learn up to some seconds later that this gateway is stopping.
const LAST_CALL: Duration = Duration::from_secs(5);
/// How long an idle connection may still bring one more request after the signal. Closed at once, it could cross with a request
/// that is under way, which would be lost; clients that have been silent for longer hardly speak at that very moment.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until it is told to stop and what runs has ended, or the drain time is over.
///
/// # Errors
/// When the runtime cannot be started.
pub fn work(
    listener: TcpListener,
    tls: Option<Tls>,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async move {
        let host = Host::new(tls, shared, stop);
        let told = host.accept(&tokio::net::TcpListener::from_std(listener)?).await;
        let drained = timeout_at(told + host.drain(), async {
            while host.has_guests() {
                sleep(BREATH).await;
            }
        });
        if drained.await.is_err() {
            tracing::warn!("drain time is over; what still runs is cut");
        }
        Ok(())
    })
}

/// What a worker's connections have in common; each holds a clone.
#[derive(Clone)]
struct Host {
    worker: Worker,
    tls: Option<Tls>,
    stop: watch::Receiver<bool>,
    stopping: Rc<Cell<bool>>,
}

impl Host {
    fn new(tls: Option<Tls>, shared: Arc<Shared>, stop: watch::Receiver<bool>) -> Self {
        let worker = Worker { shared, pool: Pool::default(), guests: Rc::default() };
        let pool = worker.pool.clone();
        spawn_local(async move {
            loop {
                sleep(SWEEP).await;
                pool.sweep();
            }
        });
        Self { worker, tls, stop, stopping: Rc::default() }
    }

    /// Whether somebody is connected: all hold a clone of this one's worker.
    fn has_guests(&self) -> bool {
        Rc::strong_count(&self.worker.guests) > 1
    }

    fn drain(&self) -> Duration {
        Duration::from_millis(self.worker.shared.scene().config.limits.drain)
    }

    /// Accepts until it is told to stop, and a little longer; returns when that was.
    async fn accept(&self, listener: &tokio::net::TcpListener) -> Instant {
        let told = self.accept_until(listener, self.told()).await;
        self.stopping.set(true);
        self.accept_until(listener, sleep_until(told + LAST_CALL.min(self.drain()))).await;
        // what the kernel has accepted already would be reset
        while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
            spawn_local(self.clone().greet(stream));
        }
        told
    }

    async fn accept_until(&self, listener: &tokio::net::TcpListener, end: impl Future<Output = ()>) -> Instant {
        let mut end = std::pin::pin!(end);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = end.as_mut() => return Instant::now(),
            };
            match accepted {
                Ok((stream, _)) => drop(spawn_local(self.clone().greet(stream))),
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    sleep(BREATH).await;
                }
            }
        }
    }

    /// Waits until it is told to stop.
    fn told(&self) -> impl Future<Output = ()> + use<> {
        let mut stop = self.stop.clone();
        async move {
            // whoever could tell has gone: the process ends
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }

    async fn greet(self, stream: TcpStream) {
        of_client(&stream, Duration::from_millis(self.worker.shared.scene().config.limits.arrival));
        // each way has room of its own, so that a connection takes no more than the way that it goes
        let Some(tls) = &self.tls else { return Box::pin(self.serve(stream)).await };
        match Box::pin(tls.accept(stream)).await {
            Ok(stream) => Box::pin(self.serve(stream)).await,
            Err(error) => tracing::debug!(%error, "no TLS connection"),
        }
    }

    async fn serve<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let arrival = Duration::from_millis(self.worker.shared.scene().config.limits.arrival);
        let builder = builder(&self.worker.shared.scene().config.limits);
        let spoken: Rc<Cell<Option<Version>>> = Rc::default();
        let (worker, stopping, version) = (self.worker.clone(), self.stopping.clone(), spoken.clone());
        let service = service_fn(move |request: http::Request<Incoming>| {
            version.set(Some(request.version()));
            let (worker, stopping, http1) = (worker.clone(), stopping.clone(), request.version() < Version::HTTP_2);
            async move {
                let mut answer = worker.serve(request).await;
                if stopping.get() && http1 && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let mut connection = std::pin::pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let parting = async {
            self.told().await;
            if spoken.get() != Some(Version::HTTP_2) {
                sleep(GRACE).await;
            }
        };
        // hyper waits for ever to learn which version is spoken
        let mute = async {
            sleep(arrival).await;
            if spoken.get().is_some() {
                std::future::pending::<()>().await;
            }
        };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = mute => return tracing::debug!("connection without a request"),
            () = parting => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }
}

fn builder(limits: &Limits) -> Builder<Local> {
    let mut builder = Builder::new(Local { unread: Duration::from_millis(limits.arrival) });
    builder
        .http1()
        .timer(TokioTimer::new())
        // it also ends connections that have been idle for so long
        .header_read_timeout(Duration::from_millis(limits.arrival))
        .max_buf_size(limits.head.max(8192))
        .auto_date_header(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        .auto_date_header(false);
    builder
}

/// Runs what hyper spawns, each stream of HTTP/2, on the worker's own thread.
#[derive(Clone, Copy)]
struct Local {
    /// Longest time that a client may leave an answer unread.
    unread: Duration,
}

impl<F> Executor<F> for Local
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        spawn_local(while_read(future, self.unread));
    }
}
