"""What a worker sends is facts, or nothing."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from concurrent.futures.process import _ResultItem
from pathlib import Path

import pytest

from imgsvc.domain.confinement import Confinement
from imgsvc.domain.formats import Formats
from imgsvc.errors import ImageErrorCode
from imgsvc.workers.answers import AnswerQueue, read_answer, read_file, write_answer
from imgsvc.workers.process import _Context
from imgsvc.workers.report import Greeting, NotUnderstood, read_report, write_report
from tests.workers.test_scrutiny import REPORT

GREETING = Greeting(Formats(("png",), ("png",)), Confinement(7, ("a gap",)))
LARGE_MEMO = b"\x80\x04Nr\x80\xc3\xc9\x01."
POISON = b"\x80\x04cimgsvc.errors\nImageErrorCode\n(N}X\x08\x00\x00\x00poisonedK\x07stb."


def error_of(answer: _ResultItem) -> BaseException:
    assert isinstance(answer.exception, BaseException)
    return answer.exception


class Raised(Exception):
    """As the executor wraps an exception."""

    def __init__(self, exc: BaseException) -> None:
        self.exc = exc
        self.tb = f"Traceback\n{exc!r}\ud800"


def test_every_kind_of_outcome_is_understood() -> None:
    assert read_report(write_report(REPORT)) == REPORT


@pytest.mark.parametrize("result", [GREETING, b"{}\n{}", None], ids=["greeting", "report", "file"])
def test_an_answer_arrives_as_it_was_sent(result: object) -> None:
    answer = read_answer(write_answer(_ResultItem(7, result=result)))
    assert answer.work_id == 7
    assert answer.result == result
    assert answer.exception is None


def test_what_a_call_fails_with_arrives_as_text_and_memory_is_told_apart() -> None:
    lack = read_answer(write_answer(_ResultItem(7, exception=Raised(MemoryError()))))
    assert isinstance(error_of(lack), MemoryError)
    other = read_answer(write_answer(_ResultItem(7, exception=Raised(KeyError("x")))))
    assert type(error_of(other)) is RuntimeError
    assert "KeyError('x')" in str(error_of(other))


def test_what_is_no_answer_of_ours_is_not_sent() -> None:
    with pytest.raises(TypeError):
        write_answer(_ResultItem(7, result=[1]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"7",
        b"7 report",
        b"-1 report\n{}",
        b"7 exit\n",
        b"9999999999999999999 report\n",
        b"7 greeting\n{}",
        pickle.dumps(_ResultItem(7, result=b"")),
        pickle.dumps(7),
        LARGE_MEMO,
        POISON,
    ],
)
def test_a_broken_answer_is_none(data: bytes) -> None:
    with pytest.raises(NotUnderstood):
        read_answer(data)


def test_the_executor_reads_answers_with_care() -> None:
    queue = AnswerQueue(ctx=_Context())
    try:
        queue.guard({7, 8})
        queue.put(_ResultItem(7, result=b"x"))
        queue.put(4711)  # not said
        queue.put(_ResultItem(9))
        queue._writer.send_bytes(pickle.dumps(_ResultItem(8)))  # type: ignore[attr-defined]
        assert queue._reader.recv().result == b"x"  # type: ignore[attr-defined]
        with pytest.raises(NotUnderstood, match="nobody has asked"):
            queue._reader.recv()  # type: ignore[attr-defined]
        with pytest.raises(NotUnderstood, match="cannot be read"):
            queue._reader.recv()  # type: ignore[attr-defined]
    finally:
        queue.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[" * 100_000,
        json.dumps({"outcomes": [{}], "tracebacks": {}, "resident_bytes": 1}).encode(),
        write_report(REPORT).replace(b'"png"', b"null"),
        write_report(REPORT).replace(b'"png"', rb'"\ud800"'),
        write_report(REPORT).replace(b'"width":1', b'"width":1.5'),
        write_report(REPORT).replace(b'"width":1', b'"width":true'),
        write_report(REPORT).replace(b'"width":1', b'"width":"1"'),
        write_report(REPORT).replace(b'"reused":false', b'"reused":0'),
        write_report(REPORT).replace(b'"internal"', b'"no such code"'),
        write_report(REPORT).replace(b'"resident_bytes"', b'"other"'),
        write_report(REPORT)[:-1],
        LARGE_MEMO,
        POISON,
    ],
    ids=range(15),
)
def test_of_a_report_nothing_is_made_but_facts_of_their_types(data: bytes) -> None:
    with pytest.raises(NotUnderstood):
        read_report(data)


def test_a_greeting_is_no_report() -> None:
    answer = read_answer(write_answer(_ResultItem(7, result=GREETING)))
    with pytest.raises(NotUnderstood):
        read_report(answer.result)


def test_a_few_bytes_take_no_memory_and_change_no_class() -> None:
    tracemalloc.start()
    try:
        for data in (LARGE_MEMO, POISON):
            with pytest.raises(NotUnderstood):
                read_report(data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert not hasattr(ImageErrorCode, "poisoned")


def test_a_report_in_a_file_is_as_long_as_its_tasks_may_need(tmp_path: Path) -> None:
    spilled = tmp_path / "report"
    spilled.write_bytes(b"x" * 200_000)
    assert len(read_file(spilled, 2)) == 200_000
    assert not spilled.exists()
    spilled.write_bytes(b"x" * 200_000)
    with pytest.raises(NotUnderstood):
        read_file(spilled, 1)
    assert not spilled.exists()
