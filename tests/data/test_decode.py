"""Pillow and TensorFlow read every image alike, or both refuse it."""

import io
import struct
from collections.abc import Callable

import mutations
import numpy as np
import pytest
import tensorflow as tf
from mutations import gif_parts, jpeg_segments, png_chunks, webp_chunks
from pictures import HEIGHT, READABLE, WIDTH, chunk, encoded, exif, gif_with, jpeg_with, photo, raw_png, with_alpha
from PIL import Image, ImageOps

from kerasnets.data import decode
from kerasnets.data.codecs import rules
from kerasnets.data.codecs.rules import REFUSALS, DecodeError

Decode = Callable[[bytes, int], np.ndarray]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", READABLE)
def test_the_same_pixels(kind: str, channels: int, tensorflow_decode: Decode) -> None:
    content = READABLE[kind]()
    pixels = decode.pillow(content, channels)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == channels
    np.testing.assert_array_equal(tensorflow_decode(content, channels), pixels)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
def test_pixels_are_pillows(mode: str) -> None:
    image = photo().convert(mode)
    np.testing.assert_array_equal(decode.pillow(encoded(image, "PNG"), 3), np.asarray(image.convert("RGB")))
    np.testing.assert_array_equal(
        decode.pillow(encoded(image, "PNG"), 1)[..., 0], np.asarray(image.convert("RGB").convert("L"))
    )


def test_alpha_is_composited_on_white() -> None:
    image = Image.new("RGBA", (3, 1))
    image.putdata([(10, 20, 30, 255), (10, 20, 30, 0), (0, 100, 255, 128)])
    assert decode.pillow(encoded(image, "PNG"), 3).tolist() == [[[10, 20, 30], [255, 255, 255], [127, 177, 255]]]


def test_16_bits_are_shifted_down() -> None:
    grey = Image.fromarray(np.array([[0x00FF, 0x0100, 0x80FF, 0xFFFF]], np.uint16))
    assert decode.pillow(encoded(grey, "PNG"), 1)[..., 0].tolist() == [[0, 1, 0x80, 0xFF]]


def test_palette_of_a_bmp_is_looked_up() -> None:
    image = photo().convert("P")
    np.testing.assert_array_equal(decode.pillow(encoded(image, "BMP"), 3), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("big_endian", [True, False])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation: int, kind: str, big_endian: bool, tensorflow_decode: Decode) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(photo(), kind, exif=exif(orientation, big_endian), **options)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert expected.shape == ((WIDTH, HEIGHT, 3) if orientation >= 5 else (HEIGHT, WIDTH, 3))
    np.testing.assert_array_equal(decode.pillow(content, 3), expected)
    np.testing.assert_array_equal(tensorflow_decode(content, 3), expected)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # Pillow's, while it looks for the resolution
@pytest.mark.parametrize(
    "broken",
    [exif(0), exif(9), exif(6)[:10], exif(6)[:24], b"Exif\0\0XX*\0" + exif(6)[10:], exif(6)[:10] + b"\xff" * 30],
    ids=["0", "9", "cut in the header", "cut in an entry", "no byte order", "directory far away"],
)
def test_broken_orientation_is_ignored(broken: bytes, tensorflow_decode: Decode) -> None:
    content = jpeg_with(broken)
    expected = decode.pillow(encoded(photo(), "JPEG"), 3)
    np.testing.assert_array_equal(decode.pillow(content, 3), expected)
    np.testing.assert_array_equal(tensorflow_decode(content, 3), expected)


