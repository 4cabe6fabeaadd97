"""The web folder: what is in it, and what its page answers in a real browser."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from browser import Page, binary, chromium
from PIL import Image
from web_page import Server, give, ready, wait

from kerasnets import models
from kerasnets.artifacts import golden
from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.formats import onnx as onnx_format
from kerasnets.artifacts.formats import onnx_int8, web
from kerasnets.artifacts.graph import Graph, serving_graph
from kerasnets.artifacts.reference import Reference
from kerasnets.artifacts.verify import verify
from kerasnets.artifacts.web import check, network, page
from kerasnets.data import decode
from kerasnets.data.preprocessing import Preprocessing, Resize
from kerasnets.errors import CheckFailed
from kerasnets.run import Run

in_chromium = pytest.mark.skipif(binary() is None, reason="needs a browser: Debian's package `chromium`")


def test_the_runtime_is_what_was_vendored() -> None:
    assert {p.name for p in page.RUNTIME.iterdir()} == {*page.HASHES, "LICENSE", "ThirdPartyNotices.txt"}
    for name, expected in page.HASHES.items():
        assert hashlib.sha256((page.RUNTIME / name).read_bytes()).hexdigest() == expected
    assert f"ONNX Runtime Web v{page.RUNTIME_VERSION}" in (page.RUNTIME / "ort.wasm.min.mjs").read_text()[:100]
    assert (page.RUNTIME / "LICENSE").read_text().startswith("MIT License")


@pytest.mark.parametrize(
    ("resize", "ratio", "dtype", "static", "expected"),
    [
        ("squash", 1.0, "float32", False, [224, 160]),
        ("pad", 1.0, "float32", False, [224, 160]),
        ("crop", 1.0, "float32", False, [224, 160]),
        ("crop", 0.875, "float32", False, None),  # 160 / 0.875 are no whole pixels
        ("crop", 0.5, "float32", False, [448, 320]),
        ("crop", 0.875, "float32", True, [224, 160]),
        ("squash", 1.0, "uint8", False, None),
        ("squash", 1.0, "uint8", True, [224, 160]),
    ],
)
def test_a_frame_goes_through_the_networks_own_resize(
    resize: Resize, ratio: float, dtype: str, static: bool, expected: list[int] | None
) -> None:
    how = Preprocessing((224, 160), 1, resize, ratio, (0.0,), (1.0,))
    found = page.frame(how, dtype, static=static)
    assert found == expected
    if found is not None and not static:
        pixels = np.random.default_rng(0).uniform(0, 255, (1, 224, 160, 1)).astype(np.float32)
        margins = [((outer - inner) // 2,) * 2 for outer, inner in zip(found, (224, 160), strict=True)]
        framed = np.pad(pixels, [(0, 0), *margins, (0, 0)])
        np.testing.assert_allclose(how.resized(framed, np), pixels, atol=1e-3)


def test_a_class_name_cannot_end_the_script() -> None:
    known = {"name": "<b>", "model": "m", "labels": ["</script><script>alert(1)</script>"], "size": [1, 1]}
    text = page.html({**known, "temperature": 1.5}, eight_bits=True)
    assert text.count("</script>") == 2 and "<b>" not in text and "temperature 1.5" in text
    assert "alert(1)" in text and "<script>alert" not in text


@pytest.fixture(scope="module")
def graph(photo_resnet: Run) -> Graph:
    return replace(serving_graph(photo_resnet), unknown_below=0.5, temperature=1.5)


@pytest.fixture(scope="module")
def directory(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version's directory with the web folder alone."""
    found = tmp_path_factory.mktemp("version")
    web.write(graph, found)
    return found


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[Server]:
    found = Server(directory / "web")
    yield found
    found.close()


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


def press(tab: Page, key: str, code: int, text: str = "") -> None:
    keys = {"key": key, "code": key if text != " " else "Space", "windowsVirtualKeyCode": code}
    tab.call("Input.dispatchKeyEvent", type="keyDown", text=text, **keys)
    tab.call("Input.dispatchKeyEvent", type="keyUp", **keys)


def answers(tab: Page, pictures: dict[str, bytes]) -> dict[str, Any]:
    """Return what the page's `classify` says of encoded pictures."""
    encoded = json.dumps({name: base64.b64encode(content).decode() for name, content in pictures.items()})
    script = f"""(async () => {{
      const found = {{}};
      for (const [name, text] of Object.entries({encoded})) {{
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        const answer = await classify(new File([bytes], name));
        found[name] = {{ pixels: [...answer.pixels], probabilities: [...answer.probabilities], size: answer.original,
                         unknown: answer.unknown }};
      }}
      return found;
    }})()"""
    found: dict[str, Any] = tab.evaluate(script)
    return found


