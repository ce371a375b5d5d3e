"""The services, as Celery tasks. Runs in the worker; sees RabbitMQ alone."""

import os
import subprocess
from typing import Any

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_AMQP"], backend="rpc://")
app.conf.update(
    # A task whose worker vanishes is delivered again: acknowledged only after its result was sent.
    task_acks_late=True,
    # Tasks are short: a worker has the next ones at hand instead of a round trip away.
    worker_prefetch_multiplier=32,
    # Nothing is limited, so no token bucket need be asked for each task.
    worker_disable_rate_limits=True,
    # Nobody inspects or steers the worker while it runs.
    worker_enable_remote_control=False,
)


@app.task(name="noop")
def noop(params: dict[str, Any]) -> dict[str, Any]:
    """Does nothing: what remains is the cost of the way."""
    return {"ok": True}


@app.task(name="true")
def true() -> dict[str, Any]:
    """Runs the smallest program there is, as ISC's exec executor would."""
    subprocess.run(["/bin/true"], check=True)
    return {}
