"""Draws charts with gnuplot, as SVG and PNG.

Gnuplot gets its script on stdin, data inline. The axes are laid out here: gnuplot's own ticks know no
thousands' separators without the system's locales, and would differ between machines.
"""
import math
import os
import re
import shutil
import subprocess
import textwrap

from benchlib import BenchError

# Okabe and Ito's colours, told apart by people who are colour-blind too; never colour alone: lines
# differ in dashes and points as well, bars in their order, which is the legend's.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#999999"]
POINTS = [7, 5, 9, 13, 11, 4, 6, 8]
DASHES = ["1", "(16,6)", "(4,5)", "(16,5,3,5)", "(26,7)", "(10,3)", "(2,3)", "(6,3,6,10)"]
TERMINALS = {"svg": 'svg size 860,{height} font "Liberation Sans,Arial,Helvetica,sans-serif" fontscale 1.0 '
                    'background "white" rounded',
             "png": 'pngcairo size 1720,{twice} font "Liberation Sans,12" fontscale 2.0 linewidth 2.0 '
                    'pointscale 2.0 background "white" rounded'}
HEIGHT = 460
MANY = 40      # points of a line, from which on they are not marked
TITLE_WIDTH = 88


def available():
    return shutil.which("gnuplot") is not None


def quoted(text):
    """A string of gnuplot's that nothing in it can end, and in which no command is run."""
    text = str(text).replace("`", "'").replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("\n", "\\n") + '"'


# --- axes ---------------------------------------------------------------------------------------------


def number(value):
    """As short as it is exact enough for a tick: 1,000, 2.5, 0.001."""
    if value == 0:
        return "0"
    if abs(value) >= 1e9 or abs(value) < 1e-4:
        return f"{value:g}"
    text = f"{value:,.6f}" if abs(value) < 1 else f"{value:,.3f}"
    return text.rstrip("0").rstrip(".")


def brief(value, short):
    """What stands above a bar; short where many stand side by side."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if short and abs(value) >= 0.9995 * unit:
            return f"{value / unit:.3g}{name}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def linear_ticks(low, high, wanted=6):
    """Round numbers that cover low to high."""
    span = high - low or abs(high) or 1.0
    raw = span / wanted
    unit = 10.0 ** math.floor(math.log10(raw))
    step = unit * next((m for m in (1, 2, 2.5, 5) if m * unit >= raw * 0.999), 10)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


def log_ticks(low, high):
    """Decades, with 2 and 5 between them when there are few."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    every = [m * 10.0 ** e for e in range(first, last + 1) for m in steps if m == 1 or e < last]
    inside = [tick for tick in every if low * 0.999999 <= tick <= high * 1.000001]
    return inside if len(inside) > 1 else every


def log_end(value, up):
    """The next of ... 1, 2, 5, 10 ... above or below: not a whole decade of nothing at an end."""
    unit = 10.0 ** math.floor(math.log10(value) + 1e-9)
    steps = [m * unit for m in (1, 2, 5, 10)]
    if up:
        return next(s for s in steps if s >= value * 0.999999)
    return next(s for s in reversed(steps) if s <= value * 1.000001)


class Axis:
    """The range and ticks of an axis over these values."""

    def __init__(self, name, values, log, from_zero):
        self.name, self.log = name, log
        values = [v for v in values if not log or v > 0] or [1.0]
        low, high = min(values), max(values)
        if log:
            self.low, self.high = log_end(low, False), log_end(high, True)
            if self.low == self.high:
                self.high *= 10
            self.ticks = log_ticks(self.low, self.high)
        else:
            if from_zero or 0 < low < high / 2:
                low, high = min(low, 0), max(high, 0)
            self.ticks = linear_ticks(low, high)
            self.low, self.high = self.ticks[0], self.ticks[-1]

    def commands(self):
        ticks = ", ".join(f"{quoted(number(t))} {t!r}" for t in self.ticks)
        # Gnuplot's logarithms round, and it leaves out a tick that then lies outside.
        low, high = (self.low * 0.9999, self.high * 1.0001) if self.log else (self.low, self.high)
        lines = [f"set {self.name}range [{low!r}:{high!r}]", f"set {self.name}tics ({ticks})"]
        return [f"set logscale {self.name} 10", *lines] if self.log else lines

    def room(self, share):
        """Makes place at the upper end."""
        if self.log:
            self.high *= (self.high / self.low) ** share
        else:
            self.high += (self.high - self.low) * share


