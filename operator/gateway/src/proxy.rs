//! One request, from its head to the head of its answer.
//!
//! # Expected flow
//! route → key → body → model → place → engine, and once more on another replica if nothing has reached the client yet.
//! # Guarantees
//! Every wait has a limit. Every error that is not the engine's own is in OpenAI's form and carries the request's id.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use deepseek_core::gateway::GatewayConfig;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::time::{timeout, timeout_at};

use crate::account::{Account, Ending};
use crate::admission::Refused;
use crate::answer::{Answer, Broken, Relay};
use crate::asked::{Asked, asked, authenticate, collect, discard, priority, priority_name};
use crate::choose::{by_load, by_opening};
use crate::headers::{REQUEST_ID, clean, is_events, own_form, request_id};
use crate::health::Signal;
use crate::line::Line;
use crate::refusal::{Refusal, aborted, cut_short, overloaded, starting, too_slow, unknown_route};
use crate::replica::{Place, Replica};
use crate::route::route;
use crate::scene::{Scene, Shared};
use crate::upstream::{Lost, Pool};
use crate::wait::Wait;

/// How long a stream that has begun without a word is kept back to see whether it is an abort.
const DOUBT: Duration = Duration::from_millis(50);
/// Bytes after which it is none.
const MOST_DOUBTED: usize = 16 << 10;

/// What a worker needs for its requests.
#[derive(Clone)]
pub struct Worker {
    /// What all share.
    pub shared: Arc<Shared>,
    /// Its idle lines.
    pub pool: Pool,
    /// Held by whatever has to end before the worker does.
    pub guests: Rc<()>,
}

/// An attempt that did not succeed; nothing of it has reached the client.
#[expect(clippy::large_enum_variant, reason = "it is passed around in a box")]
enum Failed {
    /// There is no answer.
    Broken { account: Account, why: &'static str, refusal: Refusal },
    /// The engine says itself that it cannot.
    Answered(Response<Relay>),
}

impl Failed {
    /// As metrics call it.
    fn why(&self) -> &'static str {
        match self {
            Self::Broken { why, .. } => why,
            Self::Answered(_) => "server_error",
        }
    }

    fn into_account(self) -> Account {
        match self {
            Self::Broken { account, .. } => account,
            Self::Answered(answer) => answer.into_body().into_account(),
        }
    }

    /// What the client gets if it is not tried again.
    fn into_answer(self) -> Result<Response<Answer>, Refusal> {
        match self {
            Self::Broken { account, refusal, .. } => Err(refused(account, refusal)),
            Self::Answered(answer) => Ok(relayed(answer)),
        }
    }
}

