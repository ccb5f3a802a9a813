"""Numbers, sizes, times and states as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.text import Text

from microlith.contract import DatasetFacts, ModelFacts

STATE_STYLES = {
    "queued": "yellow",
    "running": "cyan",
    "cancelling": "yellow",
    "succeeded": "green",
    "failed": "bold red",
    "cancelled": "red",
    "expired": "red",
}
NOTHING = "–"


def state(name: str) -> Text:
    return Text(name, STATE_STYLES.get(name, ""))


def score(value: float | None) -> str:
    """Precision, recall, F1 and their like, to three places."""
    return NOTHING if value is None else f"{value:.3f}"


def change(value: float) -> Text:
    """A difference to the base: green when better, red when worse than a rounding error."""
    style = "green" if value > 0.0005 else "red" if value < -0.0005 else "dim"
    return Text(f"{value:+.3f}", style)


def size(count: int | None) -> str:
    """Bytes in the decimal units that file managers use."""
    if count is None:
        return NOTHING
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 99.95 else f"{amount:.1f} {unit}"


def milliseconds(value: float) -> str:
    """Two figures, or all before the point: 0.31, 1.3, 17, 1234."""
    places = 2 if value < 0.995 else 1 if value < 9.95 else 0
    return f"{value:.{places}f}"


def quantity(count: int | None) -> str:
    """Parameters: 4.4 M."""
    if count is None:
        return NOTHING
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return str(count)


def duration(seconds: float | None) -> str:
    """`8 s`, `2 min 05 s`, `3 h 10 min`."""
    if seconds is None:
        return NOTHING
    if seconds < 10 and seconds != round(seconds):
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def when(moment: datetime) -> str:
    """A time on this machine's clock."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def ago(moment: datetime) -> str:
    return f"{duration(max(0, round((datetime.now(UTC) - moment).total_seconds())))} ago"


def source_name(ref: str, source: ModelFacts | DatasetFacts | None) -> str:
    """What people call a source: the id of something registered says nothing to them, any other reference does."""
    registered = ref.startswith(("mdl_", "dst_"))
    return source.name if registered and source and source.name else ref
