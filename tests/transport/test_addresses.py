"""Where connections go: names, addresses, detours. No packet leaves this machine in any test."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import AsyncIterator, Iterable
from fnmatch import fnmatchcase
from ipaddress import ip_address

import aiohappyeyeballs
import pytest

from fetcher.demo.steps import status
from fetcher.demo.web import Web
from fetcher.model import Arrival
from fetcher.transport import connector
from fetcher.transport.connector import (
    CONTROL,
    BlockedAddressError,
    CheckedResolver,
    Detour,
    NameServers,
    system_look_up,
)
from tests.transport.harness import SOON, MakeRig, Names, Rig, closed_port

PUBLIC, PUBLIC_TOO = "93.184.216.34", "8.8.8.8"
PUBLIC_V6 = "2606:2800:220:1::1"


class Connections:
    """In place of connecting: writes down to where, and refuses."""

    def __init__(self) -> None:
        self.to: list[list[str]] = []

    async def start(self, *, addr_infos: Iterable[tuple[object, ...]], **_: object) -> None:
        self.to.append([str(info[4][0]) for info in addr_infos])  # type: ignore[index]
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused by the test")


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    made = Connections()
    monkeypatch.setattr(aiohappyeyeballs, "start_connection", made.start)
    return made


@pytest.fixture(autouse=True)
def ipv6_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the machine that runs the tests has IPv6 decides nothing."""
    monkeypatch.setattr(connector, "_has_a_way", lambda _: True)


# Addresses in URLs.

BLOCKED = [
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[fe80::1]",
    "[fc00::1]",
    "[ff02::1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "\uff11\uff12\uff17.0.0.1",  # digits of full width
]
MISSPELT = [
    "[fe80::1%25lo]",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "127.0.0.01",
    "127.1",
    "127.0.1",
    "0x7f.1",
    "0x7f000001",
    "0X7F.0.0.1",
    "127.0.0.0x1",
    "0x",
    "1.2.3.4.5",
    "256.0.0.1",
    "example.0x1",
    "example.1",
    "127.1.",
    "[fe80::1%25lo]",  # with a zone, which is nobody's business but this machine's
]


@pytest.mark.parametrize("private", [False, True])
async def test_no_connection_to_what_is_not_allowed(
    make_rig: MakeRig,
    connections: Connections,
    private: bool,  # noqa: FBT001
) -> None:
    names = Names({})
    rig = make_rig(allow_private=private, parts={"look_up": names})
    blocked = {host: (await rig.fault(f"http://{host}:8080/a")).code for host in BLOCKED}
    assert set(blocked.values()) == {"connection-refused" if private else "blocked-address"}, (
        blocked
    )
    misspelt = {host: (await rig.fault(f"http://{host}:8080/a")).code for host in MISSPELT}
    assert set(misspelt.values()) == {"bad-url"}, misspelt
    assert names.asked == []
    assert len(connections.to) == (len(BLOCKED) if private else 0)


async def test_a_public_address_is_connected_to(
    make_rig: MakeRig, connections: Connections
) -> None:
    rig = make_rig(allow_private=False)
    for host in (PUBLIC, f"[{PUBLIC_V6}]", f"[::ffff:{PUBLIC}]"):
        assert (await rig.fault(f"https://{host}/a")).code == "connection-refused"
    mapped = str(ip_address(f"::ffff:{PUBLIC}"))  # Python 3.13 spells it another way
    assert connections.to == [[PUBLIC], [PUBLIC_V6], [mapped]]


@pytest.mark.parametrize("host", ["127.0.0.1.", "10.0.0.1."])
async def test_a_dot_at_the_end_opens_nothing(
    make_rig: MakeRig, connections: Connections, host: str
) -> None:
    fault = await make_rig(allow_private=False).fault(f"http://{host}/")
    assert fault.code in ("blocked-address", "bad-url")
    assert connections.to == []


# Names.