impl Worker {
    /// Answers a request.
    pub async fn serve(&self, request: Request<Incoming>) -> Response<Answer> {
        let id = request_id(request.headers());
        let told = HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("-"));
        // hyper keeps room for this future as long as the connection lasts: what it holds lies elsewhere, until the answer begins
        let mut answer = match Box::pin(self.answer(request, &id)).await {
            Ok(answer) => answer,
            Err(refusal) => refusal.response(&id).map(Answer::text),
        };
        answer.headers_mut().entry(REQUEST_ID).or_insert(told);
        answer
    }

    async fn answer(&self, request: Request<Incoming>, id: &str) -> Result<Response<Answer>, Refusal> {
        let scene = self.shared.scene();
        let (mut head, body) = request.into_parts();
        let Some(route) = route(&scene.config.engine, &head.method, head.uri.path()) else {
            discard(body).await;
            return Err(unknown_route(&head));
        };
        let mut account = Account::open(id.to_owned(), route, scene.config.access_log, &self.shared.metrics);
        if scene.config.otlp_endpoint.is_some() {
            account.span = self.shared.spans.begin(&mut head.headers);
        }
        if route.upgrades {
            return self.upgrade(scene, head, account).await;
        }
        let asked = async {
            match authenticate(&scene, &head.headers) {
                Ok(holder) => account.holder = holder,
                Err(refusal) => {
                    discard(body).await;
                    return Err(refusal);
                }
            }
            let body = collect(body, &head.headers, &scene.config).await?;
            let priority = priority(&head.headers, account.holder.as_deref());
            clean(&mut head.headers);
            own_form(&mut head);
            // the body has been collected, and the gateway's keys are no business of the engine's
            head.headers.remove(header::EXPECT);
            if scene.config.keys_required {
                head.headers.remove(header::AUTHORIZATION);
            }
            asked(head, body, route, priority, &scene.config)
        };
        let asked = match asked.await {
            Ok(asked) => asked,
            Err(refusal) => return Err(refused(account, refusal)),
        };
        account.accepted();
        if !asked.stream {
            return self.forward(scene, asked, account).await;
        }
        // the work goes on in the answer's body if it takes long to begin
        let (comment, id) = (Duration::from_millis(scene.config.limits.comment), id.to_owned());
        let worker = self.clone();
        let mut answer =
            Box::pin(async move { worker.forward(scene, asked, account).await.map_err(|refusal| (refusal, id)) });
        if let Ok(answer) = timeout(comment, &mut answer).await {
            return answer.map_err(|(refusal, _)| refusal);
        }
        let mut response = Response::new(Answer::Awaited(Box::new(Wait::new(answer, comment))));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        Ok(response)
    }

    /// Sends it to a replica, and once more to another one.
    async fn forward(&self, scene: Arc<Scene>, asked: Asked, account: Account) -> Result<Response<Answer>, Refusal> {
        self.shared.budget.earn();
        let mut account = account;
        let mut avoided: Option<Arc<Replica>> = None;
        loop {
            let place = match self.place(&scene, &asked, avoided.as_ref()).await {
                Ok(place) => place,
                Err(refusal) => return Err(refused(account, refusal)),
            };
            account.placed();
            let replica = place.replica.clone();
            account.replica = Some(replica.name.clone());
            let failed = match self.attempt(&scene.config, &asked, place, account).await {
                Ok(answer) => return Ok(relayed(answer)),
                Err(failed) => *failed,
            };
            let others = || scene.replicas.iter().any(|other| other.is_up() && !Arc::ptr_eq(other, &replica));
            if avoided.is_some() || !others() || !self.shared.budget.take() {
                return failed.into_answer();
            }
            let why = failed.why();
            account = failed.into_account();
            account.retried(why);
            tracing::debug!(request_id = account.id, replica = replica.name, why, "tried again");
            avoided = Some(replica);
        }
    }

    /// A place on a replica, as soon as there is one.
    pub(crate) async fn place(
        &self,
        scene: &Scene,
        asked: &Asked,
        avoided: Option<&Arc<Replica>>,
    ) -> Result<Place, Refusal> {
        let Shared { admission, metrics, .. } = &*self.shared;
        let limits = &scene.config.limits;
        let take = || {
            // replicas may have come and gone while this request waited
            let scene = self.shared.scene();
            choose(&scene, asked, avoided).and_then(|replica| Place::take(replica, asked.cost, admission))
        };
        metrics.queue.set(i64::try_from(admission.waiting()).unwrap_or(i64::MAX));
        // where nobody answers because nobody asked, a replica starts for whoever asks first
        let hold = scene.config.hold.filter(|_| !scene.is_served());
        let patience = hold.map_or(limits.queue_time, |hold| hold.time);
        let admitted = admission.admit(asked.priority, limits.queue, Duration::from_millis(patience), take).await;
        admitted.map_err(|refused| {
            let served = self.shared.scene().is_served();
            let why = match refused {
                Refused::QueueFull => "queue_full",
                Refused::WaitedTooLong if served => "queue_timeout",
                Refused::WaitedTooLong => "no_replica",
            };
            metrics.sheds.with_label_values(&[why, priority_name(asked.priority)]).inc();
            match hold.filter(|_| why == "no_replica") {
                Some(hold) => starting(hold.start),
                None => overloaded(why, limits.queue_time),
            }
        })
    }

    async fn attempt(
        &self,
        config: &GatewayConfig,
        asked: &Asked,
        place: Place,
        account: Account,
    ) -> Result<Response<Relay>, Box<Failed>> {
        let limits = &config.limits;
        let replica = place.replica.clone();
        let failed = |account, why, signal, refusal| {
            if let Some(signal) = signal {
                replica.note(signal);
            }
            Err(Box::new(Failed::Broken { account, why, refusal }))
        };
        let exchanged = tokio::select! {
            exchanged = timeout(Duration::from_millis(limits.first_byte), self.exchange(asked, &replica, limits.connect)) => exchanged,
            // who waits for a replica that is down waits in vain
            () = replica.fell() => return failed(account, "down", None, cut_short()),
        };
        let (line, answer) = match exchanged {
            Ok(Ok(exchanged)) => exchanged,
            Ok(Err(lost)) => return failed(account, lost.why, lost.signal, lost.refusal()),
            Err(_) => return failed(account, "timeout", Some(Signal::Soft), too_slow(limits.first_byte)),
        };
        let mut account = account;
        account.status = answer.status().as_u16();
        let (mut head, ()) = answer.into_parts();
        clean(&mut head.headers);
        let events = is_events(&head.headers);
        let silence = Duration::from_millis(if events { limits.silence } else { limits.first_byte });
        let mut relay = Relay::new(events, line, self.pool.clone(), place, account, silence);
        if head.status.is_server_error() {
            replica.note(Signal::Soft);
            return Err(Box::new(Failed::Answered(Response::from_parts(head, relay))));
        }
        replica.note(Signal::Alive);
        if head.status == StatusCode::OK && asked.infers {
            match doubt(&mut relay, events).await {
                Ok(false) => {}
                Ok(true) => return failed(relay.into_account(), "abort", None, aborted()),
                Err(_) => return failed(relay.into_account(), "reset", Some(Signal::Hard), cut_short()),
            }
        }
        Ok(Response::from_parts(head, relay))
    }

    /// Sends the request over an idle line, or over a new one if there is none that still holds.
    async fn exchange(&self, asked: &Asked, replica: &Replica, connect: u64) -> Result<(Line, Response<()>), Lost> {
        if let Some(mut line) = self.pool.take(replica.address).await {
            match line.send(&asked.head, &asked.body).await {
                Ok(answer) => return Ok((line, answer)),
                // the engine closed it at that moment, as it may
                Err(broke) if broke.unanswered => {}
                Err(broke) => return Err(Lost::reset(&broke)),
            }
        }
        let opened = Line::open(replica.address, Duration::from_millis(connect)).await;
        let mut line = opened.map_err(|error| Lost::unreachable(&error))?;
        let answer = line.send(&asked.head, &asked.body).await.map_err(|broke| Lost::reset(&broke))?;
        Ok((line, answer))
    }
}

