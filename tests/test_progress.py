"""The live line of an attack where there is no terminal."""

import pytest

from quantattack.progress import PlainLines, bar


def lines(*calls: tuple[float, str, int]) -> list[str]:
    """What is printed where the progress of attacks on 30 images is told at these seconds."""
    said, now = list[str](), [0.0]
    show = PlainLines(said.append, clock=lambda: now[0], every=10.0)
    for seconds, name, done in calls:
        now[0] = seconds
        show(name, done, 30)
    return said


def test_a_line_comes_every_few_seconds():
    calls = [(second, "square", second) for second in range(28)]
    assert lines(*calls) == ["square: 10 of 30 images, 10 s", "square: 20 of 30 images, 20 s"]


def test_the_end_is_printed_once_and_only_of_what_was_named():
    assert lines((0, "pgd", 1), (12, "pgd", 15), (13, "pgd", 30), (14, "pgd", 30), (15, "short", 30)) == [
        "pgd: 15 of 30 images, 12 s",
        "pgd: 30 of 30 images, 13 s",
    ]


def test_an_attack_that_stands_still_is_seen_to_run():
    assert lines((0, "square", 3), (11, "square", 3), (22, "square", 3))[-1] == "square: 3 of 30 images, 22 s"


@pytest.mark.parametrize("shown", [True, False])
def test_a_short_run_prints_nothing(shown: bool, capsys: pytest.CaptureFixture[str]):
    with bar(shown) as advance:
        advance("pgd", 1, 2)
        advance("pgd", 2, 2)
    assert capsys.readouterr() == ("", "")
