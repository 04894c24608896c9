import pytest


@pytest.fixture
def from_subdir():
    return "subdir"
