"""Made-up runs: random ones by Hypothesis, and a pipelined one that looks like a model's."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from isa.memory import PSUM, SBUF
from traces import Trace, WaitCause

LIMITS = {
    "sbuf_bytes": 128 * 96 * 1024,
    "psum_bytes": 128 * 16 * 1024,
    "psum_bank_bytes": 2048,
    "dram_bytes_per_s": 49_152_000_000,
}
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


@st.composite
def traces(draw: Any) -> Trace:
    """Any trace that is consistent, overlapping rows and several cores included."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    tracks = draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20)), unique=True, max_size=4)
    )
    lengths = [draw(st.integers(0, 12)) for _ in tracks]
    order = sorted(zip(tracks, lengths, strict=True))
    n = sum(lengths)
    layers = tuple(draw(st.lists(NAMES, max_size=3)))
    names = tuple(draw(st.lists(NAMES, max_size=3)))
    start = rng.integers(0, draw(st.sampled_from([10, 10**6, 10**15])), n)
    end = start + rng.integers(0, 50, n)
    wait = rng.integers(0, 9, n)
    m = draw(st.integers(0, 6)) if names else 0
    first = rng.integers(0, 100, m)
    return Trace.from_arrays(
        name=draw(NAMES),
        target="inf1",
        ticks_per_s=draw(st.sampled_from([10**9, 5_600_000_000, 10**12])),
        base_clock_hz=10**9,
        start=start,
        end=end,
        visible=end + rng.integers(0, 9, n),
        core=np.repeat([c for (c, _), _ in order], [k for _, k in order]).astype(int),
        stream=np.repeat([s for (_, s), _ in order], [k for _, k in order]).astype(int),
        index=np.concatenate([np.zeros(0, int), *(np.arange(k) for _, k in order)]),
        opcode=rng.choice([0x01, 0x02, 0x10, 0x60, 0xFE], n),
        wait=wait,
        port_wait=wait // 2,
        cause=rng.integers(0, len(WaitCause), n),
        cause_row=rng.integers(-1, n, n) if n else [],
        layer=rng.integers(-1, len(layers), n),
        layers=layers,
        read_bytes=rng.integers(0, 2**40, n),
        written_bytes=rng.integers(0, 2, n) * rng.integers(0, 2**40, n),
        counters={"instructions": n, "other": 2**60},
        memory={
            "memory": rng.choice([int(SBUF), int(PSUM)], m),
            "partition": rng.integers(0, 64, m),
            "partitions": rng.integers(1, 64, m),
            "address": rng.integers(0, 2048, m),
            "size_bytes": rng.integers(1, 2048, m),
            "start": first,
            "end": first + rng.integers(0, 100, m),
            "name": rng.integers(0, max(len(names), 1), m),
        },
        memory_names=names,
        limits=draw(st.sampled_from([{}, LIMITS])),
        metadata=draw(st.sampled_from([{}, {"pe_utilization": 0.5, "options": ["a", None]}])),
    )


def pipelined(tiles: int, layers: int = 12, seed: int = 3) -> Trace:
    """Weights arrive, are multiplied tile by tile, activated, and the last ones are stored."""
    rng = np.random.default_rng(seed)
    rows: dict[int, list[dict[str, Any]]] = {s: [] for s in (0, 1, 2, 5, 6)}
    free = dict.fromkeys(rows, 0)
    load_free = 0
    memory: dict[str, list[int]] = {
        k: [] for k in ["memory", "partitions", "address", "size_bytes", "start", "end", "name"]
    }
    for tile in range(tiles):
        layer = tile * layers // tiles
        heavy = 1 + 3 * (layer % 4 == 0)
        queue = 5 + tile % 2
        read = 32768 * heavy
        begin = free[queue] + (1500 if tile < 2 else 0)
        arrived = begin + read // 24 + int(rng.integers(0, 300))
        free[queue] = arrived
        dma = (WaitCause.DMA_START, 0) if tile < 2 else (WaitCause.NOTHING, 0)
        _row(rows[queue], begin, arrived, 200, 0x60, layer, *dma, read=read)
        loaded = max(load_free, arrived + 200)
        load_free = loaded + 64
        _row(rows[0], loaded, load_free, 0, 0x01, layer, WaitCause.SEMAPHORE, loaded - free[0])
        start = max(free[0], load_free)
        _row(rows[0], start, start + 512, 80, 0x02, layer, WaitCause.WEIGHTS, start - free[0])
        free[0] = start + 512
        engine = 1 if tile % 3 else 2
        at = max(free[engine], free[0] + 80)
        code = 0x10 if engine == 1 else 0x20
        _row(rows[engine], at, at + 500, 60, code, layer, WaitCause.SEMAPHORE, at - free[engine])
        free[engine] = at + 500
        for space, address, size, a, b in (
            (SBUF, tile % 40 * 2048, 2048, begin, free[0]),
            (PSUM, tile % 8 * 2048, 2048, start, at + 500),
            (SBUF, 81920 + tile % 4 * 1024, 1024, at, at + 3000),
        ):
            for key, value in (
                ("memory", int(space)),
                ("partitions", 128),
                ("address", address),
                ("size_bytes", size),
                ("start", a),
                ("end", b),
                ("name", layer),
            ):
                memory[key].append(value)
    end = max(free.values())
    for i in range(4):
        _row(rows[6], end + 700 * i, end + 700 * (i + 1), 300, 0x60, layers - 1, write=20_000)
    return _gathered(rows, memory, layers)


def _row(
    stream: list[dict[str, Any]],
    start: int,
    end: int,
    latency: int,
    opcode: int,
    layer: int,
    cause: WaitCause = WaitCause.NOTHING,
    wait: int = 0,
    read: int = 0,
    write: int = 0,
) -> None:
    stream.append(
        {
            "start": start,
            "end": end,
            "visible": end + latency,
            "opcode": opcode,
            "layer": layer,
            "cause": int(cause),
            "wait": max(wait, 0),
            "read_bytes": read,
            "written_bytes": write,
        }
    )


def _gathered(
    rows: dict[int, list[dict[str, Any]]], memory: dict[str, list[int]], layers: int
) -> Trace:
    flat = [(s, i, row) for s, stream in sorted(rows.items()) for i, row in enumerate(stream)]
    columns: dict[str, Any] = {k: [row[k] for _, _, row in flat] for k in flat[0][2]}
    total = max(max(columns["visible"]), max(memory["end"]))
    names = tuple(f"layer{i}" for i in range(layers))
    return Trace.from_arrays(
        name="synthetic",
        target="inf1",
        ticks_per_s=10**9,
        total_ticks=total,
        stream=[s for s, _, _ in flat],
        index=[i for _, i, _ in flat],
        layers=names,
        memory=memory,
        memory_names=names,
        limits=LIMITS,
        metadata={"pe_utilization": 0.61},
        **columns,
    )
