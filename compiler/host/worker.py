"""The other process: opens models and runs them until its input ends.

In    ("open", key, engine, model), ("run", key, feeds) or ("close", key), each a pickled message
Out   (True, answer) or (False, what went wrong), one for each message
"""

from __future__ import annotations

import os
import pickle
import sys

from compiler.host.apart import send
from compiler.host.engines import Runner, opened


def serve() -> None:
    """Answer until the input ends. What a framework prints does not reach the messages."""
    received = sys.stdin.buffer
    sent = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    models: dict[int, Runner] = {}
    while True:
        try:
            message = pickle.load(received)
        except EOFError:
            return
        try:
            send(sent, (True, _answer(models, *message)))
        except Exception as error:  # the engines' own kinds share no base
            send(sent, (False, " ".join(str(error).split())[:400] or type(error).__name__))


def _answer(models: dict[int, Runner], what: str, key: int, *operands: object) -> object:
    if what == "open":
        engine, model = operands
        assert isinstance(model, bytes)
        models[key] = opened(model, str(engine))
    elif what == "run":
        (feeds,) = operands
        assert isinstance(feeds, dict)
        return models[key](feeds)
    else:
        models.pop(key, None)
    return None


if __name__ == "__main__":
    serve()
