"""The network of `colour_networks` as PyTorch and ONNX save it, made in their own
environments: `python foreign_networks.py onnx|torch OUT`.
"""

import sys

import numpy as np

WIDTH, HEIGHT = 40, 24


def weights():
    """Averages a colour over 3x3 pixels, then weighs each against the other two."""
    random = np.random.default_rng(3)
    kernel = random.normal(0, 0.01, (48, 3, 3, 3))
    kernel[:3] = 0
    for colour in range(3):
        kernel[colour, colour] = 1 / 9
    dense = np.zeros((4, 48))
    dense[:3, :3] = -3
    for colour in range(3):
        dense[colour, colour] = 6
    # ImageNet's normalisation goes down to -2.1, and below zero would be lost.
    return [
        array.astype(np.float32)
        for array in (kernel, np.full(48, 3.0), dense, np.array([0, 0, 0, 3.0]))
    ]


def save_onnx(path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    names = ("kernel", "bias", "dense", "last")
    nodes = [
        helper.make_node("Conv", ["image", "kernel", "bias"], ["a"], strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "dense", "last"], ["logits"], transB=1),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "colours",
        [value("image", TensorProto.FLOAT, ["batch", 3, HEIGHT, WIDTH])],
        [value("logits", TensorProto.FLOAT, ["batch", 4])],
        [
            numpy_helper.from_array(array, name)
            for name, array in zip(names, weights(), strict=True)
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    onnx.checker.check_model(model)
    onnx.save(model, path)


def save_torch(path):
    import torch

    kernel, bias, dense, last = map(torch.from_numpy, weights())

    class Colours(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 48, 3, stride=2)
            self.dense = torch.nn.Linear(48, 4)

        def forward(self, image):
            return self.dense(torch.relu(self.convolution(image)).mean((2, 3)))

    model = Colours().eval()
    model.load_state_dict(
        {
            "convolution.weight": kernel,
            "convolution.bias": bias,
            "dense.weight": dense,
            "dense.bias": last,
        }
    )
    image = torch.zeros(1, 3, HEIGHT, WIDTH)
    torch.export.save(torch.export.export(model, (image,)), path)


if __name__ == "__main__":
    {"onnx": save_onnx, "torch": save_torch}[sys.argv[1]](sys.argv[2])