fn choose<'a>(scene: &'a Scene, asked: &Asked, avoided: Option<&Arc<Replica>>) -> Option<&'a Arc<Replica>> {
    let candidates: Vec<_> = (scene.replicas.iter())
        .map(|replica| {
            let mut candidate = replica.candidate();
            candidate.has_room &= avoided.is_none_or(|avoided| !Arc::ptr_eq(avoided, replica));
            candidate
        })
        .collect();
    let at = match asked.opening {
        Some(opening) => by_opening(&candidates, asked.cost, opening),
        None => by_load(&candidates, asked.cost, [fastrand::u64(..), fastrand::u64(..)]),
    };
    at.map(|at| &scene.replicas[at])
}

/// Whether a stream that has begun is an abort: decided by its first word, or after a moment.
async fn doubt(relay: &mut Relay, events: bool) -> Result<bool, Broken> {
    let until = tokio::time::Instant::now() + DOUBT;
    loop {
        let decided = relay.said().pieces > 0 || relay.said().finished || relay.said().done;
        if decided || relay.held() > MOST_DOUBTED {
            break;
        }
        // an answer in one piece says everything at once; the beginning of a stream may say nothing yet
        let more =
            if relay.held() == 0 { Ok(relay.read_ahead().await) } else { timeout_at(until, relay.read_ahead()).await };
        match more {
            Ok(Ok(true)) if events => {}
            Ok(Ok(_)) | Err(_) => break,
            Ok(Err(broken)) => return Err(broken),
        }
    }
    Ok(relay.said().is_silent_abort())
}

fn relayed(answer: Response<Relay>) -> Response<Answer> {
    answer.map(|relay| Answer::Relayed(Box::new(relay)))
}

/// Closes the account of a request that the gateway answers itself.
pub(crate) fn refused(mut account: Account, refusal: Refusal) -> Refusal {
    account.status = refusal.status.as_u16();
    account.close(Ending::Refused);
    refusal
}
