"""What the official client sees through the gateway. An answer counts by its words and the reason of its end, never by its status."""

import asyncio
import json

import openai

from same import TOOL
from tell import Skip, check
from world import Engine

ENDS = {"stop", "length", "tool_calls"}
HELLO = [{"role": "user", "content": "what does the operator do?"}]
USUAL = {"model": "chat", "messages": HELLO, "temperature": 0, "seed": 7, "max_tokens": 24}
ENDLESS = USUAL | {"max_tokens": 8000, "stream": True, "extra_body": {"ignore_eos": True}}


def none_of_that(error: openai.APIStatusError) -> Exception:
    if error.status_code in {404, 405, 501}:
        return Skip(f"the engine has none: {error.status_code}")
    return AssertionError(f"{error.status_code}: {error.body}")


class Clients:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.url = f"http://127.0.0.1:{engine.gateway}/v1"
        self.client = openai.OpenAI(base_url=self.url, api_key="sk-none", max_retries=0, timeout=30)

    def run(self) -> None:
        for name, tried in [
            ("lists models", self.models),
            ("chats", self.chats),
            ("streams what it says in one piece", self.streams),
            ("is told the usage of a stream", self.usage),
            ("completes", self.completes),
            ("calls tools", self.tools),
            ("calls tools in a stream", self.tools_in_a_stream),
            ("is told of an unknown model", self.unknown_model),
            ("is told of an unknown route", self.unknown_route),
            ("is told of a bad body", self.bad_body),
            ("gets embeddings", self.embeddings),
            ("asks for a response", self.responds),
            ("has streams side by side", self.side_by_side),
            # last: the simulator (v0.10.2) gives the status 500 of a stream that was broken off to the next request, with a good body
            ("closes a stream, and the engine is left alone", self.closes),
            ("gives up waiting, and the engine is left alone", self.gives_up),
            ("breaks off many streams, and the engine is left alone", self.breaks_off),
        ]:
            check(f"{self.engine.name}: the client {name}", tried)

    def models(self) -> None:
        names = [model.id for model in self.client.models.list()]
        assert names == ["chat"], names

    def whole(self, **more: object) -> str:
        choice = self.client.chat.completions.create(**(USUAL | more)).choices[0]
        assert choice.finish_reason in ENDS and choice.message.content, choice
        return choice.message.content

    def streamed(self, **more: object) -> tuple[str, openai.types.CompletionUsage | None]:
        text, reason, usage = "", None, None
        for chunk in self.client.chat.completions.create(**(USUAL | {"stream": True} | more)):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                reason = choice.finish_reason or reason
        assert reason in ENDS and text, (reason, text)
        return text, usage

    def chats(self) -> None:
        self.whole()

    def streams(self) -> None:
        text, _ = self.streamed()
        # the simulator says something else each time
        if self.engine.kind == "LlamaCpp":
            assert text == self.whole(), text

    def usage(self) -> None:
        _, usage = self.streamed(stream_options={"include_usage": True})
        assert usage and usage.prompt_tokens > 0 and usage.completion_tokens > 0, usage

    def completes(self) -> None:
        choice = self.client.completions.create(model="chat", prompt="a model", max_tokens=12).choices[0]
        assert choice.finish_reason in ENDS and choice.text, choice

    def needs_tools(self) -> None:
        if self.engine.kind == "LlamaCpp":
            raise Skip("the tiny model cannot call any")

    def tools(self) -> None:
        self.needs_tools()
        choice = self.client.chat.completions.create(**USUAL, tools=[TOOL], tool_choice="required").choices[0]
        assert choice.finish_reason == "tool_calls" and choice.message.tool_calls, choice
        for call in choice.message.tool_calls:
            assert call.function.name == "weather" and "place" in json.loads(call.function.arguments), call

    def tools_in_a_stream(self) -> None:
        self.needs_tools()
        arguments, reason = "", None
        for chunk in self.client.chat.completions.create(**USUAL, tools=[TOOL], tool_choice="required", stream=True):
            for choice in chunk.choices:
                reason = choice.finish_reason or reason
                for call in choice.delta.tool_calls or []:
                    if call.index == 0 and call.function:
                        arguments += call.function.arguments or ""
        assert reason == "tool_calls" and "place" in json.loads(arguments), (reason, arguments)

    def unknown_model(self) -> None:
        for stream in (False, True):
            error = self.refused(openai.NotFoundError, **(USUAL | {"model": "nonsense", "stream": stream}))
            assert error.code == "model_not_found" and "chat" in error.message and error.request_id, error

    def unknown_route(self) -> None:
        try:
            self.client.post("/audio/speech", cast_to=object, body={})
        except openai.NotFoundError as error:
            assert error.body and error.request_id, error
        else:
            raise AssertionError("it was answered")

    def bad_body(self) -> None:
        error = self.refused(openai.APIStatusError, **(USUAL | {"messages": 7}))
        assert 400 <= error.status_code < 500 and error.request_id, error

    def refused(self, kind: type[openai.APIStatusError], **body: object) -> openai.APIStatusError:
        try:
            self.client.post("/chat/completions", cast_to=object, body=body)
        except kind as error:
            return error
        raise AssertionError("it was answered")

    def side_by_side(self) -> None:
        async def one(client: openai.AsyncOpenAI) -> str:
            text, reason = "", None
            async for chunk in await client.chat.completions.create(**(USUAL | {"stream": True, "max_tokens": 200})):
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    reason = choice.finish_reason or reason
            assert reason in ENDS and text, (reason, text)
            return text

        async def all_of_them() -> None:
            async with openai.AsyncOpenAI(base_url=self.url, api_key="sk-none", max_retries=0, timeout=30) as client:
                texts = await asyncio.gather(*(one(client) for _ in range(24)))
                assert len(texts) == 24

        asyncio.run(all_of_them())

    def closes(self) -> None:
        stream = self.client.chat.completions.create(**ENDLESS)
        for _ in range(5):
            next(iter(stream))
        assert self.engine.recorder.under_way() > 0, "the engine was not busy"
        stream.close()
        self.engine.is_left_alone()

    def gives_up(self) -> None:
        try:
            self.client.with_options(timeout=0.4).chat.completions.create(**(ENDLESS | {"stream": False}))
        except openai.APITimeoutError:
            self.engine.is_left_alone()
        else:
            raise AssertionError("it was answered")

    def breaks_off(self) -> None:
        async def one(client: openai.AsyncOpenAI) -> None:
            async for _ in await client.chat.completions.create(**ENDLESS):
                pass

        async def all_of_them() -> None:
            async with openai.AsyncOpenAI(base_url=self.url, api_key="sk-none", max_retries=0, timeout=30) as client:
                tasks = [asyncio.create_task(one(client)) for _ in range(24)]
                await asyncio.sleep(0.5)
                assert not any(task.done() for task in tasks), "a stream ended by itself"
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run(all_of_them())
        self.engine.is_left_alone()

    def embeddings(self) -> None:
        try:
            data = self.client.embeddings.create(model="chat", input=["a model", "another"]).data
        except openai.APIStatusError as error:
            raise none_of_that(error) from error
        assert len(data) == 2 and all(entry.embedding for entry in data), data

    def responds(self) -> None:
        try:
            response = self.client.responses.create(model="chat", input="a model", max_output_tokens=12)
        except openai.APIStatusError as error:
            raise none_of_that(error) from error
        assert response.output_text, response
