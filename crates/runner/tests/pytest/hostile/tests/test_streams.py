import os
import sys


def test_close_stdout():
    sys.stdout.close()


def test_close_stderr():
    sys.stderr.close()


def test_close_standard_descriptors():
    for fd in (0, 1, 2):
        os.close(fd)


def test_close_low_descriptors():
    os.closerange(3, 200)


def test_after():
    print("still captured")


def test_flood():
    print("a" * 1000000)
    print("the end")


def test_huge_failure():
    raise AssertionError("x" * 1000000)


def test_surrogates():
    print("\udc80")
    assert False, "\udc81 \x1b[31m"
