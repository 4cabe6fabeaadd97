"""Pictures of models: what is on them, that it can be read, and the files."""

import io
import itertools
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from kerasnets.models import complexity, drawing, specs
from kerasnets.models.drawing.shapes import FILLS, INK, LINES, Box, Ground, Line, Page, Sum, Words
from kerasnets.models.shown import Shown

SVG = "{http://www.w3.org/2000/svg}"
DOCS = Path(__file__).parents[2] / "docs"
MODELS: list[tuple[str, dict[str, Any]]] = [
    ("resnet18", {}),
    ("resnet50", {}),
    ("resnet20", {}),
    ("resnet20", {"shortcut": "C", "activation": "maxout"}),
    ("plain34", {}),
    ("resnet50v2", {}),
    ("plain14", {"pre_activation": True, "normalization": "none", "dropout": 0.2}),
    ("googlenet", {}),
    ("googlenet", {"inception": "naive", "auxiliary": False, "lrn": False}),
    ("lenet5", {}),
]
LABELS = ["-".join([name, *options]) for name, options in MODELS]


def drawn(name: str, options: dict[str, Any], size: int | None = None) -> Page:
    shown = Shown.of(name, options, size, None)
    return drawing.page(shown.model, name, drawing.notes(shown.row, shown.options, shown.cost))


def boxes(page: Page, kind: str = "") -> list[Box]:
    return [shape for shape in page.shapes if isinstance(shape, Box) and shape.words and kind in ("", shape.kind)]


def lines(page: Page, kind: str) -> list[Line]:
    return [shape for shape in page.shapes if isinstance(shape, Line) and shape.kind == kind and len(shape.points) > 2]


def said(page: Page) -> list[str]:
    return [shape.text for shape in page.shapes if isinstance(shape, Words)]


def test_a_resnet_has_each_kind_of_block_once() -> None:
    page = drawn("resnet50", {})
    counts = {kind: len(boxes(page, kind)) for kind in FILLS if boxes(page, kind)}
    assert counts == {"image": 1, "convolution": 1 + 4 * 2 * 3, "projection": 4, "pool": 2, "head": 1}
    assert {kind: len(lines(page, kind)) for kind in LINES} == {
        "flow": 5,  # from column to column
        "identity": 4,
        "projection": 4,
        "padded": 0,
        "auxiliary": 0,
    }
    assert [text for text in said(page) if re.match("×", text)] == ["× 2", "× 3", "× 5", "× 2"]
    assert {"stem", "conv2", "conv3", "conv4", "conv5", "head", "14×14×1024", "receptive field 427"} <= set(said(page))
    assert [box.words for box in boxes(page, "projection")][:2] == [("1×1, 256",), ("1×1, 512", "/2")]


def test_depth_does_not_matter() -> None:
    """resnet1202's picture is resnet20's with other numbers; it is too deep to be built here."""
    shallow, deep = drawn("resnet20", {}), drawn("resnet80", {})
    assert [text for text in said(deep) if text.startswith("×")] == ["× 13", "× 12", "× 12"]
    assert len(deep.shapes) == len(shallow.shapes)
    assert (deep.width, deep.height) == (shallow.width, shallow.height)


def test_kinds_of_shortcuts_are_told_apart() -> None:
    page = drawn("resnet20", {})
    assert [len(lines(page, kind)) for kind in ("identity", "padded", "projection")] == [3, 2, 0]
    assert {"/2", "+ 16 zero", "+ 32 zero"} <= set(said(page))
    assert "shortcut without parameters: subsampled, new channels are zero" in said(page)
    plain = drawn("plain34", {})
    assert [len(lines(plain, kind)) for kind in ("identity", "padded", "projection")] == [0, 0, 0]
    assert not [shape for shape in plain.shapes if isinstance(shape, Sum)]
    assert not {"identity shortcut", "projection shortcut"} & set(said(plain))
    assert len({LINES[kind][0] for kind in ("identity", "projection", "padded")}) == 3
    assert LINES["padded"][2] != LINES["identity"][2]


def test_googlenet_has_its_heads_and_one_module_in_detail() -> None:
    page = drawn("googlenet", {})
    assert [box.words for box in boxes(page, "auxiliary head")] == [
        ("softmax1", "1000 classes"),
        ("softmax0", "1000 classes"),
    ]
    assert [box.words for box in boxes(page, "head")] == [("softmax2", "1000 classes")]
    assert [box.words[0] for box in boxes(page, "inception")] == [
        *(f"inception {module}" for module in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")),
        "concatenated channels",
    ]
    ends = {line.points[0][1] for line in lines(page, "auxiliary")}
    middles = {box.words[0]: box.y for box in boxes(page, "inception")}
    assert ends == {middles["inception 4a"], middles["inception 4d"]}
    assert ("1×1", "reduce") in [box.words for box in boxes(page, "convolution")]
    numbers = said(page)[said(page).index("4d") + 1 :][:7]
    assert numbers == ["112", "144", "288", "32", "64", "64", "528"]
    naive = drawn("googlenet", {"inception": "naive", "auxiliary": False})
    assert not boxes(naive, "auxiliary head")
    assert ("1×1", "reduce") not in [box.words for box in boxes(naive, "convolution")]


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        (
            "resnet20",
            {},
            "Batch normalisation and relu after each convolution; relu of a block's last comes after the sum.",
        ),
        ("resnet50v2", {}, "In blocks, batch normalisation and relu before each convolution; sums stay as they are."),
        ("plain20", {"activation": "elu"}, "Batch normalisation and elu after each convolution."),
        ("resnet20", {"normalization": "none"}, "Relu after each convolution, of a block's last after the sum."),
        ("lenet5", {}, "Tanh after each convolution; tanh after dense layers but the last."),
        ("googlenet", {}, "Relu after each convolution."),
    ],
)
def test_notes_say_what_boxes_leave_out(name: str, options: dict[str, Any], sentence: str) -> None:
    shown = Shown.of(name, options, None, None)
    notes = drawing.notes(shown.row, shown.options, shown.cost)
    assert notes[1] == sentence
    if name == "googlenet":
        assert notes[0].endswith("table 1. 13,378,280 parameters and 1.591 G MACs an image with all heads.")
        assert notes[2:] == ["The auxiliary heads' losses have weight 0.3; they are not served."]


