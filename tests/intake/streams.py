"""Bodies as they arrive: in chunks of any size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from hypothesis import strategies as st

from imgsvc.intake.documents import DocumentRoom, Documents


def documents() -> Documents:
    """Of a request that is alone."""
    return Documents(DocumentRoom())


async def stream(
    chunks: Iterable[bytes], broken_by: Exception | None = None
) -> AsyncIterator[bytes]:
    """The chunks, then the end, or the error with which a transport breaks off."""
    for chunk in chunks:
        yield chunk
    if broken_by is not None:
        raise broken_by


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    """The body in pieces, cut at `places` (taken modulo its length)."""
    ends = sorted({place % (len(body) + 1) for place in places} | {len(body)})
    return [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def bytewise(body: bytes) -> list[bytes]:
    return [body[n : n + 1] for n in range(len(body))]


def cuts(max_size: int = 12) -> st.SearchStrategy[Sequence[int]]:
    return st.lists(st.integers(0, 1 << 20), max_size=max_size)