def drawable(chart, series):
    """The points that there is a place for: numbers, and above 0 where an axis is logarithmic."""
    for x, y in series.points:
        fits = isinstance(y, (int, float)) and math.isfinite(y) and (not chart.log_y or y > 0)
        if fits and (chart.kind == "bars" or not chart.log_x or x > 0):
            yield x, y


def empty(chart):
    return not any(True for series in chart.series for _ in drawable(chart, series))


# --- scripts ------------------------------------------------------------------------------------------


def heading(chart):
    title = "\n".join(textwrap.wrap(chart.title, TITLE_WIDTH))
    lines = ["set encoding utf8", f'set title {quoted(title)} noenhanced font ",14" offset 0,-0.2',
             f"set xlabel {quoted(chart.x_label)} noenhanced offset 0,0.3",
             f"set ylabel {quoted(chart.y_label)} noenhanced offset -0.5,0",
             'set border 3 lc rgb "#555555" lw 1', "set tics nomirror out scale 0.6",
             'set xtics tc rgb "#222222"', 'set ytics tc rgb "#222222"',
             'set grid ytics lc rgb "#dddddd" lw 1 lt 1']
    if chart.kind != "bars":
        lines.append('set grid xtics lc rgb "#eeeeee" lw 1 lt 1')
    if len([s for s in chart.series if s.name]) > 1:
        lines.append("set key outside bottom center horizontal Left reverse noenhanced "
                     "width 1 height 1 samplen 3")
    else:
        lines.append("unset key")
    return lines


def block(name, rows):
    return [f"${name} << END_OF_DATA", *rows, "END_OF_DATA"]


def curve_style(chart, at, many):
    colour = f'lc rgb "{COLOURS[at % len(COLOURS)]}"'
    if chart.kind == "points":
        return f"with points pt {POINTS[at % len(POINTS)]} ps {0.5 if many else 0.9} {colour}"
    dash = f"dt {DASHES[at % len(DASHES)]} lw 2 {colour}"
    if chart.kind == "steps":
        return f"with steps {dash}"
    if many:
        return f"with lines {dash}"
    return f"with linespoints {dash} pt {POINTS[at % len(POINTS)]} ps 0.8"


def marks(chart, x_axis):
    """Vertical lines; their texts stand beside their tops, each lower than that of the mark before it."""
    lines, at = [], -1
    for x, text in sorted(chart.marks):
        at += text != ""
        top = 0.95 - 0.06 * (max(0, at) % 4)
        right = x > x_axis.low + 0.8 * (x_axis.high - x_axis.low) and not chart.log_x
        lines.append(f"set arrow from {x!r}, graph 0 to {x!r}, graph {top + 0.03:.2f} nohead "
                     'lc rgb "#777777" lw 1.2 dt (6,4) back')
        lines.append(f"set label {quoted(text)} at {x!r}, graph {top:.2f} "
                     f'{"right" if right else "left"} offset {"-" if right else ""}0.6,0 noenhanced '
                     'font ",10" tc rgb "#444444"')
    return lines


def curves(chart):
    """The script of lines, points or steps."""
    kept = [(s.name, sorted(drawable(chart, s)) if chart.kind != "points" else list(drawable(chart, s)))
            for s in chart.series]
    kept = [(name, points) for name, points in kept if points]
    xs = [x for _, points in kept for x, _ in points] + [x for x, _ in chart.marks]
    x_axis = Axis("x", xs, chart.log_x, False)
    y_axis = Axis("y", [y for _, points in kept for _, y in points], chart.log_y, True)
    if chart.marks:
        y_axis.room(0.08 * min(4, len(chart.marks)))
    lines = heading(chart) + x_axis.commands() + y_axis.commands() + marks(chart, x_axis)
    plots = []
    for at, (name, points) in enumerate(kept):
        lines += block(f"d{at}", [f"{x!r} {y!r}" for x, y in points])
        style = curve_style(chart, at, len(points) > MANY)
        plots.append(f"$d{at} using 1:2 {style} title {quoted(name)}")
    return lines + ["plot " + ", \\\n  ".join(plots)]


