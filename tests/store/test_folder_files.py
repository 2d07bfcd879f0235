from __future__ import annotations

import os

from imgsvc.domain.job import Job
from imgsvc.domain.watched import FileEnd, FileState, TakenFile
from imgsvc.store.store import Store
from tests.store.builders import create

FOLDER = os.fsdecode(b"/photos/caf\xe9")
NOW_MS = 1_000


def file(name: str = "a.jpg", **facts: object) -> TakenFile:
    known = {"fingerprint": "1:2:3", "sha256": "s", "recipe": "r", "index": 0, "choice": '["a"]'}
    return TakenFile(folder=FOLDER, name=name, **{**known, **facts})  # type: ignore[arg-type]


async def take(store: Store, *files: TakenFile) -> Job:
    job = await create(store, len(files), open=True)
    return await store.close_job(job.id, NOW_MS, None, files)


async def test_what_was_taken_is_known_by_its_name_and_by_its_image(store: Store) -> None:
    name = os.fsdecode(b"d/\xff %\n.jpg")
    job = await take(store, file(name))
    known = (await store.folders.files_by_name(FOLDER, [name, "b.jpg"]))[name]
    assert (known.name, known.folder, known.state) == (name, FOLDER, FileState.TAKEN)
    assert await store.folders.files_by_image(FOLDER, [(job.id, 0)]) == {(job.id, 0): known}
    assert await store.folders.files_by_image("/other", [(job.id, 0)]) == {}
    assert [files async for files in store.folders.iter_files(FOLDER)] == [[known]]


async def test_a_newer_content_takes_the_place_and_the_older_ones_end_is_no_news(
    store: Store,
) -> None:
    older = await take(store, file())
    before = (await store.folders.files_by_name(FOLDER, ["a.jpg"]))["a.jpg"]
    newer = await take(store, file(fingerprint="2:2:2"))
    assert await store.end_files([FileEnd(before, FileState.DONE, ("a.webp",))], NOW_MS) == [False]
    known = (await store.folders.files_by_name(FOLDER, ["a.jpg"]))["a.jpg"]
    assert (known.job_id, known.state, known.files) == (newer.id, FileState.TAKEN, ())
    assert await store.folders.files_by_image(FOLDER, [(older.id, 0)]) == {}


async def test_what_failed_keeps_the_results_that_an_older_content_has(store: Store) -> None:
    await take(store, file())
    known = (await store.folders.files_by_name(FOLDER, ["a.jpg"]))["a.jpg"]
    assert await store.end_files([FileEnd(known, FileState.DONE, ("a.webp",))], NOW_MS) == [True]
    await take(store, file())
    known = (await store.folders.files_by_name(FOLDER, ["a.jpg"]))["a.jpg"]
    end = FileEnd(known, FileState.FAILED, error=("timeout", "It took too long."))
    assert await store.end_files([end], NOW_MS) == [True]
    (failed,) = await store.folders.failed_files(FOLDER)
    assert (failed.files, failed.error) == (("a.webp",), ("timeout", "It took too long."))
    await store.forget_failed_files(FOLDER, ["a.jpg"])
    assert await store.folders.failed_files(FOLDER) == []


async def test_a_touched_file_is_known_as_it_looks_now_if_its_bytes_are_the_same(
    store: Store,
) -> None:
    await take(store, file("a.jpg"), file("b.jpg", index=1))
    await store.touch_files([file("a.jpg", fingerprint="9:9:9")])
    await store.touch_files([file("b.jpg", fingerprint="9:9:9", sha256="other")])
    known = await store.folders.files_by_name(FOLDER, ["a.jpg", "b.jpg"])
    assert [known[name].fingerprint for name in ("a.jpg", "b.jpg")] == ["9:9:9", "1:2:3"]


async def test_what_is_not_heard_of_yet_is_found_page_by_page_and_by_job(store: Store) -> None:
    first = await take(store, *(file(f"{n}.jpg", index=n) for n in range(3)))
    second = await take(store, file("z.jpg"))
    keys = [(first.id, 0), (first.id, 1), (first.id, 2), (second.id, 0)]
    page = await store.folders.taken_files(FOLDER, limit=3)
    assert page + await store.folders.taken_files(FOLDER, page[-1], limit=3) == keys
    assert await store.folders.taken_files_of_job(FOLDER, first.id) == keys[:3]


async def test_what_waits_for_a_folder_that_is_watched_no_more_is_forgotten(store: Store) -> None:
    await take(store, file("a.jpg"), file("b.jpg", index=1))
    (done,) = (await store.folders.files_by_name(FOLDER, ["b.jpg"])).values()
    await store.end_files([FileEnd(done, FileState.DONE, ("b.webp",))], NOW_MS)
    assert await store.forget_unwatched_files([FOLDER, "/other"]) == {}
    assert await store.forget_unwatched_files(["/other"]) == {FOLDER: 1}
    assert list(await store.folders.files_by_name(FOLDER, ["a.jpg", "b.jpg"])) == ["b.jpg"]


async def test_what_is_to_stand_in_an_output_folder_is_the_newest_that_was_chosen(
    store: Store,
) -> None:
    assert await store.folders.out_token(FOLDER) is None
    for token in ("older", "newer"):
        await store.save_out_token(FOLDER, token)
    assert await store.folders.out_token(FOLDER) == "newer"
    assert await store.folders.out_token("/other") is None
