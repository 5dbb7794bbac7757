import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedeploy.ondevice.camera import open_camera
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.frames import CameraError, Frame, RecordedFrames, split_jpegs
from edgedeploy.ondevice.pictures import PictureError
from edgedeploy.ondevice.stop import StopRequest
from edgedeploy.ondevice.v4l2 import V4L2Camera, find_usb_camera

PIPELINE = ImagePipeline(width=8, height=8)


def jpeg(colour, **options):
    stream = io.BytesIO()
    Image.new("RGB", (32, 16), colour).save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


def without_huffman_tables(data):
    """What many USB cameras send: a JPEG file without its DHT segments."""
    at = 2
    kept = data[:2]
    while data[at + 1] != 0xDA:
        length = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] != 0xC4:
            kept += data[at : at + length]
        at += length
    return kept + data[at:]


def read_all(source):
    with StopRequest() as stop:
        frames = iter(lambda: source.read(stop), None)
        return list(frames)


def test_raw_recording_gives_its_frames_in_order(tmp_path):
    path = tmp_path / "frames.raw"
    black, white = bytes([16, 128] * 8), bytes([235, 128] * 8)
    path.write_bytes(black + white + black)
    frames = read_all(RecordedFrames(path, "YUYV", 4, 2))
    means = [frame.rgb(PIPELINE).mean() for frame in frames]
    assert means == [0, 255, 0]
    assert frames[0].rgb(PIPELINE).shape == (2, 4, 3)


def test_recording_ends_when_the_program_is_to_end(tmp_path):
    path = tmp_path / "frames.raw"
    path.write_bytes(bytes(32))
    source = RecordedFrames(path, "YUYV", 4, 2)
    with StopRequest() as stop:
        assert source.read(stop) is not None
        stop.requested = True
        assert source.read(stop) is None


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}]
)
def test_jpeg_recording_is_split_at_the_files(tmp_path, options):
    path = tmp_path / "frames.mjpg"
    files = [jpeg(c, **options) for c in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    path.write_bytes(b"\0\0\0".join(files) + b"\0")
    frames = read_all(RecordedFrames(path, "MJPG", 32, 16))
    assert [frame.data for frame in frames] == files
    pixels = [np.asarray(frame.rgb(PIPELINE))[8, 16].argmax() for frame in frames]
    assert pixels == [0, 1, 2]


def test_thumbnail_inside_a_frame_does_not_end_it():
    exif = b"Exif\0\0" + jpeg((9, 9, 9))
    outer = jpeg((255, 0, 0))
    length = (len(exif) + 2).to_bytes(2, "big")
    whole = outer[:2] + b"\xff\xe1" + length + exif + outer[2:]
    assert list(split_jpegs(whole + outer, "x")) == [
        (0, len(whole)),
        (len(whole), len(whole) + len(outer)),
    ]


def test_camera_jpeg_without_huffman_tables_is_decoded():
    data = without_huffman_tables(jpeg((200, 30, 40)))
    assert b"\xff\xc4" not in data
    frame = Frame(data=data, pixel_format="MJPG", width=32, height=16, stride=0)
    assert np.asarray(frame.rgb(PIPELINE))[8, 16] == pytest.approx([200, 30, 40], abs=4)


@pytest.mark.parametrize(
    "data", [b"x", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\0\1", jpeg(0)[:-2]]
)
def test_damaged_jpeg_recording_is_told_by_its_byte(data):
    good = jpeg(0)
    with pytest.raises(CameraError, match=f"at byte {len(good)}"):
        list(split_jpegs(good + data, "x"))


@pytest.mark.parametrize(
    ("content", "arguments", "reason"),
    [
        (b"", ("YUYV", 4, 2), "no recording"),
        (bytes(17), ("YUYV", 4, 2), "no whole number"),
        (bytes(16), ("auto", 4, 2), "--pixel-format"),
    ],
)
def test_file_that_is_no_recording_is_refused(tmp_path, content, arguments, reason):
    path = tmp_path / "frames"
    path.write_bytes(content)
    with pytest.raises(CameraError, match=reason):
        open_camera(str(path), *arguments)


def test_frame_of_the_wrong_length_is_a_picture_error():
    for pixel_format, stride in (("YUYV", 8), ("RGB3", 12)):
        frame = Frame(
            data=b"123", pixel_format=pixel_format, width=4, height=2, stride=stride
        )
        with pytest.raises(PictureError):
            frame.rgb(PIPELINE)


def test_rgb_frame_leaves_padding_out():
    data = (bytes([1, 2, 3, 4, 5, 6]) + b"\xff\xff") * 2
    frame = Frame(data=data, pixel_format="RGB3", width=2, height=2, stride=8)
    assert frame.rgb(PIPELINE).tolist() == [[[1, 2, 3], [4, 5, 6]]] * 2


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/dev/video987", "no such device file"),
        ("/dev/null", "not a video device"),
        ("/", "cannot be opened"),
    ],
)
def test_device_that_is_no_camera_costs_one_clear_error(name, reason):
    with pytest.raises(CameraError, match=reason) as caught:
        open_camera(name)
    assert "\n" not in str(caught.value)


def test_without_picamera2_the_package_to_install_is_named():
    try:
        import picamera2  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(CameraError, match="sudo apt install python3-picamera2"):
            open_camera("csi")
    else:
        pytest.skip("picamera2 is installed here; needs a machine without it")


def test_usb_search_passes_over_files_that_are_no_cameras(tmp_path):
    (tmp_path / "video0").write_bytes(b"")
    (tmp_path / "video1").mkdir()
    (tmp_path / "video2").symlink_to("/dev/null")
    (tmp_path / "video10").symlink_to(tmp_path / "nothing")
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert find_usb_camera(tmp_path) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_refused_device_is_closed_again():
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(CameraError):
        V4L2Camera(Path("/dev/null"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
