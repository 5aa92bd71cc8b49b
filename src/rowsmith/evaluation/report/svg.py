"""Drawing: axes and marks as inline SVG. Colours are classes of report.css, so one drawing serves light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

Format = Callable[[float], str]
MAX_LABEL = 26


def shorten(text: str, limit: int = MAX_LABEL) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def tick_text(value: float) -> str:
    """A short number for an axis: 1500 is 1.5k."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * (10 if suffix == "k" else 1):
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def percent_text(value: float) -> str:
    return f"{100 * value:.3g}%"


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers within the range, about `count` of them."""
    if not high > low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= next((factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= count), 10)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values, what it shows, how a value is written on it, and at which it is (None: at round numbers)."""

    low: float
    high: float
    title: str
    text: Format = tick_text
    ticks: tuple[float, ...] | None = None

    @property
    def marks(self) -> Sequence[float]:
        return nice_ticks(self.low, self.high) if self.ticks is None else self.ticks

    @classmethod
    def over(cls, values: Sequence[float], title: str, text: Format = tick_text, margin: float = 0.04) -> Axis:
        """Holds all the values, with a margin; a single value gets a range around it."""
        low, high = min(values, default=0.0), max(values, default=1.0)
        room = (high - low) * margin if high > low else max(abs(high), 1.0) * 0.5
        return cls(low - room, high + room, title, text)

    def share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5


