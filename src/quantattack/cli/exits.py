"""The exit statuses that all commands share."""

from collections.abc import Mapping

from quantattack.report.statuses import BELOW, UNTRUSTED

__all__ = ["BELOW", "DISAGREES", "EPILOG", "FAULT", "INTERRUPTED", "MEANING", "UNTRUSTED", "WRONG_INPUT"]

WRONG_INPUT, DISAGREES, FAULT, INTERRUPTED = 2, 4, 70, 130

MEANING: Mapping[int, str] = {
    0: "fine",
    BELOW: "a worst case is below --min-robust",
    WRONG_INPUT: "wrong input; one line says what to do",
    UNTRUSTED: "a number is not to be trusted, says diagnose or --min-robust",
    DISAGREES: "verify computed something else than the record says",
    FAULT: "a fault of quantattack itself, with its traceback",
    INTERRUPTED: "interrupted; the same command continues",
}
EPILOG = "\b\nExit statuses:\n" + "\n".join(f"  {code:<4} {words}" for code, words in MEANING.items())
