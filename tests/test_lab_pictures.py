"""Pictures of a lab's answers and pins: bars and timelines of text, and plots."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from fractions import Fraction
from pathlib import Path

import pytest

from compiler.cli.lab.affinity_plot import write_plot as plot_pins
from compiler.cli.lab.pins import ClientPin, Pins, ServicePort, events, picture
from compiler.cli.lab.redraw import can_redraw, cropped, redrawn
from compiler.cli.lab.request_plot import MOST_ROWS
from compiler.cli.lab.request_plot import write_plot as plot_requests
from compiler.cli.lab.request_text import Drawing, bars, head, live, timeline
from compiler.cli.lab.request_text import picture as request_picture
from compiler.cli.terminal import short
from compiler.lab.errors import LabError
from tests.lab_experiments import PODS, answers, experiment
from tests.run import Runner

SVG = "{http://www.w3.org/2000/svg}"
ASCII = Drawing(width=40, blocks=False)


def test_bars_show_counts_and_what_is_expected() -> None:
    assert list(bars(experiment(answers(6, 3, 0)), ASCII)) == [
        "       answers  expected",
        "web-1        6       3.0  ######|#######",
        "web-2        3       3.0  ######|",
        "web-3        0       3.0        |",
    ]


def test_bars_are_in_the_order_of_the_rules_with_others_below() -> None:
    shown = list(bars(experiment(["web-3", "timed out", "web-3"]), Drawing()))
    assert [line.split("  ")[0].strip() for line in shown[1:]] == [*PODS, "timed out"]


def test_bars_end_by_eighths_and_small_ones_are_seen() -> None:
    shown = list(bars(experiment(answers(8000, 1, 0), affinity=30), Drawing(width=60)))
    assert shown[1].endswith("█" * 20)
    assert shown[2].endswith("  1  ▏")
    assert shown[3].endswith("  0")
    assert "expected" not in shown[0]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("blocks", [True, False])
def test_a_picture_fits(width: int, blocks: bool) -> None:
    long = [f"a-workload-with-a-long-name-7d4b9c6f5-{number:05}" for number in range(3)]
    shares = dict.fromkeys(long, Fraction(1, 3))
    names = answers(1234, 1200, 1166, names=long)
    for every in (0, 0.5):
        shown = experiment(names, shares=shares, every=every, affinity=0)
        lines = list(request_picture(shown, Drawing(width, blocks=blocks)))
        assert max(map(len, lines)) <= width, lines
        assert all(name[-5:] in "\n".join(lines) for name in long)
        assert blocks or "\n".join(lines).isascii()


def test_a_timeline_has_a_column_per_request_where_they_fit() -> None:
    shown = experiment(["web-1", "web-2", "web-1", "web-3"], every=40, affinity=30)
    assert list(timeline(shown, ASCII)) == [
        "         0:00 to 2:00",
        "web-1    #.#.",
        "web-2    .#..",
        "web-3    ...#",
        "expired   ^^^",
    ]
    within = experiment(["web-1"] * 4, every=20, affinity=30)
    assert not any(line.startswith("expired") for line in timeline(within, ASCII))


def test_a_long_timeline_shows_how_many_in_each_column() -> None:
    shown = experiment(["web-1", "web-1", "web-2"] * 1000, every=1)
    scale, first, second, third = timeline(shown, Drawing(width=39, blocks=False))
    assert scale == f"{'':9}0:00{'49:59':>26}"
    assert re.fullmatch(r"web-1    [*+]{30}", first)
    assert re.fullmatch(r"web-2    [-=]{30}", second)
    assert third == f"web-3    {'.' * 30}"


def test_a_live_timeline_shows_the_latest_rounds() -> None:
    shown = experiment([*["web-1"] * 500, "web-2"], every=1)
    scale, first, second, _ = timeline(shown, Drawing(width=39, blocks=False, latest=True))
    assert first == f"web-1    {'#' * 29}."
    assert second == f"web-2    {'.' * 29}#"
    assert scale.split() == ["7:51", "8:20"]


def test_a_live_picture_fits_the_rows_where_it_can() -> None:
    shown = experiment(answers(4, 4, 4), every=1)
    notes = ["a note"]
    whole = live(shown, ASCII, 24, notes)
    assert "expected" in "\n".join(whole)
    low = live(shown, ASCII, len(whole) - 1, notes)
    assert len(low) < len(whole)
    assert not any(line.startswith("       answers") for line in low)
    assert (low[0], low[-1]) == ("default/web:http: 12 requests from", "a note")
    lowest = live(shown, ASCII, 4, notes)
    assert lowest[2].startswith("as expected: ")
    assert lowest[-1].startswith("web-3 ")
    assert live(experiment([], every=1), ASCII, 9, notes)[-1] == "a note"


def test_a_pause_is_blank() -> None:
    """Requests that waited for their timeouts leave rounds in which none was made."""
    shown = experiment(["web-1"] * 3, every=1)
    shown.replies[2] = shown.replies[2].__class__(0, 5.0, shown.replies[2].answer)  # type: ignore[index]
    assert list(timeline(shown, ASCII))[1] == "web-1    ##   #"


def test_a_head_says_what_was_done() -> None:
    assert head(experiment(["web-1"])) == "default/web:http: 1 request from client-1"
    many = experiment(["web-1"] * 2000, clients=20, every=0.5, affinity=30)
    assert head(many) == (
        "default/web:http: 2,000 requests from 20 clients every 0.5 s, ClientIP affinity 30 s"
    )


def test_names_keep_their_ends() -> None:
    assert short("web-7d4b9c6f5-x2x9k", 10) == "..f5-x2x9k"
    assert short("web-1", 10) == "web-1"


def pin(client: str, remaining: float, recent: str = "A") -> ClientPin:
    return ClientPin(client, "default/web:http", f"10.10.1.1:80 ({recent})", recent, remaining)


def pins(*found: ClientPin, at: float = 0, limit: int = 100) -> Pins:
    port = ServicePort("default/web:http", "IPv4", 30, {"A": "10.10.1.1:80", "B": "10.10.1.2:80"})
    return Pins((port,), found, limit, at)


def test_events_between_two_readings() -> None:
    before = pins(pin("a", 10), pin("b", 1), pin("c", 5), pin("d", 7), pin("e", -3), pin("f", -3))
    after = pins(
        pin("a", 9.05),  # a second later, read a little late
        pin("b", -0.1),
        pin("c", 30),
        pin("c", 29, "B"),
        pin("e", 30),
        pin("g", -50),
        at=1,
    )
    assert [(event, one.client, one.recent) for event, one in events(before, after)] == [
        ("expired", "b", "A"),
        ("renewed", "c", "A"),
        ("pinned", "c", "B"),
        ("pinned", "e", "A"),
        ("removed", "d", "A"),
    ]
    assert [event for event, _ in events(None, before)] == ["pinned"] * 4


def test_pins_have_bars_of_what_remains() -> None:
    shown = list(picture(pins(pin("10.10.0.6", 15), pin("10.10.0.7", -1, "B")), 60, blocks=False))
    assert shown == [
        "default/web:http (IPv4), ClientIP affinity 30 s",
        f"10.10.0.6  10.10.1.1:80 (A)      15 s  {'#' * 10}",
        "10.10.0.7  10.10.1.1:80 (B)   expired",
    ]
    assert list(picture(pins(), 60, blocks=False)) == ["No client is pinned to an endpoint."]
    full = list(picture(pins(pin("a", 3), pin("b", 4), limit=2), 60, blocks=False))
    assert full[-1] == "the list A is full (2 addresses)"


@pytest.mark.parametrize("width", [40, 60, 100])
def test_pins_fit(width: int) -> None:
    long = ClientPin("fd00:10:10::7b5f (client-123)", "w", "[fd00::99]:8080 (a-pod)", "A", 9)
    assert max(map(len, picture(pins(long), width, blocks=True))) <= width


def test_a_view_that_is_too_high_says_so() -> None:
    assert cropped(["a", "b", "c", "d"], 3) == ["a", "b", "... 2 more lines"]
    assert cropped(["a", "b"], 2) == ["a", "b"]


def texts(path: Path) -> str:
    """All text that a picture shows, and which can be selected."""
    found = ET.parse(path).getroot().iter(f"{SVG}text")
    return "\n".join("".join(one.itertext()) for one in found)


def test_a_plot_of_requests(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "a.svg"
    names = [name.replace("web-1", "<$web_1$>") for name in answers(42, 31, 27)]
    shares = dict.fromkeys(["<$web_1$>", "web-2", "web-3"], Fraction(1, 3))
    shown = experiment(names, shares=shares, every=40, affinity=30)
    plot_requests(shown, str(path))
    root = ET.parse(path).getroot()
    first, second = list(root)[:2]
    assert (first.tag, second.tag) == (f"{SVG}title", f"{SVG}desc")
    assert root.get("aria-labelledby") == f"{first.get('id')} {second.get('id')}"
    assert first.text == head(shown)
    assert second.text
    assert "<$web_1$> 42 (expected 33.3), web-2 31 (expected 33.3)" in second.text
    assert second.text.endswith(
        "as expected: of the 100 answers that affinity did not decide, chance alone differs this "
        "much in 16 of 100 runs (chi-squared, 2 degrees of freedom)."
    )
    drawn = texts(path)
    for words in (
        "<$web_1$>",
        "42",
        "affinity had expired before it",
        "95 of 100 runs",
        "this much in 16",
    ):
        assert words in drawn, drawn
    again = tmp_path / "b.svg"
    plot_requests(shown, str(again))
    assert again.read_bytes() == path.read_bytes()


def test_a_plot_of_many_endpoints_says_what_is_left_out(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    names = [f"web-{number}" for number in range(MOST_ROWS + 5)]
    shares = dict.fromkeys(names, Fraction(1, len(names)))
    plot_requests(experiment(names * 2, shares=shares), str(tmp_path / "a.svg"))
    drawn = texts(tmp_path / "a.svg")
    assert "answers; not drawn: 5 more endpoints with 10 answers" in drawn
    assert f"web-{MOST_ROWS}" not in drawn


def test_a_plot_of_pins(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "a.svg"
    plot_pins(pins(pin("a", 12), pin("b", -3), pin("a", 3, "B"), limit=2), str(path))
    root = ET.parse(path).getroot()
    assert root[0].text == "Session affinity: 1 client pinned"
    assert root[1].text == (
        "Session affinity: 1 client pinned. default/web:http (IPv4), ClientIP affinity 30 s: "
        "10.10.1.1:80 1 (and 1 expired), 10.10.1.2:80 1. The list A is full (2 addresses)."
    )
    drawn = texts(path)
    for words in ("10.10.1.1:80", "ip_list_tot", "expired", "seconds until a client's pin expires"):
        assert words in drawn, drawn
    plot_pins(pins(), str(path))
    assert ET.parse(path).getroot()[0].text == "No client is pinned to an endpoint"


@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_other_kinds_of_plots(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"a.{ending}"
    plot_requests(experiment(answers(3, 2, 1)), str(path))
    assert path.read_bytes().startswith({"png": b"\x89PNG", "pdf": b"%PDF"}[ending])
    assert b"default/web:http: 6 requests from client-1" in path.read_bytes()


COMMANDS = (["request", "web"], ["affinity"])


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a.gif", "a.gif: is no drawing; use a name that ends in .svg, .png or .pdf\n"),
        ("a", "a: is no drawing; use a name that ends in .svg, .png or .pdf\n"),
        (
            "none/a.svg",
            (
                "none/a.svg: can't be written: no such file or directory; "
                "choose a file in an existing folder\n"
            ),
        ),
        (
            "folder.svg",
            "folder.svg: can't be written: is a directory; choose a file in an existing folder\n",
        ),
        (
            "file/a.svg",
            "file/a.svg: can't be written: not a directory; choose a file in an existing folder\n",
        ),
    ],
)
def test_a_path_that_is_none_is_rejected_before_anything_is_sent(
    command: list[str],
    path: str,
    message: str,
    proxyrules: Runner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "file").touch()
    result = proxyrules("lab", *command, "--name", "nobody", "--plot", path)
    assert (result.code, result.out, result.err) == (2, "", message)


@pytest.mark.parametrize("command", COMMANDS)
def test_without_matplotlib_nothing_is_sent(
    command: list[str], proxyrules: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = proxyrules("lab", *command, "--name", "nobody", "--plot", tmp_path / "a.svg")
    assert (result.code, result.out) == (3, "")
    hint = f"install it with `{sys.executable} -m pip install matplotlib`"
    assert result.err == f"--plot: matplotlib is not installed; {hint}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["request", "web", "--every", "soon"], '"soon" is not a duration; use one like 20s,'),
        (["request", "web", "--every", "-1"], '"-1" is not a duration; use one like 20s,'),
        (["request", "web", "--every", "200h"], '"200h" must be between 0s and 168h'),
        (["request", "web", "--timeout", "1ms"], '"1ms" must be between 0.01s and 168h'),
        (["request", "web", "--count", "0"], "0 is not in the range x>=1"),
        (["affinity", "--every", "0"], '"0" must be between 0.1s and 168h'),
    ],
)
def test_bad_options(arguments: list[str], message: str, proxyrules: Runner) -> None:
    result = proxyrules("lab", *arguments, "--name", "nobody")
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_without_rich_nothing_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry None makes an import fail, as where rich is not installed."""
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(LabError) as raised, redrawn(lambda *_: []):
        pytest.fail("nothing to draw with")
    assert str(raised.value) == (
        "--watch on a terminal needs rich, which is not installed; "
        f"install it with `{sys.executable} -m pip install rich`"
    )


@pytest.mark.parametrize("kind", ["dumb", ""])
def test_a_terminal_without_a_cursor_gets_lines(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert can_redraw()
    monkeypatch.setenv("TERM", kind)
    assert not can_redraw()
