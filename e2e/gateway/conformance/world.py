"""The engines, and a gateway in front of each; all of them end with this program."""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wire import Recorder

TOP = Path(__file__).resolve().parents[3]
BIN = Path(os.environ["BIN"])
IMAGES = Path(os.environ["IMAGES"])
OPERATOR = os.environ["OPERATOR_BINARY"]
FIRST_PORT = int(os.environ.get("PORT", "18480"))
READY = 30.0
LET_GO = 1.0
"""Seconds within which a client that has gone must not hold an engine any more."""
LOOKS = 30.0
"""llama.cpp's server looks between other work whether anybody still listens, which takes it longer where others want its processor, too. This
is the engine's time, not the gateway's."""


def within(seconds: float, complaint: str, holds: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"{complaint} after {seconds} s"
        time.sleep(0.02)


@dataclass
class Engine:
    """One engine, the recorder in front of it, and the gateway in front of that."""

    name: str
    kind: str
    direct: int
    recorder: Recorder
    gateway: int
    running: str
    """The metric that counts requests that run."""

    def busy(self) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.direct}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        values = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(self.running)]
        assert values, f"no {self.running} in the metrics"
        return sum(values)

    def is_left_alone(self) -> None:
        """The gateway has let go of it within a second, and then it works for nobody, if it is one that looks."""
        within(LET_GO, "the gateway has not let go of the engine", lambda: self.recorder.under_way() == 0)
        # the simulator does not look whether anybody listens
        if self.kind == "LlamaCpp":
            within(LOOKS, "the engine is still busy", lambda: self.busy() == 0)


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.next_port = FIRST_PORT

    def port(self) -> int:
        self.next_port += 1
        return self.next_port

    def start(self, name: str, *command: object) -> None:
        log = open(self.folder / f"{name}.log", "wb")
        # as in a container, with no environment at all
        self.processes.append(subprocess.Popen([str(word) for word in command], env={}, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def answers(self, name: str, port: int, path: str) -> None:
        until = time.monotonic() + READY
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2):
                    return
            except OSError:
                log = (self.folder / f"{name}.log").read_text(errors="replace")
                assert time.monotonic() < until, f"{name} does not answer:\n{log[-2000:]}"
                time.sleep(0.05)

    def engine(self, name: str, kind: str, running: str, *command: object) -> Engine:
        direct, recorded, gateway, admin = (self.port() for _ in range(4))
        self.start(name, *command, "--port", direct)
        self.answers(name, direct, "/health")
        recorder = Recorder(direct, recorded).start()
        config = self.folder / f"{name}.json"
        config.write_text(json.dumps({"servedNames": ["chat"], "engine": kind, "maxConcurrentSequences": 64}))
        gateway_name = f"gateway-{name}"
        self.start(gateway_name, OPERATOR, "gateway", "--config", config, "--listen", f"127.0.0.1:{gateway}",
                   "--admin", f"127.0.0.1:{admin}", "--replica", f"{name}-0=127.0.0.1:{recorded}")
        # it gives traffic to an engine after a probe and a canary
        self.answers(gateway_name, gateway, "/v1/models")
        return Engine(name, kind, direct, recorder, gateway, running)

    def llama(self) -> Engine:
        return self.engine(
            "llama", "LlamaCpp", "llamacpp:requests_processing", BIN / "llama-server", "--model", IMAGES / "tiny-model/model.gguf",
            "--host", "127.0.0.1", "--ctx-size", 65536, "--parallel", 8, "--threads", 1, "--metrics", "--alias", "chat", "--no-webui",
        )

    def simulator(self) -> Engine:
        return self.engine(
            "sim", "Simulator", "vllm:num_requests_running", BIN / "llm-d-inference-sim", "--model", "chat", "--force-dummy-tokenizer",
            "--mode", "random", "--seed", 7, "--max-num-seqs", 64, "--max-model-len", 8192, "--inter-token-latency", "5ms",
        )

    def end(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
