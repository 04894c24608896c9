import os


def test_before():
    print("kept")


def test_exit():
    os._exit(3)


def test_between():
    pass


def test_exit_again():
    os._exit(0)


def test_after():
    pass
