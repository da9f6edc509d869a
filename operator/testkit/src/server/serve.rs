//! The service: every request is entered, meets its fault, and is answered.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Bytes;
use kube::client::Body;
use kube::core::Status;
use tower::BoxError;

use super::call::Call;
use super::stream::Watch;
use super::verbs;
use crate::faults::Fault;
use crate::refusal::{self, Answer};
use crate::state::{Heart, State};

type Reply = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// One client's door to the world.
#[derive(Clone)]
pub(crate) struct ApiServer {
    pub(crate) heart: Arc<Heart>,
    pub(crate) user: String,
}

/// What the client gets to see of its request.
enum Outcome {
    Reply(Reply),
    Broken,
    Silence,
}

impl tower::Service<Request<Body>> for ApiServer {
    type Response = Reply;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}

impl ApiServer {
    async fn answer(self, request: Request<Body>) -> Result<Reply, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let outcome = self.heart.change(|state| {
            let call = Call::read(&self.user, &parts, &body, &state.cluster.kinds);
            serve(&self.heart, state, call)
        });
        match outcome {
            Outcome::Reply(reply) => Ok(reply),
            Outcome::Broken => Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
            Outcome::Silence => std::future::pending().await,
        }
    }
}

fn serve(heart: &Arc<Heart>, state: &mut State, call: Call) -> Outcome {
    if state.faults.is_dead(&call.user) {
        state.journal.note(call.record());
        return Outcome::Broken;
    }
    let place = state.journal.enter(call.record());
    let fault = state.faults.meet(state.journal.at(place));
    let before = state.cluster.revision();
    let answer = match fault {
        Some(fault) if !fault.applies() => None,
        _ => Some(carried_out(heart, state, call)),
    };
    let changed = state.cluster.revision() != before;
    if changed && state.actors.automatic && !state.journal.at(place).is_mere_talk() {
        state.settle();
    }
    let (outcome, code) = seen(fault, answer);
    state.journal.close(place, code, changed);
    outcome
}

fn carried_out(heart: &Arc<Heart>, state: &mut State, call: Call) -> Reply {
    let answer = match call.target.clone() {
        Some(target) if call.verb == "watch" => Watch::open(heart, state, call, target).map(watching),
        _ => verbs::execute(&mut state.cluster, &call, state.stale).map(|(code, value)| {
            let text = if call.target.is_none() { value.as_str().map(String::from) } else { None };
            reply(code, text.unwrap_or_else(|| value.to_string()))
        }),
    };
    answered(answer)
}

/// What the client sees once the fault has had its way.
fn seen(fault: Option<Fault>, answer: Option<Reply>) -> (Outcome, Option<u16>) {
    match (fault, answer) {
        (None, Some(reply)) => {
            let code = reply.status().as_u16();
            (Outcome::Reply(reply), Some(code))
        }
        (Some(Fault::Error(code) | Fault::ErrorAfterApply(code)), _) => {
            let status = refusal::refusal(code, format!("a fault on command: {code}"));
            (Outcome::Reply(answered(Err(status))), Some(code))
        }
        (Some(Fault::Hang | Fault::HangAfterApply), _) => (Outcome::Silence, None),
        _ => (Outcome::Broken, None),
    }
}

fn answered(answer: Answer<Reply>) -> Reply {
    answer.unwrap_or_else(|status| refused(&status))
}

fn refused(status: &Status) -> Reply {
    let code = status.code;
    let mut reply = reply(code, refusal::body(status).to_string());
    if code == 429 {
        reply.headers_mut().insert("retry-after", http::HeaderValue::from_static("1"));
    }
    reply
}

fn reply(code: u16, text: String) -> Reply {
    let body = Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {}).boxed_unsync();
    response(code, body)
}

fn watching(watch: Watch) -> Reply {
    response(200, StreamBody::new(watch.lines()).boxed_unsync())
}

fn response(code: u16, body: UnsyncBoxBody<Bytes, io::Error>) -> Reply {
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}
