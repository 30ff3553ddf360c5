"""What each stage of a compile takes: `python -m tests.benchmarks.stages MANIFEST NODE`.

Runs in a process of its own and prints JSON: a list of name, seconds, and the peak resident set
size so far in MiB.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def stages(manifest: str, node: str) -> list[tuple[str, float, float]]:
    """Compile as the command does, and return what each stage took."""
    taken: list[tuple[str, float, float]] = []

    def timed(name: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        taken.append((name, seconds, peak))
        return result

    timed("import", _import)
    from compiler.cli.collector import paused_collector
    from compiler.cli.output import write_output
    from compiler.compilation import default_family
    from compiler.manifests.reader import read_manifests
    from compiler.manifests.source import read_sources
    from compiler.proxy.configuration import read_config
    from compiler.proxy.iptables_plan import project
    from compiler.proxy.planner import make_plan
    from compiler.proxy.release import NEWEST, Release
    from compiler.render import render_chunks

    with paused_collector():
        sources = timed("bytes", lambda: read_sources([manifest], lambda: b""))
        config = read_config(None, {"cluster_cidr": "10.128.0.0/9"})
        manifests = timed("read", lambda: read_manifests(sources))
        sources.clear()
        family = default_family(manifests.services)
        release = Release(NEWEST)
        planned = timed("decide", lambda: make_plan(manifests, config, family, release, node=node))
        plan = timed("name", lambda: project(planned.plan))
        timed("write", lambda: write_output(render_chunks(plan), "/dev/null"))
    return taken


def _import() -> None:
    import compiler.cli.compile
    import compiler.render  # noqa: F401


if __name__ == "__main__":
    print(json.dumps(stages(*sys.argv[1:])))  # noqa: T201
