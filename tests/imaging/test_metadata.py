"""What goes along with the pixels, and what never does."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from imgsvc.domain.rendering import Rendered
from tests import pictures
from tests.imaging.conftest import Studio

COPYRIGHT, ARTIST, MAKE, ORIENTATION, GPS = 0x8298, 0x013B, 0x010F, 0x0112, 0x8825
NOTICE = "© Zoë Müller 2024"
SECRET = b"52.3702"

XMP = f"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" xmpRights:Marked="True"
 exif:GPSLatitude="{SECRET.decode()}">
<xmpRights:UsageTerms><rdf:Alt><rdf:li xml:lang="x-default">by permission</rdf:li></rdf:Alt>
</xmpRights:UsageTerms>
<dc:subject xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Bag><rdf:li>family</rdf:li></rdf:Bag>
</dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()


def iptc_block(**texts: str) -> bytes:
    numbers = {"byline": 80, "notice": 116, "caption": 120}
    data = b"".join(
        bytes([0x1C, 2, numbers[kind]]) + len(text.encode()).to_bytes(2, "big") + text.encode()
        for kind, text in texts.items()
    )
    resource = b"8BIM\x04\x04\0\0" + len(data).to_bytes(4, "big") + data
    return b"Photoshop 3.0\0" + resource + b"\0" * (len(data) % 2)


def with_segment(jpeg: bytes, marker: int, payload: bytes) -> bytes:
    head = bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big")
    return jpeg[:2] + head + payload + jpeg[2:]


def make_photo(*, exif: bool = True, xmp: bytes | None = XMP, iptc: bytes | None = None) -> bytes:
    options: dict[str, Any] = {}
    if exif:
        tags = Image.Exif()
        tags[COPYRIGHT], tags[ARTIST] = NOTICE.encode(), "Zoë".encode()
        tags[MAKE], tags[ORIENTATION] = "Spyglass", 6
        tags.get_ifd(GPS).update({1: "N", 2: (52.0, 22.0, 12.0)})
        options["exif"] = tags
    if xmp:
        options["xmp"] = xmp
    data = pictures.encode(pictures.quarters(64, 48), "JPEG", **options)
    return with_segment(data, 0xED, iptc) if iptc else data


def output(studio: Studio) -> bytes:
    return next(studio.folder.glob("out-v.*")).read_bytes()


def texts(picture: Image.Image) -> dict[int, str]:
    found = {tag: picture.getexif().get(tag) for tag in (COPYRIGHT, ARTIST)}
    return {tag: v.encode("latin-1").decode() for tag, v in found.items() if isinstance(v, str)}


def xmp_of(picture: Image.Image) -> bytes:
    found = picture.info.get("xmp") or picture.info["XML:com.adobe.xmp"]
    return found if isinstance(found, bytes) else str(found).encode()


def codes(outcome: Rendered) -> list[str]:
    return [str(warning.code) for warning in outcome.warnings]


@pytest.mark.parametrize("format_", ["jpeg", "webp", "png", "avif"])
def test_copyright_keeps_the_rights_and_nothing_else(studio: Studio, format_: str) -> None:
    picture, outcome = studio.make(make_photo(), format=format_, metadata="copyright")
    assert texts(picture) == {COPYRIGHT: NOTICE, ARTIST: "Zoë"}
    exif = picture.getexif()
    assert MAKE not in exif
    assert not exif.get_ifd(GPS)
    assert exif.get(ORIENTATION, 1) == 1
    xmp = xmp_of(picture)
    assert b"by permission" in xmp
    assert b"Marked" in xmp
    data = output(studio)
    assert not any(word in data for word in (SECRET, b"family", b"Spyglass", b"ICC_PROFILE"))
    assert codes(outcome) == []


def test_tiff_keeps_the_rights_as_xmp(studio: Studio) -> None:
    studio.make(make_photo(xmp=None), format="tiff", metadata="copyright")
    assert NOTICE.encode() in output(studio)
    assert b"Spyglass" not in output(studio)


@pytest.mark.parametrize("format_", ["jpeg", "webp", "png", "avif", "tiff"])
def test_rights_that_stand_in_iptc_alone_are_kept(studio: Studio, format_: str) -> None:
    block = iptc_block(caption="at home", notice="all mine", byline="me")
    picture, _ = studio.make(
        make_photo(exif=False, xmp=None, iptc=block), format=format_, metadata="copyright"
    )
    data = output(studio)
    assert b"all mine" in data
    assert b"at home" not in data
    if format_ != "tiff":
        assert texts(picture) == {COPYRIGHT: "all mine", ARTIST: "me"}


@pytest.mark.parametrize("format_", ["jpeg", "webp", "png", "avif", "tiff", "gif"])
def test_by_default_nothing_is_kept(studio: Studio, format_: str) -> None:
    block = iptc_block(notice="all mine")
    studio.make(make_photo(iptc=block), format=format_)
    data = output(studio)
    assert not any(w in data for w in (b"Zo", SECRET, b"all mine", b"Spyglass", b"permission"))


@pytest.mark.parametrize("format_", ["jpeg", "webp", "png", "avif"])
def test_all_keeps_everything_and_the_picture_upright(studio: Studio, format_: str) -> None:
    picture, _ = studio.make(make_photo(), format=format_, metadata="all")
    exif = picture.getexif()
    assert picture.size == (48, 64)
    assert exif[MAKE] == "Spyglass"
    assert exif.get_ifd(GPS)[1] == "N"
    assert exif.get(ORIENTATION, 1) == 1
    assert SECRET in xmp_of(picture)
    assert texts(picture)[COPYRIGHT] == NOTICE


def test_all_keeps_iptc_in_jpeg_and_tells_where_it_cannot(studio: Studio) -> None:
    data = make_photo(iptc=iptc_block(caption="at home"))
    _, outcome = studio.make(data, format="jpeg", metadata="all")
    assert b"at home" in output(studio)
    assert codes(outcome) == []
    assert codes(studio.make(data, format="webp", metadata="all")[1]) == ["metadata_dropped"]


@pytest.mark.parametrize("wanted", ["copyright", "all"])
def test_gif_holds_none_and_that_is_told(studio: Studio, wanted: str) -> None:
    assert codes(studio.make(make_photo(), format="gif", metadata=wanted)[1]) == [
        "metadata_dropped"
    ]


@pytest.mark.parametrize("wanted", ["none", "copyright", "all"])
def test_a_picture_without_metadata_needs_no_warning(studio: Studio, wanted: str) -> None:
    for format_ in ("gif", "webp", "tiff"):
        assert codes(studio.make(pictures.make_png(), format=format_, metadata=wanted)[1]) == []


def test_the_preview_in_exif_does_not_show_what_was_cropped_away(studio: Studio) -> None:
    preview = pictures.encode(pictures.quarters(32, 24), "JPEG")
    tiff = Image.Exif()
    tiff[MAKE] = "Spyglass"
    block = bytearray(tiff.tobytes()[6:])
    # a second directory with the preview's place and length (TIFF 6.0, EXIF 4.5.1)
    big = block[:2] == b"MM"
    order: Any = "big" if big else "little"
    ifd0 = int.from_bytes(block[4:8], order)
    entries = int.from_bytes(block[ifd0 : ifd0 + 2], order)
    ifd1 = len(block)
    at = ifd0 + 2 + 12 * entries
    block[at : at + 4] = ifd1.to_bytes(4, order)
    start = ifd1 + 2 + 24 + 4
    block += (2).to_bytes(2, order)
    for tag, value in ((0x0201, start), (0x0202, len(preview))):
        block += tag.to_bytes(2, order) + (4).to_bytes(2, order) + (1).to_bytes(4, order)
        block += value.to_bytes(4, order)
    block += bytes(4) + preview
    data = with_segment(pictures.make_jpeg(), 0xE1, b"Exif\0\0" + bytes(block))
    crop = {"left": 0, "top": 0, "width": 8, "height": 8}
    studio.make(data, format="jpeg", metadata="all", crop=crop)
    assert b"Spyglass" in output(studio)
    assert output(studio).count(b"\xff\xd8\xff") == 1


DESCRIBED = (
    b'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    b' xmlns:d="http://purl.org/dc/elements/1.1/">'
    b"<r:Description><d:rights>%s</d:rights></r:Description></r:RDF>"
)

HOSTILE = {
    "xml bomb": b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&a;'
    b"</x:xmpmeta>",
    "not xml": b"<x:xmpmeta><<<",
    "deep xml": b"<a>" * 20_000,
    "binary": bytes(range(256)) * 20,
    "utf-16 promised": b'<?xml version="1.0" encoding="utf-16"?><a/>',
    "unknown encoding": b'<?xml version="1.0" encoding="nonsense"?><a/>',
    "unfit encoding": b'<?xml version="1.0" encoding="zip_codec"?><a/>',
    "deep rights": DESCRIBED % (b"<a>" * 2000 + b"x" + b"</a>" * 2000),
    "half a letter": DESCRIBED % b"\xc3",
}


@pytest.mark.parametrize("wanted", ["none", "copyright", "all"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_xmp_of_any_kind_spoils_nothing(studio: Studio, kind: str, wanted: str) -> None:
    data = make_photo(xmp=HOSTILE[kind])
    for format_ in ("jpeg", "webp"):
        picture = studio.picture(data, format=format_, metadata=wanted)
        if wanted == "copyright":
            assert texts(picture)[COPYRIGHT] == NOTICE


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_rights_in_xmp_are_read_in_its_encodings_but_not_with_entities(
    studio: Studio, encoding: str
) -> None:
    plain = (DESCRIBED % NOTICE.encode()).decode()
    hidden = "<!DOCTYPE x [<!ENTITY a 'b'>]>" + plain
    for text, expected in ((plain, NOTICE), (hidden, None)):
        data = make_photo(exif=False, xmp=text.encode(encoding))
        picture = studio.picture(data, format="webp", metadata="copyright")
        assert texts(picture).get(COPYRIGHT) == expected


def test_rights_within_rights_do_not_multiply(studio: Studio) -> None:
    opening, closing = b"<r:Description><d:rights>", b"</d:rights></r:Description>"
    nested = DESCRIBED % (opening * 100 + b"x" * 10_000 + closing * 100)
    picture = studio.picture(
        make_photo(exif=False, xmp=nested), format="webp", metadata="copyright"
    )
    assert len(xmp_of(picture)) < 100_000


@pytest.mark.parametrize("wanted", ["none", "copyright", "all"])
@pytest.mark.parametrize(
    "block",
    [
        b"Exif\0\0", b"Exif\0\0MM\0*", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 200,
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x98\x82\x02\0\xff\xff\xff\x7f\x08\0\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
    ],
    ids=range(5),
)  # fmt: skip
def test_exif_of_any_kind_spoils_nothing(studio: Studio, block: bytes, wanted: str) -> None:
    data = with_segment(pictures.make_jpeg(), 0xE1, block)
    for format_ in ("jpeg", "webp"):
        assert studio.picture(data, format=format_, metadata=wanted).size == (64, 48)


@pytest.mark.parametrize("wanted", ["copyright", "all"])
@pytest.mark.parametrize(
    "block",
    [
        b"Photoshop 3.0\0", b"Photoshop 3.0\x008BIM\x04\x04\0\0\xff\xff\xff\xff\x1c\x02t",
        b"Photoshop 3.0\x008BIM\x04\x04\xff", b"\x1c\x02t\x80\xff" + b"x" * 100,
        iptc_block(notice="\0\x1b\x07 "),
    ],
    ids=range(5),
)  # fmt: skip
def test_iptc_of_any_kind_spoils_nothing(studio: Studio, block: bytes, wanted: str) -> None:
    data = with_segment(pictures.make_jpeg(), 0xED, block)
    for format_ in ("jpeg", "png"):
        assert studio.picture(data, format=format_, metadata=wanted).size == (64, 48)


@pytest.mark.parametrize("format_", ["webp", "png", "jpeg", "avif", "tiff"])
def test_a_block_of_many_megabytes_is_dropped_and_told(studio: Studio, format_: str) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + b" " * (4 << 20) + b"</x:xmpmeta>"
    stream = BytesIO()
    pictures.quarters(64, 48).save(stream, "WEBP", xmp=xmp)
    for wanted in ("copyright", "all"):
        _, outcome = studio.make(stream.getvalue(), format=format_, metadata=wanted)
        assert codes(outcome) == ["metadata_dropped"]
        assert outcome.outputs[0].size_bytes < 100_000


def test_xmp_says_upright_too(studio: Studio) -> None:
    xmp = XMP.replace(b'rdf:about=""', b'rdf:about="" xmlns:tiff="t" tiff:Orientation="6"')
    studio.make(make_photo(xmp=xmp), format="jpeg", metadata="all")
    assert b'tiff:Orientation="1"' in output(studio)
    assert b'tiff:Orientation="6"' not in output(studio)


def test_photoshops_preview_goes_and_the_rest_stays(studio: Studio) -> None:
    preview = pictures.encode(pictures.quarters(32, 24), "JPEG")
    resource = b"8BIM\x04\x0c\0\0" + len(preview).to_bytes(4, "big") + preview
    block = iptc_block(caption="at home") + resource + b"\0" * (len(preview) % 2)
    studio.make(make_photo(iptc=block), format="jpeg", metadata="all")
    assert b"at home" in output(studio)
    assert output(studio).count(b"\xff\xd8\xff") == 1


def test_nothing_rides_along_with_a_statement_of_rights(studio: Studio) -> None:
    hidden = (
        b'<xmpRights:UsageTerms exif:GPSLatitude="52.3702"><rdf:Alt><rdf:li xml:lang="x-default"'
        b' exif:GPSLatitude="52.3702">by permission<exif:GPSLatitude>52.3702</exif:GPSLatitude>'
        b"</rdf:li></rdf:Alt>"
    )
    start, end = XMP.index(b"<xmpRights:UsageTerms>"), XMP.index(b"</xmpRights:UsageTerms>")
    xmp = XMP[:start] + hidden + XMP[end:]
    picture = studio.picture(make_photo(xmp=xmp), format="png", metadata="copyright")
    assert b"by permission" in xmp_of(picture)
    assert SECRET not in xmp_of(picture)


def tiff_photo() -> bytes:
    tags, read = Image.Exif(), Image.Exif()
    tags[COPYRIGHT], tags[ARTIST], tags[MAKE] = "all mine", "me", "Spyglass"
    tags.get_ifd(GPS).update({1: "N", 2: (52.0, 22.0, 12.0)})
    read.load(tags.tobytes())  # Pillow writes a TIFF's GPS from what it has read alone
    return pictures.encode(pictures.quarters(64, 48), "TIFF", exif=read)


@pytest.mark.parametrize("format_", ["jpeg", "webp", "png", "avif"])
def test_a_tiff_has_its_metadata_among_its_tags(studio: Studio, format_: str) -> None:
    picture = studio.picture(tiff_photo(), format=format_, metadata="copyright")
    assert texts(picture) == {COPYRIGHT: "all mine", ARTIST: "me"}
    assert MAKE not in picture.getexif()
    assert not picture.getexif().get_ifd(GPS)
    whole = studio.picture(tiff_photo(), format=format_, metadata="all").getexif()
    assert (whole[MAKE], whole.get_ifd(GPS)[1]) == ("Spyglass", "N")
    assert 0x0111 not in whole  # where a TIFF has its pixels


def test_a_tiff_keeps_its_rights_in_a_tiff(studio: Studio) -> None:
    studio.make(tiff_photo(), format="tiff", metadata="copyright")
    assert b"all mine" in output(studio)


def png_with_texts(**texts: str) -> bytes:
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_itxt(keyword, text)
    return pictures.encode(pictures.quarters(64, 48), "PNG", pnginfo=info)


@pytest.mark.parametrize("format_", ["jpeg", "webp", "png", "avif"])
def test_the_texts_of_a_png_may_name_the_rights(studio: Studio, format_: str) -> None:
    data = png_with_texts(Copyright=NOTICE, Author="Zo\u00eb", Comment="at home")
    picture = studio.picture(data, format=format_, metadata="copyright")
    assert texts(picture) == {COPYRIGHT: NOTICE, ARTIST: "Zo\u00eb"}
    assert b"at home" not in output(studio)


def test_all_texts_stay_in_a_png_and_their_loss_is_told(studio: Studio) -> None:
    data = png_with_texts(Copyright=NOTICE, Comment="at home")
    picture, outcome = studio.make(data, format="png", metadata="all")
    assert picture.info["Comment"] == "at home"
    assert codes(outcome) == []
    picture, outcome = studio.make(data, format="webp", metadata="all")
    assert codes(outcome) == ["metadata_dropped"]
    assert texts(picture) == {COPYRIGHT: NOTICE}


@pytest.mark.parametrize("format_", ["webp", "png", "avif", "tiff"])
def test_all_loses_no_rights_that_copyright_would_keep(studio: Studio, format_: str) -> None:
    block = iptc_block(caption="at home", notice="all mine")
    data = make_photo(exif=False, xmp=None, iptc=block)
    _, outcome = studio.make(data, format=format_, metadata="all")
    assert b"all mine" in output(studio)
    assert codes(outcome) == ["metadata_dropped"]
