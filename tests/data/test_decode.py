"""Pillow and TensorFlow read every image alike, or both refuse it."""

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from pictures import HEIGHT, READABLE, WIDTH, chunk, encoded, exif, gif_with, jpeg_with, photo, raw_png, with_alpha
from PIL import Image, ImageOps

from kerasnets.data import decode
from kerasnets.data.decode import REFUSALS, DecodeError

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


REFUSED = {
    "text": (b"hello, this is not an image", decode.UNKNOWN),
    "nothing": (b"", decode.UNKNOWN),
    "tiff": (encoded(photo(), "TIFF"), decode.UNKNOWN),
    **{f"huge {kind}": (huge(kind), decode.LARGE) for kind in decode.KINDS},
    "png 2 bits, one transparent": (raw_png(2, 0, chunk(b"tRNS", b"\0\1")), decode.PNG_KEY),
    "png rgb 16 bits, one transparent": (raw_png(16, 2, chunk(b"tRNS", b"\0" * 6)), decode.PNG_KEY),
    "gif on a larger canvas": (gif_with(canvas=(80, 60)), decode.GIF_FRAME),
    "gif with a moved frame": (gif_with(canvas=(80, 60), offset=(5, 4)), decode.GIF_FRAME),
    "bmp 1 bit": (encoded(photo().convert("1"), "BMP"), decode.BMP_KIND),
    "bmp cut short": (encoded(photo(), "BMP")[:-5], decode.BMP_SHORT),
    "webp animated": (
        encoded(photo(), "WEBP", save_all=True, append_images=[photo().rotate(90)]),
        decode.WEBP_ANIMATED,
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_by_both_in_the_same_words(kind: str, tensorflow_decode: Decode) -> None:
    content, refusal = REFUSED[kind]
    with pytest.raises(DecodeError) as error:
        decode.pillow(content, 3)
    assert str(error.value) == REFUSALS[refusal]
    with pytest.raises(tf.errors.InvalidArgumentError) as graph_error:
        tensorflow_decode(content, 3)
    assert f"[{REFUSALS[refusal]}]" in str(graph_error.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_is_refused_by_both(kind: str, share: float, tensorflow_decode: Decode) -> None:
    content = encoded(photo(), kind)
    content = content[: int(len(content) * share)]
    with pytest.raises(DecodeError, match=f"a broken {kind} image|{REFUSALS[decode.GIF_FRAME]}"):
        decode.pillow(content, 3)
    with pytest.raises(tf.errors.InvalidArgumentError):
        tensorflow_decode(content, 3)


def outcome(decoder: Decode, content: bytes) -> np.ndarray | None:
    try:
        return decoder(content, 3)
    except (DecodeError, tf.errors.InvalidArgumentError):
        return None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_mutated_files_mean_the_same(kind: str, tensorflow_decode: Decode) -> None:
    """No mutated file is read differently by the two, and Pillow, which audits, refuses all that TensorFlow does.

    TensorFlow's GIF reader lets damaged pixels through: the format has no checksum.
    """
    rng = np.random.default_rng(0)
    content = np.frombuffer(encoded(photo(), kind), np.uint8)
    differ, alone = [], {"pillow": 0, "tensorflow": 0}
    for _ in range(100):
        mutated = content.copy()
        places = rng.integers(0, len(content), rng.integers(1, 4))
        mutated[places] = rng.integers(0, 256, len(places))
        ours, graphs = outcome(decode.pillow, mutated.tobytes()), outcome(tensorflow_decode, mutated.tobytes())
        if ours is not None and graphs is not None and not np.array_equal(ours, graphs):
            differ.append(mutated.tobytes())
        alone["pillow"] += ours is not None and graphs is None
        alone["tensorflow"] += ours is None and graphs is not None
    assert not differ
    assert alone["pillow"] == 0
    assert alone["tensorflow"] == 0 or kind == "GIF"


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
