import os


def test_directory_is_the_start_directory():
    assert os.path.exists("pytest.ini")
