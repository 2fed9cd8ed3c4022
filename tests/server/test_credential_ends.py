"""A credential that ends while something is open ends that too, soon, with its reason; the run behind it ends as well."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from sandql.access.api_keys import ApiKeys
from sandql.access.plans import read_plans
from sandql.access.roles import Roles
from sandql.server import credential_watch
from sandql.store import api_key_rows
from sandql.store.store import open_store
from tests.server.test_authentication import OFTEN, bearer, make_key
from tests.server.test_streams import MULTIPART_ACCEPT, events, parts
from tests.support.forgery import SECRET, token
from tests.support.raw_http import read_all
from tests.support.server import running_server
from tests.support.twin_server import TwinServer, running_twin, wait_for

MOST_S = 5.0
_LASTS_S = 2.5  # long enough to begin something on a busy machine
HANG = 'executeCode(code: "out begun\\nhang", language: "script")'
STREAM = f"subscription {{ {HANG} {{ __typename }} }}"
RUN = f"mutation {{ {HANG} {{ output }} }}"
ENDED = {"message": "the credential is not valid any more", "extensions": {"code": "UNAUTHENTICATED", "status": 401}}
_UNKNOWN = "for 30 seconds nobody could say whether the credential is still valid"
UNKNOWN = {"message": _UNKNOWN, "extensions": {"code": "RESOURCE_ERROR", "status": 507, "retryAfter": 1.0}}

Ending = tuple[str, Callable[[], None]]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwinServer]:
    """A server that takes tokens and API keys, and nobody else."""
    with running_twin(keep=True, jwt_secret=SECRET, jwt_leeway_s=0, state_dir=tmp_path_factory.mktemp("state"), address_rate=OFTEN) as server:
        yield server


def _revoke(server: TwinServer, id_: str) -> None:
    """As the command line does, beside the server."""

    async def revoke() -> None:
        async with open_store(None, server.settings.state_dir) as store:
            await ApiKeys(store, Roles(), read_plans({})).revoke(id_, None)

    asyncio.run(revoke())


@pytest.fixture(params=["a token expires", "a key is revoked", "a key expires"])
def ending(request: pytest.FixtureRequest, guarded: TwinServer) -> Ending:
    """A credential, and what ends it or waits until it has ended."""
    if request.param == "a token expires":
        end = time.time() + _LASTS_S
        return token(exp=end), lambda: time.sleep(max(0.0, end - time.time()))
    if request.param == "a key expires":
        end = time.time() + _LASTS_S
        return make_key(guarded, lifetime_s=_LASTS_S)[1], lambda: time.sleep(max(0.0, end - time.time()))
    id_, key = make_key(guarded)
    return key, lambda: _revoke(guarded, id_)


def _until_over(server: TwinServer, ending: Ending, ask: Callable[[], Any]) -> Any:
    """What is answered to who asks, with the run begun, the credential ended, and then the run ended in time."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        wait_for(lambda: server.twin.running == 1, "the run begins")
        ending[1]()
        answer = asked.result(MOST_S)
    wait_for(lambda: server.twin.running == 0, "the run ends")
    return answer


def test_server_sent_events(guarded: TwinServer, client: httpx2.Client, ending: Ending) -> None:
    headers = bearer(ending[0]) | {"accept": "text/event-stream"}
    answer = _until_over(guarded, ending, lambda: client.post(guarded.url, json={"query": STREAM}, headers=headers))
    assert events(answer.text)[-2:] == [("next", {"errors": [ENDED], "data": None}), ("complete", None)]


def test_multipart(guarded: TwinServer, client: httpx2.Client, ending: Ending) -> None:
    headers = bearer(ending[0]) | {"accept": MULTIPART_ACCEPT}
    answer = _until_over(guarded, ending, lambda: client.post(guarded.url, json={"query": STREAM}, headers=headers))
    assert parts(answer)[-1] == {"payload": {"errors": [ENDED], "data": None}}


def test_an_answer_that_is_waited_for(guarded: TwinServer, client: httpx2.Client, ending: Ending) -> None:
    answer = _until_over(guarded, ending, lambda: client.post(guarded.url, json={"query": RUN}, headers=bearer(ending[0])))
    assert (answer.status_code, answer.json()) == (401, {"errors": [ENDED]})


def _close_of_socket(server: TwinServer, credential: str) -> tuple[int, str]:
    """What a socket with the run is closed with."""
    url = server.url.replace("http:", "ws:")
    with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None, close_timeout=1) as connection:
        connection.send(json.dumps({"type": "connection_init", "payload": {"token": credential}}))
        connection.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": STREAM}}))
        try:
            while True:
                connection.recv(10)
        except ConnectionClosed as closed:
            assert closed.rcvd is not None
            return closed.rcvd.code, closed.rcvd.reason


def test_websocket(guarded: TwinServer, ending: Ending) -> None:
    ended = _until_over(guarded, ending, lambda: _close_of_socket(guarded, ending[0]))
    assert ended == (4403, "Forbidden: the credential is not valid any more")


