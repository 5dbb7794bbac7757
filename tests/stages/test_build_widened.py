"""What a build ships where the evaluation has a variant solved again."""

from types import SimpleNamespace

from remembering_voice import Notes

from edgedeploy.recipes import chosen_recipes
from edgedeploy.stages import run
from edgedeploy.stages.context import Context, Options
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import Workspace

MIXED = "int4_mixed@0.01"
LOST = {"top1_drop": 0.2, "top1_drop_ci95": [0.1, 0.3]}
HELD = {"top1_drop": 0.0, "top1_drop_ci95": [-0.001, 0.001]}
CARD = {
    "paired": {"losses": 0, "gains": 0, "pairs": 4000},
    "agreement_top1": 1.0,
    "agreement_top1_ci95": [0.99, 1.0],
    "mean_kl": 0.0,
    "collapse": 0.0,
}


def _variants(folder, generation):
    """Both recipes; the solved one grows with each generation."""
    return tuple(
        Variant(
            recipe=name,
            path=folder / name,
            sha256=f"{name}, {generation}",
            facts={"size_bytes": size, "mixed": {"note": None}},
        )
        for name, size in (("float32", 900), (MIXED, 100 * generation))
    )


def test_what_is_chosen_and_packaged_is_what_was_solved_last(tmp_path, monkeypatch):
    made = iter((_variants(tmp_path, 1), _variants(tmp_path, 2)))
    scored = iter((LOST, HELD))

    def evaluate(*_given):
        cards = {"float32": HELD | CARD, MIXED: next(scored) | CARD}
        return {"reference": "float32", "variants": cards}

    monkeypatch.setattr(run, "make_variants", lambda *_given: next(made))
    monkeypatch.setattr(run, "make_halves", lambda *_given: ())
    monkeypatch.setattr(run, "evaluate_variants", evaluate)
    context = Context(
        options=Options(recipes=chosen_recipes(MIXED)),
        workspace=Workspace(root=tmp_path, model="tiny"),
        voice=Notes(),
    )
    context.workspace.folder.mkdir(parents=True)
    job = run.Build(context)
    # What is fetched and looked up beforehand plays no part here.
    job.weights = SimpleNamespace(spec=SimpleNamespace(shapes=None))
    job.pictures = SimpleNamespace(smoke=False)
    job.signing_key = None
    # As a build reads them: the variants before the evaluation has run.
    assert job.variants[1].sha256 == f"{MIXED}, 1"
    assert job.packager.choice == MIXED
    assert [one.sha256 for one in job.packager.variants] == [
        "float32, 2",
        f"{MIXED}, 2",
    ]