@pytest.mark.parametrize(
    ("found", "allowed"),
    [
        ([PUBLIC], [PUBLIC]),
        ([PUBLIC, PUBLIC_TOO], [PUBLIC, PUBLIC_TOO]),
        (["127.0.0.1", PUBLIC, "10.0.0.1", PUBLIC_V6, "::1"], [PUBLIC, PUBLIC_V6]),
        (["127.0.0.1"], []),
        (["::ffff:10.0.0.1", "fe80::1%eth0", "0.0.0.0"], []),
    ],
)
async def test_only_public_addresses_of_a_name_are_handed_on(
    make_rig: MakeRig, connections: Connections, found: list[str], allowed: list[str]
) -> None:
    rig = make_rig(allow_private=False, parts={"look_up": Names({"h.example": found})})
    fault = await rig.fault("http://h.example/a")
    assert fault.code == ("connection-refused" if allowed else "blocked-address")
    # After all were tried at once, those that are left are tried again.
    assert connections.to[:1] == ([allowed] if allowed else [])
    assert {address for tried in connections.to for address in tried} == set(allowed)


async def test_a_blocked_name_says_where_it_leads(make_rig: MakeRig) -> None:
    rig = make_rig(allow_private=False, parts={"look_up": Names({"h.example": ["10.1.2.3"]})})
    assert "h.example leads to 10.1.2.3" in (await rig.fault("http://h.example/")).detail


async def test_localhost_is_blocked_by_what_it_means(make_rig: MakeRig) -> None:
    names = Names({"localhost": ["127.0.0.1", "::1"], "x.localhost": ["127.0.0.1"]})
    rig = make_rig(allow_private=False, parts={"look_up": names})
    for host in ("localhost", "LOCALHOST", "localhost.", "x.localhost"):
        assert (await rig.fault(f"http://{host}:{rig.web.port}/")).code == "blocked-address"
    assert rig.web.count() == 0


async def test_what_was_checked_is_what_is_connected_to(
    make_rig: MakeRig, connections: Connections
) -> None:
    """A name that is looked up once cannot mean something else the next moment."""
    names = Names({"h.example": [PUBLIC]})
    rig = make_rig(allow_private=False, parts={"look_up": names})
    assert (await rig.fault("http://h.example/")).code == "connection-refused"
    assert names.asked == ["h.example"]
    names.table["h.example"] = ["127.0.0.1"]
    assert (await rig.fault("http://h.example/")).code == "connection-refused"
    assert connections.to == [[PUBLIC], [PUBLIC]]
    # What was remembered is for that port only.
    assert (await rig.fault("http://h.example:81/")).code == "blocked-address"
    assert names.asked == ["h.example"] * 2
    assert connections.to == [[PUBLIC], [PUBLIC]]


async def test_one_question_for_all_who_ask_at_once(make_rig: MakeRig) -> None:
    names = Names({"h.example": ["127.0.0.1"]})
    rig = make_rig(parts={"look_up": names})
    url = f"http://h.example:{rig.web.port}/pic/k/600.jpg"
    await asyncio.gather(*(rig.arrival(url) for _ in range(20)))
    assert names.asked == ["h.example"]


