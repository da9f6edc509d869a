"""The same request directly and through the gateway: the same status, headers and bytes."""

import itertools
import json
import re

from tell import check
from wire import Message, request
from world import Engine

# what is true of one connection only, or of one moment
OF_THE_WAY = {"connection", "keep-alive", "transfer-encoding", "proxy-connection", "te", "trailer", "upgrade", "date"}
# the gateway's own: an id for each request
OWN = {"x-request-id"}
NUMBERS = itertools.count(1)

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather of a place", "parameters": {
    "type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}}}


def chat(text: str = "what does the operator do?", **more: object) -> bytes:
    body = {"model": "chat", "messages": [{"role": "user", "content": text}], "temperature": 0, "seed": 7, "max_tokens": 24,
            "cache_prompt": False}
    return json.dumps(body | more, ensure_ascii=False).encode()


def completion(**more: object) -> bytes:
    return json.dumps({"model": "chat", "prompt": "a model", "temperature": 0, "seed": 7, "max_tokens": 12, "cache_prompt": False} | more).encode()


def requests() -> list[tuple[str, str, str, bytes]]:
    plain = [
        ("models", "GET", "/v1/models", b""),
        ("a chat", "POST", CHAT, chat()),
        ("a chat of one token", "POST", CHAT, chat(max_tokens=1)),
        ("a chat beyond ASCII", "POST", CHAT, chat("Wie heißt das? 何ですか 🦀 \\u00e9 \\\" \"model\": \"x\"")),
        ("a chat in two voices", "POST", CHAT, chat(n=2)),
        ("a chat with log probabilities", "POST", CHAT, chat(logprobs=True, top_logprobs=2)),
        ("a chat with tools", "POST", CHAT, chat(tools=[TOOL], tool_choice="required")),
        ("a prompt that is too long", "POST", CHAT, chat("word " * 40_000)),
        ("a completion", "POST", COMPLETIONS, completion()),
        ("embeddings", "POST", "/v1/embeddings", json.dumps({"model": "chat", "input": ["a model", "another"]}).encode()),
        ("tokens", "POST", "/tokenize", json.dumps({"model": "chat", "content": "a model", "prompt": "a model"}).encode()),
        ("a response", "POST", "/v1/responses", json.dumps({"model": "chat", "input": "a model", "max_output_tokens": 12, "temperature": 0}).encode()),
        ("messages", "POST", "/v1/messages", json.dumps({"model": "chat", "max_tokens": 12, "temperature": 0, "messages": [
            {"role": "user", "content": "a model"}]}).encode()),
        ("no JSON", "POST", CHAT, b"{\"model\": \"chat\", "),
        ("a list", "POST", CHAT, b"[]"),
        ("nothing", "POST", CHAT, b""),
        ("no messages", "POST", CHAT, b"{\"model\": \"chat\"}"),
        ("a wrong type", "POST", CHAT, b"{\"model\": \"chat\", \"messages\": 7}"),
        ("messages of nobody", "POST", CHAT, b"{\"model\": \"chat\", \"messages\": [{}]}"),
    ]
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    streams = [
        ("a stream", "POST", CHAT, chat(stream=True)),
        ("a stream with usage", "POST", CHAT, chat(**usage)),
        ("a long stream", "POST", CHAT, chat(max_tokens=600, **usage)),
        ("a stream with tools", "POST", CHAT, chat(tools=[TOOL], tool_choice="required", **usage)),
        ("a stream of a completion", "POST", COMPLETIONS, completion(stream=True)),
        ("a stream of a response", "POST", "/v1/responses", json.dumps({"model": "chat", "input": "a model", "max_output_tokens": 12,
            "temperature": 0, "stream": True}).encode()),
        ("a stream of no messages", "POST", CHAT, b"{\"model\": \"chat\", \"stream\": true}"),
    ]
    return plain + streams


def headers(message: Message, besides: set[str] = set()) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in message.headers if name not in OF_THE_WAY | OWN | besides)


def differs_by_nature(body: bytes) -> bytes:
    """Without what differs from one run of the same request to another: ids, times, speeds, what was in the cache."""
    text = body.decode()
    text = re.sub(r'"timings":\{[^{}]*\}', '"timings":{}', text)
    text = re.sub(r'"(id|item_id|response_id|call_id)":"[^"]*"', r'"\1":""', text)
    return re.sub(r'"(created|created_at|completed_at|cached_tokens)":[0-9.]+', r'"\1":0', text).encode()


def compare(engine: Engine, method: str, path: str, body: bytes, words_may_differ: bool) -> None:
    name = f"conformance-{next(NUMBERS)}"
    sent = {"X-Request-Id": name, "X-Custom": "a, b", "Accept": "*/*", "User-Agent": "conformance"}
    through = request(engine.gateway, method, path, body, sent)
    asked, answered = engine.recorder.find(name)
    # what the client got is what the engine said, to the byte
    assert through.first == answered.first, f"{through.first} instead of {answered.first}"
    assert headers(through) == headers(answered), f"{headers(through)} instead of {headers(answered)}"
    assert through.body == answered.body, f"{through.body!r} instead of {answered.body!r}"
    assert through.values("x-request-id") == [name], through.headers
    # what the engine was asked is what the client asked, to the byte
    assert asked.first == f"{method} {path} HTTP/1.1", asked.first
    assert asked.body == body, f"{asked.body!r} instead of {body!r}"
    assert asked.values("x-custom") == ["a, b"] and asked.values("user-agent") == ["conformance"], asked.headers
    # and the engine says the same to whoever asks it directly
    direct = request(engine.direct, method, path, body, sent)
    assert through.first == direct.first, f"{through.first} instead of {direct.first}"
    lengths = {"content-length"}
    assert headers(through, lengths) == headers(direct, lengths), f"{headers(through)} instead of {headers(direct)}"
    if not words_may_differ:
        ours, theirs = differs_by_nature(through.body), differs_by_nature(direct.body)
        assert ours == theirs, f"{ours!r}\n instead of {theirs!r}"


def compare_all(engine: Engine, words_may_differ: bool) -> None:
    for name, method, path, body in requests():
        check(f"{engine.name}: {name}", lambda: compare(engine, method, path, body, words_may_differ))
