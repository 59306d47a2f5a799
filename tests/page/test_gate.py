import pytest

from jkbms_addon.page.gate import PAUSE, TRIES, WITHIN, Tokens, admitted, same_site, user
from jkbms_addon.page.place import PROXY, Place

INGRESS = Place("172.30.32.1", 62000, peer=PROXY)
OPEN = Place("0.0.0.0", 8080, token="0123456789abcdef")


def test_only_the_proxy_is_served_behind_it() -> None:
    assert admitted(INGRESS, "172.30.32.2")
    for stranger in ("172.30.32.1", "172.30.33.4", "127.0.0.1", "192.168.1.7", ""):
        assert not admitted(INGRESS, stranger)
    assert admitted(OPEN, "192.168.1.7")


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"X-Remote-User-Display-Name": "Anna MÃ¼ller", "X-Remote-User-Name": "anna"}, "Anna Müller"),
        ({"X-Remote-User-Name": "anna"}, "anna"),
        ({"X-Remote-User-Display-Name": "", "X-Remote-User-Name": "anna"}, "anna"),
        ({"X-Remote-User-Display-Name": "\x1b[31mAnna\n"}, "[31mAnna"),
        ({"X-Remote-User-Display-Name": "\xff\xfe"}, "\ufffd\ufffd"),
        ({"X-Remote-User-Display-Name": "x" * 500}, "x" * 64),
        ({}, "page"),
    ],
)
def test_who_looks(headers: dict[str, str], name: str) -> None:
    assert user(INGRESS, headers) == name


def test_names_of_strangers_are_not_believed() -> None:
    assert user(OPEN, {"X-Remote-User-Name": "admin"}) == "page"


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({"Origin": "http://pi:8080", "Host": "pi:8080"}, True),
        ({"Origin": "https://bms.example.org", "Host": "pi:8080", "X-Forwarded-Host": "bms.example.org"}, True),
        ({"Origin": "http://PI:8080", "Host": "pi:8080"}, True),
        ({"Origin": "http://evil.example", "Host": "pi:8080"}, False),
        ({"Origin": "http://pi:8081", "Host": "pi:8080"}, False),
        ({"Origin": "null", "Host": "pi:8080"}, False),
        ({"Host": "pi:8080"}, False),
        ({}, False),
    ],
)
def test_other_sites_open_no_socket(headers: dict[str, str], same: bool) -> None:
    assert same_site(OPEN, headers) == same
    assert same_site(INGRESS, headers)


def test_guessing_makes_wait() -> None:
    tokens = Tokens("0123456789abcdef")
    for n in range(TRIES):
        assert not tokens.waits("a", float(n))
        assert not tokens.right("a", f"wrong {n}", float(n))
    assert tokens.waits("a", TRIES - 1 + PAUSE - 0.1)
    assert not tokens.waits("a", TRIES - 1 + PAUSE)
    assert not tokens.waits("b", 5.0)


def test_slow_mistakes_do_not() -> None:
    tokens = Tokens("0123456789abcdef")
    for n in range(20):
        tokens.right("a", "wrong", n * (WITHIN / (TRIES - 1) + 1))
        assert not tokens.waits("a", n * (WITHIN / (TRIES - 1) + 1))


@pytest.mark.parametrize("token", [None, 5, "", "0123456789abcdeF", ["0123456789abcdef"], "0123456789abcdef\u00e9"])
def test_what_is_no_token(token: object) -> None:
    assert not Tokens("0123456789abcdef").right("a", token, 0.0)


def test_the_right_token_forgives() -> None:
    tokens = Tokens("0123456789abcdef")
    for _ in range(TRIES - 1):
        tokens.right("a", "wrong", 1.0)
    assert tokens.right("a", "0123456789abcdef", 1.0)
    tokens.right("a", "wrong", 1.0)
    assert not tokens.waits("a", 1.0)


def test_memory_of_guesses_is_bounded() -> None:
    tokens = Tokens("0123456789abcdef")
    for n in range(1000):
        tokens.right(f"2001:db8::{n}", "wrong", 1.0)
    assert len(tokens._wrong) <= 256


def test_secrets_are_not_shown() -> None:
    assert "0123456789abcdef" not in repr(OPEN) + repr(Tokens("0123456789abcdef"))
