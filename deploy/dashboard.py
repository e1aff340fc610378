# ruff: noqa: INP001 - a script of the image, in no package
"""Start rq-dashboard so that it can not unpickle: `python dashboard.py OPTIONS OF rq-dashboard`.

`--json` alone is not enough: its page of workers reads the job that a worker names with RQ's default,
which is pickle. Who can write into the queues could run code here.
"""

from rq.serializers import DefaultSerializer, JSONSerializer

DefaultSerializer.dumps = JSONSerializer.dumps
DefaultSerializer.loads = JSONSerializer.loads

if __name__ == "__main__":
    from rq_dashboard.cli import main

    main()
