"""Counts checks, and says how each went."""

import traceback
from collections.abc import Callable

passed, failed, skipped = 0, 0, 0


class Skip(Exception):
    """What a check needs is not there."""


def check(name: str, tried: Callable[[], object]) -> None:
    global passed, failed, skipped
    try:
        tried()
    except Skip as why:
        skipped += 1
        print(f"skipped {name}: {why}", flush=True)
    except Exception:
        failed += 1
        print(f"FAILED  {name}", flush=True)
        print("".join(f"        {line}\n" for line in traceback.format_exc().strip().splitlines()), end="", flush=True)
    else:
        passed += 1
        print(f"ok      {name}", flush=True)


def summary() -> str:
    return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")