@pytest.mark.slow
@in_chromium
def test_golden_pictures_are_answered_as_in_python(tab: Page, server: Server, graph: Graph, directory: Path) -> None:
    ready(tab, server)
    pictures, preprocessing = golden.pictures(), graph.preprocessing
    runner = onnx_format.read(directory / web.FILE)
    for name, found in answers(tab, pictures).items():
        pixels = decode.pillow(pictures[name], 3)[np.newaxis].astype(np.float32)
        assert found["size"] == list(pixels.shape[1:3]), name
        expected = preprocessing.resized(pixels, np).ravel()
        assert np.abs(np.array(found["pixels"]) - expected).max() <= 1.0, name
        outputs = runner.outputs(pixels)
        probabilities = outputs["probabilities"][0]
        assert found["unknown"] == outputs["unknown"][0], name
        assert np.abs(np.array(found["probabilities"]) - probabilities).max() <= 1e-3, name
        assert np.argmax(found["probabilities"]) == probabilities.argmax(), name
    assert tab.complaints == []


FEW = (
    *("mode-l-16-bits.png", "mode-rgba.png", "mode-p-transparent.gif", "mode-ycck.jpg", "exif-5.webp", "exif-8.webp"),
    *("jpeg-4-2-0.jpg", "size-1x37.png", "size-331x257.jpg"),
)


@pytest.mark.slow
@in_chromium
@pytest.mark.parametrize(
    ("channels", "resize", "ratio", "feed", "framed"),
    [
        (1, "crop", 0.875, Feed(), None),
        (3, "crop", 0.5, Feed(), [32, 24]),
        (3, "squash", 1.0, Feed("uint8"), None),
        (3, "pad", 1.0, Feed("uint8", static=True), [16, 12]),
    ],
    ids=["grey", "margins", "uint8", "uint8-static"],
)
def test_what_other_networks_are_fed(
    channels: int, resize: Resize, ratio: float, feed: Feed, framed: list[int] | None, tab: Page, tmp_path: Path
) -> None:
    mean, std = (90.0, 120.0, 150.0)[:channels], (50.0, 60.0, 70.0)[:channels]
    preprocessing = Preprocessing((16, 12), channels, resize, ratio, mean, std)
    model = models.build("resnet20", (16, 12, channels), 4, blocks=[1, 1, 1])
    graph = Graph(model, preprocessing, ("a", "b", "c", "d"), feed, {"name": "m", "model": "resnet20"})
    web.write(graph, tmp_path)
    assert page.facts(graph, tmp_path / "web")["frame"] == framed
    runner, pictures, said = onnx_format.read(tmp_path / web.FILE), golden.pictures(), []
    with closing(Server(tmp_path / "web")) as server:
        ready(tab, server)
        for name, found in answers(tab, {name: pictures[name] for name in FEW}).items():
            pixels = decode.pillow(pictures[name], channels)[np.newaxis]
            assert found["size"] == list(pixels.shape[1:3]), name
            expected = preprocessing.resized(pixels.astype(np.float32), np).ravel()
            assert np.abs(np.array(found["pixels"]) - expected).max() <= 1.0, name
            said.append(runner(feed.prepare(pixels, preprocessing))[0])
            assert np.abs(np.array(found["probabilities"]) - said[-1]).max() <= 1e-3, name
        assert np.ptp(said, axis=0).max() > 0.1  # the network tells the pictures apart
        (tmp_path / "turned.webp").write_bytes(pictures["exif-5.webp"])
        give(tab, tmp_path / "turned.webp")
        wait(tab, "!document.getElementById('result').hidden")
        assert tab.complaints == []
        seen = tab.evaluate(
            "(() => { const c = document.getElementById('seen'); "
            "return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]; })()"
        )
    raw = decode.pillow(pictures["exif-5.webp"], channels)[np.newaxis].astype(np.float32)
    expected = np.broadcast_to(preprocessing.resized(raw, np)[0], (16, 12, 3))
    assert np.abs(np.reshape(seen, (16, 12, 4))[..., :3] - expected).max() <= 1.5


@pytest.mark.slow
@in_chromium
def test_halves_are_rounded_as_in_python(tab: Page) -> None:
    script = (page.ASSETS / "page.js").read_text(encoding="utf-8")
    begin = script.index("function roundHalfEven")
    function = script[begin : script.index("\n}\n", begin) + 2]
    halves = [0.4, 0.5, 1.5, 2.5, 2.6, 253.5, 254.5]
    assert tab.evaluate(f"{halves}.map({function})") == np.rint(halves).tolist()


