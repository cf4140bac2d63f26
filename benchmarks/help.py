"""How long `lsmseg-prompts COMMAND --help` takes, beside the start of Python itself.

python benchmarks/help.py
"""

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = [
    "run",
    "attributes",
    "generate",
    "ablate",
    "export",
    "report",
    "train",
    "evaluate",
    "predict",
    "store",
    "vocab",
]


def seconds(*command: str, times: int) -> float:
    """The median wall time."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    small = parser.parse_args().small
    times = 1 if small else 5
    bare = seconds(sys.executable, "-c", "pass", times=times)
    print(f"| command | seconds | times python -c pass ({bare:.3f} s) |\n|---|---|---|")
    for command in COMMANDS[:1] if small else COMMANDS:
        took = seconds(sys.executable, "-m", "cli", command, "--help", times=times)
        print(f"| {command} --help | {took:.2f} | {took / bare:.1f} |")


if __name__ == "__main__":
    main()
