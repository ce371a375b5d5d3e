"""Between kcp and Celery: each new Request becomes a task, each result one status write.

The main thread watches and sends, one takes results in, some write statuses. What was sent is known in memory
alone: after a restart, each request without a status is sent, again or for the first time.
"""

import json
import logging
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import urllib3
from celery import Celery
from kombu import Consumer, Message, Queue
from kombu.mixins import ConsumerMixin

# Statuses written at once, each over a connection of its own: as many as ISC writes, more make kcp no faster.
WRITERS = 16
# So long one watch lasts; the next one goes on where it ended.
WATCH_SECONDS = 300
# Objects in a page of a list: each may have 256 KiB of parameters.
PAGE = 200
API = "apis/internal.services/v1alpha1"

log = logging.getLogger("poller")


class Refused(Exception):
    """kcp answered, but not with what it was asked for."""


class Kcp:
    """The virtual workspace, over one pool of connections that stay open, for all threads."""

    def __init__(self, endpoint: str, token: str, ca: str) -> None:
        self.path = urlsplit(endpoint).path
        self.headers = {"authorization": f"Bearer {token}"}
        self.patch_headers = self.headers | {
            "content-type": "application/merge-patch+json",
            # Else the parameters come back with each write.
            "accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        }
        self.pool = urllib3.connection_from_url(
            endpoint,
            ca_certs=ca,
            # Each writer's and the watch's: none is closed for want of room.
            maxsize=WRITERS + 1,
            timeout=urllib3.Timeout(connect=5, read=30),
            # Whatever is called here may be called twice.
            retries=urllib3.Retry(
                8, backoff_factor=0.1, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None
            ),
        )

    def call(self, method: str, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        options = {"headers": self.headers} | options
        response = self.pool.request(method, f"{self.path}/clusters/{path}", **options)
        if response.status != 200:
            raise Refused(f"{method} {path}: {response.status} {response.data[:500]!r}")
        return response

    def page(self, token: str) -> dict[str, Any]:
        fields = {"limit": str(PAGE), "continue": token}
        return self.call("GET", f"*/{API}/requests", fields=fields).json()

    def watch(self, version: str) -> Iterator[bytes]:
        """Returns when kcp has taken the watch; the lines come as things happen."""
        fields = {
            "watch": "1",
            "resourceVersion": version,
            # The version to go on from stays young where nothing happens.
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        # kcp ends the watch: a longer silence is a dead connection.
        timeout = urllib3.Timeout(connect=5, read=WATCH_SECONDS + 30)
        answer = self.call("GET", f"*/{API}/requests", fields=fields, timeout=timeout, preload_content=False)
        return iter(answer)


class Sent(NamedTuple):
    """What is kept of a request while its task is under way."""

    path: str
    generation: int
    queued: str


class Poller(ConsumerMixin):
    """Sends tasks, takes results in, has statuses written."""

    def __init__(self, kcp: Kcp, amqp: str, task: str) -> None:
        self.kcp = kcp
        self.task = task
        # Without a result backend: the one of `rpc://` declares its queue anew for every task that is sent.
        self.celery = Celery("poller", broker=amqp)
        # Heartbeats would be sent by nobody here while results keep coming; TCP's keepalive is on.
        self.celery.conf.broker_heartbeat = 0
        self.connection = self.celery.connection_for_read()
        self.replies = Queue(f"replies.{uuid.uuid4()}", exclusive=True, durable=False)
        self.listens = threading.Event()
        self.writers = ThreadPoolExecutor(WRITERS)
        # By UID, until the status was seen: what changes before must not be sent again.
        self.sent: dict[str, Sent] = {}

    def get_consumers(self, new: type[Consumer], _channel: Any) -> list[Consumer]:
        # Not acknowledged, as in Celery itself: without this process nobody could use a result.
        return [new([self.replies], on_message=self.on_reply, accept=["json"], no_ack=True)]

    def on_consume_ready(self, *_: Any, **_options: Any) -> None:
        self.listens.set()

    def on_reply(self, message: Message) -> None:
        # Decoded and written elsewhere: this thread only keeps the socket empty.
        self.writers.submit(self.finish, message)

    def finish(self, message: Message) -> None:
        reply = message.payload
        uid = reply["task_id"]
        # The UID is a precondition: another object may have the name by now.
        if sent := self.sent.get(uid):
            patch = {"metadata": {"uid": uid}, "status": terminal_status(sent, reply)}
            try:
                self.kcp.call("PATCH", sent.path, headers=self.kcp.patch_headers, json=patch)
                # One write for the whole line: other threads tell of theirs.
                os.write(sys.stdout.fileno(), f"end {uid}\n".encode())
            except (Refused, urllib3.exceptions.HTTPError):
                log.exception("no status is written: %s", sent.path)

    def see(self, request: dict[str, Any]) -> None:
        meta = request["metadata"]
        uid = meta["uid"]
        if request.get("status"):
            self.sent.pop(uid, None)
        elif uid not in self.sent:
            cluster = meta["annotations"]["kcp.io/cluster"]
            path = f"{cluster}/{API}/namespaces/{meta['namespace']}/requests/{meta['name']}/status"
            self.sent[uid] = Sent(path, meta["generation"], now())
            args = [request["spec"].get("params", {})] if self.task == "noop" else []
            # With the UID as the task's own, a result needs no other address.
            self.celery.send_task(self.task, args, task_id=uid, reply_to=self.replies.name)

    def list_all(self) -> str:
        token = ""
        while True:
            page = self.kcp.page(token)
            for request in page["items"]:
                self.see(request)
            token = page["metadata"].get("continue", "")
            if not token:
                return page["metadata"]["resourceVersion"]

    def hear(self, line: bytes) -> str:
        """Returns the version to go on from."""
        event = json.loads(line)
        kind, request = event["type"], event["object"]
        if kind == "ERROR":
            raise Refused(request["message"])
        if kind == "DELETED":
            self.sent.pop(request["metadata"]["uid"], None)
        elif kind != "BOOKMARK":
            self.see(request)
        return request["metadata"]["resourceVersion"]

    def follow(self) -> None:
        threading.Thread(target=self.run, daemon=True).start()
        # A result that finds no queue would be lost.
        self.listens.wait()
        version = ""
        ready = False
        while True:
            try:
                version = version or self.list_all()
                lines = self.kcp.watch(version)
                if not ready:
                    print("ready", flush=True)
                    ready = True
                for line in lines:
                    version = self.hear(line)
            except (Refused, urllib3.exceptions.HTTPError):
                log.exception("listing again in a second")
                version = ""
                time.sleep(1)


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def terminal_status(sent: Sent, reply: dict[str, Any]) -> dict[str, Any]:
    """As ISC writes it, less what Celery does not tell: when and where it ran."""
    good = reply["status"] == "SUCCESS"
    end = now()

    def condition(kind: str, value: bool, message: str) -> dict[str, Any]:
        return {
            "type": kind,
            "status": str(value),
            "reason": "Succeeded" if good else "JobFailed",
            "message": message,
            "lastTransitionTime": end,
            "observedGeneration": sent.generation,
        }

    why = "" if good else f"{reply['result']['exc_type']}: {reply['result']['exc_message']}"
    return {
        "observedGeneration": sent.generation,
        "phase": "Succeeded" if good else "Failed",
        "conditions": [condition("Succeeded", good, why), condition("Finished", True, "")],
        "queuedTime": sent.queued,
        "completionTime": end,
        "attempt": 1,
        **({"result": reply["result"]} if good else {}),
    }


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    env = os.environ
    kcp = Kcp(env["BENCH_ENDPOINT"], env["BENCH_TOKEN"], env["BENCH_CA"])
    # SIGTERM is left to the system: there is nothing to save that the next start would not find in kcp.
    Poller(kcp, env["BENCH_AMQP"], env["BENCH_TASK"]).follow()


if __name__ == "__main__":
    main()
