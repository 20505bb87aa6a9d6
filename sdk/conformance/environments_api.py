#!/usr/bin/python3
"""A small fake of the part of Anthropic's API that self-hosted environments are worked through.

    sdk/conformance/environments_api.py [--port PORT]    # prints its address, serves until it is ended

It has one environment, `env_fake`, which the key `sk-ant-oat-fake` opens. A test gives it sessions. A session is a script: what
the agent does in each of its turns, as a list of calls. When all calls of a turn have their answers the next turn begins, as
the model's would; after the last one the session is idle, or terminated if the script says so.

    api.queue(Script("sesn_a", [[Call("bash", {"command": "ls"})], [Call("bash", {"command": "pwd"})]]))
    api.wait(lambda: api.script("sesn_a").is_over, 30)

It is as strict as the API's documentation is: polls must say who polls, work that is not acknowledged comes back, a heartbeat
must show the one before (412 if not), a lease that nobody keeps runs out and its work comes back, an answer must be of the kind
of its call, not be empty, and be the only one. What is not so is a 400 that says it, and is in `failures`.

A session can bring skills, memory stores and files along, which are in `api.skills`, `api.stores` and `api.files`, and are served
as the public client libraries ask for them; memory is changed under the hashes that it had. With a certificate it speaks TLS, and
then serves `api.git`, a directory of bare repositories, to whoever shows `api.git_token`. `api.webhook` tells a worker of a session.
`api.errors` are answered in place of the next calls: `api.fail("send", 500)`. Every call is in `api.calls`.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import re
import secrets
import ssl
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, __file__.rpartition("/")[0] or ".")

from messages_api import Refused, check_part  # noqa: E402

ENVIRONMENT = "env_fake"
KEY = "sk-ant-oat-fake"
NOBODY = "NO_HEARTBEAT"
MEMORY_PREVIEW = "agent-memory-2026-07-22"
LARGEST_MEMORY = 102_400
LARGEST_REQUEST = 32 * 1024 * 1024
LONGEST_STREAM = 60.0


@dataclass
class Call:
    """What the agent calls. `permission` is what the API says of it; `custom` if the tool is one of the agent's own."""

    name: str
    input: dict[str, Any]
    permission: str = "allow"
    custom: bool = False
    id: str = ""
    answers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What the texts of its one answer say."""
        [answer] = self.answers
        return "\n".join(part["text"] for part in answer["content"] if part["type"] == "text")

    @property
    def is_error(self) -> bool:
        [answer] = self.answers
        return answer["is_error"]


@dataclass
class Script:
    """A session: its turns, and what became of them."""

    id: str
    turns: list[list[Call]]
    ending: str = "idle"  # or "terminated"
    secret: bool = True
    skills: list[dict[str, str]] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    status: str = "running"
    events: list[dict[str, Any]] = field(default_factory=list)
    begun: int = 0

    @property
    def token(self) -> str:
        return f"sk-ant-req-{self.id}" if self.secret else KEY

    @property
    def is_over(self) -> bool:
        return self.status in ("idle", "terminated")

    def happened(self, type: str, **fields: Any) -> dict[str, Any]:
        event = {"id": f"sevt_{self.id}_{len(self.events)}", "type": type, "processed_at": _now(), **fields}
        self.events.append(event)
        return event

    def begin_turn(self) -> None:
        """The agent's next turn: its calls, or its end."""
        if self.begun == len(self.turns):
            if self.ending == "terminated":
                self.happened("session.status_terminated")
            else:
                self.happened("agent.message", content=[{"type": "text", "text": "Done."}])
                self.happened("session.status_idle", stop_reason={"type": "end_turn"}, stop_details=None)
            self.status = self.ending
            return
        self.status = "running"
        self.happened("session.status_running")
        for call in self.turns[self.begun]:
            type = "agent.custom_tool_use" if call.custom else "agent.tool_use"
            more = {} if call.custom else {"evaluated_permission": call.permission}
            call.id = self.happened(type, name=call.name, input=call.input, **more)["id"]
        waits = {"type": "requires_action", "event_ids": [call.id for call in self.turns[self.begun]]}
        self.happened("session.status_idle", stop_reason=waits, stop_details=None)
        self.begun += 1

    def call(self, id: str) -> Call | None:
        return next((call for turn in self.turns for call in turn if call.id and call.id == id), None)

    def advance(self) -> None:
        if self.status == "running" and all(call.answers for turn in self.turns[: self.begun] for call in turn):
            self.begin_turn()


