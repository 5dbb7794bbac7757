import pytest
import tiny_models


@pytest.fixture(scope="session")
def batch_models():
    """The tiny classifiers by recipe, able to take several pictures at once."""
    return tiny_models.tiny_models(batches=True)