@pytest.mark.slow
@in_chromium
def test_a_photograph_by_keyboard_and_offline(
    tab: Page, server: Server, directory: Path, graph: Graph, photos: Path
) -> None:
    ready(tab, server)
    assert {address.removeprefix(server.url) for address in tab.requests if not address.startswith("data:")} == {
        *("", "ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"),
        *("resize.onnx", "model.onnx"),
    }
    press(tab, "Tab", 9)
    assert tab.evaluate("document.activeElement.id") == "file"
    assert tab.evaluate("getComputedStyle(document.querySelector('[for=file]')).outlineStyle") == "solid"
    photo = sorted(photos.glob("*/*.jpg"))[0]
    give(tab, photo)
    wait(tab, "!document.getElementById('result').hidden")
    outputs = onnx_format.read(directory / web.FILE).outputs(decode.pillow(photo.read_bytes(), 3)[np.newaxis])
    order = np.argsort(-outputs["probabilities"][0])
    said = "Unknown" if outputs["unknown"][0] else graph.labels[order[0]]
    assert tab.evaluate("document.getElementById('answer').textContent") == said
    rows = tab.evaluate("[...document.querySelectorAll('.class')].map((e) => e.innerText.split('\\n'))")
    shown = [[graph.labels[i], f"{100 * outputs['probabilities'][0, i]:.1f} %"] for i in order]
    assert [row[:2] for row in rows] == shown  # four classes here
    assert tab.evaluate("document.getElementById('status').textContent").startswith(said)
    press(tab, "Tab", 9)  # the camera
    press(tab, "Tab", 9)
    assert tab.evaluate("document.activeElement.id") == "show"
    press(tab, " ", 32, " ")
    assert tab.evaluate("!document.getElementById('heat').hidden")
    evidence = outputs["evidence"][0].max(axis=(0, 1))[order]
    clicked = int(evidence[1:].argmax()) + 1  # the first is shown already
    assert evidence[clicked] > 0
    for _ in range(clicked + 1):
        press(tab, "Tab", 9)
    press(tab, "Enter", 13, "\r")
    pressed = "[...document.querySelectorAll('.class')].map((e) => e.getAttribute('aria-pressed'))"
    assert tab.evaluate(pressed) == [str(place == clicked).lower() for place in range(4)]
    label = graph.labels[order[clicked]]
    assert tab.evaluate("document.getElementById('status').textContent").endswith(f"evidence for {label} is.")
    hottest = tab.evaluate(
        "(() => { const c = document.getElementById('heat'); const d = c.getContext('2d').getImageData(0, 0, c.width, "
        "c.height).data; let at = 0; for (let i = 3; i < d.length; i += 4) if (d[i] > d[at]) at = i;"
        " return [Math.floor((at - 3) / 4 / c.width) / c.height, ((at - 3) / 4 % c.width) / c.width]; })()"
    )
    heat = outputs["evidence"][0, ..., order[clicked]]
    place = np.unravel_index(heat.argmax(), heat.shape)
    assert [int(share * side) for share, side in zip(hottest, heat.shape, strict=True)] == list(place)
    assert tab.complaints == []


@pytest.mark.slow
@in_chromium
@pytest.mark.parametrize(("width", "scheme"), [(375, "light"), (375, "dark"), (1440, "dark")])
def test_on_a_phone_and_in_the_dark(width: int, scheme: str, tab: Page, server: Server, photos: Path) -> None:
    ready(tab, server, width, scheme)
    give(tab, sorted(photos.glob("*/*.jpg"))[1])
    wait(tab, "!document.getElementById('result').hidden")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    light = tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]") > 128
    assert light == (scheme == "light")
    assert tab.evaluate("document.getElementById('camera').getAttribute('capture')") == "environment"
    assert tab.complaints == []


@pytest.mark.slow
@in_chromium
def test_dropped_and_pasted_pictures_are_taken(tab: Page, server: Server) -> None:
    ready(tab, server)
    pictures = golden.pictures()
    for name, event in (
        ("size-13x11.png", "new DragEvent('drop', { dataTransfer: given, bubbles: true, cancelable: true })"),
        ("size-7x5.jpg", "new ClipboardEvent('paste', { clipboardData: given, bubbles: true })"),
    ):
        content = base64.b64encode(pictures[name]).decode()
        bytes_of = f"Uint8Array.from(atob('{content}'), (letter) => letter.charCodeAt(0))"
        given = f"const given = new DataTransfer(); given.items.add(new File([{bytes_of}], '{name}'));"
        tab.evaluate(f"(() => {{ {given} document.body.dispatchEvent({event}); }})()")
        size = name.partition(".")[0].removeprefix("size-").replace("x", " x ")
        wait(tab, f"document.getElementById('caption').textContent.endsWith('of {size}.')")
    tab.evaluate("document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: new DataTransfer() }))")
    tab.evaluate("dispatchEvent(new DragEvent('drop', { dataTransfer: new DataTransfer(), cancelable: true }))")
    wait(tab, "document.getElementById('error').textContent.startsWith('That was no picture.')")