def bars(chart):
    """The script of bars, grouped by label; what each stands for is written above it if there is room."""
    kept = [(s.name, list(drawable(chart, s))) for s in chart.series]
    kept = [(name, points) for name, points in kept if points]
    labels = list(dict.fromkeys(str(x) for _, points in kept for x, _ in points))
    width = 0.82 / len(kept)
    values = [y for _, points in kept for _, y in points]
    if chart.log_y:  # so that the least bar can still be seen
        values.append(10.0 ** math.floor(math.log10(min(values) / 2)))
    y_axis = Axis("y", values, chart.log_y, True)
    y_axis.room(0.06)
    per_label = max(6, 110 // len(labels))
    wrapped = ["\n".join(textwrap.wrap(text, per_label)) for text in labels]
    ticks = ", ".join(f"{quoted(text)} {at}" for at, text in enumerate(wrapped))
    lines = heading(chart) + y_axis.commands() + [
        f"set xrange [-0.6:{len(labels) - 0.4}]", f"set xtics ({ticks}) noenhanced scale 0",
        f"set boxwidth {width * 0.94!r} absolute", "set style fill solid 0.9 noborder"]
    plots, values, total = [], [], len(labels) * len(kept)
    for at, (name, points) in enumerate(kept):
        place = (at - (len(kept) - 1) / 2) * width
        rows = [f"{labels.index(str(x)) + place!r} {y!r} {quoted(brief(y, total > 12))}" for x, y in points]
        lines += block(f"d{at}", rows)
        plots.append(f'$d{at} using 1:2 with boxes lc rgb "{COLOURS[at % len(COLOURS)]}" '
                     f"title {quoted(name)}")
        values.append(f'$d{at} using 1:2:3 with labels offset 0,0.6 font ",{10 if total <= 12 else 8}" '
                      'tc rgb "#333333" notitle')
    return lines + ["plot " + ", \\\n  ".join(plots + (values if total <= 24 else []))]


def script(chart):
    if empty(chart):
        raise BenchError(f"the chart {chart.name} has nothing to draw")
    if chart.kind == "bars":
        return bars(chart)
    if chart.kind in ("lines", "points", "steps"):
        return curves(chart)
    raise BenchError(f"the chart {chart.name} is of no known kind: {chart.kind}")


# --- drawing ------------------------------------------------------------------------------------------


def gnuplot(name, lines, folder, height=HEIGHT):
    """Runs a script once for each format: FOLDER/NAME.svg and .png, each whole or not at all."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise BenchError(f"not a name for a file: {name!r}")
    os.makedirs(folder, exist_ok=True)
    for kind, terminal in TERMINALS.items():
        path = os.path.join(folder, f"{name}.{kind}")
        head = [f"set terminal {terminal.format(height=height, twice=2 * height)}",
                f"set output {quoted(path + '.tmp')}"]
        text = "\n".join([*head, *lines, "unset output", ""])
        done = subprocess.run(["gnuplot"], input=text.encode(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        # Gnuplot goes on after errors of a script on stdin; what it says is then all there is.
        wrong = re.search(r"^.*(?:error|undefined|unrecognized).*$", done.stderr.decode(), re.M | re.I)
        if done.returncode != 0 or wrong or not os.path.exists(path + ".tmp"):
            raise BenchError(f"gnuplot cannot draw {name}: {done.stderr.decode().strip()[-500:]}")
        os.replace(path + ".tmp", path)


def draw(chart, folder):
    gnuplot(chart.name, script(chart), folder)
