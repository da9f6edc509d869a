//! Which requests are let through: the inference routes of the engine, and nothing that administers it.

use deepseek_crds::v1alpha1::EngineType;
use http::Method;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// As metrics call it.
    pub name: &'static str,
    /// Whether it makes tokens: it takes a place on a replica, and counts as an arrival.
    pub infers: bool,
    /// Whether it becomes a WebSocket.
    pub upgrades: bool,
}

impl Route {
    const fn new(name: &'static str, infers: bool) -> Self {
        Self { name, infers, upgrades: false }
    }
}

/// Routes of every engine.
const COMMON: [(&str, Route); 4] = [
    ("/v1/chat/completions", Route::new("chat_completions", true)),
    ("/v1/completions", Route::new("completions", true)),
    ("/v1/embeddings", Route::new("embeddings", true)),
    ("/v1/models", Route::new("models", false)),
];

const RESPONSES: (&str, Route) = ("/v1/responses", Route::new("responses", true));
const MESSAGES: (&str, Route) = ("/v1/messages", Route::new("messages", true));
const TOKENIZE: (&str, Route) = ("/tokenize", Route::new("tokenize", false));
const DETOKENIZE: (&str, Route) = ("/detokenize", Route::new("detokenize", false));
const RERANK: (&str, Route) = ("/v1/rerank", Route::new("rerank", true));
const SCORE: (&str, Route) = ("/v1/score", Route::new("score", true));
const REALTIME: (&str, Route) = ("/v1/realtime", Route { upgrades: true, ..Route::new("realtime", true) });

/// Routes beyond the common ones, by engine.
fn special(engine: &EngineType) -> &'static [(&'static str, Route)] {
    match engine {
        EngineType::LlamaCpp => &[RESPONSES, MESSAGES, TOKENIZE, DETOKENIZE, RERANK],
        EngineType::Simulator => &[RESPONSES, MESSAGES, TOKENIZE],
        _ => &[RESPONSES, MESSAGES, TOKENIZE, DETOKENIZE, RERANK, SCORE, REALTIME],
    }
}

/// The route of a request, if it is let through.
pub fn route(engine: &EngineType, method: &Method, path: &str) -> Option<Route> {
    let known = COMMON.iter().chain(special(engine)).find(|(known, _)| *known == path).map(|(_, route)| *route)?;
    let allowed = if known.name == "models" || known.upgrades { Method::GET } else { Method::POST };
    (*method == allowed).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_websocket_is_offered_where_engines_have_one() {
        assert!(route(&EngineType::Custom, &Method::GET, "/v1/realtime").is_some_and(|route| route.upgrades));
        assert!(route(&EngineType::Custom, &Method::POST, "/v1/realtime").is_none());
        assert!(route(&EngineType::LlamaCpp, &Method::GET, "/v1/realtime").is_none());
    }

    #[test]
    fn inference_is_let_through_and_administration_is_not() {
        let engine = EngineType::LlamaCpp;
        for path in ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/tokenize"] {
            assert!(route(&engine, &Method::POST, path).is_some(), "{path}");
        }
        assert!(route(&engine, &Method::GET, "/v1/models").is_some());
        for path in [
            "/sleep",
            "/wake_up",
            "/metrics",
            "/slots",
            "/props",
            "/v1/load_lora_adapter",
            "/admin/config",
            "/",
            "/v1/models/x",
        ] {
            for method in [Method::GET, Method::POST] {
                assert!(route(&engine, &method, path).is_none(), "{method} {path}");
            }
        }
        assert!(route(&engine, &Method::DELETE, "/v1/models").is_none());
        for path in ["/v1/chat/completions/", "//v1/models", "/v1/../sleep", "/v1/chat/completions%2f"] {
            assert!(route(&engine, &Method::POST, path).is_none(), "{path}");
        }
    }
}