@pytest.mark.slow
@in_chromium
def test_words_for_what_goes_wrong(tab: Page, server: Server, directory: Path, tmp_path: Path) -> None:
    ready(tab, server)
    (tmp_path / "notes.txt").write_text("no picture")
    Image.new("1", (8000, 6400)).save(tmp_path / "huge.png")
    words = "document.getElementById('error').textContent"
    for name, expected in (
        ("notes.txt", "“notes.txt” is not a picture that this browser can read. Give a JPEG, PNG, WebP, GIF or BMP."),
        ("huge.png", "“huge.png” is too large: it has 51 million pixels, and 50 million are allowed."),
    ):
        give(tab, tmp_path / name)
        wait(tab, f"{words} === {json.dumps(expected)}")
        assert tab.evaluate("document.getElementById('result').hidden")
    elsewhere = "fetch('http://127.0.0.1:9/').then(() => 'went', () => 'kept in')"
    assert tab.evaluate(elsewhere) == "kept in"
    assert any("Content Security Policy" in complaint for complaint in tab.complaints)
    server.missing.add("model.onnx")
    tab.open(server.url, 375, "light")
    wait(tab, f"{words} === 'The model failed to load: model.onnx: the server answered 404'")
    tab.evaluate("dispatchEvent(new DragEvent('drop', { dataTransfer: new DataTransfer(), cancelable: true }))")
    assert tab.evaluate(f"!document.getElementById('error').hidden && {words}.includes('answered 404')")
    server.missing.clear()
    tab.open(directory / web.PAGE, 375, "light")
    wait(tab, f"{words}.includes('Serve this folder with: python -m http.server')")


@pytest.mark.slow
def test_the_folder_is_verified_like_the_other_formats(
    photo_resnet: Run, graph: Graph, directory: Path, tmp_path: Path
) -> None:
    found = verify(photo_resnet, directory, ["web"], graph.interface, temperature=graph.temperature)
    assert found["web"].probabilities <= web.TOLERANCE
    reference, images = Reference(photo_resnet), np.random.default_rng(0).uniform(0, 255, (2, 40, 30, 3))
    model = onnx.load(directory / web.FILE)
    (kernel,) = (one for one in model.graph.initializer if one.name == "evidence/kernel")
    kernel.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(kernel) * 1.01, kernel.name))
    onnx.save(model, tmp_path / "model.onnx")
    runner: Any = onnx_format.read(tmp_path / "model.onnx")
    with pytest.raises(CheckFailed, match=r"^web: evidence: differs from Keras' by 0\.01 of the largest; 0\.0001 is"):
        check.check(web, runner, reference, Feed(), directory, images)


@pytest.fixture(scope="module")
def small(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version's directory with the int8 file and the web folder made of it."""
    found = tmp_path_factory.mktemp("small")
    onnx_int8.write(graph, found)
    web.write(graph, found)
    return found


@pytest.mark.slow
def test_int8_is_taken_where_it_was_exported(photo_resnet: Run, graph: Graph, small: Path) -> None:
    model = onnx.load(small / web.FILE)
    assert "DequantizeLinear" in {node.op_type for node in model.graph.node}
    assert [value.name for value in model.graph.output] == ["probabilities", "unknown", network.EVIDENCE]
    found = verify(photo_resnet, small, ["onnx-int8", "web"], graph.interface, temperature=1.5, force=True)
    assert found["web"].accuracy == found["onnx-int8"].accuracy
    assert "8-bit numbers" in (small / web.PAGE).read_text(encoding="utf-8")


@pytest.mark.slow
@in_chromium
def test_int8_answers_in_the_browser_as_in_python(tab: Page, small: Path) -> None:
    server, runner = Server(small / "web"), onnx_format.read(small / onnx_int8.FILE)
    ready(tab, server)
    pictures = dict(list(golden.pictures().items())[::6])
    for name, found in answers(tab, pictures).items():
        expected = runner(decode.pillow(pictures[name], 3)[np.newaxis])[0]
        assert np.abs(np.array(found["probabilities"]) - expected).max() <= 1e-3, name
        assert np.argmax(found["probabilities"]) == expected.argmax(), name
    server.close()
