import os
import pathlib

import pytest

collect_ignore = ["tests/collect_ignored.py"]


class WordFile(pytest.File):
    """One item per word; the word `bad` fails."""

    def collect(self):
        for word in self.path.read_text().split():
            yield WordItem.from_parent(self, name=word)


class WordItem(pytest.Item):
    def runtest(self):
        assert self.name != "bad"

    def reportinfo(self):
        return self.path, 0, self.name


def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".words":
        return WordFile.from_parent(parent, path=file_path)


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if item.name == "test_left_out_by_hook"]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def session_trail(tmp_path_factory, worker_id):
    """Lives as long as the slot; its process id tells."""
    yield os.getpid()


@pytest.fixture(scope="module")
def module_trail(request):
    trail = []
    yield trail
    assert trail == sorted(trail), "teardown order"