async def test_no_way_by_ipv6(
    make_rig: MakeRig, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's trouble, if it has nothing else; and never a sign that the network is down."""
    monkeypatch.setattr(connector, "_has_a_way", lambda _: False)
    names = Names({"both.example": [PUBLIC_V6, PUBLIC], "six.example": [PUBLIC_V6]})
    rig = make_rig(allow_private=False, parts={"look_up": names})
    assert (await rig.fault("http://both.example/")).code == "connection-refused"
    assert (await rig.fault("http://six.example/")).code == "host-unreachable"
    assert (await rig.fault(f"http://[{PUBLIC_V6}]/")).code == "host-unreachable"
    assert connections.to == [[PUBLIC]]


def test_loopback_has_a_way_and_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        try:
            receiver.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 at all")
        assert connector._has_a_way("::1")
        assert not connector._has_a_way("no address")


def test_the_system_s_look_up() -> None:
    assert "127.0.0.1" in system_look_up("localhost") or "::1" in system_look_up("localhost")


# Detours.


@pytest.mark.parametrize(
    ("key", "host", "port", "applies"),
    [
        ("h.example:80", "h.example", 80, True),
        ("H.example:80", "h.example", 80, True),
        ("h.example:80", "h.example", 443, False),
        ("h.example:80", "x.h.example", 80, False),
        ("*.h.example:80", "x.h.example", 80, True),
        ("*.h.example:80", "x.y.h.example", 80, True),
        ("*.h.example:80", "h.example", 80, False),
        ("*.h.example:80", "xh.example", 80, False),
        ("10.0.0.1:80", "10.0.0.1", 80, True),
        ("[fc00::1]:80", "fc00::1", 80, True),
    ],
)
def test_which_detour(key: str, host: str, port: int, applies: bool) -> None:  # noqa: FBT001
    detour = Detour.parse(key, "[::1]:8080")
    assert detour.applies(host, port) is applies
    assert (detour.to_host, detour.to_port) == ("::1", 8080)


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("h.example:80", "h.example"),
        ("h.example:80", "H.EXAMPLE"),
        ("h.example:80", "h.example."),
        ("*.example:80", "a.b.example"),
        ("xn--bcher-kva.example:80", "bücher.example"),
        ("10.0.0.1:80", "10.0.0.1"),
        ("[fc00::1]:80", "[fc00::1]"),
    ],
)
async def test_a_detour_is_the_operator_s_word(
    make_rig: MakeRig, web: Web, key: str, host: str
) -> None:
    """Not checked, not looked up; and the host goes on to be called by its name."""
    names = Names({})
    rig = make_rig(
        allow_private=False,
        connect_to={key: f"127.0.0.1:{web.port}"},
        parts={"look_up": names},
    )
    arrival = await rig.arrival(f"http://{host}/pic/k/600.jpg")
    assert arrival.final_url == f"http://{host}/pic/k/600.jpg"
    called = rig.web.requests[0].headers["host"].lower().rstrip(".")
    assert fnmatchcase(called, key.rpartition(":")[0].replace("[", "[[]"))
    assert names.asked == []


async def test_a_detour_to_ipv6(make_rig: MakeRig) -> None:
    try:
        web = await Web(address="::1").__aenter__()
    except OSError:
        pytest.skip("this machine has no IPv6 at all")
    try:
        to = {"h.example:80": f"[::1]:{web.port}"}
        rig = make_rig(on=web, allow_private=False, connect_to=to)
        assert (await rig.arrival("http://h.example/pic/k/600.jpg")).body.size == 600
    finally:
        await web.__aexit__(None, None, None)


async def test_a_detour_is_for_its_host_and_port_only(
    make_rig: MakeRig, connections: Connections
) -> None:
    names = Names({"h.example": [PUBLIC], "other.example": [PUBLIC_TOO]})
    rig = make_rig(
        allow_private=False,
        connect_to={"h.example:80": "127.0.0.1:1"},
        parts={"look_up": names},
    )
    for url in ("https://h.example/", "http://other.example/", "http://h.example:81/"):
        await rig.fault(url)
    await rig.fault("http://127.0.0.1/")
    assert connections.to == [[PUBLIC], [PUBLIC_TOO], [PUBLIC]]


async def test_the_detour_that_says_most_applies(make_rig: MakeRig, web: Web) -> None:
    """Wherever it stands in the configuration."""
    here, nowhere = f"127.0.0.1:{web.port}", f"127.0.0.1:{closed_port()}"
    to = {
        "*:80": nowhere,
        "*.example:80": nowhere,
        "*.a.example:80": here,
        "b.example:80": here,
        "c.a.example:80": nowhere,
    }
    for order in (to.items(), reversed(to.items())):
        rig = make_rig(connect_to=dict(order))
        for host in ("x.a.example", "b.example"):
            await rig.arrival(f"http://{host}/pic/k/600.jpg")
        for host in ("c.a.example", "a.example", "c.example", "other"):
            assert (await rig.fault(f"http://{host}/")).code == "connection-refused"


# Name servers.

AGAIN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
NO_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
FAIL = socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure")


async def test_a_name_that_does_not_exist(make_rig: MakeRig) -> None:
    rig = make_rig(parts={"look_up": Names({"no.example": NO_NAME, CONTROL: [PUBLIC]})})
    assert (await rig.fault("http://no.example/")).code == "dns-not-found"


