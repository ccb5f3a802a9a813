"""Files that were sound before some of their bytes were changed, left out, repeated or made large."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("MICROLITH_FUZZ", "50"))
"""Of each kind; `MICROLITH_FUZZ=5000` is the long form."""

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)

_ODD = (
    b"\xff" * 4,
    b"\x00" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"-1",
    b"9" * 40,
    b'"',
    b"\r\n",
    b"[[[[",
    b"../",
)


@st.composite
def mutated(draw: st.DrawFn, content: bytes, begin: int = 0) -> bytes:
    """`content`, with a few changes from byte `begin` on."""
    broken = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(min(begin, len(broken)), len(broken)))
        end = at + draw(st.sampled_from((0, 1, 1, 1, 4, 30)))
        put = draw(st.one_of(st.binary(max_size=4), st.sampled_from(_ODD), st.just(bytes(broken[at:end]) * 3)))
        broken[at:end] = put
    return bytes(broken)
