"""One trainer in a process of its own: a line of JSON in, a line of JSON out, until the input ends."""

import json
import os
import sys
import time
from pathlib import Path

from tests.bench.batch.trainers import TRAINERS


def main() -> None:
    """Serve the trainer that the arguments name: it, its folder, and the memory of a driver."""
    name, folder, memory = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    trainer = TRAINERS[name]()
    began = time.perf_counter()
    trainer.open(folder, memory)
    print(json.dumps({"session_s": time.perf_counter() - began, "algebra": trainer.algebra()}), file=answers)
    for line in sys.stdin:
        told = json.loads(line)
        began = time.perf_counter()
        if told["do"] == "prepare":
            trainer.prepare(Path(told["sample"]))
            found = {"seconds": time.perf_counter() - began}
        else:
            found = trainer.fit(told["features"], told["parameters"], Path(told["into"]))
        print(json.dumps(found), file=answers)
    trainer.close()


if __name__ == "__main__":
    main()
