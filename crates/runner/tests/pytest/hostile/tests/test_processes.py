import os
import subprocess
import sys
import threading
import time

import pytest


def test_fork_falls_through():
    os.fork()


def test_fork_ends():
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 7


def test_fork_fails():
    pid = os.fork()
    assert pid != 0
    assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 1


def test_daemon():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def test_thread():
    threading.Thread(target=time.sleep, args=(600,)).start()


def test_new_session():
    try:
        os.setsid()
    except PermissionError:
        pass


def test_interrupt():
    raise KeyboardInterrupt


def test_pytest_exit():
    pytest.exit("enough")


def test_stop_session(request):
    request.session.shouldstop = "please"


def test_after():
    pass