@pytest.mark.parametrize("trouble", [NO_NAME, AGAIN, FAIL])
async def test_a_name_server_that_knows_no_name_is_not_believed(
    make_rig: MakeRig, trouble: Exception
) -> None:
    """As behind a captive portal: what it says of names is no word on the hosts."""
    names = Names({"a.example": NO_NAME, "b.example": NO_NAME, CONTROL: trouble})
    rig = make_rig(parts={"look_up": names})
    assert (await rig.fault("http://a.example/")).code == "resolver-unreachable"
    names.table[CONTROL] = [PUBLIC]
    assert (await rig.fault("http://a.example/")).code == "dns-not-found"
    names.table[CONTROL] = trouble  # nobody asks any more
    assert (await rig.fault("http://b.example/")).code == "dns-not-found"


async def test_one_name_that_is_found_is_enough_to_believe_it(make_rig: MakeRig) -> None:
    names = Names({"here.example": ["127.0.0.1"], "gone.example": NO_NAME})
    rig = make_rig(parts={"look_up": names})
    await rig.arrival(f"http://here.example:{rig.web.port}/pic/k/600.jpg")
    assert (await rig.fault("http://gone.example/")).code == "dns-not-found"
    assert names.asked == ["here.example", "gone.example"]


@pytest.mark.parametrize("own", ["localhost", "a.localhost", "ip6-localhost"])
@pytest.mark.parametrize(
    ("trouble", "theirs"), [(NO_NAME, "dns-not-found"), (AGAIN, "dns-failure")]
)
async def test_what_this_machine_knows_by_itself_vouches_for_no_name_server(
    make_rig: MakeRig, own: str, trouble: Exception, theirs: str
) -> None:
    names = Names({own: ["127.0.0.1"], "a.example": trouble, "b.example": ["127.0.0.1"]})
    names.table[CONTROL] = AGAIN
    rig = make_rig(parts={"look_up": names})
    await rig.arrival(f"http://{own}:{rig.web.port}/pic/k/600.jpg")
    assert (await rig.fault("http://a.example/")).code == "resolver-unreachable"
    await rig.arrival(f"http://b.example:{rig.web.port}/pic/k/600.jpg")
    assert (await rig.fault("http://a.example/")).code == theirs


@pytest.mark.parametrize("host", ["invalid", "x.invalid", "X.INVALID.", "a.b.invalid"])
async def test_reserved_names_are_never_asked_for(make_rig: MakeRig, host: str) -> None:
    names = Names({})
    rig = make_rig(parts={"look_up": names})
    assert (await rig.fault(f"http://{host}/")).code == "dns-not-found"
    assert names.asked == []


async def test_a_name_that_cannot_be_one(make_rig: MakeRig) -> None:
    rig = make_rig(parts={"look_up": system_look_up})
    assert (await rig.fault(f"http://{'a' * 64}.example/")).code in ("dns-not-found", "bad-url")


@pytest.mark.parametrize("witness", [["127.0.0.1"], NO_NAME])
async def test_whose_trouble_it_is(make_rig: MakeRig, witness: list[str] | Exception) -> None:
    """Whether another name is answered decides: the host's, or that of whoever asks."""
    names = Names({"dead.example": AGAIN, "alive.example": witness, CONTROL: [PUBLIC]})
    rig = make_rig(parts={"look_up": names})
    dead, alive = "http://dead.example/", f"http://alive.example:{rig.web.port}/pic/k/600.jpg"
    assert (await rig.fault(dead)).code == "resolver-unreachable"  # nobody has ever answered
    await rig.fetch(alive)
    assert (await rig.fault(dead)).code == "dns-failure"
    assert names.asked[-2:] == ["dead.example", "alive.example"]
    names.table["alive.example"] = AGAIN
    assert (await rig.fault(dead)).code == "resolver-unreachable"
    names.table["alive.example"] = FAIL
    assert (await rig.fault(dead)).code == "resolver-unreachable"
    names.table["alive.example"] = witness
    assert (await rig.fault(dead)).code == "dns-failure"


async def test_a_network_that_is_gone_is_no_fault_of_its_only_host(make_rig: MakeRig) -> None:
    names = Names({"h.example": ["127.0.0.1"]})
    rig = make_rig(parts={"look_up": names})
    await rig.arrival(f"http://h.example:{rig.web.port}/pic/k/600.jpg")
    names.table["h.example"] = AGAIN
    assert (await rig.fault(f"http://h.example:{rig.web.port + 1}/")).code == "resolver-unreachable"