def test_many_operations_on_one_event_stream(guarded: TwinServer, client: httpx2.Client, ending: Ending) -> None:
    url = guarded.url + "/stream"
    headers = bearer(ending[0])
    stream_token = client.put(url, headers=headers).text

    def ask() -> str:
        with client.stream("GET", url, params={"token": stream_token}, headers=headers | {"accept": "text/event-stream"}) as stream:
            body = {"query": STREAM, "extensions": {"operationId": "1"}}
            assert client.post(url, params={"token": stream_token}, json=body, headers=headers).status_code == 202
            return "".join(stream.iter_text())

    answer = _until_over(guarded, ending, ask)
    assert events(answer)[-2:] == [("next", {"id": "1", "payload": {"errors": [ENDED]}}), ("complete", {"id": "1"})]
    assert client.put(url, headers=headers).status_code == 401


def test_an_upload() -> None:
    """It has no end of its own, and what came of it is not the file."""
    with running_server(jwt_secret=SECRET, jwt_leeway_s=0, pool_size=1, node_pool_size=0, program_pool_size=0) as server:
        file = f"{server.url}/sandboxes/home/files/long"
        end = time.time() + 1.5
        with sockets.create_connection(("127.0.0.1", server.port)) as connection:
            lines = ["PUT /sandboxes/home/files/long HTTP/1.1", "Host: 127.0.0.1", "Content-Length: 1000000"]
            lines.append(f"Authorization: Bearer {token(exp=end)}")
            connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\nsome")
            answer = read_all(connection)
        assert end <= time.time() < end + MOST_S
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"errors": [ENDED]}
        assert httpx2.get(file, headers=bearer(token())).status_code == 404


def test_the_end_of_a_credential_is_no_failure_of_its_address(client: httpx2.Client) -> None:
    """Two streams and an answer end with it; then the one failure that the address may have is still to come."""
    with running_twin(jwt_secret=SECRET, jwt_leeway_s=0, address_rate="1/minute") as server:
        end = time.time() + _LASTS_S
        mine = bearer(token(exp=end))
        asked = [(STREAM, "text/event-stream"), (STREAM, MULTIPART_ACCEPT), (RUN, "application/json")]

        def status(query: str, accept: str) -> int:
            return client.post(server.url, json={"query": query}, headers=mine | {"accept": accept}).status_code

        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(status, *zip(*asked, strict=True))) == [200, 200, 401]
        statuses = [client.post(server.url, json={"query": RUN}, headers=bearer("no token")).status_code for _ in range(2)]
        assert statuses == [401, 429]
        assert server.twin.runs == 3


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Lets the database hang where it is asked for keys, until the test is over."""
    find, answers = api_key_rows.find, threading.Event()
    answers.set()

    async def slow(*asked: Any) -> Any:
        await asyncio.to_thread(answers.wait)
        return await find(*asked)

    monkeypatch.setattr(api_key_rows, "find", slow)
    yield answers.clear
    answers.set()


def test_a_key_expires_while_the_database_hangs(guarded: TwinServer, hang: Callable[[], None]) -> None:
    end = time.time() + _LASTS_S
    key = make_key(guarded, lifetime_s=_LASTS_S)[1]

    def ending() -> None:
        hang()
        time.sleep(max(0.0, end - time.time()))

    ended = _until_over(guarded, (key, ending), lambda: _close_of_socket(guarded, key))
    assert ended == (4403, "Forbidden: the credential is not valid any more")


def test_of_a_credential_that_nobody_can_say_anything_of_that_is_said(
    guarded: TwinServer, client: httpx2.Client, hang: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credential_watch, "ANSWER_S", 0.2)
    monkeypatch.setattr(credential_watch, "UNKNOWN_S", 1.0)
    key = make_key(guarded)[1]

    def status() -> tuple[int, Any]:
        answer = client.post(guarded.url, json={"query": RUN}, headers=bearer(key))
        return answer.status_code, answer.json()

    with ThreadPoolExecutor(2) as pool:
        socket, answer = pool.submit(_close_of_socket, guarded, key), pool.submit(status)
        wait_for(lambda: guarded.twin.running == 2, "the runs begin")
        hang()
        assert socket.result(10) == (1013, f"Try again later: {_UNKNOWN}")
        assert answer.result(10) == (507, {"errors": [UNKNOWN]})
    wait_for(lambda: guarded.twin.running == 0, "the runs end")


def test_a_credential_that_lasts_disturbs_nothing(guarded: TwinServer, client: httpx2.Client) -> None:
    """Past several looks at it."""
    query = 'mutation { executeCode(code: "sleep 4.5\\nout done", language: "script") { output } }'
    for credential in (token(), make_key(guarded)[1]):
        assert client.post(guarded.url, json={"query": query}, headers=bearer(credential)).json()["data"] == {"executeCode": {"output": "done\n"}}
