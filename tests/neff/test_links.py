"""Sections that hand on to each other: written, read back, and refused where they do not fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isa.errors import IllegalError
from isa.program import BufferKind, DramBuffer, Program
from neff import Link, ModelTensor, Neff, Section, from_bytes, to_bytes
from tests.neff.builders import same


def stage(*more: DramBuffer) -> Section:
    buffers = (
        DramBuffer("x", BufferKind.INPUT, 0, 64, shape=(64,)),
        DramBuffer("y", BufferKind.OUTPUT, 64, 64, shape=(64,)),
    )
    return Section(Program({}, (*buffers, *more)))


def chain(*links: Link) -> Neff:
    """Two stages, fed with "in" at the first."""
    return Neff(
        "chain",
        "inf1",
        (stage(), stage(DramBuffer("z", BufferKind.INPUT, 128, 32, shape=(32,)))),
        inputs=(ModelTensor("in", "uint8", (64,), "x"),),
        outputs=(ModelTensor("out", "uint8", (64,), "y", 1),),
        links=links,
    )


HAND_ON = Link((0, "y"), (1, "x"))


def test_links_read_back() -> None:
    for link in (HAND_ON, Link((0, "x"), (1, "x"))):
        neff = chain(link)
        assert same(from_bytes(to_bytes(neff)), neff)


@pytest.mark.parametrize(
    "links",
    [
        (Link((0, "y"), (1, "y")),),  # to an output
        (Link((0, "y"), (2, "x")),),  # no such section
        (Link((-1, "y"), (1, "x")),),
        (Link((0, "y"), (1, "absent")),),
        (Link((1, "y"), (1, "x")),),  # to itself
        (Link((0, "y"), (1, "z")),),  # of another size
        (HAND_ON, HAND_ON),  # fed twice
        (Link((1, "y"), (0, "x")),),  # backwards
    ],
)
def test_links_that_do_not_fit_are_refused(links: tuple[Link, ...]) -> None:
    with pytest.raises(IllegalError, match="SYS-N036"):
        to_bytes(chain(*links))


def test_an_input_of_the_caller_takes_no_link() -> None:
    fed = ModelTensor("more", "uint8", (64,), "x", 1)
    neff = chain(HAND_ON)
    with pytest.raises(IllegalError, match="SYS-N036"):
        to_bytes(replace(neff, inputs=(*neff.inputs, fed)))