async def test_all_who_wonder_share_one_question() -> None:
    names = Names({"w.example": [PUBLIC], "x.example": AGAIN})
    servers = NameServers(names, patience=30.0)
    await servers.addresses("w.example")
    assert await asyncio.gather(*(servers.answer() for _ in range(50))) == [True] * 50
    assert names.asked == ["w.example"] * 2
    await servers.close()


async def test_a_question_ends_when_nobody_needs_the_answer_any_more(
    silent: threading.Event,
) -> None:
    asked = threading.Event()

    def look_up(_: str) -> list[str]:
        if asked.is_set():
            silent.wait()
        asked.set()
        return [PUBLIC]

    servers = NameServers(look_up, patience=5.0)
    await servers.addresses("w.example")
    waiting = asyncio.ensure_future(servers.answer())
    await asyncio.sleep(0)
    await servers.close()
    await asyncio.wait([waiting])
    assert waiting.cancelled()


@pytest.fixture
async def silent() -> AsyncIterator[threading.Event]:
    """Set at the end, so that the threads that wait for it end too."""
    event = threading.Event()
    yield event
    event.set()


async def test_names_that_nobody_answers_for_are_no_fault_of_other_hosts(
    make_rig: MakeRig, silent: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as there are threads: whoever comes next was not even asked for."""
    monkeypatch.setattr(connector, "LOOKUPS_AT_ONCE", 2)
    names: list[str] = []

    def look_up(name: str) -> list[str]:
        names.append(name)
        silent.wait()
        return ["127.0.0.1"]

    rig = make_rig(connect_timeout=0.15, parts={"look_up": look_up})
    await asyncio.gather(*(rig.fault(f"http://dead{n}.example/") for n in range(2)))
    fault = await rig.fault(f"http://alive.example:{rig.web.port}/")
    assert fault.code == "resolver-unreachable"
    assert sorted(names) == ["dead0.example", "dead1.example"]


async def test_no_answer_in_time(make_rig: MakeRig, silent: threading.Event) -> None:
    """A connection that does not stand in time for want of an address is no host's fault."""
    answers = {"alive.example"}

    def look_up(name: str) -> list[str]:
        if name not in answers:
            silent.wait()
        return ["127.0.0.1"]

    rig = make_rig(connect_timeout=0.15, parts={"look_up": look_up})
    assert (await rig.fault("http://dead.example/")).code == "resolver-unreachable"
    alive = f"http://alive.example:{rig.web.port}/pic/k/600.jpg"
    # On a busy machine it may not stand in time either.
    while not isinstance(await rig.fetch(alive), Arrival):
        pass
    assert (await rig.fault("http://dead.example/")).code == "dns-failure"
    answers.clear()
    assert (await rig.fault("http://dead.example/")).code == "resolver-unreachable"


async def test_a_resolver_that_nobody_asks_has_nothing_to_close() -> None:
    resolver = CheckedResolver(NameServers(Names({}), patience=1.0), {}, allow_private=False)
    with pytest.raises(BlockedAddressError, match=r"10\.0\.0\.1"):
        await resolver.resolve("10.0.0.1", 80)
    await resolver.close()


# Connecting.


async def test_nobody_listens(rig: Rig) -> None:
    fault = await rig.fault(f"http://127.0.0.1:{closed_port()}/")
    assert (fault.code, fault.http_status, fault.partial) == ("connection-refused", None, None)


async def test_nobody_answers(make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def for_ever(**_: object) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", for_ever)
    rig = make_rig(connect_timeout=SOON, parts={"look_up": Names({"h.example": [PUBLIC]})})
    for url in (f"http://{PUBLIC}/", "https://h.example/"):
        assert (await rig.fault(url)).code == "connect-timeout"


async def test_the_next_address_is_tried(make_rig: MakeRig) -> None:
    names = Names({"h.example": ["127.0.0.2", "127.0.0.1"]})
    rig = make_rig(parts={"look_up": names})
    await rig.arrival(f"http://h.example:{rig.web.port}/pic/k/600.jpg")
    assert rig.web.count() == 1


async def test_no_descriptor_is_left(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", refuse)
    assert (await rig.fault("http://127.0.0.1:9/")).code == "out-of-descriptors"
    monkeypatch.undo()
    rig.web.serve("/a", status(404))
    assert (await rig.fault("/a")).code == "http-404"