def huge(kind: str) -> bytes:
    """Return an image whose header says 20,000 x 20,000."""
    content = bytearray(encoded(photo(), kind))
    side = 20_000
    if kind == "PNG":
        content[16:24] = struct.pack(">II", side, side)
    elif kind == "GIF":
        content[6:10] = struct.pack("<HH", side, side)
    elif kind == "BMP":
        content[18:26] = struct.pack("<ii", side, side)
    elif kind == "JPEG":
        frame = content.index(b"\xff\xc0")
        content[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    else:
        content[26:30] = struct.pack("<HH", 16_000, 16_000)
    return bytes(content)


def without(parts: list[bytes], start: bytes) -> bytes:
    """Return the parts of a file but those that begin so."""
    return b"".join(part for part in parts if not part.startswith(start))


def many_scans() -> bytes:
    """Return a progressive JPEG whose last scan comes 500 times more: a pass over all pixels each."""
    content = encoded(photo(), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * 501 + content[-2:]


def no_last_scan() -> bytes:
    content = encoded(photo(), "JPEG", progressive=True)
    return content[: content.rindex(b"\xff\xda")] + content[-2:]


def comment_too_long() -> bytes:
    content = jpeg_with(b"")
    return content[:4] + b"\xff\xff" + content[6:]


def png_with(replaced: bytes, body: bytes, checksum: bytes | None = None) -> bytes:
    """Return a palette PNG with another content, or checksum, of one chunk."""
    content = b"\x89PNG\r\n\x1a\n"
    for tag, old in png_chunks(encoded(photo().convert("P"), "PNG", transparency=3)):
        whole = chunk(tag, body if tag == replaced else old)
        content += whole[:-4] + checksum if tag == replaced and checksum else whole
    return content


def gif_codes(codes: bytes, bits: int = 8) -> bytes:
    """Return a GIF whose frame has other codes."""
    parts = gif_parts(encoded(photo(), "GIF"))
    at = next(i for i, part in enumerate(parts) if part.startswith(b","))
    parts[at] = parts[at][:10] + bytes([bits, len(codes)]) + codes + b"\0"
    return b"".join(parts)


def webp_chunk(tag: bytes, body: bytes = b"") -> bytes:
    return tag + struct.pack("<I", len(body)) + body


def webp_with(parts: list[bytes]) -> bytes:
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


REFUSED = {
    "text": (b"hello, this is not an image", rules.UNKNOWN),
    "nothing": (b"", rules.UNKNOWN),
    "tiff": (encoded(photo(), "TIFF"), rules.UNKNOWN),
    "gif of a version that never was": (b"GIF88a" + encoded(photo(), "GIF")[6:], rules.UNKNOWN),
    **{f"huge {kind}": (huge(kind), rules.LARGE) for kind in rules.KINDS},
    "huge jpeg behind a byte too much": (huge("JPEG")[:20] + b"\0" + huge("JPEG")[20:], rules.LARGE),
    "png of 1,000,001 x 1": (raw_png(8, 0, size=(1_000_001, 1)), rules.LARGE),
    "jpeg of many parts": (b"\xff\xd8" + b"\xff\xfe\0\2" * 65_536, rules.PARTS),
    "jpeg without its end": (encoded(photo(), "JPEG")[:-2], rules.JPEG_SHORT),
    "jpeg whose comment goes on behind the end": (
        jpeg_with(b"")[:4] + b"\xff\xff" + jpeg_with(b"")[6:],
        rules.JPEG_SHORT,
    ),
    "jpeg with a segment of length 1": (
        encoded(photo(), "JPEG")[:2] + b"\xff\xfe\0\1" + encoded(photo(), "JPEG")[2:],
        rules.JPEG_SHORT,
    ),
    "jpeg progressive, without its last scan": (no_last_scan(), rules.JPEG_SHORT),
    "jpeg of 501 scans and more": (many_scans(), rules.JPEG_SCANS),
    "jpeg cmyk, who knows which": (
        without(jpeg_segments(encoded(photo().convert("CMYK"), "JPEG")), b"\xff\xee"),
        rules.JPEG_CMYK,
    ),
    "png without its end": (encoded(photo(), "PNG")[:-12], rules.PNG_SHORT),
    "png cut in its end": (encoded(photo(), "PNG")[:-1], rules.PNG_SHORT),
    "png without pixels": (raw_png(8, 2)[:33] + chunk(b"IEND", b""), rules.PNG_BROKEN),
    "png without its palette": (png_with(b"PLTE", b""), rules.PNG_BROKEN),
    "png of depth 3": (png_with(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 3, 3, 0, 0, 0)), rules.PNG_BROKEN),
    "png of no width": (png_with(b"IHDR", struct.pack(">IIBBBBB", 0, HEIGHT, 8, 3, 0, 0, 0)), rules.PNG_BROKEN),
    "png with a chunk that one must know": (raw_png(8, 2, chunk(b"ZzZz", b"?")), rules.PNG_BROKEN),
    "png whose transparency has a wrong checksum": (png_with(b"tRNS", b"\0" * 4, b"\1\2\3\4"), rules.PNG_BROKEN),
    "png 2 bits, one transparent": (raw_png(2, 0, chunk(b"tRNS", b"\0\1")), rules.PNG_KEY),
    "png rgb 16 bits, one transparent": (raw_png(16, 2, chunk(b"tRNS", b"\0" * 6)), rules.PNG_KEY),
    "gif on a larger canvas": (gif_with(canvas=(80, 60)), rules.GIF_FRAME),
    "gif with a moved frame": (gif_with(canvas=(80, 60), offset=(5, 4)), rules.GIF_FRAME),
    "gif without its last bytes": (encoded(photo(), "GIF")[:-5], rules.GIF_SHORT),
    "gif without a frame": (without(gif_parts(encoded(photo(), "GIF")), b","), rules.GIF_SHORT),
    "gif with a code that nothing defined": (gif_codes(b"\0\xff\xff\xff"), rules.GIF_CODES),
    "gif of too few pixels": (gif_codes(b"\0\2\2\2"), rules.GIF_CODES),
    "gif of 9 bits": (gif_codes(b"\0\2\2\2", bits=9), rules.GIF_CODES),
    "bmp 1 bit": (encoded(photo().convert("1"), "BMP"), rules.BMP_KIND),
    "bmp whose pixels begin in its header": (
        encoded(photo(), "BMP")[:10] + struct.pack("<I", 20) + encoded(photo(), "BMP")[14:],
        rules.BMP_KIND,
    ),
    "bmp cut short": (encoded(photo(), "BMP")[:-5], rules.BMP_SHORT),
    "webp animated": (
        encoded(photo(), "WEBP", save_all=True, append_images=[photo().rotate(90)]),
        rules.WEBP_ANIMATED,
    ),
    "webp without its last bytes": (encoded(photo(), "WEBP")[:-1], rules.WEBP_SHORT),
    "webp whose last chunk goes on": (
        webp_with([*webp_chunks(encoded(photo(), "WEBP")), b"EXIF\1\1\1\1"]),
        rules.WEBP_SHORT,
    ),
    "webp without an image": (webp_with([webp_chunk(b"XMP ")]), rules.WEBP_BROKEN),
    "webp on a larger canvas": (
        webp_with(
            [webp_chunk(b"VP8X", struct.pack("<IHBHB", 16, 99, 0, 99, 0)), *webp_chunks(encoded(photo(), "WEBP"))]
        ),
        rules.WEBP_BROKEN,
    ),
}


def test_every_refusal_has_an_image() -> None:
    assert {refusal for _, refusal in REFUSED.values()} == set(range(1, len(REFUSALS)))


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_by_both_in_the_same_words(kind: str, tensorflow_decode: Decode) -> None:
    content, refusal = REFUSED[kind]
    with pytest.raises(DecodeError) as error:
        decode.pillow(content, 3)
    assert str(error.value) == REFUSALS[refusal]
    with pytest.raises(tf.errors.InvalidArgumentError) as graph_error:
        tensorflow_decode(content, 3)
    assert f"[{REFUSALS[refusal]}]" in str(graph_error.value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_a_file_of_crumbs_is_refused_before_it_takes_minutes(kind: str, tensorflow_decode: Decode) -> None:
    crumbs = {
        "PNG": raw_png(8, 2)[:33] + chunk(b"tEXt", b"") * 65_536,
        "GIF": encoded(photo(), "GIF")[:781] + b"\x21\xfe" + b"\1x" * 65_536,
        "WEBP": webp_with([webp_chunk(b"XMP ")] * 65_536 + webp_chunks(encoded(photo(), "WEBP"))),
    }[kind]
    with pytest.raises(DecodeError) as error:
        decode.pillow(crumbs, 3)
    assert str(error.value) == REFUSALS[rules.PARTS]
    with pytest.raises(tf.errors.InvalidArgumentError, match=REFUSALS[rules.PARTS]):
        tensorflow_decode(crumbs, 3)


@pytest.mark.parametrize("kind", rules.KINDS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_is_refused_by_both(kind: str, share: float, tensorflow_decode: Decode) -> None:
    content = encoded(photo(), kind)
    content = content[: int(len(content) * share)]
    with pytest.raises(DecodeError, match="cut short"):
        decode.pillow(content, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="cut short"):
        tensorflow_decode(content, 3)


def outcome(decoder: Decode, content: bytes) -> np.ndarray | None:
    try:
        return decoder(content, 3)
    except (DecodeError, tf.errors.InvalidArgumentError):
        return None


@pytest.mark.parametrize("kind", mutations.FORMATS)
def test_malformed_files_mean_the_same_or_are_refused_by_both(kind: str, tensorflow_decode: Decode) -> None:
    """A sample of `make proof-decode`."""
    decoded = 0
    for number, (change, content) in enumerate(mutations.mutated(kind, 60)):
        ours, graphs = outcome(decode.pillow, content), outcome(tensorflow_decode, content)
        assert (ours is None) == (graphs is None), f"{kind} {number}: {change}"
        if ours is not None:
            np.testing.assert_array_equal(graphs, ours, f"{kind} {number}: {change}")
            decoded += 1
    assert decoded >= 18


def test_cmyk_is_light_times_black(tensorflow_decode: Decode) -> None:
    """As a press has it: Pillow's own conversion differs by a grey level where there is black."""
    inks = np.stack([np.roll(np.asarray(photo().convert("L")), shift) for shift in (0, 5, 9, 14)], axis=-1)
    content = encoded(Image.fromarray(inks, "CMYK"), "JPEG", quality=95)
    with Image.open(io.BytesIO(content)) as image:
        light = 255 - np.asarray(image).astype(int)
    expected = light[..., :3] * light[..., 3:] // 255
    np.testing.assert_array_equal(decode.pillow(content, 3), expected)
    np.testing.assert_array_equal(tensorflow_decode(content, 3), expected)


def test_damage_behind_what_matters_does_not_matter(tensorflow_decode: Decode) -> None:
    """A wrong checksum of a text, an animation's table, a comment for somebody else."""
    text = chunk(b"tEXt", b"Author\0me")
    noted = raw_png(8, 2, text[:-1] + b"?" + chunk(b"acTL", b"") + chunk(b"iCCP", b"x\0\xff"))
    np.testing.assert_array_equal(decode.pillow(noted, 3), decode.pillow(raw_png(8, 2), 3))
    np.testing.assert_array_equal(tensorflow_decode(noted, 3), decode.pillow(raw_png(8, 2), 3))


def test_with_channels_matches_tensorflow() -> None:
    from kerasnets.data import decode_graph

    pixels = np.asarray(with_alpha())[None, ..., :3]
    grey = decode.with_channels(pixels, 1)
    np.testing.assert_array_equal(decode_graph.with_channels(tf.constant(pixels), 1), grey)
    np.testing.assert_array_equal(decode.with_channels(grey, 3), np.repeat(grey, 3, axis=-1))
    np.testing.assert_array_equal(decode_graph.with_channels(tf.constant(grey), 3), np.repeat(grey, 3, axis=-1))


def test_survives_a_saved_model(tmp_path: object) -> None:
    class Decoder(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)], autograph=False)
        def __call__(self, contents: tf.Tensor) -> tf.Tensor:
            signature = tf.TensorSpec((None, None, 3), tf.uint8)
            return tf.map_fn(lambda one: decode.tensorflow(one, 3), contents, fn_output_signature=signature)

    tf.saved_model.save(Decoder(), str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    contents = [encoded(photo(), "JPEG"), encoded(photo(), "PNG"), encoded(photo(), "WEBP")]
    expected = np.stack([decode.pillow(content, 3) for content in contents])
    np.testing.assert_array_equal(loaded(tf.constant(contents)), expected)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[not a JPEG, PNG, GIF, BMP or WebP image\]"):
        loaded(tf.constant([b"text"]))
