"""Lines of JSON over sockets, and texts cut to size."""
import json
import os

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
