"""Lines of JSON over sockets, texts cut to size, and a rest for the garbage collector."""
import contextlib
import gc
import json
import os
import select

TEXT_LIMIT_BYTES = 64 * 1024

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def send(fd, message):
    """Writes one line whole. The runner is gone, or a test closed the socket, if that fails: then nothing
    this process does can matter any more."""
    line = memoryview(_encode(message).encode("utf-8", "replace") + b"\n")
    try:
        while line:
            line = line[os.write(fd, line):]
    except OSError:
        os._exit(70)


class Lines:
    """Reads lines of JSON from a descriptor."""

    def __init__(self, fd):
        self.fd = fd
        self.rest = b""
        self.poller = select.poll()
        self.poller.register(fd, select.POLLIN)

    def waiting(self):
        """Whether the other side has said something, or hung up."""
        return b"\n" in self.rest or bool(self.poller.poll(0))

    def next(self):
        """The next message, or None at the end of the stream."""
        while b"\n" not in self.rest:
            chunk = os.read(self.fd, 1 << 16)
            if not chunk:
                return None
            self.rest += chunk
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)


def cut(text):
    """The text, or its beginning and its end with a marker that says how many bytes are missing."""
    if len(text) * 4 <= TEXT_LIMIT_BYTES:
        return text
    raw = text.encode("utf-8", "replace")
    if len(raw) <= TEXT_LIMIT_BYTES:
        return text
    half = TEXT_LIMIT_BYTES // 2 - 32
    marker = "\n[... %d bytes cut ...]\n" % (len(raw) - 2 * half)
    return raw[:half].decode("utf-8", "ignore") + marker + raw[-half:].decode("utf-8", "ignore")


@contextlib.contextmanager
def no_garbage():
    """Does not look for garbage until the block ends, or what it gives is called. Whether the collector is
    switched on stays the project's choice, and so does its threshold if the project sets one meanwhile."""
    before = gc.get_threshold()
    never = (1 << 30,) + before[1:]
    gc.set_threshold(*never)

    def look_again():
        if gc.get_threshold() == never:
            gc.set_threshold(*before)

    try:
        yield look_again
    finally:
        look_again()
