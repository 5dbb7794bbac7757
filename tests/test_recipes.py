import pytest

from edgedeploy.errors import InputError
from edgedeploy.quantize.converter import SETTINGS
from edgedeploy.recipes import RECIPES, REFERENCE, chosen_recipes, recipe_named


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_what_its_stages_look_up(name):
    recipe = RECIPES[name]
    assert recipe.name == name
    assert (name in SETTINGS) == (recipe.engine == "converter")
    assert recipe.summary
    given = recipe.engine == "given"
    assert recipe.io_dtype in ({"as given"} if given else {"float32", "uint8"})
    # Only an integer model can be asked for the same bits everywhere.
    assert (recipe.selftest_tolerance == 0.0) == (recipe.activations == "int8")
    assert 0.0 <= recipe.selftest_tolerance <= 0.05
    integer = recipe.activations.startswith("int")
    assert recipe.needs_calibration == (integer or recipe.engine == "mixed")


def test_converter_knows_no_recipe_that_users_cannot_name():
    assert set(SETTINGS) <= set(RECIPES)


def test_default_set_is_the_documented_one():
    names = [recipe.name for recipe in chosen_recipes("")]
    assert names == ["float32", "float16", "dynamic_int8", "int8"]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("int8", ["float32", "int8"]),
        (" int8 , float16,", ["float32", "int8", "float16"]),
        ("int16x8,float32,int16x8", ["float32", "int16x8"]),
        (" , ", ["float32", "float16", "dynamic_int8", "int8"]),
    ],
)
def test_reference_comes_first_and_nothing_twice(asked, names):
    assert [recipe.name for recipe in chosen_recipes(asked)] == names
    assert names[0] == REFERENCE


@pytest.mark.parametrize("name", ["int4", "INT8", "", "int8;float16"])
def test_unknown_recipe_names_those_there_are(name):
    with pytest.raises(InputError, match=r"no recipe .*; there are float32, float16"):
        recipe_named(name)


def test_a_name_can_carry_its_budget():
    recipe = recipe_named("int4_mixed@0.003")
    assert recipe.name == "int4_mixed@0.003"
    assert recipe.max_top1_drop == 0.003
    both = chosen_recipes("int4_mixed@0.003,int4_mixed@0.01")
    assert [one.max_top1_drop for one in both] == [None, 0.003, 0.01]


def test_a_budget_with_more_zeros_is_the_same_recipe():
    both = chosen_recipes("int4_mixed@0.010,int4_mixed@0.01")
    assert [one.name for one in both] == ["float32", "int4_mixed@0.01"]


def test_a_recipe_without_a_budget_says_which_one_has_one():
    with pytest.raises(InputError, match=r"int8 takes no budget .* only int4_mixed"):
        recipe_named("int8@0.003")


@pytest.mark.parametrize(
    "name",
    [
        "int4_mixed@",
        "int4_mixed@0",
        "int4_mixed@0.0",
        "int4_mixed@1",
        "int4_mixed@-0.1",
        "int4_mixed@nan",
        "int4_mixed@../x",
        "int4_mixed@.01",
    ],
)
def test_a_budget_that_is_no_fraction_is_refused(name):
    with pytest.raises(InputError, match="a budget after @ is a fraction"):
        recipe_named(name)


def test_one_unknown_recipe_spoils_a_list():
    with pytest.raises(InputError, match="no recipe 'int9'"):
        chosen_recipes("int8,int9")
