"""Runs the AWS emulator on loopback until standard input ends, then stops it.

Whoever starts this holds the other end of the pipe; however that process ends, the emulator ends too.
"""

import os
import subprocess
import sys
import tempfile
import threading

STOP_WITHIN_S = 5


def main() -> None:
    program = os.path.join(os.path.dirname(sys.executable), "ministack")
    keep = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with tempfile.TemporaryDirectory(prefix="fleetest-aws-") as scratch:
        # It listens on every address unless told otherwise.
        keep |= {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": sys.argv[1], "TMPDIR": scratch, "HOME": scratch}
        emulator = subprocess.Popen([program], env=keep, cwd=scratch, stdin=subprocess.DEVNULL)

        def stop_when_nobody_waits() -> None:
            os.read(0, 1)
            emulator.terminate()
            try:
                emulator.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                emulator.kill()

        threading.Thread(target=stop_when_nobody_waits, daemon=True).start()
        code = emulator.wait()
    sys.exit(1 if code else 0)


main()
