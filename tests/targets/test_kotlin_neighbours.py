"""The Kotlin that apps take over, compiled and run on the JVM, against Python."""

import subprocess

import numpy as np
import pytest

from edgedeploy.ondevice.neighbours import NeighbourTable

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(900)]

MAIN = """
import edgedeploy.*
import java.io.File

fun main(arguments: Array<String>) {
    val folder = File(arguments[0])
    val vectors = NearestNeighbours.readFloats(File(folder, "vectors.npy").readBytes())
    val classes = NearestNeighbours.readInts(File(folder, "classes.npy").readBytes())
    val asked = NearestNeighbours.readFloats(File(folder, "asked.npy").readBytes())
    val dimensions = vectors.size / classes.size
    for (metric in listOf("cosine", "euclidean")) for (k in listOf(1, 5, 9)) {
        val table = NearestNeighbours(vectors, classes, dimensions, metric, k, 10)
        for (row in 0 until asked.size / dimensions) {
            val one = asked.copyOfRange(row * dimensions, (row + 1) * dimensions)
            println(table.scores(one).joinToString(" ") { it.toRawBits().toString() })
        }
    }
    val integers = File(folder, "classes.npy").readBytes()
    for (file in listOf(ByteArray(0), ByteArray(200), integers))
        try {
            NearestNeighbours.readFloats(file)
            println("not refused")
        } catch (error: IllegalArgumentException) {
            println("refused: ${error.message}")
        }
    checkOperators("m.tflite", listOf("A"), setOf("A", "B"))
    try {
        checkOperators("m.tflite", listOf("B", "A"), setOf("B"))
    } catch (error: MissingOperatorException) {
        println(error.message)
    }
}
"""


@pytest.fixture(scope="module")
def said(compile_kotlin, tmp_path_factory):
    """What the Kotlin program says, and the table that it was asked about."""
    folder = tmp_path_factory.mktemp("kotlin")
    random = np.random.default_rng(3)
    # Few different values, as quantised embeddings have: many rows are equally near.
    vectors = random.integers(-3, 4, (60, 17)).astype(np.float32)
    vectors[7] = 0
    vectors[30:] = random.normal(size=(30, 17)).astype(np.float32)
    classes = random.integers(0, 10, 60).astype(np.int32)
    asked = np.concatenate([vectors[::9], random.normal(size=(20, 17))])
    asked = asked.astype(np.float32)
    for name, array in (("vectors", vectors), ("classes", classes), ("asked", asked)):
        np.save(folder / f"{name}.npy", array)
    main = folder / "Main.kt"
    main.write_text(MAIN)
    jar = compile_kotlin(main)
    run = subprocess.run(
        ["java", "-jar", jar, folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines(), vectors, classes, asked


def test_kotlin_votes_with_pythons_bits(said):
    lines, vectors, classes, asked = said
    expected = []
    for metric in ("cosine", "euclidean"):
        for k in (1, 5, 9):
            table = NeighbourTable(vectors, classes, metric=metric, k=k, labels=10)
            expected += [row.view(np.int32).tolist() for row in table.scores(asked)]
    found = [list(map(int, line.split())) for line in lines[: len(expected)]]
    assert found == expected


def test_kotlin_refuses_files_that_are_no_floats(said):
    refused = said[0][-4:-1]
    assert all(line.startswith("refused: expected a .npy file") for line in refused)


def test_missing_operator_is_one_clear_line_in_kotlin(said):
    assert said[0][-1] == (
        "m.tflite: needs the operator A, which is not registered (registered: B); add "
        "its library for this device to the app"
    )
