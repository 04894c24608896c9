"""Was each operation answered with success at least once? Otherwise everything behind its first refusal went untested.

Usage: coverage.py SCRATCH.
"""

import json
import pathlib
import sys


def main():
    scratch = pathlib.Path(sys.argv[1])
    document = json.loads((scratch / "openapi.json").read_text())
    seen = json.loads((scratch / "statuses.json").read_text())
    succeeded = {name.rsplit(" ", 1)[0] for name in seen if name.rsplit(" ", 1)[1].startswith("2")}
    operations = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    missing = sorted(operations - succeeded)
    for name in missing:
        statuses = {known.rsplit(" ", 1)[1]: count for known, count in seen.items() if known.rsplit(" ", 1)[0] == name}
        print(f"never succeeded: {name} (answers by status: {statuses})", file=sys.stderr)
    print(f"{len(operations) - len(missing)} of {len(operations)} operations succeeded", file=sys.stderr)
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