@dataclass
class Work:
    id: str
    script: Script
    state: str = "queued"
    polled_at: float | None = None
    beaten_at: float | None = None
    ttl: float = 0.0
    last: str = NOBODY
    beats: int = 0

    def shown(self, secret: bool) -> dict[str, Any]:
        payload = json.dumps({"sessions_token": self.script.token}).encode()
        return {
            "id": self.id,
            "type": "work",
            "data": {"type": "session", "id": self.script.id},
            "environment_id": ENVIRONMENT,
            "state": self.state,
            "metadata": {},
            "secret": base64.urlsafe_b64encode(payload).decode().rstrip("=")
            if secret and self.script.secret
            else None,
        }  # fmt: skip


@dataclass
class Skill:
    """A skill, with the archives of its versions; the last one is the latest."""

    name: str
    versions: dict[str, bytes]


class Store:
    """A memory store: texts by path."""

    def __init__(self, **memories: str):
        self.memories = {"/" + path: content for path, content in memories.items()}
        self.ids: dict[str, str] = {}

    def shown(self, path: str, full: bool) -> dict[str, Any]:
        content = self.memories[path]
        return {
            "id": self.ids.setdefault(path, f"mem_{len(self.ids)}"),
            "type": "memory",
            "path": path,
            "content": content if full else None,
            "content_sha256": sha256(content),
            "content_size_bytes": len(content.encode()),
        }

    def path_of(self, id: str) -> str:
        for path, known in self.ids.items():
            if known == id and path in self.memories:
                return path
        raise Refused(f"Memory {id} not found", 404, "not_found_error")


def sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


