"""`imgsvc submit products.csv`: a product list in the place of images."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.commands import run
from tests.cli.conftest import Run

TABLE = "S. No.,Product Name,Input Image Urls\n1,Shoe,ftp-less\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "Products.CSV"
    file.write_text(TABLE.replace("ftp-less", "http://127.0.0.1:9/a.jpg"), encoding="utf-8")
    return file


def test_a_list_is_a_job_of_the_images_it_names(imgsvc: Run, table: Path) -> None:
    ran = imgsvc("submit", table, "--preset=thumbnail", "--label=x", "--no-analysis")
    assert ran.exit_code == 1
    assert "Products.CSV: 1 image to fetch" in ran.stderr
    job = imgsvc("status", ran.stdout.strip(), "--json").document
    assert (job["source"], job["preset"], job["label"]) == ("csv", "thumbnail", "x")


def test_a_bad_list_is_told_place_by_place(imgsvc: Run, table: Path) -> None:
    table.write_text(TABLE, encoding="utf-8")
    ran = imgsvc("submit", table)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "Row 2, Input Image Urls: 'ftp-less'" in ran.stderr
    assert ran.stderr.count("ftp-less") == 1


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_of_very_many_faults_the_first_are_told_once_and_the_rest_counted(
    imgsvc: Run, table: Path, options: tuple[str, ...]
) -> None:
    header = TABLE.partition("\n")[0]
    rows = [f"{number},Shoe,ftp-{number:02}" for number in range(1, 31)]
    table.write_text("\n".join([header, *rows]), encoding="utf-8")
    ran = imgsvc("submit", table, *options)
    assert (ran.exit_code, ran.stdout) == (2, "")
    told = [f"ftp-{number:02}" for number in range(1, 22)]
    assert [ran.stderr.count(url) for url in told] == [1] * 21
    assert "ftp-22" not in ran.stderr
    assert ran.stderr.endswith("  … and 9 more\n")


def test_a_list_in_another_encoding_is_taken_when_that_is_named(imgsvc: Run, table: Path) -> None:
    table.write_bytes(
        TABLE.replace("ftp-less", "http://127.0.0.1:9/a.jpg")
        .replace("Shoe", "Schöne Schuhe")
        .encode("cp1252")
    )
    ran = imgsvc("submit", table)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "--charset windows-1252" in ran.stderr
    assert "1 image to fetch" in imgsvc("submit", table, "--charset=windows-1252").stderr


def test_a_list_with_tabs_is_one_too(imgsvc: Run, table: Path) -> None:
    tabs = table.with_name("products.tsv")
    tabs.write_text(table.read_text().replace(",", "\t"), encoding="utf-8")
    assert "products.tsv: 1 image to fetch" in imgsvc("submit", tabs).stderr


def test_a_list_may_come_from_stdin_or_have_any_name(imgsvc: Run, table: Path) -> None:
    ran = imgsvc("submit", "--list", "-", stdin=table.read_bytes())
    assert "stdin: 1 image to fetch" in ran.stderr
    assert imgsvc("status", ran.stdout.strip(), "--json").document["source"] == "csv"
    other = table.rename(table.with_name("products"))
    assert "products: 1 image to fetch" in imgsvc("submit", "--list", other).stderr


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_list_under_another_name_is_not_sent_as_an_image(
    imgsvc: Run, table: Path, photos: Path, delimiter: str, encoding: str
) -> None:
    text = TABLE.replace(",", delimiter)
    other = table.with_name("products.txt")
    other.write_text(text, encoding=encoding)
    for ran in (
        imgsvc("submit", other),
        imgsvc("submit", photos, other, "--dry-run"),
        imgsvc("submit", "-", stdin=text.encode(encoding)),
    ):
        assert (ran.exit_code, ran.stdout) == (2, "")
        assert "is a product list: give --list with it." in ran.stderr


def test_run_says_which_command_takes_a_list(table: Path, photos: Path, tmp_path: Path) -> None:
    other = table.with_name("products.txt")
    other.write_text(TABLE, encoding="utf-8")
    for path in (table, other):
        ran = run("run", path, "--out", tmp_path / "out")
        assert ran.exit_code == 2
        assert f"{path} is a product list, which `imgsvc submit` takes." in ran.stderr
    other.rename(table).write_text("name,taken\na.png,2026\n", encoding="utf-8")
    ran = run("run", photos / "b.jpg", table, "--out", tmp_path / "out", "--workers=1")
    assert ran.exit_code == 1
    assert "Products.CSV: This is not an image" in ran.stderr
    image = (photos / "a.png").rename(tmp_path / "image.csv")
    assert run("run", image, "--out", tmp_path / "out", "--workers=1").exit_code == 0


@pytest.mark.parametrize("path", [".", "https://a.example/products.csv", "none"])
def test_what_can_be_no_list_is_refused(imgsvc: Run, path: str) -> None:
    ran = imgsvc("submit", "--list", path)
    assert (ran.exit_code, ran.stdout) == (2, "")


def test_a_pattern_may_stand_for_one_list(imgsvc: Run, table: Path) -> None:
    assert "Products.CSV" in imgsvc("submit", table.with_name("P*.CSV"), "--dry-run").stdout
    table.with_name("P2.CSV").write_text(TABLE, encoding="utf-8")
    ran = imgsvc("submit", table.with_name("P*.CSV"), "--dry-run")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "a job of its own" in ran.stderr


def test_a_dry_run_sends_nothing(imgsvc: Run, table: Path) -> None:
    ran = imgsvc("submit", table, "--dry-run")
    assert (ran.exit_code, ran.stdout) == (0, "Products.CSV\n")
    assert "1 product list" in ran.stderr
    assert "Products.CSV has 1 product with 1 image." in ran.stderr
    document = imgsvc("submit", table, "--dry-run", "--json").document
    assert document["list"] == {"products": 1, "images": 1}


def test_a_dry_run_judges_a_list_as_the_server_would(imgsvc: Run, table: Path) -> None:
    table.write_text(TABLE.replace("Shoe", ""), encoding="utf-8")
    sent = imgsvc("submit", table)
    for arguments, stdin in ((table,), b""), (("--list", "-"), table.read_bytes()):
        ran = imgsvc("submit", *arguments, "--dry-run", stdin=stdin)
        assert (ran.exit_code, ran.stdout, ran.stderr) == (2, "", sent.stderr)


def test_a_dry_run_refuses_a_list_of_more_images_than_the_server_takes(
    imgsvc: Run, table: Path
) -> None:
    header, row, *_ = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([header, *[row] * 10_001]), encoding="utf-8")
    sent, dry = imgsvc("submit", table), imgsvc("submit", table, "--dry-run")
    assert "at most 10000 images" in dry.stderr
    assert (dry.exit_code, dry.stdout, dry.stderr) == (sent.exit_code, "", sent.stderr)


def test_a_list_goes_alone(imgsvc: Run, table: Path, photos: Path) -> None:
    ran = imgsvc("submit", table, photos)
    assert ran.exit_code == 2
    assert "a job of its own" in ran.stderr


def test_a_spreadsheet_is_to_be_saved_as_csv(imgsvc: Run, table: Path) -> None:
    ran = imgsvc("submit", table.rename(table.with_name("Products.XLSX")))
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "save it as CSV" in ran.stderr


def test_a_list_may_come_through_a_pipe(imgsvc: Run, table: Path) -> None:
    """As `<(…)` of a shell does, which has a name."""
    reading, writing = os.pipe()
    os.write(writing, table.read_bytes())
    os.close(writing)
    ran = imgsvc("submit", "--list", f"/dev/fd/{reading}", "--wait")
    os.close(reading)
    assert ran.exit_code == 1
    assert "1 image to fetch" in ran.stderr


def test_a_list_that_is_not_there_is_said_so(imgsvc: Run, tmp_path: Path) -> None:
    assert imgsvc("submit", tmp_path / "none.csv").exit_code == 2
