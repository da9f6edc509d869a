//! Connections of clients: one worker for each processor, with a runtime of its own, so that a request never changes threads.

use std::convert::Infallible;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use deepseek_core::gateway::Limits;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::proxy::Worker;
use crate::scene::Shared;
use crate::upstream::Pool;

/// How often idle lines are looked through.
const SWEEP: Duration = Duration::from_secs(1);
/// After an error of `accept`, such as too many open files.
const BREATH: Duration = Duration::from_millis(50);
/// HTTP/2 connections are asked for a sign of life this often, and given up if none comes in time.
const PING: Duration = Duration::from_secs(10);

/// Serves until it is told to stop and what runs has ended, or the drain time is over.
///
/// # Errors
/// When the runtime cannot be started.
pub fn work(listener: TcpListener, shared: Arc<Shared>, stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let open = accept(&listener, &shared, stop).await;
        let drain = Duration::from_millis(shared.scene().config.limits.drain);
        let drained = timeout(drain, async {
            while Rc::strong_count(&open) > 1 {
                sleep(BREATH).await;
            }
        });
        if drained.await.is_err() {
            tracing::warn!(open = Rc::strong_count(&open) - 1, "drain time is over; what still runs is cut");
        }
        Ok(())
    })
}

/// Accepts until it is told to stop; every connection holds a clone of what is returned.
async fn accept(listener: &tokio::net::TcpListener, shared: &Arc<Shared>, mut stop: watch::Receiver<bool>) -> Rc<()> {
    let open = Rc::new(());
    let worker = Worker { shared: shared.clone(), pool: Pool::default() };
    let pool = worker.pool.clone();
    spawn_local(async move {
        loop {
            sleep(SWEEP).await;
            pool.sweep();
        }
    });
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return open,
        };
        match accepted {
            Ok((stream, _)) => {
                let (worker, stop, open) = (worker.clone(), stop.clone(), open.clone());
                spawn_local(async move {
                    serve(stream, worker, stop).await;
                    drop(open);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                sleep(BREATH).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, worker: Worker, mut stop: watch::Receiver<bool>) {
    // tokens are small, and each is waited for
    let _ = stream.set_nodelay(true);
    let builder = builder(&worker.shared.scene().config.limits);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let worker = worker.clone();
        async move { Ok::<_, Infallible>(worker.serve(request).await) }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.wait_for(|stop| *stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

fn builder(limits: &Limits) -> Builder<Local> {
    let mut builder = Builder::new(Local);
    let head = Duration::from_millis(limits.arrival.min(10_000));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(limits.head.max(8192))
        .pipeline_flush(true)
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

/// Runs what hyper spawns on the worker's own thread.
#[derive(Clone, Copy)]
struct Local;

impl<F> Executor<F> for Local
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}