class EnvironmentsApi(ThreadingHTTPServer):
    """The fake. A context manager that serves from a thread of its own."""

    daemon_threads = True

    def __init__(self, port: int = 0, ttl: float = 4.0, reclaim: float = 2.0, certificate: Path | None = None):
        super().__init__(("127.0.0.1", port), Handler)
        self.scheme = "http"
        if certificate is not None:
            self.scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # The handshake is then made by the thread that serves the connection.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.skills: dict[str, Skill] = {}
        self.stores: dict[str, Store] = {}
        self.files: dict[str, bytes] = {}
        self.git: Path | None = None
        self.git_token = ""
        self.nonce = secrets.token_hex(4)
        self.ttl = ttl
        self.reclaim = reclaim
        self.changed = threading.Condition()
        self.scripts: dict[str, Script] = {}
        self.work: list[Work] = []
        self.calls: list[tuple[str, str, float]] = []
        self.failures: list[str] = []
        self.errors: list[tuple[str, int, float | None, bool]] = []
        self.streams = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> EnvironmentsApi:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A worker that is killed closes nothing; one that does not trust the certificate says so to itself.
        if not isinstance(sys.exc_info()[1], ConnectionError | ssl.SSLError):
            super().handle_error(request, client_address)

    # --- what a test does ---

    def queue(self, script: Script) -> Script:
        """A new session, whose agent begins at once."""
        with self.changed:
            self.scripts[script.id] = script
            script.happened("user.message", content=[{"type": "text", "text": "Go."}])
            script.begin_turn()
            self._enqueue(script)
        return script

    def say(self, script: Script, *turns: list[Call]) -> None:
        """The user writes again in a session that is idle: more turns. A session that has no work item gets one."""
        with self.changed:
            script.turns += turns
            script.happened("user.message", content=[{"type": "text", "text": "Go on."}])
            script.begin_turn()
            if not any(work.script is script and work.state in ("starting", "active") for work in self.work):
                self._enqueue(script)
            self.changed.notify_all()

    def confirm(self, script: Script, call: Call, result: str) -> None:
        """The user allows or denies a call."""
        with self.changed:
            script.happened("user.tool_confirmation", tool_use_id=call.id, result=result)
            if result == "deny":
                call.answers.append({"content": [{"type": "text", "text": "denied"}], "is_error": True})
                script.advance()
            self.changed.notify_all()

    def terminate(self, script: Script) -> None:
        with self.changed:
            script.happened("session.status_terminated")
            script.status = "terminated"
            self.changed.notify_all()

    def fail(self, what: str, status: int, times: int = 1, retry_after: float | None = None, done: bool = False) -> None:
        """The next calls of a kind (poll, ack, heartbeat, stop, session, stream, list, send, skill, archive, file, memories,
        memory, remember, rewrite, forget) are answered so. With `done`
        they have their effect all the same; with the status 0 the connection breaks in place of an answer."""
        with self.changed:
            self.errors += [(what, status, retry_after, done)] * times

    def webhook(self, url: str, secret: bytes, script: Script, type: str = "session.status_run_started") -> int:
        """Delivers a webhook about a session, and returns what it was answered."""
        event = {"type": "event", "id": f"event_{secrets.token_hex(8)}", "created_at": _now()}
        event["data"] = {"type": type, "id": script.id, "organization_id": "org_fake", "workspace_id": "wrkspc_fake"}
        body, now = json.dumps(event).encode(), str(int(time.time()))
        signed = hmac.digest(secret, f"{event['id']}.{now}.".encode() + body, "sha256")
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        request.add_header("webhook-id", event["id"])
        request.add_header("webhook-timestamp", now)
        request.add_header("webhook-signature", "v1," + base64.b64encode(signed).decode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status

    def steal(self, script: Script) -> None:
        """Another worker takes the lease of a session's work, as if this one had been silent for too long."""
        with self.changed:
            for work in self.work:
                if work.script is script and work.state == "active":
                    work.last, work.beaten_at, work.ttl = "somebody-else", time.monotonic(), 3600.0

    def drop_streams(self) -> None:
        """Breaks off every open stream of events."""
        with self.changed:
            self.streams += 1
            self.changed.notify_all()

    def wait(self, condition: Callable[[], Any], seconds: float, what: str = "it") -> Any:
        """Waits for something to become true of this fake, and returns it."""
        end = time.monotonic() + seconds
        with self.changed:
            while not (value := condition()):
                if not self.changed.wait(end - time.monotonic()):
                    raise AssertionError(f"{what} did not happen within {seconds:g} s; calls: {self.calls[-20:]}")
            return value

    def work_of(self, script: Script) -> list[Work]:
        return [work for work in self.work if work.script is script]

    def count(self, what: str) -> int:
        return len(self.times(what))

    def times(self, what: str) -> list[float]:
        """When each call of a kind came."""
        return [at for kind, _, at in self.calls if kind == what]

    # --- what a worker asks ---

    def _enqueue(self, script: Script) -> None:
        self.work.append(Work(f"work_{self.nonce}_{len(self.work)}", script))
        self.changed.notify_all()

    def poll(self, block: float) -> Work | None:
        end = time.monotonic() + block
        with self.changed:
            while True:
                now = time.monotonic()
                for work in self.work:
                    if work.state == "active" and now > work.beaten_at + work.ttl:
                        # Nobody has kept it: it goes back to the queue.
                        work.state, work.polled_at, work.last = "queued", None, NOBODY
                    if work.state == "queued" and (work.polled_at is None or now > work.polled_at + self.reclaim):
                        work.polled_at = now
                        return work
                if now >= end:
                    return None
                self.changed.wait(min(end - now, 0.1))

    def heartbeat(self, work: Work, expected: str, desired: float | None) -> dict[str, Any]:
        if work.state in ("starting", "active") and expected != work.last:
            state = {"last_heartbeat": work.last, "lease_extended": False, "state": work.state}
            raise Lost({"current_state": state, "error_code": "heartbeat_precondition_failed"})
        if work.state == "queued":
            raise Refused("the work is not acknowledged", 409, "conflict_error")
        is_live = work.state in ("starting", "active")
        if is_live:
            work.beats += 1
            work.state, work.last, work.beaten_at = "active", f"beat-{work.id}-{work.beats}", time.monotonic()
            work.ttl = self.ttl if desired is None else min(desired, self.ttl)
        return {
            "type": "work_heartbeat",
            "last_heartbeat": work.last,
            "lease_extended": is_live,
            "state": work.state,
            "ttl_seconds": int(work.ttl),
        }

    def send(self, script: Script, events: Any) -> None:
        if not isinstance(events, list) or not events:
            raise Refused("events: must be a list that is not empty")
        for event in events:
            kinds = {"user.tool_result": "tool_use_id", "user.custom_tool_result": "custom_tool_use_id"}
            named = kinds.get(event.get("type"))
            if named is None:
                raise Refused(f"events: unknown type {event.get('type')!r}")
            call = script.call(event.get(named, ""))
            if call is None or call.custom != (named == "custom_tool_use_id"):
                raise Refused(f"{named}: there is no such call: {event.get(named)!r}")
            if call.answers:
                raise Refused(f"{named}: {call.id} has its answer already")
            if script.status != "running":
                raise Refused(f"the session is {script.status}")
            if not isinstance(event.get("is_error"), bool) or not event.get("content"):
                raise Refused("an answer has content and is_error")
            for part in event["content"]:
                check_part(part, "content")
            call.answers.append(event)
            script.happened(**event)
            script.advance()


class Lost(Refused):
    """Another worker may hold the lease."""

    def __init__(self, details: dict[str, Any]):
        super().__init__("the heartbeat is not the one that is expected", 412, "invalid_request_error")
        self.details = details


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: EnvironmentsApi

    ROUTES = (
        ("poll", "GET", r"/v1/environments/([\w-]+)/work/poll"),
        ("ack", "POST", r"/v1/environments/([\w-]+)/work/([\w-]+)/ack"),
        ("heartbeat", "POST", r"/v1/environments/([\w-]+)/work/([\w-]+)/heartbeat"),
        ("stop", "POST", r"/v1/environments/([\w-]+)/work/([\w-]+)/stop"),
        ("session", "GET", r"/v1/sessions/([\w-]+)"),
        ("stream", "GET", r"/v1/sessions/([\w-]+)/events/stream"),
        ("list", "GET", r"/v1/sessions/([\w-]+)/events"),
        ("send", "POST", r"/v1/sessions/([\w-]+)/events"),
        ("skill", "GET", r"/v1/skills/([\w-]+)/versions/([\w-]+)"),
        ("archive", "GET", r"/v1/skills/([\w-]+)/versions/([\w-]+)/content"),
        ("file", "GET", r"/v1/files/([\w-]+)/content"),
        ("memories", "GET", r"/v1/memory_stores/([\w-]+)/memories"),
        ("remember", "POST", r"/v1/memory_stores/([\w-]+)/memories"),
        ("memory", "GET", r"/v1/memory_stores/([\w-]+)/memories/([\w-]+)"),
        ("rewrite", "POST", r"/v1/memory_stores/([\w-]+)/memories/([\w-]+)"),
        ("forget", "DELETE", r"/v1/memory_stores/([\w-]+)/memories/([\w-]+)"),
    )
    OF_MEMORY = ("memories", "remember", "memory", "rewrite", "forget")

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def log_message(self, format: str, *arguments: object) -> None:
        return

    def _handle(self) -> None:
        address = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        body = self.rfile.read(min(int(self.headers.get("content-length") or 0), LARGEST_REQUEST))
        try:
            if self.server.git is not None and address.path.startswith("/git/"):
                self._repository(address.path.removeprefix("/git/"))
                return
            for kind, method, pattern in self.ROUTES:
                found = re.fullmatch(pattern, address.path)
                if found and method == self.command:
                    self._serve(kind, found.groups(), body)
                    return
            raise Refused(f"there is no {self.command} {address.path}", 404, "not_found_error")
        except Refused as refused:
            self._refuse(refused)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # The worker went away, as some tests want it to.

    def _serve(self, kind: str, ids: tuple[str, ...], body: bytes) -> None:
        api = self.server
        with api.changed:
            api.calls.append((kind, "/".join(ids), time.monotonic()))
            api.changed.notify_all()
            planned = next((error for error in api.errors if error[0] == kind), None)
            if planned:
                api.errors.remove(planned)
        self._check_headers(kind, ids)
        if planned is None:
            getattr(self, "_" + kind)(*ids, body)
            return
        _, status, retry_after, is_done = planned
        if is_done:
            self.is_mute = True
            getattr(self, "_" + kind)(*ids, body)
            self.is_mute = False
        if status == 0:
            self.close_connection = True
            return
        refused = Refused(f"a planned {status}", status, "api_error")
        refused.retry_after = retry_after
        raise refused

    is_mute = False

    def _check_headers(self, kind: str, ids: tuple[str, ...]) -> None:
        if self.headers.get("anthropic-version") != "2023-06-01":
            raise Refused("anthropic-version: header is required")
        preview = self.headers.get("anthropic-beta", "")
        needed = MEMORY_PREVIEW if kind in self.OF_MEMORY else "managed-agents-2026-04-01"
        if kind in ("skill", "archive", "file"):
            if preview:
                raise Refused(f"anthropic-beta: {preview} is not of this endpoint")
        elif needed not in preview:
            raise Refused(f"anthropic-beta: this endpoint needs {needed}")
        given = self.headers.get("authorization", "")
        wanted = KEY
        if kind in (*self.OF_MEMORY, "skill", "archive", "file"):
            self._check_owner(kind, ids, given)
            return
        if kind in ("heartbeat", "stop"):
            wanted = self._work(ids[1]).script.token
        elif kind in ("session", "stream", "list", "send"):
            wanted = self._script(ids[0]).token
        if given != f"Bearer {wanted}":
            raise Refused("invalid bearer token", 401, "authentication_error")
        if kind in ("poll", "ack", "heartbeat", "stop") and ids[0] != ENVIRONMENT:
            raise Refused(f"Environment {ids[0]} not found", 404, "not_found_error")

    def _check_owner(self, kind: str, ids: tuple[str, ...], given: str) -> None:
        """Only a session that has it may ask for it; memory is closed to the environment's key."""
        for script in self.server.scripts.values():
            if given == f"Bearer {script.token}" and not (kind in self.OF_MEMORY and script.token == KEY):
                named = {skill["skill_id"] for skill in script.skills}
                named.update(one.get("memory_store_id") or one.get("file_id") for one in script.resources)
                if ids[0] in named:
                    return
        raise Refused("invalid bearer token", 401, "authentication_error")

    def _script(self, id: str) -> Script:
        if id not in self.server.scripts:
            raise Refused(f"Session {id} not found", 404, "not_found_error")
        return self.server.scripts[id]

    def _work(self, id: str) -> Work:
        work = next((work for work in self.server.work if work.id == id), None)
        if work is None:
            raise Refused(f"Work {id} not found", 404, "not_found_error")
        return work

    def _poll(self, _environment: str, _body: bytes) -> None:
        if not self.headers.get("anthropic-worker-id"):
            raise Refused("Anthropic-Worker-ID: a poll says who polls")
        block = int(self.query.get("block_ms", "0"))
        if not 0 <= block <= 999:
            raise Refused("block_ms: must be from 1 to 999")
        work = self.server.poll(block / 1000)
        self._json(None if work is None else work.shown(secret=True))

    def _ack(self, _environment: str, id: str, _body: bytes) -> None:
        work = self._work(id)
        with self.server.changed:
            if work.state != "queued":
                raise Refused(f"the work is {work.state}", 409, "conflict_error")
            work.state, work.last = "active", NOBODY
            # One that acknowledges and then says nothing loses it too.
            work.beaten_at, work.ttl = time.monotonic(), self.server.ttl
            self.server.changed.notify_all()
        self._json(work.shown(secret=False))

    def _heartbeat(self, _environment: str, id: str, _body: bytes) -> None:
        desired = self.query.get("desired_ttl_seconds")
        with self.server.changed:
            answer = self.server.heartbeat(
                self._work(id),
                self.query.get("expected_last_heartbeat", ""),
                None if desired is None else float(desired),
            )
            self.server.changed.notify_all()
        self._json(answer)

    def _stop(self, _environment: str, id: str, _body: bytes) -> None:
        work = self._work(id)
        with self.server.changed:
            if work.state == "stopped":
                raise Refused("the work is stopped", 409, "conflict_error")
            work.state = "stopped"
            self.server.changed.notify_all()
        self._json(work.shown(secret=False))

    def _session(self, id: str, _body: bytes) -> None:
        script = self._script(id)
        self._json(
            {
                "id": id,
                "type": "session",
                "status": script.status,
                "environment_id": ENVIRONMENT,
                "agent": {"id": "agent_fake", "skills": script.skills},
                "resources": script.resources,
                "metadata": {},
            }
        )

    def _list(self, id: str, _body: bytes) -> None:
        limit, at = int(self.query.get("limit", "20")), int(self.query.get("page", "0"))
        with self.server.changed:
            events = list(self._script(id).events)
        if self.query.get("order", "asc") == "desc":
            events.reverse()
        more = str(at + limit) if at + limit < len(events) else None
        self._json({"data": events[at : at + limit], "next_page": more})

    def _send(self, id: str, body: bytes) -> None:
        try:
            events = json.loads(body).get("events")
        except (ValueError, AttributeError) as error:
            raise Refused(f"the body is no JSON object: {error}") from error
        with self.server.changed:
            self.server.send(self._script(id), events)
            self.server.changed.notify_all()
        self._json({"data": events})

    def _stream(self, id: str, _body: bytes) -> None:
        """What happens from now on, until the session is over for good."""
        script, api = self._script(id), self.server
        with api.changed:
            at, open_streams = len(script.events), api.streams
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(b": open\n\n")
        end = time.monotonic() + LONGEST_STREAM
        while time.monotonic() < end:
            with api.changed:
                news = script.events[at:]
                if not news:
                    api.changed.wait(0.5)
                if api.streams != open_streams:
                    self.close_connection = True
                    return
            at += len(news)
            for event in news:
                self._chunk(f"event: message\ndata: {json.dumps(event)}\n\n".encode())
            if not news:
                self._chunk(b"event: ping\ndata: {}\n\n")
        self._chunk(b"")

    def _skill(self, id: str, version: str, _body: bytes) -> None:
        skill = self._of(self.server.skills, id)
        latest = list(skill.versions)[-1]
        version = latest if version == "latest" else version
        self._of(skill.versions, version)
        self._json({"id": version, "type": "skill_version", "skill_id": id, "name": skill.name, "description": ""})

    def _archive(self, id: str, version: str, _body: bytes) -> None:
        self._bytes(self._of(self._of(self.server.skills, id).versions, version))

    def _file(self, id: str, _body: bytes) -> None:
        self._bytes(self._of(self.server.files, id))

    def _memories(self, id: str, _body: bytes) -> None:
        view, limit = self.query.get("view", "basic"), int(self.query.get("limit", "20"))
        if not 1 <= limit <= (20 if view == "full" else 100):
            raise Refused("limit: too many for one page")
        store, at = self._of(self.server.stores, id), int(self.query.get("page", "page_0").removeprefix("page_"))
        with self.server.changed:
            paths = sorted(store.memories)
            page = [store.shown(path, view == "full") for path in paths[at : at + limit]]
        self._json({"data": page, "next_page": f"page_{at + limit}" if at + limit < len(paths) else None})

    def _memory(self, id: str, memory: str, _body: bytes) -> None:
        store = self._of(self.server.stores, id)
        with self.server.changed:
            shown = store.shown(store.path_of(memory), self.query.get("view", "full") == "full")
        self._json(shown)

    def _remember(self, id: str, body: bytes) -> None:
        self._write_memory(id, None, json.loads(body))

    def _rewrite(self, id: str, memory: str, body: bytes) -> None:
        self._write_memory(id, memory, json.loads(body))

    def _write_memory(self, id: str, memory: str | None, given: dict[str, Any]) -> None:
        store, content = self._of(self.server.stores, id), given.get("content")
        if not isinstance(content, str) or len(content.encode()) > LARGEST_MEMORY:
            raise Refused("content: must be a text of at most 100 kB")
        with self.server.changed:
            if memory is None:
                path = given.get("path", "")
                if not re.fullmatch(r"(/[^/\0]+)+", path) or {".", ".."}.intersection(path.split("/")):
                    raise Refused(f"path: {path!r} is none")
                if path in store.memories:
                    raise Refused("there is a memory at this path", 409, "memory_path_conflict_error")
            else:
                path, condition = store.path_of(memory), given.get("precondition") or {}
                if condition.get("type") != "content_sha256":
                    raise Refused("precondition: a worker must say what it replaces")
                if condition.get("content_sha256") != sha256(store.memories[path]):
                    raise Refused("it has changed", 409, "memory_precondition_failed_error")
            store.memories[path] = content
            shown = store.shown(path, False)
            self.server.changed.notify_all()
        self._json(shown)

    def _forget(self, id: str, memory: str, _body: bytes) -> None:
        store = self._of(self.server.stores, id)
        with self.server.changed:
            path = store.path_of(memory)
            if self.query.get("expected_content_sha256") != sha256(store.memories[path]):
                raise Refused("it has changed", 409, "memory_precondition_failed_error")
            del store.memories[path]
            self.server.changed.notify_all()
        self._json({"id": memory, "type": "memory_deleted"})

    def _repository(self, name: str) -> None:
        """A file of a repository, as git's plain protocol reads them."""
        basic = base64.b64encode(f"x-access-token:{self.server.git_token}".encode()).decode()
        if self.headers.get("authorization") != f"Basic {basic}":
            raise Refused("the repository is private", 401, "authentication_error")
        path = self.server.git / name
        if ".." in name.split("/") or not path.is_file():
            raise Refused(f"there is no {name}", 404, "not_found_error")
        self._bytes(path.read_bytes())

    def _of(self, known: dict[str, Any], id: str) -> Any:
        if id not in known:
            raise Refused(f"{id} not found", 404, "not_found_error")
        return known[id]

    def _bytes(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _refuse(self, refused: Refused) -> None:
        if refused.status in (400, 401):
            with self.server.changed:
                self.server.failures.append(f"{self.command} {self.path}: {refused}")
        error: dict[str, Any] = {"type": refused.kind, "message": str(refused)}
        if isinstance(refused, Lost):
            error["details"] = refused.details
        more = {} if refused.retry_after is None else {"Retry-After": f"{refused.retry_after:g}"}
        self._json({"type": "error", "error": error, "request_id": "req_fake"}, refused.status, more)

    def _json(self, value: Any, status: int = 200, more: dict[str, str] | None = None) -> None:
        if self.is_mute:
            return
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("request-id", "req_fake")
        for header, text in (more or {}).items():
            self.send_header(header, text)
        self.end_headers()
        self.wfile.write(body)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    api = EnvironmentsApi(parser.parse_args().port)
    api.queue(Script("sesn_hello", [[Call("bash", {"command": "uname -a"})]]))
    print(api.url, flush=True)
    try:
        api.serve_forever()
    except KeyboardInterrupt:
        pass  # How it is ended by hand.
    return 0


if __name__ == "__main__":
    sys.exit(main())
