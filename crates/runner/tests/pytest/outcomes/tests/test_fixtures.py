import os


def test_subdir_fixture(from_subdir):
    assert from_subdir == "subdir"


def test_own_basetemp(tmp_path, tmp_path_factory):
    (tmp_path / "x").write_text("y")
    assert tmp_path_factory.getbasetemp() in tmp_path.parents


def test_session_fixture(session_trail):
    assert session_trail == os.getpid()


def test_cache_fixture(cache):
    assert cache.get("fleetest/none", 7) == 7
