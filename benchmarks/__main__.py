"""`make bench`: every benchmark, one after the other, each in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

#: Module and what it measures, in the order of the line.
ALL = (
    ("hook", "an agent's wait for the hook, against /bin/true"),
    ("python_api", "calls of the Python interface, against bare files of the same size"),
    ("ship", "spool files to stream, against bare pipelined redis-py"),
    ("redact", "redaction of 10 KB, of usual payloads and of ones made to be slow, against one scan"),
    ("import_", "Claude Code's transcripts to encoded events, against decoding their lines"),
    ("gateway", "a gateway's flows to fsynced ledger, against decoding and syncing their lines"),
    ("daemon", "the same flows, beside the way of writing of the daemon that KARL supersedes"),
    ("line", "stream to fsynced ledger, against a floor loop"),
    ("score", "microseconds per score"),
    ("acts", "what a call did: commands taken apart, against shlex.split"),
    ("encoders", "prompts a second of each encoder, and the ranking of skills, against one product"),
    ("rules", "ten thousand rules asked about a prompt, against one search for one word"),
    ("corrections", "microseconds per prompt that is judged, against splitting it into words"),
    ("shadow", "from a prompt's hook to its prediction in the ledger, against the turn's own record"),
    ("live", "a prompt whose hook asks for a skill, against one whose hook does not"),
    ("jobs", "jobs a second and the wait of one, against RQ's own workers"),
    ("handover", "how long nobody writes after a clean end and after a crash, against the lease's life"),
    ("append", "append, open and head of the ledger, small and large"),
    ("replica", "a follower of the ledger, against copying its files, and what it costs the writer"),
    ("views", "next view update and `karl status`, small and large"),
    ("lift_power", "how often an evaluation of adapters says lift, with no effect and with some"),
    ("idle", "memory and CPU of `karl up` with nothing to do"),
    ("load", "four workers: a burst of ten times, a writer that stands still; nothing lost"),
)
#: Run only when it is named.
LONG = (
    ("soak", "ten minutes of an even load: memory, open files and disk must not grow by themselves"),
    ("drift", "how often `karl drift` sees a change of rewards where there is none, and where there is one"),
)


def main() -> int:
    """Run those named on the command line, or all but the long ones."""
    wanted = set(sys.argv[1:]) or {name for name, _ in ALL}
    known = [name for name, _ in (*ALL, *LONG)]
    if unknown := wanted - set(known):
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
        return 2
    print(f"{platform.platform()}, Python {platform.python_version()}")
    failed = 0
    for name, what in (*ALL, *LONG):
        if name in wanted:
            print(f"\n== {name}: {what}", flush=True)
            failed += (
                subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode != 0
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
