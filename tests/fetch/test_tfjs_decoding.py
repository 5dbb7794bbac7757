import base64
import json
import time

import numpy as np
import pytest

from edgedeploy.errors import WeightsError
from edgedeploy.fetch.jsliteral import parse_literal
from edgedeploy.fetch.tfjs import decode_layers_model

WRAP = "!function(a){a()}(function(){return{1:[function(a,n,i){n.exports=%s},{}]}});"


def literal(text):
    return parse_literal(text, 0, "x.js")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        ("[]", []),
        ("{a:1}", {"a": 1}),
        ('{"a b":[1,2]}', {"a b": [1, 2]}),
        (
            "{$a_1:!0,b:!1,c:null,d:true}",
            {"$a_1": True, "b": False, "c": None, "d": True},
        ),
        ("[.5,-.5,5.,0,-0.25,1e3,1E-2]", [0.5, -0.5, 5, 0, -0.25, 1000, 0.01]),
        (r'"\"\\\/\n\u0041\x42"', '"\\/\nAB'),
        ("'it is \"so\"'", 'it is "so"'),
        ("{null:1}", {"null": 1}),
        (" { a : [ 1 , 2 ] } ", {"a": [1, 2]}),
        ("[1]);require('fs')", [1]),  # What follows the literal is not read.
    ],
)
def test_literal_is_read_as_data(text, value):
    assert literal(text) == value


def test_whole_numbers_are_ints():
    assert [type(v) for v in literal("[1,1e3,1.5,2.]")] == [int, int, float, int]


def test_agrees_with_json_on_json():
    value = {"a": [1, 2.5, -3e-7, 'x"\\\u00e9', None, True, {"b": [[], {}]}], "": 0}
    assert literal(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1", "[1,", "[,1]", "[1,,2]", "[1,]", "{a:1,}", "{a}", "{a:}", "{:1}",
     "{1:2}", "{a:1 b:2}", "[1 2]", "{a:1,a:2}", "{'a':1,a:2}", "f()", "[f()]",
     "[a.b]", "{a:process}", "[function(){}]", "[`x`]", "[new Date]", "[1+1]", "[!2]",
     "[!00]", "[void 0]", "[undefined]", "[NaN]", "[0x10]", "[01]", "[1e999]", "[1n]",
     "[1.2.3]", "[1_0]", '["a\nb"]', '["open]', r'["\u12"]', r'["\8"]', "[/a/]",
     "[...a]", "{get a(){return 1}}", "{[a]:1}", "[\u0661]", "//c\n[]", "[1]]"[:2],
     "[" * 5000, "{a:" * 5000, "[1" + "1" * 100 + "]"],
)  # fmt: skip
def test_anything_but_a_literal_is_refused(text):
    with pytest.raises(WeightsError, match=r"x\.js") as caught:
        literal(text)
    assert "\n" not in str(caught.value)


def test_long_string_is_read_in_linear_time():
    began = time.monotonic()
    assert len(literal('"' + "x" * 5_000_000 + '"')) == 5_000_000
    with pytest.raises(WeightsError):
        literal('"' + "\\x" * 1_000_000)
    assert time.monotonic() - began < 10


TOPOLOGY = "{model_config:{config:{layers:[]}},on:!0}"
ENTRIES = (
    '[{name:"d/kernel",shape:[2,2],dtype:"float32",'
    'quantization:{min:-1,scale:.5,dtype:"uint8"}},'
    '{name:"d/bias",shape:[2],dtype:"float32"}]'
)
DATA = bytes([0, 1, 2, 255]) + np.array([1.5, -2.0], "<f4").tobytes()


def write_model(folder, *, entries=ENTRIES, data=DATA, paths='["s1","s2"]', model=None):
    content = f"{{modelTopology:{TOPOLOGY},weightsManifest:[{{paths:{paths},"
    content += f"weights:{entries}}}]}}"
    (folder / "model.min.js").write_text(WRAP % (model or content))
    for name, part in (("s1", data[:5]), ("s2", data[5:])):
        encoded = base64.b64encode(part).decode()
        (folder / f"{name}.min.js").write_text(WRAP % f'"{encoded}"')


def test_weights_are_dequantised_across_shards(tmp_path):
    write_model(tmp_path)
    topology, weights = decode_layers_model(tmp_path)
    assert topology == {"model_config": {"config": {"layers": []}}, "on": True}
    # By hand: stored * 0.5 - 1.
    assert weights["d/kernel"].tolist() == [[-1.0, -0.5], [0.0, 126.5]]
    assert weights["d/bias"].tolist() == [1.5, -2.0]
    assert all(array.dtype == np.float32 for array in weights.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"data": DATA[:-1]},
        {"data": DATA + b"\0"},
        {"data": b""},
        {"paths": '["s1"]'},
        {"paths": '["s1","gone"]'},
        {"paths": '["../s1","s2"]'},
        {"paths": '["/etc/passwd"]'},
        {"paths": "7"},
        {"paths": '["s1\\u0000","s2"]'},
        {"entries": ENTRIES.replace("d/bias", "d/kernel")},
        {"entries": ENTRIES.replace("[2,2]", "[2,-2]")},
        {"entries": ENTRIES.replace("[2,2]", "[2,2.5]")},
        {"entries": ENTRIES.replace("[2,2]", "[1e9,1e9,1e9]")},
        {"entries": ENTRIES.replace("[2,2]", "4")},
        {"entries": ENTRIES.replace("uint8", "object")},
        {"entries": ENTRIES.replace('"uint8"', "[]")},
        {"entries": ENTRIES.replace("scale:.5,", "")},
        {"entries": ENTRIES.replace("scale:.5", "scale:1e300")},
        {"entries": ENTRIES.replace("float32", "string")},
        {"entries": ENTRIES.replace("name:", "nome:")},
        {"entries": "[7]"},
        {"entries": "null"},
        {"model": "{modelTopology:{},weightsManifest:7}"},
        {"model": "{weightsManifest:[]}"},
        {"model": "{modelTopology:{},weightsManifest:[7]}"},
        {"model": "function(){}"},
        {"model": "{},n.exports={}"},
        {"model": "{modelTopology:alert(1)}"},
    ],
)
def test_malformed_model_is_a_weights_error(tmp_path, changes):
    write_model(tmp_path, **changes)
    with pytest.raises(WeightsError) as caught:
        decode_layers_model(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", (WRAP % '"AAA"').encode(), (WRAP % '"A*=="').encode(),
     (WRAP % '"AAEC/w="+x').encode(), (WRAP % 'atob("AAEC")').encode(),
     (WRAP % '"AAEC",n.exports="AAEC"').encode()],
)  # fmt: skip
def test_malformed_shard_is_a_weights_error(tmp_path, content):
    write_model(tmp_path)
    (tmp_path / "s1.min.js").write_bytes(content)
    with pytest.raises(WeightsError):
        decode_layers_model(tmp_path)


def test_missing_folder_is_a_weights_error(tmp_path):
    with pytest.raises(WeightsError, match="cannot read"):
        decode_layers_model(tmp_path / "gone")
