"""Compare the gradients inside an exported file with TensorFlow's own."""

import numpy as np

from edgedeploy.training.export import export_trainable


def open_model(data, threads=1):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=threads)
    names = ("train", "infer", "evaluate", "save", "restore", "init")
    return {name: interpreter.get_signature_runner(name) for name in names}


def exported_gradients(model, x, y, **options):
    """One step with a momentum of 0 and a learning rate of 1 leaves -g in the slots."""
    exported = export_trainable(
        model, optimizer="momentum", batch_size=len(x), **options
    )
    signatures = open_model(exported.data)
    loss = signatures["train"](x=x, y=y, lr=np.ones(1, np.float32))["loss"]
    state = signatures["save"]()
    gradients = {
        "/".join(key.split("/")[-2:]): -state[f"s0_{short[1:]}"]
        for short, key in exported.weights
        if short.startswith("w")
    }
    return float(loss[0]), gradients


def tape_gradients(model, x, y, loss="categorical_crossentropy"):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        p = model(x, training=True)
        if loss == "mse":
            value = tf.reduce_mean((p - y) ** 2)
        else:
            value = tf.reduce_mean(-tf.reduce_sum(y * tf.math.log(p), -1))
    found = tape.gradient(value, model.trainable_variables)
    names = ["/".join(v.path.split("/")[-2:]) for v in model.trainable_variables]
    return float(value), {n: np.array(g) for n, g in zip(names, found, strict=True)}


def relative_error(ours, theirs):
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def compare(model, x, y, loss="categorical_crossentropy"):
    """Largest relative error over all weights, and both losses."""
    value, ours = exported_gradients(model, x, y, loss=loss)
    reference, theirs = tape_gradients(model, x, y, loss)
    assert sorted(ours) == sorted(theirs)
    worst = {name: relative_error(ours[name], theirs[name]) for name in ours}
    assert max(worst.values()) < 1e-5, worst
    assert abs(value - reference) < 1e-5 * max(1.0, abs(reference))
