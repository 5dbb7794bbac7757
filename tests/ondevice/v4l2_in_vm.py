"""Use the camera inside the virtual machine of test_v4l2_kernel.py; print JSON."""

import json
import sys
import time
from pathlib import Path

from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.frames import CameraError
from edgedeploy.ondevice.stop import StopRequest
from edgedeploy.ondevice.v4l2 import V4L2Camera, find_usb_camera

DEVICE = Path("/dev/video0")
PIPELINE = ImagePipeline(width=8, height=8)


def refusal(*arguments):
    try:
        V4L2Camera(*arguments)
    except CameraError as error:
        return str(error)
    return None


def bars(frame):
    """The colours in the middle of eight vertical bars, in the lower third."""
    rgb = frame.rgb(PIPELINE)
    row = rgb[rgb.shape[0] * 5 // 6]
    return [row[(2 * n + 1) * len(row) // 16].tolist() for n in range(8)]


with StopRequest() as stop:
    camera = V4L2Camera(DEVICE, "auto", 640, 480)
    first = camera.read(stop)
    time.sleep(1)
    started = time.monotonic()
    second, third = camera.read(stop), camera.read(stop)
    facts = {
        "format": camera.layout.pixel_format,
        "size": [camera.layout.width, camera.layout.height, camera.layout.stride],
        "bytes": len(first.data),
        "bars": bars(first),
        "differ": first.data != second.data != third.data,
        "busy": refusal(DEVICE),
        "usb": str(find_usb_camera()),
    }
    camera.close()
    facts["mjpg"] = refusal(DEVICE, "MJPG")
    camera = V4L2Camera(DEVICE, "YUYV", 320, 180)
    facts["small"] = [camera.layout.width, camera.layout.height]
    facts["again"] = len(camera.read(stop).data)
    # As if the cable was pulled.
    Path("/sys/bus/platform/drivers/vivid/unbind").write_text("vivid.0")
    try:
        camera.read(stop)
    except CameraError as error:
        facts["unplugged"] = str(error)
    camera.close()
sys.stdout.write(f"\nFACTS {json.dumps(facts)}\n")