@pytest.mark.parametrize(("name", "options"), MODELS, ids=LABELS)
def test_nothing_overlaps_or_leaves_the_page(name: str, options: dict[str, Any]) -> None:
    page = drawn(name, options)
    for one, other in itertools.combinations(boxes(page), 2):
        apart_x = abs(one.x - other.x) >= (one.width + other.width) / 2
        assert apart_x or abs(one.y - other.y) >= (one.height + other.height) / 2, (one, other)
    for box in boxes(page):
        assert 0 <= box.x - box.width / 2 and box.x + box.width / 2 <= page.width
        assert 0 <= box.y - box.height / 2 and box.y + box.height / 2 <= page.height
    grounds = [shape for shape in page.shapes if isinstance(shape, Ground)]
    assert page.shapes[: len(grounds)] == grounds  # below all else


@pytest.mark.parametrize(("name", "options"), MODELS, ids=LABELS)
def test_words_fit_their_boxes_and_the_page(name: str, options: dict[str, Any]) -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    def width(text: str, size: float, bold: bool) -> float:
        font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
        return float(TextPath((0, 0), text, size, prop=font, usetex=False).get_extents().width)

    page = drawn(name, options)
    for box in boxes(page):
        assert all(width(text, 12, bold=False) <= box.width - 4 for text in box.words), box
        assert 15 * len(box.words) <= box.height
    for words in (shape for shape in page.shapes if isinstance(shape, Words) and shape.align == "left"):
        assert words.x + width(words.text, words.size, words.bold) <= page.width, words


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_words_stand_out_from_every_colour() -> None:
    """WCAG 2.2, level AAA: 7 to 1."""
    for fill in FILLS.values():
        assert (luminance(fill) + 0.05) / (luminance(INK) + 0.05) >= 7, fill


def test_svg_is_valid_accessible_and_the_same_each_time() -> None:
    shown = Shown.of("googlenet", {"width": 0.5}, 64, 7)
    content = shown.picture("svg")
    root = ElementTree.fromstring(content)
    assert root.tag == f"{SVG}svg" and root.get("role") == "img"
    title, description = root[0], root[1]
    assert (title.tag, title.text) == (f"{SVG}title", "googlenet: 64×64×3 to 7 classes")
    assert description.tag == f"{SVG}desc" and description.text
    assert "inception_4e: Inception, output 8x8x416. " in description.text
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"inception 4a", "softmax2", "7 classes"} <= set(texts)  # words are words, not outlines
    assert len({element.get("id") for element in root.iter() if element.get("id")}) == len(
        [element for element in root.iter() if element.get("id")]
    )
    assert b"matplotlib" not in content
    assert Shown.of("googlenet", {"width": 0.5}, 64, 7).picture("svg") == content


def test_png_is_sharp_and_the_same_each_time() -> None:
    shown = Shown.of("resnet8", {}, None, None)
    page = drawing.page(shown.model, "resnet8", [])
    content = drawing.render(page, "png")
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG"
    assert [round(2 * side) - edge for side, edge in zip((page.width, page.height), image.size, strict=True)] == [0, 0]
    assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert drawing.render(page, "png") == content


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in specs.MODELS if "1202" not in name])
def test_every_model_can_be_drawn(name: str, outlined: Any) -> None:
    model = outlined(name)
    page = drawing.page(model, name, [])
    assert page.width < 1700 and page.height < 1200
    assert complexity.stages(model)[-1].name in {box.words[0] for box in boxes(page, "head")}


@pytest.mark.parametrize("path", sorted(DOCS.glob("pictures/*.svg")), ids=lambda path: path.stem)
def test_pictures_in_the_docs_are_of_the_models_as_they_are(path: Path) -> None:
    root = ElementTree.fromstring(path.read_bytes())
    shown = ElementTree.fromstring(Shown.of(path.stem, {}, None, None).picture("svg"))
    for tag in ("title", "desc", "text"):
        there, made = ([found.text for found in tree.iter(f"{SVG}{tag}")] for tree in (root, shown))
        assert there == made, f"to draw it again: kerasnets models {path.stem} --draw {path}"
