//! Requests to engines, as their clients send them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http::{Method, Request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::timeout;

/// A tiny engine answers within milliseconds; on a machine under full load it may take seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// A way to an engine.
#[derive(Clone)]
pub struct Door {
    way: Way,
    patience: Duration,
}

#[derive(Clone)]
enum Way {
    Address(SocketAddr, Box<Client<HttpConnector, Full<Bytes>>>),
    ApiServer(kube::Client, String),
}

impl Door {
    /// Straight to an address. Each request has a connection of its own, so that the Service chooses anew.
    pub fn at(address: SocketAddr) -> Self {
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { way: Way::Address(address, Box::new(client)), patience: PATIENCE }
    }

    /// Through the API server, to a Service or a Pod, written as NAME:PORT.
    pub fn proxied(client: kube::Client, namespace: &str, kind: &str, target: &str) -> Self {
        Self {
            way: Way::ApiServer(client, format!("/api/v1/namespaces/{namespace}/{kind}/{target}/proxy")),
            patience: PATIENCE,
        }
    }

    /// The same for somebody who waits for so long.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Asks for a chat completion of some tokens and returns what was said.
    ///
    /// # Errors
    /// When the answer is no HTTP 200, or has no token.
    pub async fn chat(&self, model: &str, tokens: u32) -> Result<String> {
        let answer = self.post("/v1/chat/completions", &question(model, tokens, false)).await?;
        let answer: Value = serde_json::from_slice(&answer).context("the completion is no JSON")?;
        let made = answer["usage"]["completion_tokens"].as_u64().unwrap_or(0);
        ensure!(made >= 1, "the completion has no token: {answer}");
        Ok(answer["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned())
    }

    /// Asks for a stream, and returns as soon as it begins.
    ///
    /// # Errors
    /// When it does not begin.
    pub async fn stream(&self, model: &str, tokens: u32) -> Result<Stream> {
        let (method, path) = (Method::POST, "/v1/chat/completions");
        Ok(Stream(self.begin(method, path, Some(&question(model, tokens, true))).await?))
    }

    /// Names and aliases that the engine lists.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn models(&self) -> Result<Vec<String>> {
        let answer = self.ask(Method::GET, "/v1/models", None).await?;
        let answer: Value = serde_json::from_slice(&answer).context("the list of models is no JSON")?;
        let entries = answer["data"].as_array().into_iter().flatten();
        let names = entries.flat_map(|entry| entry["aliases"].as_array().into_iter().flatten().chain([&entry["id"]]));
        let mut names: Vec<_> = names.filter_map(Value::as_str).map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Bytes> {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Bytes> {
        let told = format!("{method} {path}");
        let answer = self.begin(method, path, body).await?;
        whole(answer, self.patience).await.context(told)
    }

    /// Sends a request and returns the body of its answer, of which nothing may have come yet.
    async fn begin(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let told = format!("{method} {path}");
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let (status, answer) = timeout(self.patience, self.exchange(method, path, body))
            .await
            .with_context(|| format!("{told}: no answer within {} s", self.patience.as_secs()))?
            .with_context(|| told.clone())?;
        if status != 200 {
            let said = whole(answer, PATIENCE).await.unwrap_or_default();
            bail!("{told}: HTTP {status}: {}", String::from_utf8_lossy(&said).chars().take(300).collect::<String>());
        }
        Ok(answer)
    }

    async fn exchange(&self, method: Method, path: &str, body: Vec<u8>) -> Result<(u16, Answer)> {
        let request = Request::builder().method(method).header("content-type", "application/json");
        match &self.way {
            Way::Address(address, client) => {
                let request = request.uri(format!("http://{address}{path}")).body(Full::from(body))?;
                let answer = client.request(request).await?;
                Ok((answer.status().as_u16(), answer.into_body().map_err(Into::into).boxed_unsync()))
            }
            Way::ApiServer(client, base) => {
                let request = request.uri(format!("{base}{path}")).body(kube::client::Body::from(body))?;
                let answer = client.send(request).await?;
                Ok((answer.status().as_u16(), answer.into_body().map_err(Into::into).boxed_unsync()))
            }
        }
    }
}

type Answer = UnsyncBoxBody<Bytes, anyhow::Error>;

async fn whole(answer: Answer, patience: Duration) -> Result<Bytes> {
    let collected = timeout(patience, answer.collect()).await;
    let collected = collected.with_context(|| format!("its end did not come within {} s", patience.as_secs()))?;
    Ok(collected?.to_bytes())
}

/// A stream that has begun.
pub struct Stream(Answer);

impl Stream {
    /// Reads to the end and returns how many pieces of text came before it.
    ///
    /// # Errors
    /// When the stream breaks off, or does not end in time.
    pub async fn ends(self, patience: Duration) -> Result<usize> {
        match self.outcome(patience).await? {
            StreamEnd::Done(pieces) => Ok(pieces),
            StreamEnd::Told(event) => bail!("the stream was ended by an error event: {event}"),
        }
    }

    /// Reads to the end and tells how it ended.
    ///
    /// # Errors
    /// When the stream breaks off without a word, or does not end in time.
    pub async fn outcome(self, patience: Duration) -> Result<StreamEnd> {
        end_of(&String::from_utf8_lossy(&whole(self.0, patience).await?))
    }
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// As it should, after so many pieces of text.
    Done(usize),
    /// By this error event.
    Told(String),
}

/// Each opens another conversation: gateways send those that begin alike to the same replica.
fn question(model: &str, tokens: u32, stream: bool) -> Value {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let number = ASKED.fetch_add(1, Ordering::Relaxed);
    json!({
        "model": model,
        "messages": [{"role": "user", "content": format!("{number} times: say something.")}],
        "max_tokens": tokens,
        "stream": stream,
    })
}

/// How a stream of server-sent events ended.
fn end_of(stream: &str) -> Result<StreamEnd> {
    let events: Vec<_> = stream.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let parsed: Vec<Value> = events.iter().filter_map(|event| serde_json::from_str(event).ok()).collect();
    if let Some(error) = parsed.last().filter(|event| event["error"].is_object()) {
        return Ok(StreamEnd::Told(error["error"].to_string()));
    }
    ensure!(events.last() == Some(&"[DONE]"), "the stream broke off after {} events", events.len());
    let said = |event: &&Value| event["choices"][0]["delta"]["content"].as_str().is_some_and(|said| !said.is_empty());
    Ok(StreamEnd::Done(parsed.iter().filter(said).count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_counts_only_when_it_ended() {
        let piece = r#"data: {"choices":[{"delta":{"content":"a"}}]}"#;
        let role = r#"data: {"choices":[{"delta":{"role":"assistant","content":""}}]}"#;
        let whole = format!("{role}\n\n{piece}\n\n:\n{piece}\n\ndata: [DONE]\n\n");
        assert_eq!(end_of(&whole).unwrap(), StreamEnd::Done(2));
        assert!(end_of(&format!("{role}\n\n{piece}\n\n")).is_err());
        let told = end_of(&format!("{piece}\n\ndata: {{\"error\": {{\"code\": \"engine_lost\"}}}}\n\n")).unwrap();
        assert!(matches!(told, StreamEnd::Told(event) if event.contains("engine_lost")));
    }
}
