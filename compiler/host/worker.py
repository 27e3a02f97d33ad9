"""The other process: opens one model, then answers runs until its input ends.

In    (engine, model), then feeds by name; each a pickled message
Out   (True, answer) or (False, what went wrong), one for each message
"""

from __future__ import annotations

import os
import pickle
import sys

from compiler.host.apart import send
from compiler.host.engines import ENGINES, Runner


def serve() -> None:
    """Answer until the input ends. What a framework prints does not reach the messages."""
    received = sys.stdin.buffer
    sent = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    run: Runner | None = None
    while True:
        try:
            message = pickle.load(received)
        except EOFError:
            return
        try:
            if run is None:
                engine, model = message
                run = ENGINES[engine](model)
                send(sent, (True, None))
            else:
                send(sent, (True, run(message)))
        except Exception as error:  # the engines' own kinds share no base
            send(sent, (False, " ".join(str(error).split())[:400] or type(error).__name__))


if __name__ == "__main__":
    serve()
