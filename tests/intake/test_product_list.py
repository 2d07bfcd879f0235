"""Product lists: what is taken, and that every wrong place of another one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.domain.ids import new_id
from imgsvc.domain.product_list import ProductList
from imgsvc.errors import InvalidCsv, PayloadTooLarge, TooManyImages
from imgsvc.intake.product_list import ListReader, stage_list
from tests.intake.streams import bytewise, stream

HEADER = "S. No.,Product Name,Input Image Urls"
URL = "https://shop.example/a.jpg"
GOOD = f"{HEADER}\n1,Shoe,{URL}\n"

Read = tuple[ProductList, list[tuple[tuple[str, ...], tuple[str, ...]]]]


def read(content: str | bytes, tmp_path: Path, charset: str | None = None, most: int = 99) -> Read:
    file = tmp_path / "list"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    reader = ListReader(file, charset, max_images=most)
    table = reader.check()
    return table, [(product.cells, product.urls) for product in reader.products()]


def faults(content: str | bytes, tmp_path: Path, charset: str | None = None) -> dict[str, str]:
    with pytest.raises(InvalidCsv) as caught:
        read(content, tmp_path, charset)
    assert caught.value.faults[0].detail in caught.value.message
    found = {fault.pointer: fault.detail for fault in caught.value.faults}
    assert len(found) == len(caught.value.faults)
    return found


def test_a_list_is_its_header_and_its_rows(tmp_path: Path) -> None:
    content = f'{HEADER},Colour\n1,Shoe,"{URL}, https://b.example/x",red\n2,Hat,{URL},\n'
    table, rows = read(content, tmp_path)
    header = ("S. No.", "Product Name", "Input Image Urls", "Colour")
    assert table == ProductList(header, ",", with_bom=False)
    first = f"{URL}, https://b.example/x"
    assert rows == [
        (("1", "Shoe", first, "red"), (URL, "https://b.example/x")),
        (("2", "Hat", URL, ""), (URL,)),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_spreadsheet_programs_add_is_passed_over(tmp_path: Path, delimiter: str) -> None:
    lines = (f"sep={delimiter}", f"{HEADER},,", f"1,Shoe,{URL},,", f"2,Hat,{URL}, ,", ",,,,")
    content = "\n".join([lines[0], *(line.replace(",", delimiter) for line in lines[1:])])
    table, rows = read(content, tmp_path)
    assert table == ProductList(tuple(HEADER.split(",")), delimiter, with_bom=False)
    assert rows == [(("1", "Shoe", URL), (URL,)), (("2", "Hat", URL), (URL,))]


def test_a_cell_has_as_many_urls_as_a_job_may_have_images(tmp_path: Path) -> None:
    urls = tuple(f"https://shop.example/autumn/catalogue/product-{n:05}.jpg" for n in range(5000))
    _, rows = read(f'{HEADER}\n1,Shoe,"{",".join(urls)}"\n', tmp_path, most=5000)
    assert rows[0][1] == urls


@pytest.mark.parametrize(
    "header",
    [
        "S. No.,Product Name,Input Image Urls",
        "serial_number,product_name,input_image_urls",
        "Serial No,PRODUCT NAME,Input Image URL",
        "SERIAL NUMBER, productName , inputImageUrls",
        'SNo, "Product  Name","Image URLs"',
        "Sr. No.,Product\u00a0Name,Input.Image.Urls",
    ],
)
def test_headers_are_known_in_any_case_with_any_spaces_dots_and_underscores(
    tmp_path: Path, header: str
) -> None:
    table, rows = read(f"{header}\n1,Shoe,{URL}\n", tmp_path)
    assert rows == [(("1", "Shoe", URL), (URL,))]
    assert len(table.header) == 3


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_found_in_the_header(tmp_path: Path, delimiter: str) -> None:
    lines = [["Note, or; more", "S. No.", "Product Name", "Input Image Urls"],
             ["a,b;c", "1", "Shoe", f"{URL},{URL}?2"]]  # fmt: skip
    content = "\n".join(delimiter.join(f'"{cell}"' for cell in line) for line in lines)
    table, rows = read(content, tmp_path)
    assert table.delimiter == delimiter
    assert rows == [(tuple(lines[1]), (URL, f"{URL}?2"))]


@pytest.mark.parametrize(
    ("cell", "urls"),
    [
        (f"{URL},{URL}?b", [URL, f"{URL}?b"]),
        (f" {URL} ,\n {URL}?b\r\n{URL}?c, ", [URL, f"{URL}?b", f"{URL}?c"]),
        (f",,{URL},", [URL]),
        (
            "HTTPS://shop.example:8443/ä%20b.jpg?x=1;y",
            ["HTTPS://shop.example:8443/ä%20b.jpg?x=1;y"],
        ),
    ],
)
def test_a_cell_holds_urls_with_commas_or_line_breaks_between_them(
    tmp_path: Path, cell: str, urls: list[str]
) -> None:
    _, rows = read(f'{HEADER}\n1,"Shoe\nof two lines","{cell}"\n', tmp_path)
    assert rows == [(("1", "Shoe\nof two lines", cell), tuple(urls))]


def test_blank_lines_are_passed_over_and_yet_counted(tmp_path: Path) -> None:
    content = f"\n{HEADER}\n\n , ,\n1,Shoe,{URL}\n,,\n\nx,Hat,{URL}\n\n"
    assert list(faults(content, tmp_path)) == ["/rows/8/S. No."]


@pytest.mark.parametrize(
    ("content", "charset", "with_bom"),
    [
        (GOOD.encode(), None, False),
        (GOOD.encode(), "utf-8", False),
        (GOOD.encode("utf-8-sig"), None, True),
        (GOOD.encode("utf-8-sig"), "windows-1252", True),
        (GOOD.encode("utf-16"), None, True),
        (b"\xfe\xff" + GOOD.encode("utf-16-be"), None, True),
        (GOOD.encode("utf-32"), None, True),
        (GOOD.encode("utf-16-le"), None, True),
        (GOOD.encode("utf-16-be"), None, True),
        (GOOD.encode("utf-16-le"), "utf-16le", True),
    ],
)
def test_unicode_is_read_with_and_without_a_mark(
    tmp_path: Path, content: bytes, charset: str | None, with_bom: bool
) -> None:
    table, rows = read(content, tmp_path, charset)
    assert (table.header[0], rows[0][1], table.with_bom) == ("S. No.", (URL,), with_bom)


@pytest.mark.parametrize(
    ("codec", "charset", "name"),
    [
        ("utf-8", None, "Größe № 5 靴 👟"),
        ("utf-16", None, "Größe № 5 靴 👟"),
        ("cp1252", "windows-1252", "Größe “5” €"),
        ("cp1252", "ISO-8859-1", "Größe “5” €"),
        ("cp1251", "cp1251", "Красная рубашка"),
        ("shift_jis", "Shift_JIS", "赤いシャツ"),
        ("gb18030", "GB2312", "红色衬衫"),
    ],
)
def test_other_encodings_are_read_when_they_are_named(
    tmp_path: Path, codec: str, charset: str | None, name: str
) -> None:
    content = GOOD.replace("Shoe", name).encode(codec)
    _, rows = read(content, tmp_path, charset)
    assert rows[0][0][1] == name


@pytest.mark.parametrize(
    ("content", "charset", "said"),
    [
        (GOOD.replace("Shoe", "Größe").encode("cp1252"), None, "not UTF-8 from line 2 on"),
        (GOOD.replace("Shoe", "Größe").encode("cp1252"), "utf-8", "charset=windows-1252"),
        (GOOD.encode("utf-16")[:-1], None, "not UTF-16"),
        (GOOD.encode(), "klingon", "'klingon' is not known"),
        (GOOD.encode(), "klingon", "-F 'file=@list.csv;type=text/csv;charset="),  # for a form
        (GOOD.encode(), "base64", "'base64' is not known"),
        (b"PK\x03\x04" + bytes(60), None, "CSV UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(
    tmp_path: Path, content: bytes, charset: str | None, said: str
) -> None:
    (detail,) = faults(content, tmp_path, charset).values()
    assert said in detail
    assert "CSV UTF-8" in detail


@pytest.mark.parametrize(
    ("row", "pointers"),
    [
        ("x,Shoe,{url}", ["/S. No."]),
        ("1.5,Shoe,{url}", ["/S. No."]),
        (",Shoe,{url}", ["/S. No."]),
        ("１,Shoe,{url}", ["/S. No."]),  # noqa: RUF001 - a digit of another kind
        ("1,,{url}", ["/Product Name"]),
        ('1,"  ",{url}', ["/Product Name"]),
        ("1," + "n" * 256 + ",{url}", ["/Product Name"]),
        ("1,Sh\0oe,{url}", ["/Product Name"]),
        ("1,Shoe,", ["/Input Image Urls"]),
        ('1,Shoe," , "', ["/Input Image Urls"]),
        ("1,Shoe,ftp://a.example/b.jpg", ["/Input Image Urls"]),
        ("1,Shoe,a.jpg", ["/Input Image Urls"]),
        ("1,Shoe,https://", ["/Input Image Urls"]),
        ("1,Shoe,https://a b/c", ["/Input Image Urls"]),
        ("1,Shoe,https://a.example:x/", ["/Input Image Urls"]),
        ('1,Shoe,"{url},h_200/b.jpg"', ["/Input Image Urls"]),
        ("1,Shoe,https://a.example/" + "x" * 8192, ["/Input Image Urls"]),
        ("1,Shoe,http://a.example/b\\c", ["/Input Image Urls"]),
        ("1,Shoe,http://a.example\\@b.example/", ["/Input Image Urls"]),
        ("1,Shoe,http://1.2.3/", ["/Input Image Urls"]),
        ("1,Shoe,{url}\u200b", ["/Input Image Urls"]),
        ("1,Shoe,{url}\x7f", ["/Input Image Urls"]),
        ('1,Shoe,"{url}?\u2028x"', ["/Input Image Urls"]),
        ("1,Shoe,http://a.example:0/", ["/Input Image Urls"]),
        ("one,,nothing", ["/S. No.", "/Product Name", "/Input Image Urls"]),
        ("1,Shoe", [""]),
        ("1,Shoe,{url},{url}", [""]),
        ('1,Shoe,"{url}', [""]),
    ],
)
def test_every_wrong_cell_is_told_by_row_and_column(
    tmp_path: Path, row: str, pointers: list[str]
) -> None:
    found = faults(f"{HEADER}\n7,Hat,{URL}\n{row.format(url=URL)}\n", tmp_path)
    assert list(found) == [f"/rows/3{pointer}" for pointer in pointers]
    for pointer, detail in found.items():
        column = pointer.removeprefix("/rows/3").lstrip("/")
        assert detail.startswith(f"Row 3, {column}: " if column else "Row 3: ")
        assert len(detail) < 250


@pytest.mark.parametrize("row", ["-5,S,{url}", "+5,S,{url}", " 5 ,  S  , {url} ",
                                 "1," + "n" * 255 + ",{url}",
                                 "1,S,{url}?" + "x" * 8000,
                                 "1,S,http://a.example:22/b.jpg"])  # fmt: skip
def test_what_is_at_the_edge_is_taken(tmp_path: Path, row: str) -> None:
    assert len(read(f"{HEADER}\n{row.format(url=URL)}\n", tmp_path)[1]) == 1


@pytest.mark.parametrize(
    ("header", "pointers"),
    [
        ("Product Name,Input Image Urls", ["/rows/1/S. No."]),
        ("a,b", ["/rows/1/S. No.", "/rows/1/Product Name", "/rows/1/Input Image Urls"]),
        (f"{HEADER},Serial Number", ["/rows/1/S. No."]),
        (f'{HEADER},"Colour', ["/rows/1"]),
        (HEADER + "," * 17_000 + "Colour", ["/rows/1"]),
    ],
)
def test_a_wrong_header_is_told(tmp_path: Path, header: str, pointers: list[str]) -> None:
    assert list(faults(f"{header}\n1,Shoe,{URL}\n", tmp_path)) == pointers


def test_other_columns_are_as_they_are(tmp_path: Path) -> None:
    content = f"Note,,{HEADER},,Note,note \n,,1,Shoe,{URL},x,a,b\n"
    table, rows = read(content, tmp_path)
    assert table.header == ("Note", "", *HEADER.split(","), "", "Note", "note ")
    assert rows == [(("", "", "1", "Shoe", URL, "x", "a", "b"), (URL,))]
    assert faults(content.replace("x,", "\0,"), tmp_path) == {"/rows/2": "Row 2: has a NUL byte."}


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", HEADER, f"{HEADER}\n\n,,\n"])
def test_a_list_without_a_row_is_refused(tmp_path: Path, content: str) -> None:
    assert list(faults(content, tmp_path)) == ["/rows"]


def test_a_password_in_a_url_is_not_said(tmp_path: Path) -> None:
    row = "1,Shoe,https://me:secret@a.example/b.jpg"
    (detail,) = faults(f"{HEADER}\n{row}\n", tmp_path).values()
    assert "'https://***@a.example/b.jpg' must not hold a user or a password" in detail


def test_urls_that_spill_out_of_their_cell_are_told_what_is_missing(tmp_path: Path) -> None:
    (detail,) = faults(f"{HEADER}\n1,Shoe,{URL}, {URL}\n", tmp_path).values()
    assert detail.startswith("Row 2: 4 cells where the header has 3")
    assert "quotes" in detail


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        (f"{URL} | {URL}", "separate URLs by commas"),
        (f"{URL} {URL}", "separate URLs by commas"),
        (f"a.jpg;{URL}", "separate URLs by commas"),
        ("https://shop.example/a b.jpg", "write a blank within a URL as %20"),
        (f"{URL},b.jpg", "write a comma within a URL as %2C"),
    ],
)
def test_what_is_no_url_is_told_how_it_would_be(tmp_path: Path, cell: str, hint: str) -> None:
    (detail,) = faults(f'{HEADER}\n1,Shoe,"{cell}"\n', tmp_path).values()
    assert detail.endswith(f" must be an http or https URL; {hint}.")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (f"{'9' * 19},Shoe,{URL}", f"Row 2, S. No.: '{'9' * 19}' has more than 18 digits."),
        ("1", "Row 2: 1 cell where the header has 3."),
    ],
)
def test_a_fault_is_told_as_what_it_is(tmp_path: Path, row: str, words: str) -> None:
    assert list(faults(f"{HEADER}\n{row}\n", tmp_path).values()) == [words]


def test_a_quoted_cell_of_many_lines_is_one_row(tmp_path: Path) -> None:
    content = f'{HEADER}\n1,"Shoe\n\n\nof leather",{URL}\nx,Hat,{URL}\n'
    assert list(faults(content, tmp_path)) == ["/rows/3/S. No."]


def test_of_many_faults_none_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text(f"{HEADER}\n" + "x,,a\n" * 500, encoding="utf-8")
    with pytest.raises(InvalidCsv) as caught:
        ListReader(file, None, max_images=500).check()
    assert len(caught.value.faults) == 1500
    assert "1500 faults in all" in caught.value.message


@pytest.mark.parametrize(
    "rows", [f'1,Shoe,"{URL},{URL},{URL}"\n', f"1,Shoe,{URL}\n" * 3, "x\n" * 3]
)
def test_more_images_than_a_job_may_have_are_too_many(tmp_path: Path, rows: str) -> None:
    with pytest.raises(TooManyImages):
        read(f"{HEADER}\n{rows}", tmp_path, most=2)


async def test_a_staged_list_is_read_from_its_file_and_leaves_nothing(blobs: BlobStore) -> None:
    stage = blobs.stage(new_id())
    file, sha256 = await stage_list(stream(bytewise(GOOD.encode())), stage)
    assert file.path.read_bytes() == GOOD.encode()
    assert len(sha256) == 64
    await file.abort()
    assert not file.path.exists()
    await stage.sync()


async def test_a_list_that_is_too_large_is_refused_as_it_arrives(blobs: BlobStore) -> None:
    stage = blobs.stage(new_id())
    with pytest.raises(PayloadTooLarge):
        await stage_list(stream(bytewise(GOOD.encode())), stage, max_bytes=len(GOOD) - 1)
    await stage.discard()


def test_a_title_is_short_enough_to_be_told_with_every_fault(tmp_path: Path) -> None:
    long = f"S{'.' * 255}No"
    rows = "".join(f"x,Shoe,{URL}\n" for _ in range(3))
    found = faults(f"{long},Product Name,Input Image Urls\n{rows}", tmp_path)
    assert found == {"/rows/1": "Row 1: column 1 has a title of more than 255 characters."}
