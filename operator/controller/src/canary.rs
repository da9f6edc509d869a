//! How one engine is asked for a token, a gateway for what it lacks, a node whether it is there; when, is the sentries' matter.

use std::time::Duration;

use deepseek_core::demand::{ASKED, Demand};
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// Longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// Asks engines, gateways and nodes.
pub trait Prober: Send + Sync + 'static {
    /// Asks the engine at this address (`host:port`), which should serve these names, for a token; says what went wrong.
    fn ask<'a>(&'a self, address: &'a str, served: &'a [String]) -> BoxFuture<'a, Result<(), String>>;
    /// Asks the gateway at this address whether it is ready; says what it lacks.
    fn ask_gateway<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<(), String>>;
    /// Asks the gateway at this address for its load; says why there is no answer that can be.
    fn ask_demand<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Demand, String>>;
    /// Whether a request waits at the gateway at this address; the answer comes as soon as one does, or after this time.
    fn await_request<'a>(&'a self, address: &'a str, limit: Duration) -> BoxFuture<'a, Result<bool, String>>;
    /// Whether anybody is there, if only to refuse the connection.
    fn knock<'a>(&'a self, address: &'a str, limit: Duration) -> BoxFuture<'a, bool>;
}

/// Asks over the OpenAI API.
pub struct OpenAi {
    client: HttpClient,
}

type HttpClient = Client<HttpConnector, Full<Bytes>>;

impl Default for OpenAi {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        Self { client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector) }
    }
}

impl Prober for OpenAi {
    fn ask<'a>(&'a self, address: &'a str, served: &'a [String]) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(canary(&self.client, address, served))
    }

    fn ask_gateway<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let (status, said) = exchange(&self.client, http::Method::GET, address, "/readyz", None).await?;
            if status.is_success() { Ok(()) } else { Err(String::from_utf8_lossy(&said).trim().to_owned()) }
        })
    }

    fn ask_demand<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Demand, String>> {
        Box::pin(async move { demand(&self.client, address, &format!("seconds={ASKED}")).await })
    }

    fn await_request<'a>(&'a self, address: &'a str, limit: Duration) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            let told = demand(&self.client, address, &format!("seconds=0&wait={}", limit.as_secs())).await?;
            Ok(told.waiting > 0)
        })
    }

    fn knock<'a>(&'a self, address: &'a str, limit: Duration) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            match tokio::time::timeout(limit, TcpStream::connect(address)).await {
                Ok(Ok(_)) => true,
                // the machine is there, and says that nobody listens
                Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
                Err(_) => false,
            }
        })
    }
}

async fn demand(client: &HttpClient, address: &str, query: &str) -> Result<Demand, String> {
    let (status, said) = exchange(client, http::Method::GET, address, &format!("/demand?{query}"), None).await?;
    if !status.is_success() {
        return Err(format!("GET /demand answers HTTP {}", status.as_u16()));
    }
    demand_of(&said)
}

/// What a gateway tells, if it can be.
fn demand_of(said: &[u8]) -> Result<Demand, String> {
    let demand: Demand = serde_json::from_slice(said).map_err(|error| format!("GET /demand: {error}"))?;
    demand.check().map_err(|why| format!("GET /demand: {why}"))?;
    Ok(demand)
}

/// The served names are listed, and a token comes.
async fn canary(client: &HttpClient, address: &str, served: &[String]) -> Result<(), String> {
    let models = ask(client, http::Method::GET, address, "/v1/models", None).await?;
    let listed = listed_names(&models);
    if let Some(absent) = served.iter().find(|name| !listed.contains(&name.as_str())) {
        return Err(format!("GET /v1/models does not list {absent:?}, but {listed:?}"));
    }
    let question = json!({
        "model": served.first(),
        "messages": [{"role": "user", "content": "ping"}],
        "max_tokens": 1,
    });
    let answer = ask(client, http::Method::POST, address, "/v1/chat/completions", Some(question)).await?;
    a_token(&answer)
}