@dataclass
class Plot:
    """A drawing with two axes; marks are added in the order in which they are painted."""

    x: Axis
    y: Axis
    title: str
    width: int = 440
    height: int = 290
    marks: list[str] = field(default_factory=list)
    LEFT, RIGHT, TOP, BOTTOM = 62, 12, 10, 46

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Place of a value, kept within the frame."""
        right, down = min(max(self.x.share(x), 0.0), 1.0), 1 - min(max(self.y.share(y), 0.0), 1.0)
        inner = self.width - self.LEFT - self.RIGHT, self.height - self.TOP - self.BOTTOM
        return round(self.LEFT + right * inner[0], 1), round(self.TOP + down * inner[1], 1)

    def line(self, xs: Sequence[float], ys: Sequence[float], style: str) -> None:
        points = " ".join(f"{x},{y}" for x, y in (self.at(a, b) for a, b in zip(xs, ys, strict=True)))
        self.marks.append(f'<polyline class="line {style}" points="{points}"/>')

    def dots(self, xs: Sequence[float], ys: Sequence[float], style: str, radius: float = 3.2) -> None:
        for a, b in zip(xs, ys, strict=True):
            x, y = self.at(a, b)
            self.marks.append(f'<circle class="dot {style}" cx="{x}" cy="{y}" r="{radius}"/>')

    def whiskers(self, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], style: str) -> None:
        for a, low, high in zip(xs, lows, highs, strict=True):
            (x, top), (_, foot) = self.at(a, high), self.at(a, low)
            self.marks.append(f'<line class="whisker {style}" x1="{x}" x2="{x}" y1="{top}" y2="{foot}"/>')

    def band(self, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], style: str) -> None:
        there = [self.at(a, b) for a, b in zip(xs, highs, strict=True)]
        back = [self.at(a, b) for a, b in zip(xs, lows, strict=True)][::-1]
        points = " ".join(f"{x},{y}" for x, y in there + back)
        self.marks.append(f'<polygon class="band {style}" points="{points}"/>')

    def bars(self, edges: Sequence[float], heights: Sequence[float], style: str, inset: float = 0.5) -> None:
        for low, high, height in zip(edges[:-1], edges[1:], heights, strict=True):
            if height <= 0:
                continue
            (left, top), (right, foot) = self.at(low, height), self.at(high, self.y.low)
            wide, tall = max(right - left - 2 * inset, 0.8), max(foot - top, 0.8)
            place = f'x="{left + inset:.1f}" y="{foot - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
            self.marks.append(f'<rect class="bar {style}" {place}/>')

    def upright(self, x: float, label: str) -> None:
        """A dashed vertical line with a word at its top."""
        (place, top), (_, foot) = self.at(x, self.y.high), self.at(x, self.y.low)
        anchor, shift = ("end", -5) if self.x.share(x) > 0.6 else ("start", 5)
        self.marks.append(
            f'<line class="reference" x1="{place}" x2="{place}" y1="{top}" y2="{foot}"/>'
            f'<text class="note" x="{place + shift}" y="{top + 11}" text-anchor="{anchor}">{escape(label)}</text>'
        )

    def svg(self) -> Markup:
        """The drawing as one element; everything that is text was escaped."""
        body = "".join([self._grid(), *self.marks, self._titles()])
        return Markup(
            f'<svg class="plot" viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(self.title)}">'
            f"{body}</svg>"
        )

    def _grid(self) -> str:
        left, foot = self.at(self.x.low, self.y.low)
        right, _ = self.at(self.x.high, self.y.high)
        parts = []
        for value in self.y.marks:
            y, label = self.at(self.x.low, value)[1], escape(self.y.text(value))
            parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
            parts.append(f'<text class="tick" x="{left - 7}" y="{y + 4}" text-anchor="end">{label}</text>')
        for value in self.x.marks:
            x, label = self.at(value, self.y.low)[0], escape(self.x.text(value))
            parts.append(f'<line class="tickmark" x1="{x}" x2="{x}" y1="{foot}" y2="{foot + 4}"/>')
            parts.append(f'<text class="tick" x="{x}" y="{foot + 17}" text-anchor="middle">{label}</text>')
        parts.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{foot}" y2="{foot}"/>')
        return "".join(parts)

    def _titles(self) -> str:
        middle = (self.TOP + self.height - self.BOTTOM) / 2
        return (
            f'<text class="title" x="{(self.LEFT + self.width - self.RIGHT) / 2}" y="{self.height - 8}" '
            f'text-anchor="middle">{escape(shorten(self.x.title, 48))}</text>'
            f'<text class="title" transform="translate(12 {middle}) rotate(-90)" '
            f'text-anchor="middle">{escape(shorten(self.y.title, 36))}</text>'
        )


def strip(
    value: float | None,
    low: float | None,
    high: float | None,
    axis: Axis,
    *,
    reference: float | None = None,
    style: str = "",
) -> Markup:
    """A dot with its interval on a short line, for a cell of a table; `reference` is a dashed mark."""

    def place(number: float) -> float:
        return round(4 + 132 * min(max(axis.share(number), 0.0), 1.0), 1)

    parts = ['<line class="rail" x1="0" x2="140" y1="9" y2="9"/>']
    if reference is not None:
        x = place(reference)
        parts.append(f'<line class="reference" x1="{x}" x2="{x}" y1="1" y2="17"/>')
    if low is not None and high is not None:
        parts.append(f'<line class="interval {style}" x1="{place(low)}" x2="{place(high)}" y1="9" y2="9"/>')
    if value is not None:
        parts.append(f'<circle class="dot {style}" cx="{place(value)}" cy="9" r="4.2"/>')
    return Markup(f'<svg class="strip" viewBox="0 0 140 18" aria-hidden="true">{"".join(parts)}</svg>')


def bar(share: float, spread: float = 0.0, style: str = "") -> Markup:
    """A horizontal bar, `share` of the cell long (below 0: none), with a whisker of `spread` to either side."""
    end = 200 * min(max(share, 0.0), 1.0)
    parts = [f'<rect class="bar {style}" x="0" y="3" width="{max(end, 0.8):.1f}" height="10"/>']
    if spread > 0:
        low, high = max(end - 200 * spread, 0.0), min(end + 200 * spread, 200.0)
        parts.append(f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="8" y2="8"/>')
    frame = 'viewBox="0 0 200 16" preserveAspectRatio="none"'
    return Markup(f'<svg class="hbar" {frame} aria-hidden="true">{"".join(parts)}</svg>')
