//! A request that becomes a WebSocket: from then on bytes go both ways as they come, until either side ends.
//!
//! It counts as one request that runs for as long as it lasts, and takes a place for that time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Collected, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{copy, split};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::account::{Account, Ending};
use crate::answer::Answer;
use crate::asked::{Asked, authenticate, check_model, priority};
use crate::headers::{announce_websocket, clean, own_form, wants_websocket};
use crate::proxy::{Worker, refused};
use crate::refusal::{Refusal, too_slow};
use crate::replica::{Place, Replica};
use crate::scene::Scene;
use crate::socket::of_engine;
use crate::upstream::{Lost, Sent};

/// Longest answer of an engine that refuses.
const LONGEST: usize = 64 << 10;

impl Worker {
    /// Answers a request for a WebSocket.
    pub(crate) async fn upgrade(
        &self,
        scene: Arc<Scene>,
        mut head: Parts,
        mut account: Account,
    ) -> Result<Response<Answer>, Refusal> {
        let client = head.extensions.remove::<OnUpgrade>().filter(|_| wants_websocket(&head));
        let asked = authenticate(&scene, &head.headers).and_then(|holder| {
            account.holder = holder;
            let client = client.ok_or_else(no_websocket)?;
            check_model(query(&head, "model"), &scene.config)?;
            let priority = priority(&head.headers, account.holder.as_deref());
            clean(&mut head.headers);
            own_form(&mut head);
            announce_websocket(&mut head.headers);
            if scene.config.keys_required {
                head.headers.remove(http::header::AUTHORIZATION);
            }
            Ok((client, Asked::without_body(head, priority)))
        });
        match asked {
            Ok((client, asked)) => {
                account.accepted();
                self.connect(&scene, &asked, client, account).await
            }
            Err(refusal) => Err(refused(account, refusal)),
        }
    }

    /// Finds a replica that takes it, the second one if the first cannot be reached.
    async fn connect(
        &self,
        scene: &Scene,
        asked: &Asked,
        client: OnUpgrade,
        mut account: Account,
    ) -> Result<Response<Answer>, Refusal> {
        let limits = &scene.config.limits;
        let mut avoided: Option<Arc<Replica>> = None;
        loop {
            let place = match self.place(scene, asked, avoided.as_ref()).await {
                Ok(place) => place,
                Err(refusal) => return Err(refused(account, refusal)),
            };
            account.placed();
            account.replica = Some(place.replica.name.clone());
            let exchange = exchange(asked, &place.replica, Duration::from_millis(limits.connect));
            let lost = match timeout(Duration::from_millis(limits.first_byte), exchange).await {
                Ok(Ok(answer)) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Ok(self.switch(answer, client, place, account));
                }
                Ok(Ok(answer)) => return Ok(declined(answer, account).await),
                Ok(Err(lost)) => lost,
                Err(_) => return Err(refused(account, too_slow(limits.first_byte))),
            };
            if let Some(signal) = lost.signal {
                place.replica.note(signal);
            }
            let others = scene.replicas.iter().any(|other| other.is_up() && !Arc::ptr_eq(other, &place.replica));
            if avoided.is_some() || !others || !self.shared.budget.take() {
                return Err(refused(account, lost.refusal()));
            }
            account.retried(lost.why);
            avoided = Some(place.replica.clone());
        }
    }

    /// Both sides have agreed: what they say is passed on beside the connection, which ends with this answer.
    fn switch(
        &self,
        mut answer: Response<Incoming>,
        client: OnUpgrade,
        place: Place,
        mut account: Account,
    ) -> Response<Answer> {
        let engine = hyper::upgrade::on(&mut answer);
        let (mut head, _) = answer.into_parts();
        clean(&mut head.headers);
        announce_websocket(&mut head.headers);
        account.status = head.status.as_u16();
        let guest = self.guests.clone();
        spawn_local(async move {
            if let Ok((client, engine)) = tokio::try_join!(client, engine) {
                tokio::select! {
                    () = pass(client, engine) => account.close(Ending::Completed),
                    () = place.replica.fell() => account.close(Ending::Lost),
                }
            }
            drop((place, guest));
        });
        Response::from_parts(head, Answer::text(Bytes::new()))
    }
}

/// Passes on until one side ends: who has closed its side of a WebSocket does not listen any more.
async fn pass(client: Upgraded, engine: Upgraded) {
    let (mut from_client, mut to_client) = split(TokioIo::new(client));
    let (mut from_engine, mut to_engine) = split(TokioIo::new(engine));
    tokio::select! {
        _ = copy(&mut from_client, &mut to_engine) => {}
        _ = copy(&mut from_engine, &mut to_client) => {}
    }
}

async fn exchange(asked: &Asked, replica: &Replica, limit: Duration) -> Result<Response<Incoming>, Lost> {
    let stream = timeout(limit, TcpStream::connect(replica.address)).await;
    let stream = stream.map_err(|_| std::io::ErrorKind::TimedOut.into()).and_then(|stream| stream);
    let stream = stream.map_err(|error| Lost::unreachable(&error))?;
    of_engine(&stream);
    let (mut sender, connection) =
        handshake::<_, Sent>(TokioIo::new(stream)).await.map_err(|error| Lost::reset(&error))?;
    // its errors come back with the answer
    spawn_local(async move { drop(connection.with_upgrades().await) });
    sender.send_request(asked.request()).await.map_err(|error| Lost::reset(&error))
}

/// The engine's own words, which are short.
async fn declined(answer: Response<Incoming>, mut account: Account) -> Response<Answer> {
    let (mut head, body) = answer.into_parts();
    clean(&mut head.headers);
    let body = Limited::new(body, LONGEST).collect().await.map(Collected::to_bytes).unwrap_or_default();
    head.headers.remove(http::header::CONTENT_LENGTH);
    account.status = head.status.as_u16();
    account.close(Ending::Completed);
    Response::from_parts(head, Answer::text(body))
}

fn query<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    let pairs = head.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    // one that is written in escapes is left to the engine
    pairs.filter(|(key, value)| *key == name && !value.contains('%')).map(|(_, value)| value).next()
}

fn no_websocket() -> Refusal {
    let message =
        "This address speaks WebSocket over HTTP/1.1. Send \"Connection: Upgrade\" and \"Upgrade: websocket\".";
    Refusal::request(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message)
}
