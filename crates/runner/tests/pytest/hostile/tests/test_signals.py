import ctypes
import os
import signal


def test_before():
    pass


def test_segfault():
    ctypes.string_at(0)


def test_kill():
    os.kill(os.getpid(), signal.SIGXCPU)


def test_abort():
    os.abort()


def test_after():
    pass
