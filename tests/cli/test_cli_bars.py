"""The bar on a terminal, and what is known so far below it."""

import io

from rich.console import Console

from edgedeploy.cli.console import Speaker


def test_what_is_known_so_far_stands_below_the_bar_and_goes_with_it(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = io.StringIO()
    speaker = Speaker()
    speaker.console = Console(file=shown, force_terminal=True, width=80)
    with speaker.step("convert int4_mixed@0.003") as progress:
        progress(3, 10)
        progress(4, 10, "forecast, at most -0.30 points: 3.36 MB -0.28")
        speaker.console.print("")
    text = shown.getvalue()
    assert "4/10" in text
    assert "3.36 MB -0.28" in text
    assert text.index("convert int4_mixed") < text.index("3.36 MB")
    # Afterwards a line says that it is done, and the frontier is taken away.
    assert "3.36 MB" not in text[text.rindex("\x1b[2K") :]
    assert "✓" in text[text.rindex("\x1b[2K") :]