/// Names and aliases under which an engine lists its models.
fn listed_names(models: &Value) -> Vec<&str> {
    let data = models["data"].as_array().into_iter().flatten();
    data.flat_map(|model| {
        let aliases = model["aliases"].as_array().into_iter().flatten();
        aliases.chain([&model["id"]]).filter_map(Value::as_str)
    })
    .collect()
}

/// HTTP 200 alone proves nothing: an engine that stops may answer it with `finish_reason: "abort"` and no text.
fn a_token(answer: &Value) -> Result<(), String> {
    let finish = answer["choices"][0]["finish_reason"].as_str().unwrap_or("none");
    let tokens = answer["usage"]["completion_tokens"].as_u64();
    let text = &answer["choices"][0]["message"];
    let spoke = tokens.map_or_else(
        || [&text["content"], &text["reasoning_content"]].iter().any(|t| t.as_str().is_some_and(|t| !t.is_empty())),
        |count| count >= 1,
    );
    match finish {
        "stop" | "length" | "tool_calls" if spoke => Ok(()),
        _ => Err(format!("POST /v1/chat/completions gave no token (finish_reason {finish:?})")),
    }
}

async fn ask(
    client: &HttpClient,
    method: http::Method,
    address: &str,
    path: &str,
    body: Option<Value>,
) -> Result<Value, String> {
    let told = format!("{method} {path}");
    let (status, bytes) = exchange(client, method, address, path, body).await?;
    if !status.is_success() {
        return Err(format!("{told} answers HTTP {}", status.as_u16()));
    }
    serde_json::from_slice(&bytes).map_err(|_| format!("{told} answers no JSON"))
}

async fn exchange(
    client: &HttpClient,
    method: http::Method,
    address: &str,
    path: &str,
    body: Option<Value>,
) -> Result<(http::StatusCode, Bytes), String> {
    let told = format!("{method} {path}");
    let request = http::Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header("content-type", "application/json")
        .header("user-agent", "deepseek-operator-canary")
        .body(Full::from(body.map(|b| b.to_string()).unwrap_or_default()))
        .map_err(|error| error.to_string())?;
    let answer = client.request(request).await.map_err(|error| format!("{told}: {}", root_cause(&error)))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
    let bytes = body.map_err(|error| format!("{told}: {error}"))?.to_bytes();
    Ok((status, bytes))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_abort_is_no_token() {
        let abort = json!({"choices": [{"finish_reason": "abort", "message": {"content": ""}}], "usage": {"completion_tokens": 0}});
        assert!(a_token(&abort).is_err());
        let empty = json!({"choices": [{"finish_reason": "stop", "message": {"content": ""}}]});
        assert!(a_token(&empty).is_err());
        let token = json!({"choices": [{"finish_reason": "length", "message": {"content": ""}}], "usage": {"completion_tokens": 1}});
        assert!(a_token(&token).is_ok());
        let words = json!({"choices": [{"finish_reason": "stop", "message": {"reasoning_content": "Hm"}}]});
        assert!(a_token(&words).is_ok());
    }

    #[test]
    fn a_load_that_cannot_be_is_no_load() {
        let told = |arrivals: &str, queued: &str| {
            let text = format!(
                r#"{{"seconds":9,"arrivals":{arrivals},"served":[0],"tokens":[0],"inFlight":[0],"queued":{queued},"later":1}}"#
            );
            demand_of(text.as_bytes())
        };
        assert!(told("[7]", "[0]").is_ok_and(|demand| demand.arrivals == [7]));
        for (arrivals, queued) in
            [("[-1]", "[0]"), ("[NaN]", "[0]"), ("[1.5]", "[0]"), ("[5000000000]", "[0]"), ("[1e9]", "[0]")]
        {
            assert!(told(arrivals, queued).is_err(), "{arrivals}");
        }
        assert!(told("[2000000]", "[0]").unwrap_err().contains("2000000 requests in a second"));
        assert!(told("[1]", "[]").unwrap_err().contains("not of the same length"));
        assert!(demand_of(b"<html>").is_err());
    }

    #[test]
    fn aliases_count_as_names() {
        let models = json!({"data": [{"id": "a", "aliases": ["b"]}, {"id": "c"}]});
        assert_eq!(listed_names(&models), ["b", "a", "c"]);
    }
}
