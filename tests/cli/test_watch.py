"""`imgsvc watch`: what arrives in a folder is sent once for every content, and comes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgsvc.client import SyncClient
from imgsvc.dispatch.bundles import MAX_BYTES
from tests.cli.conftest import Run, Start
from tests.client.pictures import picture
from tests.runtime.faulty import fault
from tests.server_process import ServerProcess
from tests.watch_process import (
    NO_IMAGE,
    colour_of,
    contents_of,
    failures_in,
    put,
    read_if_there,
    results_in,
    sent_images,
)
from tests.workers.conftest import Gate


def test_what_is_there_is_sent_and_then_what_arrives(
    server: ServerProcess, start_watch: Start, photos: Path, out: Path
) -> None:
    watching = start_watch(photos, "--out", out, "--preset=thumbnail")
    watching.wait_for("a.png", "b.jpg", "trip/c.png")
    put(photos / "new" / "d.png", picture("red"), is_old=False)
    watching.wait_for("new/d.png")
    assert results_in(out) == {"a.webp", "b.webp", "trip/c.webp", "new/d.webp"}
    with SyncClient(server.url) as client:
        jobs = list(client.jobs(label=photos.name))
    assert {job["source"] for job in jobs} == {"watch"}
    assert {job["preset"] for job in jobs} == {"thumbnail"}
    assert [job["total"] for job in jobs] == [1, 3]
    assert not any(job["open"] for job in jobs)


def test_a_line_of_json_says_what_became_of_a_file(
    start_watch: Start, photos: Path, out: Path
) -> None:
    watching = start_watch(photos, "--out", out, "--preset=thumbnail")
    watching.wait_for("trip/c.png")
    document = next(one for one in watching.documents if one["name"] == "trip/c.png")
    (output,) = document["outputs"]
    assert (document["status"], document["error"]) == ("completed", None)
    assert output["path"] == str(out / "trip" / "c.webp")
    assert output["size_bytes"] == (out / "trip" / "c.webp").stat().st_size


def test_unfinished_hidden_and_made_files_are_left_alone(
    server: ServerProcess, start_watch: Start, photos: Path
) -> None:
    for name in ("x.jpg.part", "x.tmp", ".x.png", ".cache/x.png", "notes.txt"):
        put(photos / name, picture("red") if name != "notes.txt" else NO_IMAGE)
    out = photos / "out"
    watching = start_watch(photos, "--out", out, "--preset=thumbnail")
    watching.wait_for("a.png", "b.jpg", "trip/c.png")
    put(photos / "last.png", picture("red"), is_old=False)
    watching.wait_for("last.png")
    assert sent_images(server, photos) == contents_of(
        photos, "a.png", "b.jpg", "last.png", "trip/c.png"
    )


def test_links_that_lead_out_stay_here_and_names_in_no_encoding_are_sent(
    server: ServerProcess, start_watch: Start, photos: Path, out: Path, tmp_path: Path
) -> None:
    put(tmp_path / "secret.png", picture("green"))
    (photos / "link.png").symlink_to(tmp_path / "secret.png")
    (photos / "round").symlink_to(photos)
    (photos / "up").symlink_to(tmp_path)
    for end in (b"\xe9", b"\xff"):
        put(Path(os.fsdecode(os.fsencode(photos) + b"/caf" + end + b".png")), picture("blue"))
    watching = start_watch(photos, "--out", out, "--preset=thumbnail")
    watching.wait(lambda: len(watching.documents) == 5)
    watching.wait_for_words("link.png is a link that leads out")
    assert len(sent_images(server, photos)) == 5
    put(Path(os.fsdecode(os.fsencode(photos) + b"/\xfe.tmp")), picture("blue"))
    watching.wait_for_words("nothing is missed")
    assert {name for name in results_in(out) if "caf" in name} == {
        "caf_.png.webp", "caf_.png-2.webp",
    }  # fmt: skip
    assert start_watch(photos, "--out", out).process.wait(30) == 2  # the first one still has it


def test_started_again_it_repeats_nothing_and_forgets_nothing(
    server: ServerProcess, start_watch: Start, photos: Path, out: Path
) -> None:
    first = start_watch(photos, "--out", out, "--preset=thumbnail")
    first.wait_for("a.png", "b.jpg", "trip/c.png")
    assert first.stop() == 0
    before = {name: (out / name).stat().st_mtime_ns for name in results_in(out)}
    put(photos / "a.jpg", picture("green", format_="JPEG"))
    put(photos / "b.jpg", picture("blue", format_="JPEG"))
    (photos / "trip" / "c.png").touch()
    again = start_watch(photos, "--out", out, "--preset=thumbnail")
    again.wait_for("a.jpg", "b.jpg")
    assert again.stop(signal.SIGINT) == 130
    assert sorted(again.names()) == ["a.jpg", "b.jpg"]
    assert results_in(out) == {"a.webp", "a.jpg.webp", "b.webp", "trip/c.webp"}
    assert colour_of(out / "b.webp") == "blue"
    assert (out / "a.webp").stat().st_mtime_ns == before["a.webp"]
    assert len(sent_images(server, photos)) == 5


def test_killed_again_and_again_it_sends_every_file_once(
    server: ServerProcess, start_watch: Start, photos: Path, out: Path
) -> None:
    names = [f"{number:02}.png" for number in range(40)]
    for number, name in enumerate(names):
        put(photos / "many" / name, picture((number, 0, 0), size=(300, 200)))
    journal = out / ".imgsvc" / "watch.jsonl"
    for event in ("sent", "job", "done", "done"):
        watching = start_watch(photos, "--out", out, "--preset=thumbnail", "--polling")
        while f'"event": "{event}"' not in read_if_there(journal):
            os.sched_yield()
        watching.stop(signal.SIGKILL)
    watching = start_watch(photos, "--out", out, "--preset=thumbnail")
    put(photos / "last.png", picture("red"), is_old=False)
    watching.wait_for("last.png")
    # One that was killed may have left a part, which is too young to be swept.
    watching.wait(lambda: sum(name.endswith(".webp") for name in results_in(out)) == 44)
    sent = sent_images(server, photos)
    assert sent == contents_of(
        photos, "a.png", "b.jpg", "last.png", "trip/c.png", *(f"many/{name}" for name in names)
    )


def test_the_newest_content_of_a_file_wins_and_a_touched_one_is_not_sent(
    server: ServerProcess, start_watch: Start, photos: Path, out: Path
) -> None:
    watching = start_watch(photos, "--out", out, "--preset=thumbnail")
    watching.wait_for("a.png", "b.jpg", "trip/c.png")
    watching.forget()
    (photos / "trip" / "c.png").touch()
    (photos / "a.png").write_bytes(picture("blue"))
    watching.wait_for("a.png")
    assert colour_of(out / "a.webp") == "blue"
    assert watching.names() == ["a.png"]
    assert len(sent_images(server, photos)) == 4


def test_a_failure_is_listed_until_the_file_changes(
    start_watch: Start, photos: Path, out: Path
) -> None:
    put(photos / "=bad.png", NO_IMAGE)
    watching = start_watch(photos, "--out", out, "--preset=thumbnail")
    watching.wait_for("=bad.png", status="failed")
    watching.wait_for("a.png", "b.jpg", "trip/c.png")
    watching.stop()
    ((name, code, _),) = failures_in(out)
    assert (name, code) == ("'=bad.png", "unsupported_format")
    watching = start_watch(photos, "--out", out, "--preset=thumbnail")
    put(photos / "=bad.png", picture("red"), is_old=False)
    watching.wait_for("=bad.png")
    watching.stop()
    assert watching.names("failed") == []
    assert not (out / "failures.csv").exists()


def test_a_file_that_grows_slowly_is_sent_once_and_whole(
    server: ServerProcess, start_watch: Start, photos: Path, out: Path
) -> None:
    content = picture("red", size=(400, 300), format_="JPEG")
    watching = start_watch(photos, "--out", out, "--preset=thumbnail")
    watching.wait_for("a.png")
    with (photos / "slow.jpg").open("wb", buffering=0) as file:
        file.write(content[:1000])
        for number in range(2):  # half a file is waited for, however long nothing comes
            put(photos / f"{number}.png", picture("green"), is_old=False)
            watching.wait_for(f"{number}.png")
            file.write(content[1000 + number : 1001 + number])
        file.write(content[1002:])
    watching.wait_for("slow.jpg")
    assert sent_images(server, photos) == contents_of(
        photos, "0.png", "1.png", "a.png", "b.jpg", "slow.jpg", "trip/c.png"
    )


def test_a_folder_that_vanishes_is_waited_for_and_nothing_is_forgotten(
    server: ServerProcess, start_watch: Start, photos: Path, out: Path
) -> None:
    watching = start_watch(photos, "--out", out, "--preset=thumbnail", "--polling")
    watching.wait_for("a.png", "b.jpg", "trip/c.png")
    away = photos.with_name("away")
    photos.rename(away)
    watching.wait_for_words("is gone and is waited for")
    put(away / "d.png", picture("red"))
    away.rename(photos)
    watching.wait_for("d.png")
    watching.wait_for_words("is there again")
    assert len(sent_images(server, photos)) == 4


def test_a_server_that_is_away_is_waited_for(
    photos: Path, out: Path, start_watch: Start, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    server = ServerProcess(data)
    port, url = server.port, server.url
    server.stop()
    watching = start_watch(photos, "--out", out, "--preset=thumbnail", url=url)
    watching.wait_for_words("No imgsvc server answers")
    server = ServerProcess(data, port)
    try:
        watching.wait_for("a.png", "b.jpg", "trip/c.png")
        watching.forget()
        server.kill()
        put(photos / "d.png", picture("red"), is_old=False)
        watching.wait_for_words("No imgsvc server answers")
        server = ServerProcess(data, port)
        watching.wait_for("d.png")
        assert watching.said.count("No imgsvc server answers") == 1
        assert len(sent_images(server, photos)) == 4
    finally:
        server.stop()


def test_without_an_out_folder_results_stay_on_the_server(
    server: ServerProcess, start_watch: Start, photos: Path
) -> None:
    put(photos / "bad.png", NO_IMAGE)
    watching = start_watch(photos, "--label", photos.name, "--priority=low")
    watching.wait(lambda: len(watching.documents) == 4)
    watching.stop()
    assert {output["path"] for one in watching.documents for output in one["outputs"]} == {None}
    again = start_watch(photos, "--label", photos.name, "--priority=low")
    put(photos / "d.png", picture("red"), is_old=False)
    again.wait_for("d.png")
    assert again.names() == ["d.png"]
    with SyncClient(server.url) as client:
        assert {job["priority"] for job in client.jobs(label=photos.name)} == {"low"}


def test_a_folder_that_is_not_mounted_at_a_start_is_not_forgotten(
    server: ServerProcess, start_watch: Start, photos: Path, tmp_path: Path
) -> None:
    first = start_watch(photos)
    first.wait_for("a.png", "b.jpg", "trip/c.png")
    first.stop()
    photos.rename(tmp_path / "away")
    photos.mkdir()
    (photos / "link.png").symlink_to(tmp_path)  # that is said when the folder was looked at
    bare = start_watch(photos)
    bare.wait_for_words("link.png is a link that leads out")
    bare.stop()
    (photos / "link.png").unlink()
    photos.rmdir()
    (tmp_path / "away").rename(photos)
    again = start_watch(photos)
    put(photos / "d.png", picture("red"), is_old=False)
    again.wait_for("d.png")
    assert again.names() == ["d.png"]
    assert len(sent_images(server, photos)) == 4


def test_a_recipe_of_ones_own_and_another_one_later(
    start_watch: Start, photos: Path, out: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.json"
    for name in ("s", "l"):
        recipe.write_text(f'{{"variants": [{{"name": "{name}", "width": 9}}, {{"name": "x"}}]}}')
        watching = start_watch(photos, "--out", out, "--recipe", recipe)
        watching.wait_for("a.png", "b.jpg", "trip/c.png")
        watching.stop()
    assert {"a-s.png", "a-l.png", "b-x.jpg"} <= results_in(out)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[ServerProcess, Gate]]:
    """A server some of whose images wait until they are let through."""
    server = ServerProcess(tmp_path / "held", workers=2, program="tests.runtime.faulty")
    gate = Gate(tmp_path / "gate")
    yield server, gate
    gate.open(9)
    server.stop()
    gate.close()


def put_gated(gate: Gate, *paths: Path) -> None:
    """Files too large to be made together with others, which would wait with them."""
    word, _, rest = gate.content.partition(" ")
    for path in paths:
        put(path, fault(word, rest.ljust(MAX_BYTES)))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """That of the file which comes out where an image was held."""
    path = tmp_path / "recipe.json"
    path.write_text('{"variants": [{"name": "only", "format": "png"}]}')
    return path


@pytest.mark.parametrize("act", ["cancel", "delete"])
def test_what_is_cancelled_on_the_server_is_listed_until_it_is_touched(
    held: tuple[ServerProcess, Gate],
    start_watch: Start,
    photos: Path,
    out: Path,
    recipe: Path,
    act: str,
) -> None:
    server, gate = held
    put_gated(gate, photos / "held.png")
    watching = start_watch(photos, "--out", out, "--recipe", recipe, url=server.url)
    watching.wait_for("a.png", "b.jpg", "trip/c.png")
    with SyncClient(server.url) as client:
        (job,) = client.jobs(label=photos.name)
        getattr(client, act)(job["id"])
    watching.wait_for("held.png", status="failed")
    watching.stop()
    assert [row[:2] for row in failures_in(out)] == [["held.png", "cancelled"]]
    os.utime(photos / "held.png")
    gate.open(2)
    again = start_watch(photos, "--out", out, "--recipe", recipe, url=server.url)
    again.wait_for("held.png")
    again.stop()
    assert again.names() == ["held.png"]
    assert not (out / "failures.csv").exists()


def test_a_server_with_too_much_to_do_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    start_watch: Start,
    photos: Path,
    out: Path,
    recipe: Path,
) -> None:
    monkeypatch.setenv("IMGSVC_LIMITS__MAX_PENDING_IMAGES", "2")
    monkeypatch.setenv("IMGSVC_LIMITS__MAX_IMAGES_PER_JOB", "2")
    server, gate = request.getfixturevalue("held")
    put_gated(gate, photos / "a.png", photos / "b.jpg", photos / "trip" / "c.png")
    watching = start_watch(photos, "--out", out, "--recipe", recipe, url=server.url)
    watching.wait_for_words("Too many images are waiting already")
    gate.open(3)
    watching.wait(lambda: len(watching.names()) == 3)
    assert len(sent_images(server, photos)) == 3


def test_a_server_that_has_lost_its_jobs_gets_what_was_not_done_again(
    start_watch: Start, photos: Path, out: Path, tmp_path: Path
) -> None:
    for number in range(6):
        put(photos / f"{number}.jpg", picture((number, 0, 0), (4000, 3000), "JPEG"))
    server = ServerProcess(tmp_path / "data")
    port = server.port
    watching = start_watch(photos, "--out", out, url=server.url)
    watching.wait(lambda: watching.documents)
    server.kill()
    server = ServerProcess(tmp_path / "other data", port)
    try:
        watching.wait(lambda: len(watching.documents) == 9)
        assert len(set(watching.names())) == 9
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "There is no folder"),
        (["in/a.png"], "is no folder"),
        (["in", "--out=in"], "would be taken for new images"),
        (["in/trip", "--out=in"], "would be taken for new images"),
        (["results"], "has results of imgsvc"),
        (["in", "--out=new", "--preset=nonsense"], "thumbnail"),
        (["in", "--preset=web", "--recipe=x"], "either"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    imgsvc: Run,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    photos.rename(tmp_path / "in")
    (tmp_path / "results" / ".imgsvc").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    ran = imgsvc("watch", *arguments)
    assert ran.exit_code == 2
    assert words in ran.stderr
    assert not (tmp_path / "new").exists()
