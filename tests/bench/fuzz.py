"""Raw requests by the ten thousand: nothing is harmed, nothing refused is stored, and memory does not grow.

The memory is the server's resident size after a warm-up of a tenth of the requests, and at the end.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.support.fuzzing import SERVING, fuzz
from tests.support.serving_process import ServingProcess
from tests.support.system import eventually

GROWTH_BYTES = 30_000_000
"""What allocators keep between the largest requests."""


def main() -> int:
    """Run it; 0 where memory stayed as it was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    resident, outcomes, begun = [], Counter[str](), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="oryx-fuzz-") as folder, ServingProcess(Path(folder), SERVING) as serving:
        eventually(lambda: serving.status("/ready") == 200, 60)
        for part in range(10):
            outcomes += fuzz(serving, options.seed * 1000 + part, options.requests // 10)
            resident.append(serving.resident_bytes())
    growth = resident[-1] - resident[0]
    result = {
        "requests": options.requests // 10 * 10,
        "outcomes": dict(sorted(outcomes.items())),
        "resident_mb": [round(size / 1e6, 1) for size in resident],
        "growth_mb": round(growth / 1e6, 1),
        "seconds": round(time.perf_counter() - begun, 1),
        "seed": options.seed,
    }
    print(json.dumps(result, indent=None if options.json else 2))
    return int(growth > GROWTH_BYTES)


if __name__ == "__main__":
    sys.exit(main())
