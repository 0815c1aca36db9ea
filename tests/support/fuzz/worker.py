"""One fuzzing process: TARGET EXECUTIONS SEED PROGRESS_FILE; prints one JSON object.

Ends at the first crash: the input is in the progress file, the traceback on standard error.
"""

from __future__ import annotations

import json
import logging
import random
import resource
import sys
from pathlib import Path
from typing import Final

from tests.support.fuzz.instrument import instrument
from tests.support.fuzz.mutate import Mutator
from tests.support.fuzz.progress import Progress
from tests.support.fuzz.targets import TARGETS

_MEMORY_BYTES: Final = 2 << 30
_MAX_CORPUS: Final = 4096
_MAX_OUTCOMES: Final = 256


def main() -> int:
    """Fuzz; return 0 when every execution went well, 1 after a crash."""
    name, executions, seed, progress_file = sys.argv[1:]
    logging.disable()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    target = TARGETS[name]
    coverage = instrument(target.modules)
    run = target.loaded()
    progress = Progress(Path(progress_file))
    mutator = Mutator(
        random.Random(int(seed)),
        target.tokens,
        is_json=target.is_json,
        separator=target.separator,
    )
    corpus = list(target.seeds)
    outcomes: set[object] = set()
    wanted = int(executions)
    for number in range(1, wanted + 1):
        data = corpus[number - 1] if number <= len(target.seeds) else mutator.mutate(corpus)
        progress.record(number, data)
        coverage.begin()
        outcome = run(data)
        is_new = coverage.is_new()
        if outcome not in outcomes and len(outcomes) < _MAX_OUTCOMES:
            outcomes.add(outcome)
            is_new = True
        if is_new and number > len(target.seeds) and len(corpus) < _MAX_CORPUS:
            corpus.append(data)
    report = {
        "executions": wanted,
        "corpus": len(corpus),
        "places": coverage.places,
        "reached": sorted(coverage.reached()),
    }
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
